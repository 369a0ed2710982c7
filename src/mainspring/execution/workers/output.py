"""What a worker process writes to its stdout and stderr, kept for the log."""

from __future__ import annotations

import asyncio
import os

OUTPUT_KEPT = 64 * 1024
"""How many bytes of what a run writes to its stdout and stderr are kept for the log."""
_READS = 16


class Output:
    """Takes what a process writes, so that it never has to wait, and keeps the first of it."""

    def __init__(self, pipe: int) -> None:
        self._pipe = os.fdopen(pipe, "rb", buffering=0)
        self._loop = asyncio.get_running_loop()
        self._kept = bytearray()
        self._more = 0
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._read)

    def take(self) -> tuple[str, int]:
        """Return what was kept, and how many bytes more there were; forget both."""
        self._read()
        taken = self._kept.decode(errors="replace"), self._more
        self._kept.clear()
        self._more = 0
        return taken

    def close(self) -> None:
        """Close the pipe."""
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()

    def _read(self) -> None:
        """Read what is there, but not for ever: others have their turn."""
        for _ in range(_READS):
            if self._pipe.closed:
                return
            try:
                chunk = os.read(self._pipe.fileno(), OUTPUT_KEPT)
            except BlockingIOError:
                return
            if not chunk:
                self.close()
            room = OUTPUT_KEPT - len(self._kept)
            self._kept += chunk[:room]
            self._more += len(chunk[room:])
