"""For any thread. What a node may believe: under which name it lives, and that it still has its lease."""

from __future__ import annotations

import math
from datetime import timedelta

from mainspring.clock import Clock

BEATS_PER_LEASE = 10
TRUSTED = 0.8
"""The part of the lease for which a node may believe that it still has it, from its last beat on."""


class Lease:
    """The lease of one node. `seconds` is its length, `beat` how long there is between two beats."""

    def __init__(self, clock: Clock, length: timedelta) -> None:
        self._clock = clock
        self.seconds = length.total_seconds()
        self.beat = self.seconds / BEATS_PER_LEASE
        self.name = ""
        """The node's name in this life; empty before the first."""
        self._trusted_until = -math.inf

    def begin(self, name: str) -> None:
        """Begin a life under a name of its own."""
        self.name = name
        self.renew(name, self._clock.monotonic())

    def renew(self, name: str, sent: float) -> None:
        """Take that the store has answered a beat which was sent then, if that was of this life."""
        if name == self.name:
            self._trusted_until = sent + TRUSTED * self.seconds

    def lose(self, name: str) -> None:
        """Take that the store has no row of the node any more."""
        if name == self.name:
            self._trusted_until = -math.inf

    def is_trusted(self) -> bool:
        """Tell whether the node may believe that it still has its lease."""
        return self._clock.monotonic() < self._trusted_until

    def is_trusted_in(self, life: str) -> bool:
        """Tell the same, and that this is still the life of that name: what was claimed in another is lost."""
        return life == self.name and self.is_trusted()
