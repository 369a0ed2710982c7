"""The use cases: what REST and with it the command line ask for.

Reads, lets the lifecycle decide, and writes guarded.

Nothing in here runs a job; nodes do, and the two meet in the store.
"""

from __future__ import annotations

import json
from asyncio import _get_running_loop, _set_running_loop  # documented for those who run loops
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

from pydantic import ValidationError

from mainspring.clock import Clock
from mainspring.declared import Reach
from mainspring.errors import (
    ConflictError,
    InvalidRequestError,
    JobExistsError,
    JobRunningError,
    KeyTakenError,
    NotFoundError,
    PreconditionFailedError,
    Problem,
    QuotaExceededError,
    StoreUnavailableError,
)
from mainspring.failpoint import fp
from mainspring.job import (
    NOW,
    REQUEST_LIMIT,
    Counts,
    Edit,
    Ending,
    Events,
    Job,
    JobChanged,
    JobDeleted,
    JobFilter,
    JobKey,
    JobRequest,
    JobScheduled,
    OnConflict,
    Outcome,
    PluginFailed,
    Position,
    Reading,
    Receipt,
    Run,
    Scope,
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
    format_time,
)
from mainspring.service.actions import Actions
from mainspring.service.asked import Asked
from mainspring.service.awaiting import Awaiting
from mainspring.service.batches import Batches
from mainspring.service.cluster import Cluster
from mainspring.service.control import EDIT_TRIES, Control
from mainspring.service.declaring import Declaring
from mainspring.service.delivering import Delivering
from mainspring.service.explaining import Explaining
from mainspring.service.feed import Feed
from mainspring.service.finding import Finding
from mainspring.service.keys import Keys
from mainspring.service.limiting import Limiting
from mainspring.service.lookahead import Draft, Lookahead
from mainspring.service.quotas import Quotas
from mainspring.service.webhooks import Webhooks
from mainspring.store import Notes, Store

T = TypeVar("T")
DELETED_AT_ONCE = 500
"""How many occurrences of a deleted job are deleted at once: that is up to 10 ms."""
_SCHEDULE_FIELDS = frozenset({"when", "schedule", "jobType", "repeatCount", "repeatIntervalInDays"})


@dataclass(frozen=True, slots=True)
class Group:
    """A job group, what is bound for it here (nothing, if only its jobs are known), and how many jobs it has."""

    key: JobKey
    binding: Binding | None
    counts: Counts


class SchedulerService:
    """The use cases over one store, for the job groups of one registry; `reach` says what webhooks may use."""

    def __init__(
        self,
        *,
        store: Store,
        notes: Notes,
        registry: Registry,
        clock: Clock,
        events: Events,
        reach: Reach = Reach(),  # noqa: B008 - it never changes
    ) -> None:
        self._store = store
        self._notes = notes
        self._registry = registry
        self._clock = clock
        self._events = events
        self._keys = Keys(store)
        self.awaiting = Awaiting(store)
        self.quotas = Quotas(store, notes, registry, clock)
        self.batches = Batches(self, store, clock, events)
        self.lookahead = Lookahead(self, store, notes, clock)
        self.control = Control(self, store, notes, clock, events)
        self.declaring = Declaring(self, store)
        self.cluster = Cluster(store, notes, registry)
        self.finding = Finding(store, registry)
        self.actions = Actions(self, store, clock)
        self.explaining = Explaining(self, store, notes, registry)
        self.feed = Feed(store, notes, clock)
        self.limiting = Limiting(self, store, notes, registry, events)
        self.webhooks = Webhooks(self, store, clock, reach)
        self.delivering = Delivering(self, store, registry, clock)

    @property
    def is_durable(self) -> bool:
        """Whether jobs outlive this process."""
        return self._store.durable

    def now(self) -> datetime:
        """Return the time by the clock of this machine."""
        return self._clock.now()

    def searchable(self, scope: Scope) -> frozenset[str]:
        """Return the fields of requests by which jobs of groups can be found that are bound here, as on the wire."""
        bindings = (binding for key, binding in self._registry.bindings.items() if scope.has(key))
        return frozenset(name for binding in bindings for name in binding.searchable)

    def knows(self, key: JobKey) -> bool:
        """Tell whether a plugin here has registered a job group."""
        return key in self._registry.bindings

    async def check_store(self) -> None:
        """See that the store answers. Raises `StoreUnavailableError`."""
        await self._store.nodes()  # unlike `now`, which need not look into it

    async def cursor_keys(self) -> list[bytes]:
        """Return the keys that the cursors of lists are signed with; the first is to be used."""
        return await self._notes.cursor_keys()

    async def groups(self) -> list[Group]:
        """Return all job groups that are bound here or have jobs, by name: Mainspring's own if they have any."""
        counts = await self._store.counts()
        keys = sorted({*self._registry.open_bindings, *counts})
        return [Group(key, self._registry.bindings.get(key), counts.get(key, Counts({}))) for key in keys]

    async def create_job(self, key: JobKey, body: Mapping[str, Any]) -> Job:
        """Create a job like `create_or_keep`, and return it, or the one that has its key."""
        return (await self.create_or_keep(key, body))[0]

    async def keep(self, receipt: Receipt) -> None:
        """Keep what a call was answered that wrote nothing. Raises `ReceiptTakenError`."""
        await self._store.keep(receipt)

    async def receipt(self, id_: bytes) -> Receipt | None:
        """Return what a call was answered, `None` if there was none in the last 24 hours."""
        return await self._store.receipt(id_)

    async def create_or_keep(
        self, key: JobKey, body: Mapping[str, Any], receipt: Callable[[Job, bool], Receipt] | None = None
    ) -> tuple[Job, bool]:
        """Create a job from the body of a request; it is durable when this returns. Answer it, and whether it is new.

        In the commit of a new job a `receipt` of what the call is answered is written. Raises `ReceiptTakenError` if it
        was answered before, here and elsewhere.

        Where another job of the group has its key, ``options.onConflict`` says what becomes of it: that one is kept and
        returned, or gets this request. Raises `NotFoundError` for an unknown group, `InvalidRequestError` with every
        problem of the body, `KeyTakenError` where the key is taken, `JobRunningError` if that job runs which is to get
        this request, and `QuotaExceededError`.
        """
        binding = self._registry.find(key)
        body, calendars = await self._prepared(body)
        job, unrun = self._new_job(binding, body, self._clock.now(), calendars)
        job = await self._awaiting(job) if job.options.after else job
        for _ in range(EDIT_TRIES):
            fp("create.before_add")
            try:
                kept = receipt and receipt(job, True)  # noqa: FBT003 - it is new
                await self._within_quotas(job, partial(self._store.add, [job], unrun, kept))
            except (KeyTakenError, QuotaExceededError) as error:
                other = await self._keys.other(job)  # what is kept or replaced is no create, and needs no room
                if other is None and isinstance(error, QuotaExceededError):
                    raise
                if other is None:
                    continue  # it is over by now
                if job.options.on_conflict is OnConflict.KEEP:
                    return other, False
                if job.options.on_conflict is not OnConflict.REPLACE:
                    raise Keys.refusal(other) from None
                if (replaced := await self._replace(binding, other, body, calendars, job.waits_for, receipt)) is None:
                    continue
                return replaced, False
            fp("create.after_add")
            self._events.announce(JobScheduled(job))
            return job, True
        raise ConflictError("the jobs with this key kept changing; try again")

    async def _awaiting(self, job: Job) -> Job:
        """Return a job that waits for the jobs that its options name. Raises `InvalidRequestError`."""
        over = await self.awaiting.over(job.key, [("", job.options)])
        return job._replace(waits_for=lifecycle.waits_for(job.options, over))

    async def put_job(
        self,
        key: JobKey,
        job_id: UUID,
        body: Mapping[str, Any],
        *,
        version: int | None = None,
        is_new: bool = False,
        fires_from: datetime | None = None,
    ) -> tuple[Job, bool]:
        """Create a job under an id of the caller's; it is durable when this returns. Answer it, and whether it is new.

        A schedule goes on with its first fire time at or after `fires_from`, as it stood in another store. To send the
        same again changes nothing: what is there is returned, whatever has become of it. Raises like
        `create_or_keep` (a job that has its key is never replaced), `JobExistsError` if a job of the id was created
        with another body or is of another group, and `PreconditionFailedError` if `version` is not the job's, or one is
        there that `is_new` demands not to be.
        """
        binding, digest = self._registry.find(key), _digest(body)
        for _ in range(EDIT_TRIES):
            if (there := await self._store.get(job_id)) is not None:
                return _same(there, key, digest, version, is_new=is_new), False
            if version is not None:
                raise PreconditionFailedError(f"there is no job {job_id}, and so none of version {version}")
            made, calendars = await self._prepared(body)
            job, unrun = self._new_job(binding, made, self._clock.now(), calendars, job_id, fires_from)
            job = (await self._awaiting(job) if job.options.after else job)._replace(digest=digest)
            fp("create.before_add")
            try:
                is_written = await self._within_quotas(job, partial(self._store.add_named, job, unrun))
            except KeyTakenError:
                if (other := await self._keys.other(job)) is None:
                    continue
                raise Keys.refusal(other) from None
            if is_written:
                fp("create.after_add")
                self._events.announce(JobScheduled(job))
                return job, True
        raise ConflictError("the job was created and deleted again and again; try again")

    async def _within_quotas(self, job: Job, write: Callable[[], Awaitable[T]]) -> T:
        """Have a new job written. Raises `QuotaExceededError` if there is no room for it."""
        kept = self.quotas.of(job.key)
        if not kept:
            return await write()
        size = await self.quotas.measured(kept, [job.request])
        async with self.quotas.taken(job.key, kept, size):
            return await write()

    async def _replace(
        self,
        binding: Binding,
        other: Job,
        body: Mapping[str, Any],
        calendars: Calendars,
        waits_for: Sequence[UUID],
        receipt: Callable[[Job, bool], Receipt] | None,
    ) -> Job | None:
        """Give a request, and what it waits for, to the job that has its key; `None` if that was written meanwhile."""
        if other.state is State.RUNNING:
            detail = f"job {other.id} has the key, and its run {other.run} is under way; what it does has begun"
            raise JobRunningError(detail, run=other.run, other=(other.key, other.id))
        await self.awaiting.refuse_circle(other.id, waits_for)
        now = await self._store.now()
        reading = self._read(binding, body, now, calendars)
        edited, unrun = lifecycle.reschedule(
            other,
            request=body,
            trigger=reading.trigger,
            options=reading.options,
            now=now,
            calendars=calendars,
            is_moved=True,
        )
        edited = self._ranked(binding, edited, reading.request)._replace(waits_for=tuple(waits_for))
        kept = receipt and receipt(edited, False)  # noqa: FBT003 - it is not new
        if not await self._store.update(edited, unrun, receipt=kept):
            return None
        self._events.announce(JobChanged(edited, "replaced"))
        return edited

    async def maker(self, key: JobKey, asked: Asked) -> Callable[[Mapping[str, Any]], Edit]:
        """Return a function that makes the job of any body that asked for that: nothing is written by it.

        Raises `NotFoundError` for an unknown group; the function raises `InvalidRequestError`.
        """
        binding, now = self._registry.find(key), self._clock.now()
        at_once, calendars = await self._at_once(asked), await self._calendars_for(asked)
        over = await self.awaiting.over(key, [(f"/{number}", options) for number, options in asked.awaiting])

        def make(body: Mapping[str, Any]) -> Edit:
            edit = self._new_job(binding, at_once(body), now, calendars)
            if not edit.job.options.after:
                return edit
            return edit._replace(job=edit.job._replace(waits_for=lifecycle.waits_for(edit.job.options, over)))

        return make

    async def draft_job(self, key: JobKey, body: Mapping[str, Any]) -> Draft:
        """Return the job that the body of a request would create; nothing is written. Raises like `create_job`."""
        binding, now = self._registry.find(key), self._clock.now()
        body, calendars = await self._prepared(body)
        job = self._new_job(binding, body, now, calendars).job
        return Draft(await self._awaiting(job) if job.options.after else job, now, calendars)

    def _new_job(
        self,
        binding: Binding,
        body: Mapping[str, Any],
        now: datetime,
        calendars: Calendars,
        job_id: UUID | None = None,
        fires_from: datetime | None = None,
    ) -> Edit:
        reading = self._read(binding, body, now, calendars)
        job, unrun = edit = lifecycle.create(
            job_id=job_id or self._clock.new_id(),
            key=binding.key,
            request=body,
            trigger=reading.trigger,
            options=reading.options,
            now=now,
            calendars=calendars,
            fires_from=fires_from,
        )
        ranked = self._ranked(binding, job, reading.request)
        return edit if ranked is job else Edit(ranked, unrun)

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
        """Return a page of the group's jobs: see `Finding.page`."""
        return await self.finding.page(Scope(*key), which, after=after, limit=limit)

    async def list_runs(self, key: JobKey, job_id: UUID, *, before: int | None, limit: int) -> list[Run]:
        """Return the history of a job, newest first, of runs numbered below `before`. Raises `NotFoundError`."""
        await self.get_job(key, job_id)
        return await self._store.runs(key, job_id, before=before, limit=limit)

    async def get_run(self, key: JobKey, job_id: UUID, number: int) -> Run:
        """Return a run of a job that has ended, with its result, traceback and log. Raises `NotFoundError`."""
        job = await self.get_job(key, job_id)
        run = await self._store.run(key, job_id, number)
        if run is None:
            detail = f"there is no run {number} in the history of job {job_id}"
            if number == job.run:
                detail = f"run {number} of job {job_id} is under way; it is shown when it has ended"
            raise NotFoundError(detail, problems=[Problem("", "RUN_NOT_FOUND", detail)])
        return run

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
        asked = Asked(patch)
        patch = (await self._at_once(asked))(patch)
        now, calendars = await self._store.now(), await self._calendars_for(asked, always=True)
        over = await self._over(key, job_id, asked)

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
                return Edit(self._ranked(binding, amended, reading.request))
            edited, unrun = lifecycle.reschedule(
                job,
                request=request,
                trigger=trigger,
                options=options,
                now=now,
                calendars=calendars,
                is_moved=when is not None,
            )
            if options.after != job.options.after:
                edited = lifecycle.made_to_wait(edited, over)
            return Edit(self._ranked(binding, edited, reading.request), unrun)

        return await self.edit(key, job_id, decide, what="rescheduled", version=version)

    async def _over(self, key: JobKey, job_id: UUID, asked: Asked) -> dict[UUID, bool]:
        """Return which of the jobs are done that a patch has a job wait for. Raises `InvalidRequestError`."""
        if not asked.awaiting:
            return {}
        ((_, options),) = asked.awaiting
        await self.awaiting.refuse_circle(job_id, options.after or ())
        return await self.awaiting.over(key, [("", options)])

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
                        await self._clock.breathe()
                self._events.announce(JobDeleted(job))
                return
        raise ConflictError("the job kept changing; try again")

    async def _delete(self, job: Job, why: str) -> bool:
        run = None
        if job.state is State.RUNNING:
            now = await self._store.now()
            run = history.ended(job, Ending(Outcome.CANCELLED, why), started_at=job.begins_at or now, now=now)
        return await self._store.delete(job, run)

    async def _prepared(self, body: Mapping[str, Any]) -> tuple[Mapping[str, Any], Calendars]:
        """Return a body with the store's time where it is to be ``now``, and the calendars, if it has a schedule."""
        if body.get("when") != NOW and "schedule" not in body:
            return body, {}
        asked = Asked(body)
        return (await self._at_once(asked))(body), await self._calendars_for(asked)

    async def _at_once(self, asked: Asked) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
        """Return a function that puts the store's time where one of the bodies says that it is to be ``now``."""
        if not asked.is_now:
            return lambda body: body
        now = format_time(await self._store.now())
        return lambda body: {**body, "when": now} if body.get("when") == NOW else body

    async def _calendars_for(self, asked: Asked, *, always: bool = False) -> Calendars:
        """Return the calendars by name, if a body has a schedule.

        What is known of them may be a beat old. A calendar that is not known may have been written since: then all are
        read anew.
        """
        if not asked.has_schedule and not always:
            return {}
        if not asked.calendars <= (await self._notes.calendars()).keys():
            await self._notes.refresh()
        return self._notes.known

    def _ranked(self, binding: Binding, job: Job, request: JobRequest) -> Job:
        """Return a job with the priority and the concurrency key that its request, or its group, says."""
        try:
            key = job.options.concurrency_key or binding.concurrency_key(request)
        except InvalidRequestError as error:
            self._tell_plugin(binding, error)
            raise
        return lifecycle.ranked(job, binding.job_class.priority, key, binding.searchable)

    def _tell_plugin(self, binding: Binding, error: InvalidRequestError) -> None:
        """Announce a bug of a plugin."""
        if error.__cause__ is not None and not isinstance(error.__cause__, ValidationError):
            self._events.announce(PluginFailed(binding.key, error.__cause__))

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
            self._tell_plugin(binding, error)
            raise
        finally:
            _set_running_loop(loop)

    async def edit(
        self, key: JobKey, job_id: UUID, decide: Callable[[Job], Edit], *, what: str, version: int | None = None
    ) -> Job:
        """Have a job written as is decided by what it is, until nobody has written it meanwhile.

        Raises `NotFoundError`, `ConflictError`, `KeyTakenError`, `PreconditionFailedError`, and what `decide` raises.
        """
        for _ in range(EDIT_TRIES):
            job = await self.get_job(key, job_id)
            _check_version(job, version)
            edited, unrun = decide(job)
            if edited is job:
                return job
            try:
                written = await self._write(job, edited, unrun)
            except KeyTakenError:
                if (other := await self._keys.other(edited)) is None:
                    continue
                raise Keys.refusal(other) from None
            if written:
                self._events.announce(JobChanged(edited, what))
                return edited
        raise ConflictError("the job kept changing; try again")

    async def _write(self, job: Job, edited: Job, unrun: Sequence[Run]) -> bool:
        """Write what became of a job, if it is still as it was."""
        if job.state is not State.DONE:
            return await self._store.update(edited, unrun)
        return await (self._store.amend(edited) if edited.state is State.DONE else self._store.revive(edited, unrun))


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


def _digest(body: Mapping[str, Any]) -> str:
    """Return a digest of a body: the same for all that say the same."""
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _same(job: Job, key: JobKey, digest: str, version: int | None, *, is_new: bool) -> Job:
    """Return the job that is there if it is the one that was to be created. Raises if it is not."""
    if is_new:
        raise PreconditionFailedError(f"there is a job {job.id} already")
    if job.key != key or job.digest != digest:
        detail = f"job {job.id} was not created with this body; to change it, patch it"
        if job.key != key:
            detail = f"there is a job {job.id} in another job group"
        raise JobExistsError(detail, other=(job.key, job.id))
    _check_version(job, version)
    return job


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
