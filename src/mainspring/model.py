"""The facts of Mainspring: what a job, a claim and a run are. Frozen values and enums; nothing in here does anything.

What is made for every run is a named tuple: a frozen dataclass of twenty fields took 1.8 us to make and 3.2 us to
change, a named tuple 0.2 and 0.9 us, and a run needs seven of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, NamedTuple
from uuid import UUID, uuid5

from pydantic import BeforeValidator, ConfigDict, Field, with_config
from pydantic.alias_generators import to_camel

from mainspring.trigger import Duration, Trigger


class JobKey(NamedTuple):
    """Whose job it is and of which kind. Always the pair: ``("a-b", "c")`` and ``("a", "b-c")`` are different keys."""

    product: str
    job_group: str

    def __str__(self) -> str:
        return f"{self.product}/{self.job_group}"


class State(StrEnum):
    """Where a job stands; exactly one of these."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"


PENDING = frozenset({State.SCHEDULED, State.RUNNING, State.PAUSED})


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    VETOED = "vetoed"
    POSTPONED = "postponed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed_out"
    LOST = "lost"


DEADLY = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST})
"""A job that is done with one of these as its last outcome is *dead*: it gave up."""


_ON_THE_WIRE = with_config(ConfigDict(alias_generator=to_camel, extra="forbid"))
_SOME = Field(gt=timedelta())


@_ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before attempt n+1.

    ``initial * factor ** (n - 1)``, at most `longest`, less up to a half by chance.

    The chance keeps jobs that failed together from coming back together (M. Brooker, "Exponential Backoff and Jitter",
    AWS Architecture Blog, 2015: "equal jitter").
    """

    initial: Annotated[Duration, _SOME] = timedelta(seconds=1)
    factor: Annotated[float, Field(ge=1, le=100, strict=True)] = 3.0
    longest: Annotated[Duration, _SOME] = timedelta(hours=1)


def _backoff_shorthand(value: object) -> object:
    return {"initial": value} if isinstance(value, str) else value


@_ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Options:
    """What a request may decide about how its job is run; `None` leaves the decision to the job group.

    On the wire `backoff` may be one duration, which is its `initial`.
    """

    max_attempts: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    backoff: Annotated[Backoff | None, BeforeValidator(_backoff_shorthand)] = None
    timeout: Annotated[Duration, _SOME] | None = None


new_tuple = tuple.__new__
"""Makes a named tuple of all its fields, where every 0.2 us counts: that is what its own constructor takes more."""


class Run(NamedTuple):
    """One execution that has ended: a row of history.

    `number` is the fence: drawn from one rising sequence when the job is claimed, never reused. Times are by the
    store's clock. `backfill` marks a run of a past range that was asked for afterwards.

    A row with `attempt` 0 had no run: it accounts for `occurrences` fire times in a row, from `fire_time` to
    `last_fire_time`, that were passed over, and its `reason` says why.
    """

    number: int
    job_id: UUID
    key: JobKey
    fire_time: datetime
    due_at: datetime
    attempt: int
    node: str
    started_at: datetime
    finished_at: datetime
    outcome: Outcome
    reason: str | None = None
    last_fire_time: datetime | None = None
    occurrences: int = 1
    backfill: bool = False

    @property
    def lateness(self) -> timedelta:
        """How long after it was due the run started."""
        return self.started_at - self.due_at


class Job(NamedTuple):
    """One scheduled thing.

    `fire_time` is the intended moment of the occurrence that is next (or running, or was last); `due_at` is when it may
    be claimed: the same, unless a retry or a postponement moved it. `attempt` counts the tries begun for this fire
    time, `failures` those of them that failed, `losses` those whose node died. `paused` holds the job back, also after
    a run that is under way. `run` and `node` are set while it runs; `outcome` and `last_run` tell of the run that ended
    last. Every write raises `version` by one.

    A job with a `parent` is one occurrence of that job, taken out of it to be run beside it: because occurrences may
    overlap, or as a part of a `backfill`. Its runs are history of its parent, and when it ends nothing else is left.
    """

    id: UUID
    key: JobKey
    request: Mapping[str, Any]
    trigger: Trigger
    fire_time: datetime
    due_at: datetime
    created_at: datetime
    updated_at: datetime
    version: int = 1
    options: Options = Options()
    state: State = State.SCHEDULED
    paused: bool = False
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    run: int | None = None
    node: str | None = None
    claimed_at: datetime | None = None
    outcome: Outcome | None = None
    last_run: Run | None = None
    parent: UUID | None = None
    backfill: bool = False

    @property
    def series(self) -> UUID:
        """Whose history its runs are, and who it is for the job's own code."""
        return self.parent or self.id

    @property
    def next_run(self) -> datetime | None:
        """When the job will run next, as far as is known.

        For a running job its next fire time, for a finished one never.
        """
        if self.state is State.DONE:
            return None
        return self.trigger.next_fire_time(self.fire_time) if self.state is State.RUNNING else self.due_at

    @property
    def is_dead(self) -> bool:
        """Whether the job gave up."""
        return self.state is State.DONE and self.outcome in DEADLY

    @property
    def occurrence_id(self) -> UUID:
        """Name this fire time of this job; the same for each of its attempts."""
        return uuid5(self.series, self.fire_time.isoformat())


class Claim(NamedTuple):
    """A job that a node has taken to run. `at` is the store's time at the claim."""

    job: Job
    at: datetime


class Ending(NamedTuple):
    """What became of a run, before anything is decided about the job.

    `delay` asks for the next try after that long. `fatal`: the worker process died under it. `missed`: it came too late
    to be begun, and what the job has next goes by its misfire policy.
    """

    outcome: Outcome
    reason: str | None = None
    delay: timedelta | None = None
    fatal: bool = False
    missed: bool = False


class Change(NamedTuple):
    """A finished run, what its job becomes, and rows for the occurrences that were `passed` over on the way.

    The store takes it only while the job still has this run and this version, and numbers the rows itself.
    """

    run: Run
    job: Job
    passed: tuple[Run, ...] = ()


class Edit(NamedTuple):
    """A job as it is to be written, and rows for the occurrences that were `passed` over on the way to its next one."""

    job: Job
    passed: tuple[Run, ...] = ()


class Due(NamedTuple):
    """When the next job is due, by the store's clock, and how long that is off (negative: overdue)."""

    at: datetime
    wait: timedelta


class Answer(StrEnum):
    """What the store says of a `Change`."""

    DONE = "done"
    STALE = "stale"
    """Somebody edited the job meanwhile: decide again from what it is now."""
    LOST = "lost"
    """The run is no longer this node's: its result is dropped."""


@dataclass(frozen=True, slots=True)
class NodeBeat:
    """A node as its row says: `name` is unique to one life of one process, `beat` rises while it lives.

    `host` names the place whose lock files tell who died there. A `patient` node runs jobs that must not overlap: it is
    not taken for dead before its whole lease is over. `connected` says whether its own session with the store is there.
    """

    name: str
    beat: int = 0
    host: str = ""
    patient: bool = False
    connected: bool = True


class Pulse(NamedTuple):
    """What a node learns when it beats.

    Whether it still has a row, which of its runs it is to stop (each is told once), all nodes that have a row, and a
    number that rises with every note written.
    """

    alive: bool
    stops: frozenset[int]
    nodes: tuple[NodeBeat, ...]
    notes: int


CALENDARS = "calendar"
"""Under this kind of note the store holds calendars by name."""
ZONE_RULES = "tzdata"
"""Under this kind of note the store holds the release of the rules of time zones that its jobs were planned by."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a group to list.

    These are pending ones in any of `states`, or `done` ones, of these only those that gave up if `dead`.

    The times bound the due time: `due_from` in, `due_to` out.
    """

    states: frozenset[State] = PENDING
    done: bool = False
    dead: bool = False
    due_from: datetime | None = None
    due_to: datetime | None = None


class Position(NamedTuple):
    """A place in a list of jobs: of pending ones after that due time and id, of done ones after that (last) run."""

    due_at: datetime
    id: UUID
    run: int = 0

    @classmethod
    def of(cls, job: Job) -> Position:
        """Return the place after a job that was listed."""
        return cls(job.due_at, job.id, job.last_run.number if job.last_run else 0)
