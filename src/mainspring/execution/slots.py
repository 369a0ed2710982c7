"""For any thread. The slots of a node: how many runs it has at once, over all its lanes."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol


class Taker(Protocol):
    """Who waits for slots."""

    def take_slot(self) -> None:
        """Use a slot that is yours, or give it back. Called from any thread."""


class Slots:
    """Lends slots; where all are taken, those who wait for one get it in turn."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.free = number
        self._waiting: deque[Taker] = deque()
        self._lock = threading.Lock()

    def take(self, taker: Taker, number: int) -> int:
        """Take up to that many slots, and wait in the queue if there are fewer; return how many were taken."""
        with self._lock:
            taken = min(number, self.free)
            self.free -= taken
            if taken < number and taker not in self._waiting:
                self._waiting.append(taker)
            return taken

    def keep(self, taker: Taker) -> bool:
        """Tell whether a slot may be used again by who has it and has a use for more; if not, the next one gets it."""
        with self._lock:
            if not self._waiting:
                return True
            following = self._waiting.popleft()
            if taker not in self._waiting:
                self._waiting.append(taker)
        if following is taker:
            return True
        following.take_slot()
        return False

    def give_back(self) -> None:
        """Let the next in the queue have a slot."""
        with self._lock:
            if not self._waiting:
                self.free += 1
                return
            taker = self._waiting.popleft()
        taker.take_slot()
