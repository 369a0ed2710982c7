"""How answers leave: what one turn of the loop writes goes out together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.web.wire import Client, Pipe, app_of, echo, turns

REQUEST = b"GET / HTTP/1.1\r\nHost: mainspring\r\n\r\n"
LARGE = b"x" * 100_000


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

    client = Client(app)
    await client.send(request)
    await over.wait()
    await turns()
    return client.pipe


async def test_head_and_body_go_out_together() -> None:
    """In one write, which is one wake-up of the reader."""
    pipe = await answered(b"hello")

    assert 1 == len(pipe.written)
    assert pipe.written[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert pipe.written[0].endswith(b"\r\n\r\nhello")


async def test_what_comes_later_goes_out_later() -> None:
    """A stream is not held back until its end."""
    pipe = await answered(b"one", b"two", pause=turns)

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


async def test_nothing_is_written_to_a_client_that_is_gone() -> None:
    """What was not sent yet is dropped with its connection."""
    client = Client(app_of(echo))
    client.connection.transport.write(b"too late")
    client.pipe.close()
    await turns()

    assert [] == client.pipe.written
