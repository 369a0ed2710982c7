"""For any thread. The slots of a node: how many runs it has at once, over all its lanes."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol


class Taker(Protocol):
    """Who waits for a slot."""

    def take_slot(self) -> None:
        """Use a slot that is yours, or give it back. Called from any thread."""


class Slots:
    """Lends slots; where all are taken, those who wait for one get it in turn."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.free = number
        self._waiting: deque[Taker] = deque()
        self._lock = threading.Lock()

    def take(self, taker: Taker) -> bool:
        """Take a slot, or wait in the queue for one; answer whether it was taken."""
        with self._lock:
            if self.free > 0:
                self.free -= 1
                return True
            if taker not in self._waiting:
                self._waiting.append(taker)
            return False

    def give_back(self) -> None:
        """Let the next in the queue have a slot."""
        with self._lock:
            if not self._waiting:
                self.free += 1
                return
            taker = self._waiting.popleft()
        taker.take_slot()
