"""The entry to the plugin: what Mainspring finds under ``mainspring.plugins``. Time and chance come in here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import httpx2

from mainspring import Binder, SchedulerPluginModule
from mainspring.clock import SystemClock
from mainspring_vps4.jobs import (
    Postponement,
    Rhythm,
    Vps4BackupJob,
    Vps4CancelAccountJob,
    Vps4DestroyVmJob,
    Vps4PatchJob,
    Vps4RemoveSupportUserJob,
    Vps4SupportUserJob,
    Vps4ZombieCleanupJob,
)
from mainspring_vps4.listeners import BackupRateLimiter, Vps4BackupTriggerListener
from mainspring_vps4.settings import Vps4Settings
from mainspring_vps4.vms import HttpVmService, VmService


class Vps4SchedulerPluginModule(SchedulerPluginModule):
    """Binds the jobs of vps4, the listener of its backups, and the services that both ask for."""

    def configure(self, binder: Binder) -> None:
        """Bind everything."""
        binder.bind_job(Vps4BackupJob)
        binder.bind_job(Vps4ZombieCleanupJob)
        binder.bind_job(Vps4PatchJob)
        binder.bind_job(Vps4CancelAccountJob)
        binder.bind_job(Vps4DestroyVmJob)
        binder.bind_job(Vps4RemoveSupportUserJob)
        binder.bind_job(Vps4SupportUserJob)
        binder.bind_trigger_listener(Vps4BackupTriggerListener)
        binder.bind_settings("vps4", Vps4Settings)
        binder.bind_service(vm_service)
        binder.bind_service(postponement)
        binder.bind_service(rhythm)
        binder.bind_service(rate_limiter)


async def vm_service(settings: Vps4Settings) -> AsyncIterator[VmService]:
    """Provide the product API over HTTP and close it at shutdown."""
    client = httpx2.AsyncClient(base_url=str(settings.api_url), timeout=settings.api_timeout.total_seconds())
    async with aclosing(HttpVmService(client)) as service:
        yield service


def postponement(settings: Vps4Settings) -> Postponement:
    """Provide how long to wait for a full data centre."""
    return Postponement(settings.postpone_minimum, settings.postpone_maximum, SystemClock().chance)


def rhythm(settings: Vps4Settings) -> Rhythm:
    """Provide how far automatic backups are apart, if they are ours to schedule."""
    return Rhythm(settings.next_backup_after if settings.schedule_next_backup else None)


def rate_limiter(settings: Vps4Settings) -> BackupRateLimiter:
    """Provide the limit of backups per minute."""
    return BackupRateLimiter(settings.backups_per_minute, timedelta(minutes=1), SystemClock().monotonic)
