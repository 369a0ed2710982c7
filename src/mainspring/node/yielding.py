"""How a node yields to the requests that its process answers as well (decision 0025). On the node's loop.

Both need the same interpreter. A burst of due jobs takes all that it can get, so a request would wait behind thousands
of jobs: with 4,400 requests a second beside a burst, 1 of 100 waited for 1.9 s. By these rules it is 0.03 s, and a
burst of 100,000 jobs lasts 11 s where it lasted 4. Without requests nothing of this happens.
"""

from __future__ import annotations

from collections.abc import Callable

from mainspring.clock import Clock

BATCH = 1000
"""How much a node claims at once."""
MODEST_BATCH = 500
"""The same while there are many requests. Batches of 100 took longer in all, so requests waited for longer."""
CROWD = 4
"""This many requests under way at once are a crowd."""
MEMORY = 0.5
"""A crowd is assumed to last this many seconds: a single sample may fall into a gap."""
PATIENCE = 0.1
"""For how many seconds jobs wait at most after each batch: they are due."""
_LOOK = 0.002


class Yielding:
    """Says how much to claim at once, and lets requests go first between one batch and the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._crowded_until = 0.0
        self.requests: Callable[[], int] = lambda: 0
        """How many requests are worked for, not those that wait for their client; whoever answers them says so."""

    def batch(self) -> int:
        """Return how much to claim at once."""
        return MODEST_BATCH if self.is_crowded() else BATCH

    def is_crowded(self) -> bool:
        """Tell whether there are many requests, or were a moment ago."""
        moment = self._clock.monotonic()
        if self.requests() >= CROWD:
            self._crowded_until = moment + MEMORY
        return moment < self._crowded_until

    async def yield_to_requests(self, is_over: Callable[[], bool]) -> None:
        """Wait until the last batch `is_over` and what requests piled up meanwhile are answered, but not for long."""
        until = self._clock.monotonic() + PATIENCE
        while self.is_crowded() and self._clock.monotonic() < until and not (is_over() and self.requests() < CROWD):
            await self._clock.sleep(_LOOK)
