"""Time limits of runs, which arm themselves.

An alarm costs as much as all else that is done for a short job, and most jobs are over in their first turn of the loop.
So a limit that begins is armed one turn later, together with those of all that began in the same turn, if it still
holds by then.
"""

from __future__ import annotations

import asyncio

from mainspring.clock import Alarm, Clock
from mainspring.execution.assignment import Assignment


class TimeLimits:
    """The time limits of the runs on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._fresh: list[TimeLimit] = []

    def arm_soon(self, limit: TimeLimit) -> None:
        """Arm a limit after this turn of the loop."""
        if not self._fresh:
            asyncio.get_running_loop().call_soon(self._arm)
        self._fresh.append(limit)

    def _arm(self) -> None:
        fresh, self._fresh = self._fresh, []
        for limit in fresh:
            limit.arm()


class TimeLimit:
    """How long what an assignment does at the moment may take; the task of the run is cancelled when it is over."""

    # Defaults of the class, as most runs never change them: to set them for each took 0.2 us.
    overdue = False
    """Whether the time was over."""
    _seconds: float | None = None
    _alarm: Alarm | None = None
    _is_fresh = False

    def __init__(self, limits: TimeLimits, assignment: Assignment) -> None:
        self._limits = limits
        self._assignment = assignment

    def begin(self, seconds: float) -> None:
        """Give what runs from here on this many seconds; the limit before ends."""
        if self._alarm is not None:
            self.end()
        self._seconds = seconds
        if not self._is_fresh:
            self._is_fresh = True
            self._limits.arm_soon(self)

    def end(self) -> None:
        """Let nothing be limited any more."""
        self._seconds = None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def arm(self) -> None:
        """Set the alarm, unless the limit has ended."""
        self._is_fresh = False
        if self._seconds is not None:
            self._alarm = self._limits.clock.alarm(self._seconds, self._ring)

    def _ring(self) -> None:
        self.overdue = True
        self._assignment.stopping.set()
        if self._assignment.task is not None:
            self._assignment.task.cancel()
