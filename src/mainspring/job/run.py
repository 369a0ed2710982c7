"""One execution of a job: how it ended, and its row of history.

What is made for every run is a named tuple: a frozen dataclass of twenty fields took 1.8 us to make and 3.2 us to
change, a named tuple 0.2 and 0.9 us, and a run needs seven of these.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from mainspring.job.damage import Damage
from mainspring.job.key import JobKey

if TYPE_CHECKING:
    from mainspring.job.job import Job


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


class Ending(NamedTuple):
    """What became of a run, before anything is decided about the job.

    `delay` asks for the next try after that long. `fatal`: the worker process died under it. `missed`: it came too late
    to be begun, and what the job has next goes by its misfire policy. `result` is what the job answered, as JSON, or
    `result_error` why that cannot be kept. `traceback` is that of what it raised, `log` what it logged. `follow_ups`
    are jobs to be made with its success: only the calendars of their schedules are not looked at yet. `busy` is the
    concurrency key of which nothing is to begin for `delay`; an empty one is the job's own.
    """

    outcome: Outcome
    reason: str | None = None
    delay: timedelta | None = None
    fatal: bool = False
    missed: bool = False
    result: str | None = None
    result_error: str | None = None
    traceback: str | None = None
    log: str | None = None
    follow_ups: tuple[Job, ...] = ()
    busy: str | None = None


class Run(NamedTuple):
    """One execution that has ended: a row of history.

    `number` is the fence: drawn from one rising sequence when the job is claimed, never reused. Times are by the
    store's clock. `backfill` marks a run of a past range that was asked for afterwards.

    A row with `attempt` 0 had no run: it accounts for `occurrences` fire times in a row, from `fire_time` to
    `last_fire_time`, that were passed over, and its `reason` says why. A row with `damage` cannot be read.

    `result`, `result_error`, `traceback` and `log` are those of the `Ending`. They may be large, so only `RunStore.run`
    reads them.
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
    result: str | None = None
    result_error: str | None = None
    traceback: str | None = None
    log: str | None = None
    damage: Damage | None = None

    @property
    def lateness(self) -> timedelta:
        """How long after it was due the run started."""
        return self.started_at - self.due_at


class Success(NamedTuple):
    """A run that succeeded, for those that come after it: its fire time, its end, and its result as JSON."""

    fire_time: datetime
    finished_at: datetime
    result: str | None = None


class Progress(NamedTuple):
    """How far a run is: so much `done`, of a `total` if there is one, and in words."""

    done: float
    total: float | None = None
    note: str | None = None
