"""A connection to the API that is kept, for trials of many quick calls. It sends again nothing by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from prove.client import Address
from prove.record import boot

KEPT = 2.0
"""Seconds for which an idle connection is used again; after some more a server hangs up."""
PATIENCE = 30.0
"""Seconds after which an answer comes no more."""


class Told(NamedTuple):
    """What a call was answered, and when it was sent and answered; `status` 0 if it was not."""

    sent: float
    answered: float
    status: int
    headers: Mapping[str, str]
    body: Any


class Lines:
    """Lends connections to some addresses, as many as are in use at once."""

    def __init__(self) -> None:
        self._idle: dict[Address, list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]]] = {}

    async def send(
        self, address: Address, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Told:
        """Send one request, and read its answer."""
        reader, writer = self._kept(address) or await asyncio.open_connection(*address)
        payload = b"" if body is None else json.dumps(body).encode()
        lines = {"Host": address[0], "Content-Type": "application/json", "Content-Length": str(len(payload))}
        head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **(headers or {})}.items())
        sent = boot()
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + payload)
                status, told, content = await read_answer(reader)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            writer.close()
            return Told(sent, boot(), 0, {}, repr(error))
        answered = boot()
        self._idle[address].append((answered, reader, writer))
        return Told(sent, answered, status, told, json.loads(content) if content else None)

    def _kept(self, address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Take a connection that is idle, and has not been for long."""
        idle = self._idle.setdefault(address, [])
        while idle and boot() - idle[0][0] > KEPT:
            idle.pop(0)[2].close()
        return idle.pop()[1:] if idle else None

    async def close(self) -> None:
        """Close all that are idle."""
        for idle in self._idle.values():
            for _, _, writer in idle:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer: its status, its headers and its body. Raises `EOFError` where it was cut."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), headers, content
