"""How long a client may take: for a head, for a body, for its next request, and to read an answer."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mainspring.web.connection import BODY_RATE, PATIENCE, READER_PATIENCE
from tests.web.answers import refusal, refused
from tests.web.wire import Client, app_of, body_of, echo, get, in_chunks, post, post_head

TIMEOUT = refused(408, "REQUEST_TIMEOUT")
SIZE = 100 * BODY_RATE


# --- the head, and the time between two requests


@pytest.mark.parametrize("before", [b"", get(), post(b"a"), in_chunks(b"a")])
@pytest.mark.parametrize("head", [b"G", b"GET / HTTP/1.1\r\n", get()[:-1]])
async def test_head_must_come_within_ten_seconds(before: bytes, head: bytes) -> None:
    """From its first byte on, whatever of it trickles in."""
    client = Client(app_of(echo))
    await client.send(before)
    answered = len(client.answers())
    await client.wait(PATIENCE - 1)
    await client.send(*(head[n : n + 1] for n in range(len(head))))

    await client.wait(PATIENCE - 1)
    assert answered == len(client.answers())
    await client.wait(1)

    assert TIMEOUT == refusal(client.answers()[-1])
    assert "close" == client.answers()[-1].headers["connection"]


async def test_head_byte_by_byte() -> None:
    """A byte in five seconds is no progress."""
    client = Client(app_of(echo))
    for byte in get()[:2]:
        await client.send(bytes([byte]))
        await client.wait(5)

    assert TIMEOUT == refusal(client.answer())


@pytest.mark.parametrize("before", [b"", get(), post(b"a"), get() * 5])
@pytest.mark.parametrize("nothing", [b"", b"\r\n"])
async def test_idle_connection_is_closed(before: bytes, nothing: bytes) -> None:
    """Without a word: nothing was asked. Empty lines are no request."""
    client = Client(app_of(echo))
    await client.send(before)
    answered = len(client.answers())

    for _ in range(PATIENCE - 1):
        await client.wait(1)
        await client.send(nothing)
    assert not client.pipe.is_closing()
    await client.wait(1)

    assert client.pipe.is_closing()
    assert answered == len(client.answers())


async def test_busy_client_is_never_cut_off() -> None:
    """The ten seconds begin with each answer."""
    client = Client(app_of(echo))
    for _ in range(5):
        await client.wait(PATIENCE - 1)
        await client.send(post(b"a"))

    assert 5 == len(client.answers())
    assert not client.pipe.closed


@pytest.mark.parametrize("behind", [b"", b"GET", get() * 3])
async def test_answer_may_take_its_time(behind: bytes) -> None:
    """What the service needs is not the client's fault, and what the client has sent meanwhile waits with it."""
    may_go_on = asyncio.Event()

    async def answer(_: Request) -> Response:
        await may_go_on.wait()
        return PlainTextResponse("at last")

    client = Client(app_of(answer))
    await client.send(get() + behind)
    await client.wait(1000)
    assert [] == client.answers()
    may_go_on.set()
    await client.wait(0)

    assert 1 + behind.count(b"HTTP") == len(client.answers())
    assert "at last" == client.answers()[0].text


# --- the body


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(post_head(SIZE), id="nothing"),
        pytest.param(post_head(SIZE) + b"x" * 100, id="a beginning"),
        pytest.param(get() + post_head(SIZE), id="behind another request"),
        pytest.param(in_chunks(b"x")[:-5], id="in chunks"),
        pytest.param(in_chunks(b"x")[:-5] + b"5;" + b"x" * 9000, id="what is no body"),
    ],
)
async def test_body_must_come(begin: bytes) -> None:
    """If nothing comes for ten seconds, it is not waited for any longer."""
    client = Client(app_of(echo))
    await client.send(begin)
    answered = len(client.answers())

    await client.wait(PATIENCE)
    assert answered == len(client.answers())
    await client.wait(1)

    assert TIMEOUT == refusal(client.answers()[-1])
    assert "close" == client.answers()[-1].headers["connection"]


@pytest.mark.parametrize("rate", [BODY_RATE // 2, BODY_RATE - 1000])
async def test_body_that_comes_too_slowly(rate: int) -> None:
    """Less than 16 KiB in a second is refused, if it goes on."""
    client = Client(app_of(echo))
    await client.send(post_head(SIZE * 2))
    for _ in range(SIZE * 2 // rate):
        await client.send(b"x" * rate)
        await client.wait(1)
        if client.answers():
            break

    assert TIMEOUT == refusal(client.answer())


@pytest.mark.parametrize("rate", [BODY_RATE, BODY_RATE * 3])
async def test_body_that_comes_as_fast_as_it_must(rate: int) -> None:
    """However long it takes."""
    client = Client(app_of(echo))
    await client.send(post_head(SIZE))
    for _ in range(-(-SIZE // rate)):
        await client.wait(1)
        await client.send(b"x" * min(rate, SIZE))
        if client.answers():
            break

    assert 200 == client.answers()[0].status_code


async def test_fast_beginning_buys_no_time() -> None:
    """A client cannot hold the memory of a large body for an hour."""
    client = Client(app_of(echo))
    await client.send(post_head(SIZE) + b"x" * (SIZE - 1))

    await client.wait(PATIENCE + 2)

    assert TIMEOUT == refusal(client.answer())


async def test_body_waits_for_the_service() -> None:
    """While nobody takes what has come, no more is read, and the client is not blamed."""
    may_go_on = asyncio.Event()

    async def answer(request: Request) -> Response:
        await may_go_on.wait()
        return PlainTextResponse(str(len(await body_of(request))))

    client = Client(app_of(answer))
    await client.send(post(b"x" * SIZE))
    assert client.pipe.paused
    await client.wait(1000)
    may_go_on.set()
    await client.wait(0)

    assert str(SIZE) == client.answer().text


async def test_body_behind_another_request_has_time_until_its_turn() -> None:
    """A client that waits to be told to go on is not told before that."""
    may_go_on = asyncio.Event()

    async def answer(request: Request) -> Response:
        if request.method == "GET":
            await may_go_on.wait()
        return await echo(request)

    client = Client(app_of(answer))
    await client.send(get() + post_head(1, "/", "Expect: 100-continue"))
    await client.wait(1000)
    may_go_on.set()
    await client.wait(PATIENCE)
    await client.send(b"a")

    assert ["GET /", "POST / a"] == [answer.text for answer in client.answers()]


# --- the answer


@pytest.mark.parametrize("request_", [get(), get("/", "Connection: close"), get() * 3])
async def test_client_that_reads_nothing_is_cut_off(request_: bytes) -> None:
    """Also if all is written and only the network has it."""
    client = Client(app_of(echo))
    await client.send(request_)
    client.pipe.unsent = 1000

    await client.wait(READER_PATIENCE)
    if not client.pipe.aborted:  # the first second has seen that something is there
        await client.wait(1)

    assert client.pipe.aborted


async def test_client_that_reads_slowly_is_not() -> None:
    """As long as it reads."""
    may_go_on = asyncio.Event()

    async def answer(_: Request) -> Response:
        await may_go_on.wait()
        return PlainTextResponse("")

    client = Client(app_of(answer))
    await client.send(get())
    for unsent in range(20, 0, -1):
        client.pipe.unsent = unsent
        await client.wait(READER_PATIENCE - 1)

    assert not client.pipe.closed
    may_go_on.set()


async def test_client_that_is_told_to_stop_has_ten_seconds() -> None:
    """What it still sends is read and dropped, so that it gets to read why; then the connection is gone."""
    client = Client(app_of(echo))
    await client.send(get("/", "X: " + "x" * 20_000))
    assert client.pipe.ended
    assert not client.pipe.closed

    for _ in range(PATIENCE):
        await client.send(b"x" * 100_000)
        await client.wait(1)
    assert not client.pipe.closed
    await client.wait(1)

    assert client.pipe.aborted
    assert 1 == len(client.answers())
