"""Which requests count as under way: those that we work for, not those that wait for their client."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mainspring.web import Connections
from tests.web.wire import Client, app_of, body_of, echo, get, in_chunks, post, post_head


class Streaming:
    """Streams an answer, for as long as it is told to."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        await body_of(request)

        async def parts() -> Any:
            yield b"a"
            await self.may_end.wait()
            for _ in range(99):
                yield b"a" * 1000

        return StreamingResponse(parts())


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(post_head(5), id="a head"),
        pytest.param(post_head(5) + b"1234", id="a part of a body"),
        pytest.param(in_chunks(b"12345")[:-1], id="a part of chunks"),
        pytest.param(get()[:-1], id="a part of a head"),
        pytest.param(get(), id="nothing after a request"),
    ],
)
async def test_client_that_sends_slowly_is_no_work(sent: bytes) -> None:
    """However much of its request has come."""
    connections = Connections(10)
    clients = [Client(app_of(echo), connections) for _ in range(4)]
    for client in clients:
        await client.send(sent)

    assert 0 == connections.requests()
    for client in clients:
        await client.go()


async def test_client_that_does_not_read_is_no_work() -> None:
    """While a list is streamed to it."""
    streaming, connections = Streaming(), Connections(10)
    client = Client(app_of(streaming.answer), connections)
    await client.send(get())
    assert 1 == connections.requests()
    streaming.may_end.set()

    client.connection.pause_writing()
    await client.send()
    assert 0 == connections.requests()
    client.connection.resume_writing()
    await client.send()

    assert 99_001 == len(client.answer().content)
    assert 0 == connections.requests()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(get(), id="GET"),
        pytest.param(post(b"12345"), id="POST"),
        pytest.param(in_chunks(b"12345"), id="in chunks"),
        pytest.param(get() + post_head(5), id="with a body of another behind it"),
        pytest.param(get() * 10, id="with others behind it"),
    ],
)
async def test_request_that_is_worked_for_is_work(sent: bytes) -> None:
    """One for each connection: those behind it wait."""
    streaming, connections = Streaming(), Connections(10)
    clients = [Client(app_of(streaming.answer), connections) for _ in range(3)]
    for client in clients:
        await client.send(sent)

    assert 3 == connections.requests()
    for client in clients:
        await client.go()
    assert 0 == connections.requests()


async def test_request_counts_from_the_first_moment() -> None:
    """Also before the loop has come to it: a burst of requests is seen when it arrives."""
    connections = Connections(10)
    client = Client(app_of(echo), connections)
    client.pipe.incoming = post(b"a")
    client.pipe.deliver()

    assert 1 == connections.requests()
    await client.send()
    assert 0 == connections.requests()
