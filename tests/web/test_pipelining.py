"""Requests that are sent before the answers to those before them: each gets its answer, in order, and few wait."""

import asyncio
from contextvars import ContextVar

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mainspring.web.connection import PIPELINE, READ_AHEAD
from tests.web.wire import READ_SIZE, Client, app_of, body_of, echo, get, in_chunks, post, turns

MANY = 500


class Slow:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.heard_of_the_end = 0
        self.may_go_on = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        self.begun.append(request.url.path)
        await body_of(request)
        await self.may_go_on.wait()
        return PlainTextResponse(request.url.path)


def number_under_way(client: Client) -> int:
    """Return how many requests of a connection have been read and not been answered."""
    return len(client.connection.pipeline) + len(client.connection.tasks)


@pytest.mark.parametrize("at_once", [1, 10, MANY])
@pytest.mark.parametrize(
    "request_to",
    [
        pytest.param(get, id="GET"),
        pytest.param(lambda path: post(b"x" * 20, path), id="POST"),
        pytest.param(lambda path: in_chunks(b"a\r\n\r\nb", b"c", path=path), id="in chunks"),
        pytest.param(lambda path: b"\r\n\r\n" + get(path), id="empty lines"),
    ],
)
async def test_few_requests_wait_on_one_connection(request_to: object, at_once: int) -> None:
    """However they are written and however they arrive: the rest is not even read, and all are answered in order."""
    assert callable(request_to)
    slow = Slow()
    client = Client(app_of(slow.answer))
    paths = [f"/{n}" for n in range(MANY)]
    sent = [request_to(path) for path in paths]

    await client.send(*(b"".join(sent[n : n + at_once]) for n in range(0, MANY, at_once)))

    assert PIPELINE == number_under_way(client)
    assert client.pipe.paused
    assert ["/0"] == slow.begun
    slow.may_go_on.set()
    await turns(MANY * 20)
    assert paths == [answer.text for answer in client.answers()]
    assert not client.pipe.paused


@pytest.mark.parametrize("size", [1, 1000, READ_AHEAD // 2, READ_AHEAD * 2])
async def test_little_of_their_bodies_waits(size: int) -> None:
    """What waits of bodies is bounded, too, and no body is cut."""
    slow = Slow()
    client = Client(app_of(slow.answer))
    sent = [post(b"x" * size, f"/{n}") for n in range(40)]

    await client.send(b"".join(sent))

    waiting = sum(len(cycle.body) for cycle, _ in client.connection.pipeline)
    assert waiting <= READ_AHEAD + READ_SIZE
    assert number_under_way(client) <= PIPELINE
    assert len(client.connection._unread) <= READ_SIZE  # noqa: SLF001 - memory is what this is about
    slow.may_go_on.set()
    await turns(4000)
    assert [f"/{n}" for n in range(40)] == [answer.text for answer in client.answers()]


async def test_what_waits_is_dropped_when_the_client_goes() -> None:
    """Nobody would hear of it."""
    slow = Slow()
    client = Client(app_of(slow.answer))
    await client.send(b"".join(post(b"x", f"/{n}") for n in range(MANY)))

    await client.go()
    slow.may_go_on.set()
    await turns()

    assert ["/0"] == slow.begun
    assert [] == client.pipe.written
    assert not client.connection.pipeline
    assert not client.connections.connections


async def test_request_under_way_hears_that_the_client_is_gone() -> None:
    """Also when others wait behind it."""
    heard = []

    async def wait(request: Request) -> Response:
        await body_of(request)
        heard.append(await request.receive())
        return Response()

    client = Client(app_of(wait))
    await client.send(get() * 5)

    await client.go()

    assert [{"type": "http.disconnect"}] == heard


NAME: ContextVar[str] = ContextVar("name", default="nobody")


async def test_requests_of_a_connection_share_no_context() -> None:
    """What one has set in its context, the next does not find in its own, whether it waited or came later."""

    async def tell(request: Request) -> Response:
        found = NAME.get()
        NAME.set(request.url.path)
        return PlainTextResponse(found)

    client = Client(app_of(tell))
    await client.send(get("/a") * 20)
    await client.send(get("/b"), post(b"c"))

    assert ["nobody"] * 22 == [answer.text for answer in client.answers()]


async def test_connection_goes_on_after_many_requests() -> None:
    """One by one, as honest clients send them."""
    client = Client(app_of(echo))

    for n in range(50):
        await client.send(post(b"%d" % n))

    assert [f"POST / {n}" for n in range(50)] == [answer.text for answer in client.answers()]
    assert not client.pipe.closed
