"""The bodies of all requests under way share memory."""

from collections.abc import Callable

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mainspring.web import memory
from mainspring.web.gate import Gate
from tests.web.answers import refusal, refused
from tests.web.wire import Client, app_of, body_of, echo, get, in_chunks, post, post_head

OVERLOADED = refused(503, "SERVICE_OVERLOADED")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """There are 1000 bytes for all bodies, the last 300 for those of at most 100. Tells how many are taken."""
    monkeypatch.setattr(memory, "LIMIT", 1000)
    monkeypatch.setattr(memory, "RESERVE", 300)
    monkeypatch.setattr(memory, "SMALL", 100)
    return lambda: sum(each.taken for each in made)


made: list[memory.Memory] = []


@pytest.fixture(autouse=True)
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know what applications count."""
    made.clear()

    class Seen(memory.Memory):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr("mainspring.web.gate.Memory", Seen)


async def holders(app: Gate, number: int, size: int) -> list[Client]:
    """Return clients that have sent so much of their bodies, and not the rest."""
    clients = [Client(app) for _ in range(number)]
    for client in clients:
        await client.send(post_head(size + 200) + b"x" * size)
    return clients


async def test_what_is_too_much_for_all_is_refused(taken: Callable[[], int]) -> None:
    """It may be sent again; small bodies still find room."""
    app = app_of(echo)
    clients = await holders(app, 3, 200)
    assert 600 == taken()
    late = Client(app)

    await late.send(post(b"x" * 150), post(b"y" * 50))

    assert OVERLOADED == refusal(late.answers()[0])
    assert "POST / " + "y" * 50 == late.answers()[1].text
    for client in clients:
        await client.go()
    await late.send(post(b"z" * 500))
    assert 200 == late.answers()[2].status_code
    assert 0 == taken()


async def test_one_more_part_may_be_too_much(taken: Callable[[], int]) -> None:
    """What counts is what has come, not what was announced: who announces much keeps nobody away."""
    app = app_of(echo)
    clients = await holders(app, 4, 150)
    assert 600 == taken()

    await clients[0].send(b"x" * 150)

    assert OVERLOADED == refusal(clients[0].answer())
    assert 450 == taken()
    for client in clients:
        await client.go()
    assert 0 == taken()


@pytest.mark.parametrize(
    "sent",
    [
        post(b"a" * 100),
        post(b"raise"),
        post_head(9) + b"a",
        in_chunks(b"a") + b"\0",
        in_chunks(b"a")[:-1],
        post_head(2000) + b"a" * 1500,
        get(),
    ],
)
async def test_memory_is_given_back_whatever_happens(taken: Callable[[], int], sent: bytes) -> None:
    """With each answer, each error, and each client that goes."""

    async def answer(request: Request) -> Response:
        body = await body_of(request)
        if body.startswith(b"raise"):
            raise RuntimeError("a bug")
        return PlainTextResponse("")

    client = Client(app_of(answer))
    await client.send(sent)
    await client.go()

    assert 1 == len(made)
    assert 0 == taken()
