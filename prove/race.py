"""A small model of one job that runs once, by which races are judged: what each call may be answered, and when.

The model is sequential: a deed happens as a whole, and the next one sees all of it. Deeds are the calls of clients, the
claims of nodes (`Begun`) and the ends of runs (`Ended`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid5

FINISHED, RUNNING, NOT_DEAD = "JOB_FINISHED", "JOB_RUNNING", "JOB_NOT_DEAD"
GONE, STALE = "NOT_FOUND", "PRECONDITION_FAILED"
"""Why a call is refused."""
STATUS = {FINISHED: 409, RUNNING: 409, NOT_DEAD: 409, GONE: 404, STALE: 412}
UNKNOWN = {0, 503}
"""The statuses of calls of which nobody knows whether they were done: no answer, and a store that did not answer."""
DELETED = "deleted"


class Facts(NamedTuple):
    """A job: its state, how often it was written, and what an answer shows of it.

    `fire` is its fire time; that and `due` are `None` where nobody was told.
    """

    job: UUID
    fire: datetime | None
    due: datetime | None
    state: str = "scheduled"
    version: int = 1
    paused: bool = False
    cancelling: bool = False
    attempt: int = 0
    run: int | None = None
    outcome: str | None = None

    @property
    def is_dead(self) -> bool:
        """Whether it gave up."""
        return self.state == "done" and self.outcome == "failed"

    @property
    def shown(self) -> Shown:
        """What an answer shows of it."""
        due = None if self.state in {"running", "done"} else self.due
        return Shown(self.state, self.version, self.paused, self.attempt, self.run, due)


class Shown(NamedTuple):
    """What an answer shows of a job: its `run` is the one under way, and `due` when it runs next."""

    state: str
    version: int
    paused: bool
    attempt: int
    run: int | None
    due: datetime | None


class Call(NamedTuple):
    """What a client asked, from when to when, and what it was told. `when` and `match` are what it sent."""

    what: str
    since: float
    until: float
    status: int
    code: str | None = None
    shown: Shown | None = None
    when: datetime | None = None
    match: int | None = None


class Begun(NamedTuple):
    """A node took the job for that run, at the latest when it began (`at`, by the store's clock), if it did."""

    run: int
    since: float
    until: float
    at: datetime | None = None
    attempt: int | None = None
    occurrence: UUID | None = None


class Ended(NamedTuple):
    """A run has ended, and so it is written in history."""

    run: int
    since: float
    until: float
    outcome: str


Deed = Call | Begun | Ended


def step(facts: Facts, deed: Deed) -> Iterator[Facts]:
    """Yield what a deed makes of a job, if it may happen there and be answered so."""
    match deed:
        case Begun():
            if _may_begin(facts, deed):
                yield _wrote(facts, state="running", attempt=facts.attempt + 1, run=deed.run)
        case Ended():
            expected = "cancelled" if facts.cancelling else deed.outcome
            if facts.run == deed.run and deed.outcome == expected and (facts.cancelling or expected != "cancelled"):
                yield _wrote(facts, **_OVER, outcome=deed.outcome)
        case Call(status=status) if status in UNKNOWN:
            becomes = _called(facts, deed)
            yield from {facts, facts if isinstance(becomes, str) else becomes}
        case Call():
            becomes = _called(facts, deed)
            if _is_told(becomes, deed):
                yield facts if isinstance(becomes, str) else becomes


_OVER = {"state": "done", "paused": False, "cancelling": False, "run": None}


def _wrote(facts: Facts, **changes: object) -> Facts:
    return facts._replace(version=facts.version + 1, **changes)  # type: ignore[arg-type]


def _may_begin(facts: Facts, deed: Begun) -> bool:
    """Tell whether a run may begin: for the fire time that the job has, not before it is due, and as its next try."""
    return (
        facts.state == "scheduled"
        and (facts.fire is None or deed.occurrence in {None, uuid5(facts.job, facts.fire.isoformat())})
        and (facts.due is None or deed.at is None or deed.at >= facts.due)
        and deed.attempt in {None, facts.attempt + 1}
    )


def _is_told(becomes: Facts | str, call: Call) -> bool:
    """Tell whether a client was told what a call has done, or why it was refused."""
    if isinstance(becomes, str):
        return (call.status, call.code) == (STATUS[becomes], becomes)
    if becomes.state == DELETED:
        return call.status == 204
    shown = becomes.shown
    if becomes.due is None and call.shown is not None and shown.state in {"scheduled", "paused"}:
        shown = shown._replace(due=call.shown.due)
    return call.status == 200 and call.shown == shown


def _called(facts: Facts, call: Call) -> Facts | str:
    """Return what a call makes of a job, or why it is refused."""
    goes_when_done = call.what in {"delete", "get", "retry"} or (call.what == "patch" and facts.is_dead)
    found = (
        (GONE, facts.state == DELETED),
        (STALE, call.match not in {None, facts.version}),
        (NOT_DEAD, call.what == "retry" and not facts.is_dead),
        (FINISHED, facts.state == "done" and not goes_when_done),
        (RUNNING, facts.state == "running" and call.what in {"patch", "fire"}),
    )
    return next((why for why, holds in found if holds), None) or _changed(facts, call)


def _changed(facts: Facts, call: Call) -> Facts:  # noqa: PLR0911 - one for each kind of call
    """Return what a call makes of a job that it is not refused for."""
    is_running = facts.state == "running"
    match call.what:
        case "delete":
            return facts._replace(state=DELETED, run=None)
        case "retry":
            return _wrote(facts, state="scheduled", due=_told_due(call))
        case "patch" if facts.is_dead:
            return _wrote(facts)
        case "patch":
            return _wrote(facts, fire=call.when, due=call.when, attempt=0)
        case "pause" if not facts.paused:
            return _wrote(facts, paused=True, state="running" if is_running else "paused")
        case "resume" if facts.paused:
            return _wrote(facts, paused=False, state="running" if is_running else "scheduled")
        case "fire":
            due = _told_due(call)
            return _wrote(facts, state="scheduled", paused=False, due=due, fire=facts.fire if facts.attempt else due)
        case "cancel" if is_running:
            return _wrote(facts, cancelling=True)
        case "cancel":
            return _wrote(facts, **_OVER, outcome="cancelled")
        case _:
            return facts  # it is read, or is paused or goes on already


def _told_due(call: Call) -> datetime | None:
    """Return the moment that the answer of a call names: that at which the store had it. No other is right."""
    if call.status in UNKNOWN:
        return None
    return call.shown.due if call.shown and call.shown.due else datetime.max.replace(tzinfo=UTC)
