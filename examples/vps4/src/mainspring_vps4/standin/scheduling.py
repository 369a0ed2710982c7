"""The product's side of the scheduler: after a backup comes the next one."""

from __future__ import annotations

import logging
from datetime import timedelta

import httpx2

from mainspring.clock import Clock
from mainspring_vps4.standin.cloud import Backup

PAUSES = (1, 2, 4, 8)
"""Seconds between the tries to reach the scheduler."""

log = logging.getLogger(__name__)


class BackupScheduler:
    """Schedules the VM's next backup, some time `after` one is complete. `client` knows where the scheduler is."""

    def __init__(self, client: httpx2.AsyncClient, after: timedelta, clock: Clock) -> None:
        self.client = client
        self._after = after
        self._clock = clock

    async def schedule_next(self, backup: Backup) -> None:
        """POST the job, a few times if need be; the key keeps an answer that got lost from making two jobs of it."""
        when = self._clock.now() + self._after
        body = {
            "vmId": str(backup.vm.id),
            "when": when.isoformat(),
            "backupName": backup.order.name,
            "shopperId": backup.order.shopper_id,
            "scheduledJobType": backup.order.scheduled_job_type,
        }
        body = {name: value for name, value in body.items() if value is not None}
        for pause in (*PAUSES, None):
            try:
                await self._post(body, key=f"after-{backup.id}")
            except httpx2.HTTPError as error:
                log.warning("could not schedule the next backup of VM %s: %r", backup.vm.id, error)
            else:
                return
            if pause:
                await self._clock.sleep(pause)
        log.error("gave up scheduling the next backup of VM %s", backup.vm.id)

    async def _post(self, body: dict[str, str | None], key: str) -> None:
        response = await self.client.post(
            "/api/schedulers/vps4/backups/jobs", json=body, headers={"Idempotency-Key": key}
        )
        response.raise_for_status()
