"""A connection as uvicorn serves it, but for one thing: the head and the body of an answer go out together.

Heads are written by `mainspring.web.cycle`.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mainspring.web.cycle import Cycle

_LARGE = 16 * 1024
"""What is larger than that, in bytes, is written at once: it is not worth a copy, and a stream must feel its reader."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol over a `_Joining` transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(cast("asyncio.Transport", _Joining(transport, self.loop)))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.__class__ = Cycle  # uvicorn makes it, and takes no other class for it
        super()._start_asgi_task(cycle, app)


class _Joining:
    """A transport that writes all small parts of one turn of the loop at its end.

    A write is a system call that wakes the reader: two for each answer took 10 us of a POST, and as much of its client.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        if len(data) > _LARGE:
            self._flush()
        elif len(self._parts) == 1:
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))
