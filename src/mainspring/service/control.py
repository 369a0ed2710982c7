"""The use cases by which people hold jobs back, let them go, have them run at once, end their runs and retry them.

Pauses of groups, products and everything are notes: nodes claim nothing by older notes than there are, so a pause holds
from the moment of its answer, but for what was claimed just before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from mainspring.clock import Clock
from mainspring.errors import ConflictError, InvalidRequestError, JobNotDeadError, KeyTakenError, NotFoundError, Problem
from mainspring.job import (
    DEADLY,
    Edit,
    Events,
    Hold,
    Job,
    JobChanged,
    JobKey,
    Pause,
    Receipt,
    Run,
    Scope,
    ScopePaused,
    ScopeResumed,
    State,
    lifecycle,
)
from mainspring.problems import sentence
from mainspring.schedule import TimeError, check_range, parse_when
from mainspring.service.keys import Keys
from mainspring.store import Notes, Store

if TYPE_CHECKING:
    from mainspring.service.jobs import SchedulerService

EDIT_TRIES = 10
"""How often an edit is tried when others keep writing the same job.

Each loss means that somebody else's write went through.
"""
RETRY_REACH = 1000
"""How many runs of a job are looked through for those that gave up."""
_WAITING = frozenset({State.SCHEDULED, State.PAUSED})
MOST_REASON = 500
"""Characters of why something was paused."""


class Standing(NamedTuple):
    """Whether a scope is stopped, also by a pause above it, and the pauses of the scope itself that are over."""

    scope: Scope
    pauses: tuple[Pause, ...]
    past: tuple[Pause, ...]


class Control:
    """Control of the jobs of one service."""

    def __init__(self, jobs: SchedulerService, store: Store, notes: Notes, clock: Clock, events: Events) -> None:
        self._jobs = jobs
        self._store = store
        self._notes = notes
        self._clock = clock
        self._events = events
        self._keys = Keys(store)

    # --- jobs

    async def pause_job(self, key: JobKey, job_id: UUID, body: Mapping[str, Any] | None = None) -> Job:
        """Hold a job back; `body` may have a ``reason``, and ``until`` when.

        Raises `NotFoundError`, `JobFinishedError`, and `InvalidRequestError` with every problem of the body.
        """
        now = await self._store.now()
        reason, until = read_pause(body or {}, now)
        return await self._jobs.edit(
            key, job_id, lambda job: Edit(lifecycle.pause(job, now=now, reason=reason, until=until)), what="paused"
        )

    async def resume_job(self, key: JobKey, job_id: UUID) -> Job:
        """Let a paused job go on. Raises `NotFoundError`, `JobFinishedError`."""
        now = await self._store.now()
        return await self._jobs.edit(key, job_id, lambda job: Edit(lifecycle.resume(job, now=now)), what="resumed")

    async def fire_job(self, key: JobKey, job_id: UUID, receipt: Callable[[Job], Receipt] | None = None) -> Job:
        """Have a job run at once, also a paused one; one that recurs gets a run beside its schedule.

        A `receipt` is written with it: see `SchedulerService.create_or_keep`. Raises `NotFoundError`,
        `JobFinishedError`, and `JobRunningError` for a job without a schedule that runs.
        """
        now = await self._store.now()

        async def write(job: Job) -> Job | None:
            fired, child = lifecycle.fire(job, self._clock.new_id(), now=now)
            kept = receipt and receipt(fired)
            return fired if await self._store.update(fired, (), [child] if child else (), kept) else None

        return await self._try(key, job_id, write, "fired")

    async def cancel_job(self, key: JobKey, job_id: UUID) -> Job:
        """Have the run under way end as cancelled; a job without a schedule that does not run is done so.

        Of a job with a schedule also the runs beside it. Raises `NotFoundError`, `JobFinishedError`, and
        `JobNotRunningError` for one with a schedule that does not run.
        """
        now = await self._store.now()

        async def write(job: Job) -> Job | None:
            if job.state in _WAITING and await self._cancel_beside(job, now):
                return job
            cancelled, run = lifecycle.cancel(job, now=now)
            if run is None:
                return cancelled if await self._store.cancel(cancelled) else None
            return await self._jobs.get_job(key, job_id) if await self._store.end(cancelled, run) else None

        return await self._try(key, job_id, write, "cancelled")

    async def _cancel_beside(self, job: Job, now: datetime) -> bool:
        """Cancel the runs that are under way beside a job; tell whether there are any."""
        running = [child for child in await self._store.children(job.id) if child.state is State.RUNNING]
        for child in running:
            await self._store.cancel(lifecycle.cancel(child, now=now)[0])  # one that has just ended needs it no more
        return bool(running)

    async def retry_job(
        self, key: JobKey, job_id: UUID, run: int | None = None, receipt: Callable[[Job], Receipt] | None = None
    ) -> Job:
        """Try the fire time again that a job gave up on, at once: that of a run, or the last.

        A dead job is brought back for it, or for its new time if it was moved since; a job that goes on runs it beside
        its other occurrences. A `receipt` is written with it. Raises `NotFoundError`, `JobNotDeadError` if the job, or
        that run, did not give up or is tried again already.
        """
        now, calendars = await self._store.now(), await self._notes.calendars()

        async def write(job: Job) -> Job | None:
            given_up = await self._given_up(job)
            chosen = next((each for each in given_up if run in {None, each.number}), None)
            if chosen is None:
                raise JobNotDeadError(_nothing_to_retry(run))
            if job.is_dead and (run is None or chosen is given_up[0]):
                revived, unrun = lifecycle.revived(job, now=now, calendars=calendars)
                revived = revived._replace(waits_for=await self._jobs.awaiting.pending(job.options))
                kept = receipt and receipt(revived)
                return revived if await self._store.revive(revived, unrun, kept) else None
            edited, child = lifecycle.retry_run(job, chosen, self._clock.new_id(), now=now)
            return edited if await self._store.update(edited, (), [child], receipt and receipt(edited)) else None

        return await self._try(key, job_id, write, "retried")

    async def _given_up(self, job: Job) -> list[Run]:
        """Return those of a job's latest runs that gave up on a fire time that nobody tries again, the latest first."""
        runs = await self._store.runs(job.key, job.id, before=None, limit=RETRY_REACH)
        last: dict[datetime, Run] = {}
        for run in runs:
            if run.attempt:
                last.setdefault(run.fire_time, run)
        tried = {child.fire_time for child in await self._store.children(job.id)}
        if job.state is not State.DONE and job.attempt:
            tried.add(job.fire_time)
        return [run for run in last.values() if run.outcome in DEADLY and run.fire_time not in tried]

    async def _try(self, key: JobKey, job_id: UUID, write: Callable[[Job], Any], what: str) -> Job:
        """Have a job written by what it is, until nobody has written it meanwhile."""
        for _ in range(EDIT_TRIES):
            job = await self._jobs.get_job(key, job_id)
            try:
                written: Job | None = await write(job)
            except KeyTakenError:
                if (other := await self._keys.other(job)) is None:
                    continue
                raise Keys.refusal(other) from None
            if written is not None:
                self._events.announce(JobChanged(written, what))
                return written
        raise ConflictError("the job kept changing; try again")

    # --- groups, products and everything

    async def pauses(self) -> tuple[Pause, ...]:
        """Return the pauses of groups, products and everything; what is known of them may be a beat old."""
        await self._notes.be_current()
        return self._notes.pauses

    async def pause(self, scope: Scope, body: Mapping[str, Any]) -> Standing:
        """Stop a group, a product or everything: what is not claimed when this returns does not begin.

        `body` may have a ``reason``, and ``until`` when. Raises `NotFoundError` for a scope without a group, and
        `InvalidRequestError` with every problem of the body.
        """
        await self.check(scope)
        now = await self._store.now()
        reason, until = read_pause(body, now)
        pause = Pause(scope, Hold(now, reason), until)
        await self._notes.put_pause(pause)
        self._events.announce(ScopePaused(pause))
        return await self.standing(scope)

    async def resume(self, scope: Scope) -> Standing:
        """Let a group, a product or everything go on, unless a pause above it is there. Raises `NotFoundError`."""
        await self.check(scope)
        if await self._notes.end_pauses(scope, await self._store.now()):
            self._events.announce(ScopeResumed(scope))
        return await self.standing(scope)

    async def standing(self, scope: Scope) -> Standing:
        """Return whether a scope is stopped, and was. Raises `NotFoundError`."""
        await self.check(scope)
        await self._notes.refresh()
        pauses = tuple(pause for pause in self._notes.pauses if pause.scope.includes(scope))
        past = tuple(pause for pause in await self._notes.past_pauses() if pause.scope == scope)
        return Standing(scope, pauses, past)

    async def check(self, scope: Scope) -> None:
        """Raise `NotFoundError` for a scope without a group."""
        if scope != Scope() and not any(scope.has(group.key) for group in await self._jobs.groups()):
            what = f"job group {scope.product}/{scope.job_group}" if scope.job_group else f"product {scope.product}"
            detail = f"there is no {what}"
            raise NotFoundError(detail, problems=[Problem("", "UNKNOWN_JOB_GROUP", detail)])


def read_pause(body: Mapping[str, Any], now: datetime) -> tuple[str | None, datetime | None]:
    """Return why and until when something is to be paused. Raises `InvalidRequestError` with every problem."""
    problems = [
        Problem(f"/{name[:64]}", "UNKNOWN_FIELD", "is no field of this call; it takes reason and until")
        for name in body.keys() - {"reason", "until"}
    ]
    reason, until = body.get("reason"), None
    if reason is not None and not (isinstance(reason, str) and 0 < len(reason) <= MOST_REASON):
        problems.append(Problem("/reason", "INVALID_REASON", f"must be a text of 1 to {MOST_REASON} characters"))
    elif reason is not None and not reason.isprintable():
        problems.append(Problem("/reason", "INVALID_REASON", "must have no line breaks or other control characters"))
    if (sent := body.get("until")) is not None:
        try:
            check_range(until := parse_when(sent if isinstance(sent, str) else ""))
        except TimeError as error:
            problems.append(Problem("/until", error.code, str(error)))
        else:
            if until <= now:
                problems.append(Problem("/until", "UNTIL_IN_PAST", "must be later than now"))
    if problems:
        raise InvalidRequestError(sentence(problems), problems=problems)
    return reason, until


def _nothing_to_retry(run: int | None) -> str:
    if run is None:
        return "only a job that gave up can be retried"
    return f"run {run} is none of the job's latest {RETRY_REACH} runs that gave up on their fire time"
