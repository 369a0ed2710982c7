"""What a run logs: the first and the last lines of it."""

from __future__ import annotations

import threading
from collections import deque

FIRST_BYTES = LAST_BYTES = 32 * 1024
"""How much is kept of the beginning and of the end of a log, as UTF-8."""


class RunLog:
    """Lines, of which those in the middle are left out if they are many. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: list[bytes] = []
        self._room = FIRST_BYTES
        self._last: deque[bytes] = deque()
        self._size = 0
        self._left_out = 0

    def add(self, line: str) -> None:
        """Take a line, or several; one that is too large by itself is cut."""
        data = line.replace("\0", "\\0").encode(errors="replace")[: LAST_BYTES - 1] + b"\n"
        with self._lock:
            if not self._last and len(data) <= self._room:
                self._first.append(data)
                self._room -= len(data)
                return
            self._last.append(data)
            self._size += len(data)
            while self._size > LAST_BYTES:
                gone = len(self._last.popleft())
                self._size -= gone
                self._left_out += gone

    def text(self) -> str:
        """Return what is kept of it."""
        with self._lock:
            middle = [f"... {self._left_out} bytes are left out ...\n".encode()] if self._left_out else []
            return b"".join([*self._first, *middle, *self._last]).decode(errors="ignore")
