"""A claim in hand: its facts, the wish that its run stops, and where it is on its way."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mainspring.execution.endings import interrupted
from mainspring.execution.run_log import RunLog
from mainspring.job import Ending, Job, Outcome, Progress
from mainspring.plugins import Stopping

if TYPE_CHECKING:
    from mainspring.execution.lane import Lane
    from mainspring.execution.places import Places

OUT_OF_TOUCH = "the node lost touch with the store"
_moment = datetime.fromtimestamp


class StopWish(Stopping):
    """The wish that a run ends. Jobs get it as `JobExecutionContext.stopping`.

    While only it is set, the node waits for the job to come to an end. `why` is set when the node no longer waits: the
    run is cancelled for this reason.
    """

    why: str | None = None
    """Set on the instance when it is needed: an ``__init__`` of its own took 0.2 us of each run."""


class Assignment:
    """A claim that this node is running.

    `ahead` is how many seconds the store's time, since 1970, is ahead of the node's monotonic one. It begins at
    `not_before`, by the latter: it may be claimed a little ahead of its due time. `trusted` tells whether the node may
    believe that it still has its lease. `lane` is where the node has it run. `started_at` and `task` are set when it
    begins, and `places` while it has one; `is_handed_back` when it was given to another, and so must not begin here.

    `log`, `progress` and `follow_ups` are what the run has said so far, if anything; `on_said` hears when it says more,
    from any thread.
    """

    __slots__ = (
        "ahead",
        "follow_ups",
        "is_handed_back",
        "job",
        "lane",
        "log",
        "not_before",
        "on_said",
        "places",
        "progress",
        "run",
        "started_at",
        "stopping",
        "task",
        "trusted",
    )

    def __init__(
        self, job: Job, ahead: float, trusted: Callable[[], bool] = lambda: True, not_before: float = -math.inf
    ) -> None:
        assert job.run is not None, "a claimed job has a run"  # noqa: S101 - for the type checker
        self.job = job
        self.run = job.run
        self.ahead = ahead
        self.not_before = not_before
        self.is_handed_back = False
        self.trusted = trusted
        self.stopping = StopWish()
        self.lane: Lane | None = None
        self.places: Places | None = None
        self.started_at: datetime | None = None
        self.task: asyncio.Task[Any] | None = None
        self.log: RunLog | None = None
        self.progress: Progress | None = None
        self.follow_ups: tuple[Job, ...] = ()
        self.on_said: Callable[[], None] | None = None

    def store_time(self, moment: float) -> datetime:
        """Return what the store's time was at a moment, as far as this node can know it without asking."""
        # Exact to the microsecond until 2038, and in half the time that a timedelta takes.
        return _moment(self.ahead + moment, UTC)

    def leave_place(self) -> None:
        """Give back the place that the run has, if it has one: it needs none any more."""
        if self.places is not None:
            places, self.places = self.places, None
            places.give_back()

    def say(self) -> None:
        """Tell whoever listens that the run has said more. For any thread."""
        if self.on_said is not None:
            self.on_said()

    def completed(self, ending: Ending) -> Ending:
        """Return how the run ended with what it said: jobs follow it only if it succeeded."""
        if self.log is not None:
            ending = ending._replace(log=self.log.text())
        if self.follow_ups and ending.outcome is Outcome.SUCCEEDED:
            ending = ending._replace(follow_ups=self.follow_ups)
        return ending

    def refusal(self) -> Ending | None:
        """Say why the run must not begin, if it must not.

        A process that was frozen, or cut off, starts nothing before its node has beaten again.
        """
        if self.stopping.why is None and not self.trusted():
            self.stopping.why = OUT_OF_TOUCH
        return None if self.stopping.why is None else interrupted(self.stopping.why)
