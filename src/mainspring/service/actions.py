"""The use case of whoever does one thing to many jobs: all that pass a filter, or that are named.

How far an action is stands in a note of its own. Before some jobs are touched the note names them, with their versions,
so that whoever takes up an action whose process died leaves out those that were touched. A note is only ever swapped:
of two that go on with one action one stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mainspring.clock import Clock
from mainspring.errors import ConflictError, MainspringError, NotFoundError, Problem, StoreUnavailableError
from mainspring.job import (
    Job,
    JobFilter,
    JobKey,
    Position,
    Scope,
    filter_from_json,
    filter_to_json,
)
from mainspring.schedule import MICROSECOND, format_time, parse_when
from mainspring.store import Store

if TYPE_CHECKING:
    from mainspring.service.jobs import SchedulerService

ACTIONS = "action"
"""The kind of notes that are actions, by their ids."""
VERBS = ("pause", "resume", "retry", "cancel", "delete", "reschedule")
CHUNK = 50
"""How many jobs are touched between two writes of how far an action is."""
AT_ONCE = 10
"""How many of these at the same moment."""
SMALL = 500
"""An action on no more jobs is answered when it is over."""
MOST_COUNTED = 10_000
"""How many jobs of a plan are counted one by one."""
MOST_IDS = 500
MOST_ERRORS = 10
"""How many errors of an action are kept."""
MOST_KEPT = 200
"""How many actions that are over are kept."""
SILENT = timedelta(seconds=30)
"""An action of which nothing was written for so long is taken up by another process."""


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done to which jobs, and how far that is.

    `ids` are the jobs where they are named; else those of `scope` that pass `which` when it is their turn. `told` says
    more: the reason of a pause, or the patch of a reschedule. `chunk` are the jobs that are being touched, with their
    versions before that, `until` is the place behind the last of them, and `after` that up to which all were touched.
    """

    id: UUID
    verb: str
    scope: Scope
    which: JobFilter
    ids: tuple[UUID, ...] | None
    told: Mapping[str, Any]
    total: int
    is_estimated: bool
    written_at: datetime
    done: int = 0
    failed: int = 0
    errors: tuple[Mapping[str, str], ...] = ()
    chunk: Mapping[str, int] = field(default_factory=dict)
    until: Position | None = None
    after: Position | None = None
    is_over: bool = False


class Actions:
    """Plans actions and carries them out."""

    def __init__(self, jobs: SchedulerService, store: Store, clock: Clock) -> None:
        self._jobs = jobs
        self._store = store
        self._clock = clock
        self._running: dict[UUID, asyncio.Task[None]] = {}

    async def plan(
        self, verb: str, scope: Scope, which: JobFilter, ids: tuple[UUID, ...] | None, told: Mapping[str, Any]
    ) -> tuple[Action, list[Job]]:
        """Return the action that would be done, and some of its jobs; nothing is written. Raises `NotFoundError`."""
        now = await self._store.now()
        until = now + MICROSECOND  # those to come are not meant
        created_to = until if which.created_to is None else min(until, which.created_to)
        which = replace(which, by_created=True, created_to=created_to)
        found = await self._found(scope, which, ids)
        is_estimated = ids is None and len(found) >= MOST_COUNTED
        total = await self._estimated(scope, which) if is_estimated else len(found)
        named = None if ids is None else tuple(job.id for job in found)
        return Action(self._clock.new_id(), verb, scope, which, named, told, total, is_estimated, now), found[:10]

    async def _found(self, scope: Scope, which: JobFilter, ids: tuple[UUID, ...] | None) -> list[Job]:
        if ids is not None:
            named = [await self._store.get(each) for each in ids]
            return [job for job in named if job is not None and scope.has(job.key)]
        found: list[Job] = []
        async for jobs in self._jobs.finding.stream(scope, which, after=None):
            found += jobs
            if len(found) >= MOST_COUNTED:
                break
        return found

    async def _estimated(self, scope: Scope, which: JobFilter) -> int:
        counts = await self._store.counts()
        return sum(counts[key].states.get(state, 0) for key in counts if scope.has(key) for state in which.states)

    async def begin(self, action: Action) -> Action:
        """Do what was planned, once however often it is asked for; answer how far it is: over, if it is small.

        Raises `NotFoundError` and `StoreUnavailableError`.
        """
        before = await self._read(action.id)
        if before is None:
            if await self._store.swap_note(ACTIONS, str(action.id), None, action_to_json(action)):
                await self._forget_old()
            before = await self.find(action.id)
        if not before.is_over and action.id not in self._running and before == action:
            self._go_on(action)
        task = self._running.get(action.id)
        if task is not None and action.total <= SMALL and not action.is_estimated:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await asyncio.shield(task)
        return await self.find(action.id)

    def _go_on(self, action: Action) -> None:
        task = asyncio.create_task(self._carry_out(action))
        self._running[action.id] = task
        task.add_done_callback(lambda _: self._running.pop(action.id, None))

    async def find(self, action_id: UUID) -> Action:
        """Return how far an action is. Raises `NotFoundError`."""
        if (action := await self._read(action_id)) is None:
            detail = f"there is no action {action_id}"
            raise NotFoundError(detail, problems=[Problem("", "ACTION_NOT_FOUND", detail)])
        return action

    async def take_up(self) -> None:
        """Go on with actions whose processes died; whoever lives calls this again and again."""
        now = await self._store.now()
        for note in (await self._store.notes(ACTIONS)).values():
            action = action_from_json(note)
            if action.is_over or action.id in self._running or now - action.written_at < SILENT:
                continue
            mine = replace(action, written_at=now)
            if await self._swap(action, mine):
                self._go_on(mine)

    async def _carry_out(self, action: Action) -> None:
        """Do it, chunk by chunk, until it is over, somebody else goes on with it, or the store fails."""
        with suppress(StoreUnavailableError, _TakenError):  # it is taken up later
            if action.chunk:
                action = await self._done(action, await self._again(action))
            while not action.is_over:
                jobs, until = await self._next(action)
                if not jobs:
                    await self._write(action, replace(action, is_over=True))
                    return
                chunk = {str(id_): 0 if job is None else job.version for id_, job in jobs.items()}
                action = await self._write(action, replace(action, chunk=chunk, until=until))
                action = await self._done(action, jobs)

    async def _next(self, action: Action) -> tuple[dict[UUID, Job | None], Position | None]:
        """Return the next jobs by their ids, and the place behind them; one that is gone is `None`."""
        if action.ids is not None:
            touched = action.done + action.failed
            return {each: await self._store.get(each) for each in action.ids[touched : touched + CHUNK]}, None
        try:
            jobs = await self._jobs.finding.page(action.scope, action.which, after=action.after, limit=CHUNK)
        except NotFoundError:  # no job has the group any more
            return {}, None
        until = Position.of(jobs[-1], by_created=True) if jobs else None
        return {job.id: job for job in jobs}, until

    async def _again(self, action: Action) -> dict[UUID, Job | None]:
        """Return those jobs of a chunk that were not touched before the process died that had it."""
        found = [(id_, await self._store.get(UUID(id_)), version) for id_, version in action.chunk.items()]
        return {UUID(id_): job for id_, job, version in found if (0 if job is None else job.version) == version}

    async def _done(self, action: Action, jobs: Mapping[UUID, Job | None]) -> Action:
        """Touch some jobs, and write that they were."""
        errors: list[Mapping[str, str]] = []
        turns = asyncio.Semaphore(AT_ONCE)

        async def touch(job_id: UUID, job: Job | None) -> None:
            async with turns:
                try:
                    if job is None:
                        raise NotFoundError(f"there is no job {job_id} any more")
                    await self._touch(action, job.key, job_id)
                except StoreUnavailableError:
                    raise
                except MainspringError as error:
                    errors.append({"id": str(job_id), "code": error.code, "detail": str(error)[:300]})

        outcomes = await asyncio.gather(*(touch(*each) for each in jobs.items()), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return await self._write(
            action,
            replace(
                action,
                done=action.done + len(action.chunk) - len(errors),
                failed=action.failed + len(errors),
                errors=(*action.errors, *errors)[:MOST_ERRORS],
                chunk={},
                until=None,
                after=action.until,
            ),
        )

    async def _touch(self, action: Action, key: JobKey, job_id: UUID) -> None:
        control, told = self._jobs.control, action.told
        verbs: Mapping[str, Callable[[], Awaitable[object]]] = {
            "pause": lambda: control.pause_job(key, job_id, told),
            "resume": lambda: control.resume_job(key, job_id),
            "retry": lambda: control.retry_job(key, job_id),
            "cancel": lambda: control.cancel_job(key, job_id),
            "delete": lambda: self._jobs.delete_job(key, job_id),
            "reschedule": lambda: self._jobs.change_job(key, job_id, told),
        }
        await verbs[action.verb]()

    async def _write(self, before: Action, after: Action) -> Action:
        """Write how far an action is. Raises `_TakenError` if somebody else goes on with it."""
        after = replace(after, written_at=await self._store.now())
        if not await self._swap(before, after):
            raise _TakenError("another process goes on with the action")
        return after

    async def _swap(self, before: Action, after: Action) -> bool:
        return await self._store.swap_note(ACTIONS, str(before.id), action_to_json(before), action_to_json(after))

    async def _read(self, action_id: UUID) -> Action | None:
        note = (await self._store.notes(ACTIONS)).get(str(action_id))
        return None if note is None else action_from_json(note)

    async def _forget_old(self) -> None:
        notes = await self._store.notes(ACTIONS)
        over = sorted(name for name, note in notes.items() if note["isOver"])  # ids rise with time
        for name in over[:-MOST_KEPT]:
            await self._store.note(ACTIONS, name, None)


_PATIENCE = 1.5
"""For how many seconds a call waits for the end of a small action."""


class _TakenError(ConflictError):
    """Another process goes on with the action."""


def action_to_json(action: Action) -> dict[str, Any]:
    """Write an action as it stands in a note, and in the token of a plan."""
    return {
        "id": str(action.id),
        "verb": action.verb,
        "scope": [*action.scope],
        "which": filter_to_json(action.which),
        "ids": None if action.ids is None else [str(each) for each in action.ids],
        "told": dict(action.told),
        "total": action.total,
        "isEstimated": action.is_estimated,
        "writtenAt": format_time(action.written_at),
        "done": action.done,
        "failed": action.failed,
        "errors": [dict(error) for error in action.errors],
        "chunk": dict(action.chunk),
        "until": _place_to_json(action.until),
        "after": _place_to_json(action.after),
        "isOver": action.is_over,
    }


def action_from_json(note: Mapping[str, Any]) -> Action:
    """Read what `action_to_json` wrote."""
    return Action(
        UUID(note["id"]),
        note["verb"],
        Scope(*note["scope"]),
        filter_from_json(note["which"]),
        None if note["ids"] is None else tuple(map(UUID, note["ids"])),
        note["told"],
        note["total"],
        note["isEstimated"],
        parse_when(note["writtenAt"]),
        note["done"],
        note["failed"],
        tuple(note["errors"]),
        note["chunk"],
        _place_from_json(note["until"]),
        _place_from_json(note["after"]),
        note["isOver"],
    )


def _place_to_json(place: Position | None) -> list[Any] | None:
    return None if place is None else [format_time(place.due_at), str(place.id), place.run]


def _place_from_json(place: list[Any] | None) -> Position | None:
    return None if place is None else Position(parse_when(place[0]), UUID(place[1]), place[2])
