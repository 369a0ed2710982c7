"""What was asked for is answered, whatever comes behind it: the end, or what cannot be read."""

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.web.answers import Refusal, refusal, refused
from tests.web.wire import Client, app_of, echo, get, in_chunks, post, post_head

MALFORMED = refused(400, "MALFORMED_REQUEST")
INCOMPLETE = refused(400, "BODY_INCOMPLETE")

GOOD = {
    "GET": (get("/a"), ["GET /a"]),
    "POST": (post(b"a", "/b"), ["POST /b a"]),
    "in chunks": (in_chunks(b"a", b"b", path="/c"), ["POST /c ab"]),
    "several": (get("/a") + post(b"b", "/b") + get("/c"), ["GET /a", "POST /b b", "GET /c"]),
    "many": (get("/a") * 40, ["GET /a"] * 40),
}


@pytest.fixture(params=GOOD)
def good(request: pytest.FixtureRequest) -> tuple[bytes, list[str]]:
    """Requests, and what is answered to them."""
    return GOOD[request.param]


async def test_client_that_sends_no_more_gets_its_answers(good: tuple[bytes, list[str]]) -> None:
    """Then the connection is closed."""
    data, expected = good
    client = Client(app_of(echo))
    client.pipe.incoming = data
    client.pipe.deliver()
    while client.pipe.incoming or client.pipe.paused:
        await client.wait(0)

    await client.send_eof()

    assert expected == [answer.text for answer in client.answers()]
    assert client.pipe.closed


async def test_idle_connection_ends_with_its_client() -> None:
    """At once, before and after a request."""
    for before in (b"", get(), b"\r\n"):
        client = Client(app_of(echo))
        await client.send(before)
        await client.send_eof()
        assert client.pipe.closed


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (b"G", MALFORMED),
        (get()[:-1], MALFORMED),
        (post_head(5), INCOMPLETE),
        (post(b"12345")[:-1], INCOMPLETE),
        (in_chunks(b"12345")[:-1], INCOMPLETE),
        (in_chunks(b"12345")[:-8], INCOMPLETE),
    ],
)
async def test_part_of_a_request_is_none(good: tuple[bytes, list[str]], part: bytes, expected: Refusal) -> None:
    """It is said so, after the answers to those before it."""
    data, texts = good
    client = Client(app_of(echo))
    await client.send(data + part)
    await client.send_eof()

    *before, last = client.answers()
    assert texts == [answer.text for answer in before]
    assert expected == refusal(last)
    assert client.pipe.closed


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "bad",
    [
        b"\x00\x01\x02",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        in_chunks(b"12345").replace(b"5\r\n", b"-5\r\n"),
        post_head(5, "/", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    ],
)
async def test_bad_bytes_behind_good_requests(good: tuple[bytes, list[str]], bad: bytes, *, at_once: bool) -> None:
    """What was carried out is answered; then comes the refusal, and nothing more is read."""
    data, texts = good
    client = Client(app_of(echo))
    await client.send(*([data + bad + get()] if at_once else [data, bad, get()]))

    *before, last = client.answers()
    assert texts == [answer.text for answer in before]
    assert MALFORMED == refusal(last)
    assert client.pipe.ended


async def test_each_refusal_has_an_id_of_its_own() -> None:
    """Under which the log would have it."""
    ids = set()
    for _ in range(3):
        client = Client(app_of(echo))
        await client.send(b"\x00")
        ids.add(client.answer().headers["x-request-id"])

    assert 3 == len(ids)


# --- answers before the end of a body


@pytest.mark.parametrize(
    ("sent", "more"),
    [
        pytest.param(post_head(5), b"12345", id="length"),
        pytest.param(post_head(5) + b"123", b"45", id="half"),
        pytest.param(in_chunks(b"12345")[:-5], b"0\r\n\r\n", id="in chunks"),
    ],
)
async def test_answer_before_the_end_of_the_body(sent: bytes, more: bytes) -> None:
    """It says that the connection ends with it, since the rest of the body may never come; that is read and dropped."""

    async def refuse(_: Request) -> Response:
        return PlainTextResponse("no", 400)

    client = Client(app_of(refuse))
    await client.send(sent)
    assert "close" == client.answer().headers["connection"]
    await client.send(more, get())

    assert 1 == len(client.answers())
    assert client.pipe.ended
    await client.send_eof()
    assert client.pipe.closed


@pytest.mark.parametrize("request_", [post(b"12345"), in_chunks(b"12345")])
async def test_answer_that_does_not_need_the_body(request_: bytes) -> None:
    """If the body is there, the connection goes on."""

    async def refuse(_: Request) -> Response:
        return PlainTextResponse("no", 400)

    client = Client(app_of(refuse))
    await client.send(request_, request_)

    assert [400, 400] == [answer.status_code for answer in client.answers()]
    assert not client.pipe.closed


# --- the service stops


async def test_service_that_stops_closes_what_is_idle() -> None:
    """At once, also if a part of a head has come."""
    for sent in (b"", get(), get()[:-1]):
        client = Client(app_of(echo))
        await client.send(sent)
        client.connection.shutdown()
        assert client.pipe.closed


@pytest.mark.parametrize(
    ("sent", "more"),
    [
        pytest.param(get(), b"", id="GET"),
        pytest.param(post(b"a"), b"", id="POST"),
        pytest.param(post_head(5) + b"12", b"345", id="half a body"),
        pytest.param(in_chunks(b"12345")[:-5], b"0\r\n\r\n", id="chunks"),
        pytest.param(get() * 3, b"", id="three"),
    ],
)
async def test_service_that_stops_answers_what_it_has_read(sent: bytes, more: bytes) -> None:
    """To the last of it, which says that the connection ends. It reads no other request."""
    client = Client(app_of(echo))
    client.pipe.incoming = sent
    client.pipe.deliver()
    client.connection.shutdown()
    await client.send(more, get("/late"))

    texts = [answer.text for answer in client.answers()]
    assert sent.count(b"HTTP/1.1") == len(texts)
    assert "GET /late" not in texts
    assert "close" == client.answers()[-1].headers["connection"]
    assert client.pipe.closed or client.pipe.ended
