"""The use cases: what REST and with it the command line ask for.

Reads, lets the lifecycle decide, and writes guarded.

Nothing in here runs a job; nodes do, and the two meet in the store.
"""

from __future__ import annotations

import json
from asyncio import _get_running_loop, _set_running_loop  # documented for those who run loops
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from mainspring.clock import Clock
from mainspring.errors import (
    ConflictError,
    InvalidRequestError,
    JobNotDeadError,
    NotFoundError,
    PreconditionFailedError,
    Problem,
    StoreUnavailableError,
)
from mainspring.failpoint import fp
from mainspring.job import (
    DEADLY,
    PENDING,
    Counts,
    Edit,
    Ending,
    Events,
    Job,
    JobChanged,
    JobDeleted,
    JobFilter,
    JobKey,
    JobScheduled,
    Outcome,
    PluginFailed,
    Position,
    Reading,
    Run,
    State,
    history,
    lifecycle,
    read,
)
from mainspring.plugins import Binding, Registry
from mainspring.schedule import (
    KINDS,
    Calendars,
    Recurring,
)
from mainspring.service.lookahead import Draft, Lookahead
from mainspring.store import Notes, Store

REQUEST_LIMIT = 256 * 1024
"""How large a stored request may become, in bytes of JSON; the same as the limit of a body."""
EDIT_TRIES = 10
"""How often an edit is tried when others keep writing the same job.

Each loss means that somebody else's write went through.
"""
MOST_PROBLEMS = 100
"""How many problems of a batch are looked for."""
RETRY_REACH = 1000
"""How many runs of a job are looked through for those that gave up."""
DELETED_AT_ONCE = 500
"""How many occurrences of a deleted job are deleted at once: that is up to 10 ms."""
PAGE = 500
"""How many jobs of a streamed list are fetched at a time."""
TURN = 64
"""After so many bodies of a batch everybody else has a turn: that is 1 to 2 ms."""
_SCHEDULE_FIELDS = frozenset({"when", "schedule", "jobType", "repeatCount", "repeatIntervalInDays"})


@dataclass(frozen=True, slots=True)
class Group:
    """A job group, what is bound for it here (nothing, if only its jobs are known), and how many jobs it has."""

    key: JobKey
    binding: Binding | None
    counts: Counts


class SchedulerService:
    """The use cases over one store, for the job groups of one registry."""

    def __init__(self, *, store: Store, notes: Notes, registry: Registry, clock: Clock, events: Events) -> None:
        self._store = store
        self._notes = notes
        self._registry = registry
        self._clock = clock
        self._events = events
        self.lookahead = Lookahead(self, store, notes, clock, events)

    @property
    def is_durable(self) -> bool:
        """Whether jobs outlive this process."""
        return self._store.durable

    def now(self) -> datetime:
        """Return the time by the clock of this machine."""
        return self._clock.now()

    async def check_store(self) -> None:
        """See that the store answers. Raises `StoreUnavailableError`."""
        await self._store.nodes()  # unlike `now`, which need not look into it

    async def cursor_keys(self) -> list[bytes]:
        """Return the keys that the cursors of lists are signed with; the first is to be used."""
        return await self._notes.cursor_keys()

    async def groups(self) -> list[Group]:
        """Return all job groups that are bound here or have jobs, by name."""
        counts = await self._store.counts()
        keys = sorted({*self._registry.bindings, *counts})
        return [Group(key, self._registry.bindings.get(key), counts.get(key, Counts({}))) for key in keys]

    async def create_job(self, key: JobKey, body: Mapping[str, Any]) -> Job:
        """Create a job from the body of a request; it is durable when this returns.

        Raises `NotFoundError` for an unknown group and `InvalidRequestError` with every problem of the body.
        """
        binding = self._registry.find(key)
        calendars = await self._calendars_for([body])
        job, unrun = self._new_job(binding, body, self._clock.now(), calendars)
        fp("create.before_add")
        await self._store.add([job], unrun)
        fp("create.after_add")
        self._events.announce(JobScheduled(job))
        return job

    async def create_jobs(self, key: JobKey, bodies: Sequence[Mapping[str, Any]]) -> list[UUID]:
        """Create a job from each body, all or none; they are durable when this returns. Answer their ids, in order.

        Raises like `create_job`; the pointers of problems begin with the number of the body, from 0. Reading stops when
        `MOST_PROBLEMS` were found. Others have their turn every few bodies.
        """
        binding = self._registry.find(key)
        now = self._clock.now()
        calendars = await self._calendars_for(bodies)
        edits: list[Edit] = []
        problems: list[Problem] = []
        for number, body in enumerate(bodies):
            if number % TURN == 0:
                await self._clock.sleep(0)
            try:
                edits.append(self._new_job(binding, body, now, calendars))
            except InvalidRequestError as error:
                problems += [replace(problem, pointer=f"/{number}{problem.pointer}") for problem in error.problems]
                if len(problems) >= MOST_PROBLEMS:
                    break
        if problems:
            said = "; ".join(f"{problem.pointer} {problem.detail}" for problem in problems[:3])
            raise InvalidRequestError(f"nothing was created: {said}", problems=problems)
        jobs = [edit.job for edit in edits]
        fp("create.before_add")
        if jobs:
            await self._store.add(jobs, [run for edit in edits for run in edit.unrun])
        fp("create.after_add")
        if self._events.has_subscribers(JobScheduled):
            for job in jobs:
                self._events.announce(JobScheduled(job))
        return [job.id for job in jobs]

    async def draft_job(self, key: JobKey, body: Mapping[str, Any]) -> Draft:
        """Return the job that the body of a request would create; nothing is written. Raises like `create_job`."""
        binding, now = self._registry.find(key), self._clock.now()
        calendars = await self._calendars_for([body])
        return Draft(self._new_job(binding, body, now, calendars).job, now, calendars)

    def _new_job(self, binding: Binding, body: Mapping[str, Any], now: datetime, calendars: Calendars) -> Edit:
        reading = self._read(binding, body, now, calendars)
        return lifecycle.create(
            job_id=self._clock.new_id(),
            key=binding.key,
            request=body,
            trigger=reading.trigger,
            options=reading.options,
            now=now,
            calendars=calendars,
        )

    async def get_job(self, key: JobKey, job_id: UUID) -> Job:
        """Return a job, done ones too until their retention is over.

        Raises `NotFoundError`, also for a job of another group.
        """
        job = await self._store.get(job_id)
        if job is None or job.key != key:
            self._registry.find(key)
            detail = f"there is no job {job_id} in {key}"
            raise NotFoundError(detail, problems=[Problem("", "JOB_NOT_FOUND", detail)])
        return job

    async def list_jobs(self, key: JobKey, which: JobFilter, *, after: Position | None, limit: int) -> list[Job]:
        """Return a page of the group's jobs: by next run, and then those that are done, from the one that ended last.

        Raises `NotFoundError` for a group that is neither bound here nor has jobs.
        """
        jobs: list[Job] = []
        if which.pending and not (after and after.run):
            pending = replace(which, states=which.states & PENDING)
            jobs = await self._store.page(key, pending, after=after, limit=limit)
            after = None
        if which.done and len(jobs) < limit:
            done = replace(which, states=frozenset({State.DONE}))
            jobs += await self._store.page(key, done, after=after, limit=limit - len(jobs))
        if not jobs and key not in self._registry.bindings and key not in await self._store.counts():
            self._registry.find(key)
        return jobs

    async def stream_jobs(self, key: JobKey, which: JobFilter, *, after: Position | None) -> AsyncIterator[list[Job]]:
        """Yield the jobs that `list_jobs` has, some at a time, while others go on changing them.

        It is settled at the beginning which pending jobs come, and in which order. Each comes once, as it is then,
        unless it is gone or is not in these states any more. Raises `NotFoundError` like that.
        """
        is_empty = True
        if which.pending and not (after and after.run):
            pending = replace(which, states=which.states & PENDING)
            ids = await self._store.ids(key, pending, after=after)
            for first in range(0, len(ids), PAGE * 16):
                some = ids[first : first + PAGE * 16]
                page = [UUID(bytes=some[place : place + 16]) for place in range(0, len(some), 16)]
                found = {job.id: job for job in await self._store.some(page)}
                is_empty = False
                yield [job for id_ in page if (job := found.get(id_)) is not None and job.state in which.states]
            after = None
        if which.done:  # these are in the order of their last runs, which does not change
            done = replace(which, states=frozenset({State.DONE}))
            while jobs := await self._store.page(key, done, after=after, limit=PAGE):
                is_empty, after = False, Position.of(jobs[-1])
                yield jobs
        if is_empty and key not in self._registry.bindings and key not in await self._store.counts():
            self._registry.find(key)

    async def stream_all_jobs(
        self, which: JobFilter, *, after: tuple[JobKey, Position] | None
    ) -> AsyncIterator[list[Job]]:
        """Yield the jobs of all groups, group by group; each as `stream_jobs` does it."""
        counts = await self._store.counts()
        for key in sorted(counts):
            place = after[1] if after and after[0] == key else None
            if not (after and key < after[0]) and not (which.gave_up and not counts[key].gave_up):
                async for jobs in self.stream_jobs(key, which, after=place):
                    yield jobs

    async def list_all_jobs(self, which: JobFilter, *, after: tuple[JobKey, Position] | None, limit: int) -> list[Job]:
        """Return a page of the jobs of all groups, group by group; each as `list_jobs` does it."""
        counts = await self._store.counts()
        jobs: list[Job] = []
        for key in sorted(counts):
            place = after[1] if after and after[0] == key else None
            if (after and key < after[0]) or (which.gave_up and not counts[key].gave_up):
                continue
            jobs += await self.list_jobs(key, which, after=place, limit=limit - len(jobs))
            if len(jobs) >= limit:
                break
        return jobs

    async def list_runs(self, key: JobKey, job_id: UUID, *, before: int | None, limit: int) -> list[Run]:
        """Return the history of a job, newest first, of runs numbered below `before`. Raises `NotFoundError`."""
        await self.get_job(key, job_id)
        return await self._store.runs(key, job_id, before=before, limit=limit)

    async def change_job(
        self, key: JobKey, job_id: UUID, patch: Mapping[str, Any], *, version: int | None = None
    ) -> Job:
        """Merge `patch` into the job's request (RFC 7396) and let the job follow it.

        The patch may bring a new time, schedule, options or payload.

        A patch with nothing but ``when`` moves the next fire time and keeps the rest of a schedule. A dead job is
        repaired so, and stays dead until it is retried. Raises `NotFoundError`, `InvalidRequestError`,
        `JobRunningError`, `JobFinishedError`, `PreconditionFailedError` when `version` is not the job's.
        """
        if not patch:
            problem = Problem("", "EMPTY_PATCH", "the patch names nothing to change; to move the job send when")
            raise InvalidRequestError("the patch names nothing to change", problems=[problem])
        binding = self._registry.find(key)
        now, calendars = await self._store.now(), await self._calendars_for([patch], always=True)

        def decide(job: Job) -> Edit:
            request = merge_patch(job.request, _one_kind(job.request, patch))
            _check_size(request)
            # A schedule that was sent without a start began with its job, and goes on from there.
            start = job.trigger.start if isinstance(job.trigger, Recurring) and not _names_start(patch) else None
            reading = self._read(binding, request, now, calendars, start)
            when, options = _moved_to(patch, reading), reading.options
            if when is not None:
                trigger = lifecycle.moved(job, when, now=now, calendars=calendars)
            else:
                trigger = reading.trigger if _SCHEDULE_FIELDS & patch.keys() or job.damage else job.trigger
            if job.is_dead:
                amended = lifecycle.amended(job, request=request, trigger=trigger, options=options, calendars=calendars)
                return Edit(amended)
            return lifecycle.reschedule(
                job,
                request=request,
                trigger=trigger,
                options=options,
                now=now,
                calendars=calendars,
                is_moved=when is not None,
            )

        return await self._edit(key, job_id, decide, what="rescheduled", version=version)

    async def pause_job(self, key: JobKey, job_id: UUID) -> Job:
        """Hold a job back. Raises `NotFoundError`, `JobFinishedError`."""
        now = await self._store.now()
        return await self._edit(key, job_id, lambda job: Edit(lifecycle.pause(job, now=now)), what="paused")

    async def resume_job(self, key: JobKey, job_id: UUID) -> Job:
        """Let a paused job go on. Raises `NotFoundError`, `JobFinishedError`."""
        now = await self._store.now()
        return await self._edit(key, job_id, lambda job: Edit(lifecycle.resume(job, now=now)), what="resumed")

    async def retry_job(self, key: JobKey, job_id: UUID, run: int | None = None) -> Job:
        """Try the fire time again that a job gave up on, at once: that of a run, or the last.

        A dead job is brought back for it, or for its new time if it was moved since; a job that goes on runs it beside
        its other occurrences. Raises `NotFoundError`, `JobNotDeadError` if the job, or that run, did not give up or is
        tried again already.
        """
        now, calendars = await self._store.now(), await self._notes.calendars()
        for _ in range(EDIT_TRIES):
            job = await self.get_job(key, job_id)
            given_up = await self._given_up(job)
            chosen = next((each for each in given_up if run in {None, each.number}), None)
            if chosen is None:
                raise JobNotDeadError(_nothing_to_retry(run))
            if job.is_dead and (run is None or chosen is given_up[0]):
                return await self._edit(
                    key, job_id, lambda job: lifecycle.revived(job, now=now, calendars=calendars), what="retried"
                )
            edited, child = lifecycle.retry_run(job, chosen, self._clock.new_id(), now=now)
            if await self._store.update(edited, (), [child]):
                self._events.announce(JobChanged(edited, "retried"))
                return edited
        raise ConflictError("the job kept changing; try again")

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

    async def delete_job(self, key: JobKey, job_id: UUID, *, version: int | None = None) -> None:
        """Delete a job in any state.

        A run under way is asked to stop and its result is refused. Raises `NotFoundError`.
        """
        for _ in range(EDIT_TRIES):
            job = await self.get_job(key, job_id)
            _check_version(job, version)
            if await self._delete(job, "the job was deleted while it ran"):
                with suppress(StoreUnavailableError):  # a node goes on with it
                    while await self._store.delete_children(job.id, lifecycle.DELETED_BEFORE, DELETED_AT_ONCE):
                        await self._clock.sleep(0)  # others have their turn
                self._events.announce(JobDeleted(job))
                return
        raise ConflictError("the job kept changing; try again")

    async def _delete(self, job: Job, why: str) -> bool:
        run = None
        if job.state is State.RUNNING:
            now = await self._store.now()
            run = history.ended(job, Ending(Outcome.CANCELLED, why), started_at=job.begins_at or now, now=now)
        return await self._store.delete(job, run)

    async def _calendars_for(self, bodies: Sequence[Mapping[str, Any]], *, always: bool = False) -> Calendars:
        """Return the calendars by name, if a body has a schedule.

        What is known of them may be a beat old. A calendar that is not known may have been written since: then all are
        read anew.
        """
        schedules = [body["schedule"] for body in bodies if "schedule" in body]
        if not schedules and not always:
            return {}
        calendars = await self._notes.calendars()
        if any(name not in calendars for name in map(_calendar_name, schedules) if name is not None):
            await self._notes.refresh()
        return self._notes.known

    def _read(
        self,
        binding: Binding,
        body: Mapping[str, Any],
        now: datetime,
        calendars: Calendars,
        start: datetime | None = None,
    ) -> Reading:
        loop = _get_running_loop()
        _set_running_loop(None)  # checks of a plugin have no business with the loop of the API: they could stop it
        try:
            return read(binding.request_model, body, now=now, calendars=calendars, start=start)
        except InvalidRequestError as error:
            if error.__cause__ is not None and not isinstance(error.__cause__, ValidationError):
                self._events.announce(PluginFailed(binding.key, error.__cause__))
            raise
        finally:
            _set_running_loop(loop)

    async def _edit(
        self, key: JobKey, job_id: UUID, decide: Callable[[Job], Edit], *, what: str, version: int | None = None
    ) -> Job:
        for _ in range(EDIT_TRIES):
            job = await self.get_job(key, job_id)
            _check_version(job, version)
            edited, unrun = decide(job)
            if edited is job:
                return job
            if await self._write(job, edited, unrun):
                self._events.announce(JobChanged(edited, what))
                return edited
        raise ConflictError("the job kept changing; try again")

    async def _write(self, job: Job, edited: Job, unrun: Sequence[Run]) -> bool:
        """Write what became of a job, if it is still as it was."""
        if job.state is not State.DONE:
            return await self._store.update(edited, unrun)
        return await (self._store.amend(edited) if edited.state is State.DONE else self._store.revive(edited, unrun))


def _nothing_to_retry(run: int | None) -> str:
    if run is None:
        return "only a job that gave up can be retried"
    return f"run {run} is none of the job's latest {RETRY_REACH} runs that gave up on their fire time"


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return `target` with `patch` merged into it: ``null`` removes, objects merge, all else replaces (RFC 7396)."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = merge_patch(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _calendar_name(schedule: object) -> str | None:
    """Return the name of the calendar that a schedule asks for, as it was sent; `None` if it names none."""
    use = schedule.get("calendar") if isinstance(schedule, Mapping) else None
    name = use.get("name") if isinstance(use, Mapping) else use
    return name if isinstance(name, str) else None


def _one_kind(request: Mapping[str, Any], patch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let a patch that says anew how the job repeats take away how it did: `cron` takes the place of `every`."""
    schedule, before = patch.get("schedule"), request.get("schedule")
    if not isinstance(schedule, dict) or not isinstance(before, dict) or not schedule.keys() & set(KINDS):
        return patch
    return {**patch, "schedule": {**dict.fromkeys(before.keys() & set(KINDS)), **schedule}}


def _moved_to(patch: Mapping[str, Any], reading: Reading) -> datetime | None:
    """Return where a patch moves the next fire time, if it does that and leaves the rest of the schedule."""
    return reading.request.when if _SCHEDULE_FIELDS & patch.keys() == {"when"} else None


def _names_start(patch: Mapping[str, Any]) -> bool:
    """Tell whether a patch says when the schedule begins, or that this is not said any more."""
    schedule = patch.get("schedule", {})
    return "when" in patch or not isinstance(schedule, Mapping) or "start" in schedule


def _check_size(request: Mapping[str, Any]) -> None:
    """Keep a request from growing without end by one patch after the other."""
    if len(json.dumps(request, ensure_ascii=False).encode()) > REQUEST_LIMIT:
        detail = f"makes the job's request larger than {REQUEST_LIMIT // 1024} KiB"
        raise InvalidRequestError(f"the patch {detail}", problems=[Problem("", "REQUEST_TOO_LARGE", detail)])


def _check_version(job: Job, version: int | None) -> None:
    if version is not None and job.version != version:
        raise PreconditionFailedError(f"the job is at version {job.version}, not {version}")
