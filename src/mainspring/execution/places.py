"""On the loop of the lanes that share them. What a run needs besides its slot, and what only so many can have at once.

That is a thread of a job loop (see `threads`), or a worker process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mainspring.execution.assignment import Assignment


class Sharer(Protocol):
    """A lane whose runs need places."""

    on_low: Callable[[], None]
    """Hears that there is room for more."""

    @property
    def waiting(self) -> int:
        """How many wait to begin. For any thread."""

    def look(self) -> None:
        """Begin what waits, as far as it can."""


class Places:
    """So many places. A run has its own from its beginning to its end, unless it leaves it before.

    `free` may be read from any thread. It is below zero while a thread goes on after the end of its run was told.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.free = number
        self._lanes: tuple[Sharer, ...] = ()
        self._turn = 0

    def admit(self, lane: Sharer) -> None:
        """Let the runs of a lane have places, and have it look when one comes free."""
        self._lanes += (lane,)

    @property
    def wanted(self) -> int:
        """How many runs wait to begin that need a place. For any thread."""
        return sum(lane.waiting for lane in self._lanes)

    def take(self, assignment: Assignment) -> None:
        """Give a run a place."""
        self.free -= 1
        assignment.places = self

    def give_back(self) -> None:
        """Take a place back, and have each lane look for what could have it, in turn."""
        self.free += 1
        self._turn += 1
        for number in range(len(self._lanes)):
            if self.free > 0:
                self._lanes[(self._turn + number) % len(self._lanes)].look()
