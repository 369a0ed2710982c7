"""How answers leave: what one turn of the loop writes goes out together."""

import asyncio
import contextvars
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from mainspring.clock import SystemClock
from mainspring.launch.serve import http_server
from mainspring.web import Connection

REQUEST = b"GET / HTTP/1.1\r\nHost: mainspring\r\n\r\n"
LARGE = b"x" * 100_000


class Pipe(asyncio.Transport):
    """A transport to nowhere that keeps what was written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """There is nothing to read."""

    def resume_reading(self) -> None:
        """There is nothing to read."""


async def turn() -> None:
    """Let everybody else on the loop have a turn."""
    await SystemClock().sleep(0)


async def answered(*parts: bytes, request: bytes = REQUEST, pause: Callable[[], Awaitable[None]] | None = None) -> Pipe:
    """Return the pipe through which an application has answered with these parts of a body, waiting between them."""
    over = asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        length = sum(map(len, parts))
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(length).encode())]}
        )
        for number, part in enumerate(parts, 1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})
            if pause is not None:
                await pause()
        over.set()

    connection = Connection(uvicorn.Config(app, log_config=None), ServerState(), {})
    pipe = Pipe()
    connection.connection_made(pipe)
    connection.data_received(request)
    await over.wait()
    await turn()
    return pipe


async def test_head_and_body_go_out_together() -> None:
    """In one write, which is one wake-up of the reader."""
    pipe = await answered(b"hello")

    assert 1 == len(pipe.written)
    assert pipe.written[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert pipe.written[0].endswith(b"\r\n\r\nhello")


async def test_what_comes_later_goes_out_later() -> None:
    """A stream is not held back until its end."""
    pipe = await answered(b"one", b"two", pause=turn)

    assert [b"one", b"two"] == [part[-3:] for part in pipe.written]


async def test_large_parts_are_not_held_back() -> None:
    """A stream that never waits must feel that its reader does not keep up."""
    pipe = await answered(LARGE, LARGE)

    assert 2 == len(pipe.written)
    assert b"".join(pipe.written).endswith(LARGE + LARGE)


@pytest.mark.parametrize("parts", [(b"bye",), (b"good", b"bye")])
async def test_connection_is_closed_after_the_answer(parts: tuple[bytes, ...]) -> None:
    """Nothing of an answer is lost when the client asks for the end of the connection with it."""
    pipe = await answered(*parts, request=REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    assert pipe.closed
    assert b"".join(pipe.written).endswith(b"bye")


@pytest.mark.parametrize("together", [True, False])
async def test_a_request_sees_no_context_of_the_one_before_it(*, together: bool) -> None:
    """On the same connection, whether it came with it or after it."""
    mark: contextvars.ContextVar[bytes] = contextvars.ContextVar("mark", default=b"nothing")

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        seen = mark.get()
        mark.set(b"of another")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(seen))]})
        await send({"type": "http.response.body", "body": seen})

    connection = Connection(http_server(app).config, ServerState(), {})
    connection.connection_made(pipe := Pipe())
    for requests in [REQUEST * 3] if together else [REQUEST] * 3:
        connection.data_received(requests)
        for _ in range(20):
            await turn()
    assert [b"nothing"] * 3 == re.findall(rb"nothing|of another", b"".join(pipe.written))


async def test_nothing_is_written_to_a_client_that_is_gone() -> None:
    """What was not sent yet is dropped with its connection."""
    pipe = Pipe()
    connection = Connection(uvicorn.Config(lambda: None, log_config=None), ServerState(), {})
    connection.connection_made(pipe)
    connection.transport.write(b"too late")
    pipe.close()
    await turn()

    assert [] == pipe.written
