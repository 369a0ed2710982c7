"""The last check before a backup runs: a node starts only so many of them in a minute."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from mainspring import JobExecutionContext, SchedulerTriggerListener, Trigger, Verdict, job_group, product


class BackupRateLimiter:
    """Lets at most `limit` backups start within any stretch of `window`.

    `time` answers seconds that never go back. A limiter serves one node and is asked on one event loop: it has no lock.
    """

    def __init__(self, limit: int, window: timedelta, time: Callable[[], float]) -> None:
        self.limit = limit
        self.window = window
        self._time = time
        self._starts: deque[float] = deque(maxlen=limit)

    def take(self) -> timedelta | None:
        """Take a place in the window; `None` when there was one, else how long until the next falls free."""
        now = self._time()
        if len(self._starts) == self.limit:
            wait = self._starts[0] + self.window.total_seconds() - now
            if wait > 0:
                return timedelta(microseconds=math.ceil(wait * 1_000_000))
        self._starts.append(now)
        return None


@product("vps4")
@job_group("backups")
class Vps4BackupTriggerListener(SchedulerTriggerListener):
    """Postpones a backup that the rate limiter has no place for."""

    def __init__(self, limiter: BackupRateLimiter) -> None:
        self._limiter = limiter

    async def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> Verdict:  # noqa: ARG002 - one limit for all
        """Ask the rate limiter."""
        wait = self._limiter.take()
        if wait is None:
            return Verdict.allow()
        seconds = self._limiter.window.total_seconds()
        return Verdict.postpone(wait, reason=f"backup rate limit: {self._limiter.limit} in {seconds:g} s on each node")
