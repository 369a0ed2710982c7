"""A connection that sends bytes and reads what comes back, whatever that is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import NamedTuple

PATIENCE = 5.0
"""Seconds within which every answer must be there."""
IDLE = 0.1
_LARGEST = 64 * 1024
Address = tuple[str, int]


class Answer(NamedTuple):
    """What came back; `status` 0 is no answer, of which `body` says why."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float = 0.0


_NONE = Answer(0, {}, b"the connection was closed")


class Connection:
    """A connection to a service, opened anew when the service has closed it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, data: bytes, *, head: bool = False) -> Answer:
        """Send a request and read its answer; to a `HEAD` there is no body."""
        began, answer = time.monotonic(), _NONE
        for _ in range(2):  # a connection that was kept open may have been closed meanwhile
            is_new = self._streams is None
            try:
                async with asyncio.timeout(PATIENCE):
                    reader, writer = self._streams = self._streams or await _opened(self._address)
                    with suppress(ConnectionError):
                        writer.write(data)
                        await writer.drain()
                    answer = await _read(reader, head=head) or _NONE
            except TimeoutError:
                answer = Answer(0, {}, b"no answer in time")
            except (OSError, EOFError, ValueError) as error:
                answer = Answer(0, {}, repr(error).encode())
            if answer.status == 0 or answer.headers.get("connection") == "close":
                self.close()
            if answer.status or is_new:
                break
        return answer._replace(seconds=time.monotonic() - began)

    def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def talk(address: Address, data: bytes) -> list[Answer]:
    """Send bytes on a connection of their own and read answers until the service closes it.

    When nothing comes for `IDLE` seconds, the service is told that these were all.
    """
    began, answers = time.monotonic(), list[Answer]()
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await _opened(address)
            try:
                with suppress(ConnectionError):
                    writer.write(data)
                    await writer.drain()
                while (answer := await _next(reader, writer)) is not None:
                    answers.append(answer)
            finally:
                writer.close()
    except TimeoutError:
        answers.append(Answer(0, {}, b"the connection was not closed in time"))
    except (OSError, EOFError) as error:
        if not answers or answers[-1].status < 400:  # else the service has said what it had to say
            answers.append(Answer(0, {}, repr(error).encode()))
    except ValueError as error:
        answers.append(Answer(0, {}, repr(error).encode()))
    return [answer._replace(seconds=time.monotonic() - began) for answer in answers]


async def _next(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer | None:
    reading = asyncio.ensure_future(_read(reader))
    try:
        await asyncio.wait({reading}, timeout=IDLE)
        if not reading.done() and writer.can_write_eof():
            with suppress(OSError):
                writer.write_eof()
        return await reading
    finally:
        reading.cancel()


async def _opened(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*address, limit=_LARGEST)


async def _read(reader: asyncio.StreamReader, *, head: bool = False) -> Answer | None:
    """Read one answer; `None` is the end. Raises `EOFError` if it is cut off and `ValueError` if it is no answer."""
    try:
        start = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    first, *lines = start.decode("latin-1")[:-4].split("\r\n")
    version, status, _ = first.split(" ", 2)
    if version != "HTTP/1.1":
        raise ValueError(first)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if status == "100":
        return await _read(reader, head=head)
    if head or status in {"204", "304"}:
        body = b""
    elif headers.get("transfer-encoding") == "chunked":
        body = b"".join([chunk async for chunk in _chunks(reader)])
    else:
        body = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(status), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
