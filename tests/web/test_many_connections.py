"""How many connections there may be, and which of them make room."""

import asyncio
import resource

import pytest
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mainspring.launch import serve
from mainspring.web import Connections
from mainspring.web.connection import QUIET
from tests.web.answers import refusal, refused
from tests.web.wire import Client, app_of, echo, get, post_head

FULL = refused(503, "TOO_MANY_CONNECTIONS")


async def never(_: Request) -> Response:
    """Give no answer."""
    await asyncio.Event().wait()
    return PlainTextResponse("")


async def test_idle_connection_makes_room() -> None:
    """The one that has been idle longest."""
    connections = Connections(3)
    clients = []
    for _ in range(3):
        clients.append(Client(app_of(echo), connections))
        await clients[-1].send(get())
        await clients[-1].wait(1)
    await clients[0].send(get())  # so that the second is idle longest

    late = Client(app_of(echo), connections)
    await late.send(get())

    assert [False, True, False] == [client.pipe.closed for client in clients]
    assert 200 == late.answer().status_code


@pytest.mark.parametrize("sent", [get(), get()[:-1], post_head(5), post_head(5) + b"1"])
async def test_connection_with_a_request_makes_none(sent: bytes) -> None:
    """Also if it is not yet whole. Then the next client is refused, and its descriptor given back at once."""
    connections = Connections(3)
    clients = [Client(app_of(never), connections) for _ in range(3)]
    for client in clients:
        await client.send(sent)

    late = Client(app_of(echo), connections)
    await late.send()

    assert [False] * 3 == [client.pipe.closed for client in clients]
    assert FULL == refusal(late.answer())
    assert late.pipe.closed
    for client in clients:
        await client.go()


async def test_room_is_given_back() -> None:
    """A connection that ends leaves it to another."""
    connections = Connections(2)
    for _ in range(10):
        client = Client(app_of(never), connections)
        await client.send(get())
        assert not client.pipe.closed
        await client.go()

    assert set() == connections.connections


async def test_refused_connections_are_logged() -> None:
    """Once a minute at most, with how many there were."""
    connections = Connections(1)
    busy = Client(app_of(never), connections)
    await busy.send(get())
    with structlog.testing.capture_logs() as logged:
        for _ in range(QUIET + 2):
            refused_ = Client(app_of(echo), connections)
            await refused_.send()
            await refused_.go()
            connections.tick()
    await busy.go()

    assert [("connections refused", 1, 1), ("connections refused", QUIET + 1, 1)] == [
        (line["event"], line["refused"], line["most"]) for line in logged
    ]


@pytest.mark.parametrize(
    ("descriptors", "expected"),
    [(1024, 512), (256, 128), (64, 32), (4096, 1000), (1_000_000, 1000), (resource.RLIM_INFINITY, 1000)],
)
def test_most_connections(monkeypatch: pytest.MonkeyPatch, descriptors: int, expected: int) -> None:
    """A thousand, if they take no more than half of what may be open: the rest is for jobs."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))

    assert expected == serve.most_connections()
