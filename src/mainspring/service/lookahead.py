"""The use cases that look ahead and back: what a job will do, and its past, run afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from mainspring.clock import Clock
from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import Edit, Job, JobKey, Receipt, lifecycle
from mainspring.schedule import HORIZON, Backfill, Calendars, Forecast, Outage, forecast, preview
from mainspring.service.batches import SLICE, in_slices
from mainspring.store import Notes, Store

if TYPE_CHECKING:
    from mainspring.service.jobs import SchedulerService

PREVIEW_SECONDS = 0.5
"""A preview that has taken this long ends with what it has."""


class LookAhead(NamedTuple):
    """How far a preview goes: how many starts it shows, and what outage it supposes."""

    number: int = 10
    outage: Outage | None = None


class Draft(NamedTuple):
    """A job, the moment at which it is looked at, and the calendars by which."""

    job: Job
    now: datetime
    calendars: Calendars


class Lookahead:
    """Previews and backfills of the jobs of one service."""

    def __init__(self, jobs: SchedulerService, store: Store, notes: Notes, clock: Clock) -> None:
        self._jobs = jobs
        self._store = store
        self._notes = notes
        self._clock = clock
        self._calculating = asyncio.Lock()
        """What may take a while is done in a thread, one at a time: several would slow down everybody else."""

    async def preview_new(self, key: JobKey, body: Mapping[str, Any], ahead: LookAhead) -> tuple[Job, Forecast]:
        """Return the job that the body of a request would create, and what becomes of it; nothing is written.

        Raises like `create_job`; keys and quotas are not looked at.
        """
        draft = await self._jobs.draft_job(key, body)
        return draft.job, await self._preview(draft, ahead)

    async def preview_job(self, key: JobKey, job_id: UUID, ahead: LookAhead) -> tuple[Job, Forecast]:
        """Return a job and what becomes of it. A run under way is taken to end now. Raises `NotFoundError`."""
        job = await self._jobs.get_job(key, job_id)
        now, calendars = await self._store.now(), await self._notes.calendars()
        return job, await self._preview(Draft(job, now, calendars), ahead)

    async def _preview(self, draft: Draft, ahead: LookAhead) -> Forecast:
        job, now, calendars = draft
        pending = lifecycle.pending(job, now=now, calendars=calendars)
        lines = preview(job.trigger, now=now, job_id=job.id, calendars=calendars, outage=ahead.outage, pending=pending)
        async with self._calculating:
            until = self._clock.monotonic() + PREVIEW_SECONDS
            return await asyncio.to_thread(forecast, lines, ahead.number, lambda: self._clock.monotonic() > until)

    async def backfill_job(
        self,
        key: JobKey,
        job_id: UUID,
        body: Mapping[str, Any],
        receipt: Callable[[int, int], Receipt] | None = None,
    ) -> tuple[int, int]:
        """Run occurrences of a job's past beside it; they are durable when this returns.

        Answer how many, and how many are beyond the cap; a `receipt` of that is written with them. Raises
        `NotFoundError`, `JobFinishedError`, `JobNotRecurringError`, and `InvalidRequestError` with every problem of the
        body.
        """
        job, now = await self._jobs.get_job(key, job_id), await self._store.now()
        lifecycle.check_backfill(job)
        backfill = Backfill.read(job.trigger, body, now)
        async with self._calculating:
            fire_times, left = await asyncio.to_thread(lambda: (backfill.fire_times(), backfill.left))
        if fire_times and backfill.due_at(len(fire_times) - 1, now) > now + HORIZON:
            problem = Problem("/spacing", "WHEN_TOO_FAR", "makes the last run more than ten years ahead")
            raise InvalidRequestError("the last run would be more than ten years ahead", problems=[problem])

        def make(numbered: tuple[int, int]) -> Edit:
            occurrence = backfill.occurrence(*numbered, now)
            return Edit(lifecycle.backfilled(job, occurrence, self._clock.new_id(), now=now))

        async with self._jobs.batches.alone() if len(fire_times) > SLICE else nullcontext():
            kept = None if receipt is None else lambda: receipt(len(fire_times), left)
            await self._jobs.batches.write(in_slices(self._clock, enumerate(fire_times), make), kept)
        return len(fire_times), left
