"""The transport of a connection: what one turn of the loop writes goes out together, and no close loses an answer."""

from __future__ import annotations

import asyncio
from typing import Any

_LARGE = 16 * 1024
"""What is larger than that, in bytes, is written at once: it is not worth a copy, and a stream must feel its reader."""


class Joining:
    """A transport that writes all small parts of one turn of the loop at its end.

    A write is a system call that wakes the reader: two for each answer took 10 us of a POST, and as much of its client.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self.expects_more = False
        """Whether the client may still be sending: a close is a reset then, which may cost it the answer."""
        self.lingers = False
        """Whether it is closed for writing only, and reads and drops what still comes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, at the latest at the end of this turn of the loop."""
        self._parts.append(data)
        if len(data) > _LARGE:
            self._flush()
        elif len(self._parts) == 1:
            self._loop.call_soon(self._flush)

    def is_closing(self) -> bool:
        """Tell whether nothing more can be written."""
        return self.lingers or bool(self._transport.is_closing())

    def close(self) -> None:
        """Close when all is written; while the client may still be sending, for writing only. Twice closes for good."""
        self._flush()
        if self.expects_more and not self.is_closing():
            self.lingers = True
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self.is_closing():
            self._transport.write(b"".join(parts))
