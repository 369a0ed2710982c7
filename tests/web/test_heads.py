"""The head of a request: how large it may be, what can be read and what cannot, and what is answered to that."""

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from mainspring.web.connection import HEAD_LIMIT, HEADER_LIMIT
from tests.web.answers import Refusal, refusal, refused
from tests.web.wire import Client, app_of, body_of, echo, get, in_chunks, post, post_head

HEADERS_TOO_LARGE = refused(431, "HEADERS_TOO_LARGE")
URI_TOO_LONG = refused(414, "URI_TOO_LONG")
MALFORMED = refused(400, "MALFORMED_REQUEST")


def sized(size: int) -> bytes:
    """Return a GET whose head has so many bytes."""
    return get("/", "X: " + "x" * (size - len(get("/", "X: "))))


def numbered(number: int) -> bytes:
    """Return a GET with so many headers."""
    return get("/", *(f"X-{n}: {n}" for n in range(number - 1)))


def bytewise(data: bytes) -> list[bytes]:
    """Return these bytes one by one."""
    return [data[n : n + 1] for n in range(len(data))]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(sized(HEAD_LIMIT), id="as large as may be"),
        pytest.param(numbered(HEADER_LIMIT), id="as many headers as may be"),
        pytest.param(get("/" + "x" * 8000), id="a long path"),
        pytest.param(b"\r\n\r\n" + get(), id="empty lines before it"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: mainspring\r\nX:\r\nY:\t a\t\r\n\r\n", id="spaces"),
        pytest.param(b"GET http://mainspring/ HTTP/1.1\r\nHost: mainspring\r\n\r\n", id="absolute"),
    ],
)
async def test_head_that_can_be_read(head: bytes) -> None:
    """At once, in two parts, or byte by byte."""
    for parts in ([head], [head[:-3], head[-3:]], bytewise(head)):
        client = Client(app_of(echo))
        await client.send(*parts)
        assert 200 == client.answer().status_code
        assert not client.pipe.closed


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(sized(HEAD_LIMIT + 1), HEADERS_TOO_LARGE, id="a byte too large"),
        pytest.param(sized(5_000_000), HEADERS_TOO_LARGE, id="5 MB"),
        pytest.param(sized(5_000_000)[:-4], HEADERS_TOO_LARGE, id="5 MB without an end"),
        pytest.param(numbered(HEADER_LIMIT + 1), HEADERS_TOO_LARGE, id="a header too many"),
        pytest.param(get("/", *["a:"] * 4000), HEADERS_TOO_LARGE, id="4000 headers"),
        pytest.param(post(b"{}", "/", *["a:"] * 200), HEADERS_TOO_LARGE, id="200 headers and a body"),
        pytest.param(get("/" + "x" * 1_000_000), URI_TOO_LONG, id="a URL of 1 MB"),
        pytest.param(b"GET /" + b"x" * 20_000, URI_TOO_LONG, id="a URL without an end"),
    ],
)
async def test_head_that_is_too_large(head: bytes, expected: Refusal) -> None:
    """It is refused as soon as it is known to be, and nothing is read behind it."""
    for parts in ([head], [head[:100], head[100:]], bytewise(head[: HEAD_LIMIT * 2])):
        client = Client(app_of(echo))
        await client.send(*parts, get())
        assert expected == refusal(client.answer())
        assert "close" == client.answer().headers["connection"]
        assert client.pipe.ended or client.pipe.closed


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: mainspring\r\n\r\n", id="HTTP/2 by name"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET / HTTP/1.1\nHost: mainspring\n\n", id="bare LF"),
        pytest.param(b"GET / HTTP/1.1\rHost: mainspring\r\r", id="bare CR"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: mainspring\r\nX: \0\r\n\r\n", id="NUL"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: mainspring\r\nX : a\r\n\r\n", id="space before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: mainspring\r\nno header\r\n\r\n", id="no colon"),
        pytest.param(b"G(T / HTTP/1.1\r\nHost: mainspring\r\n\r\n", id="a method that cannot be"),
        pytest.param(b"GET mainspring HTTP/1.1\r\nHost: mainspring\r\n\r\n", id="no path"),
        pytest.param(b"GET http://[::1 HTTP/1.1\r\nHost: mainspring\r\n\r\n", id="no URL"),
        pytest.param(b"GET http://mainspring HTTP/1.1\r\nHost: mainspring\r\n\r\n", id="a URL without a path"),
        pytest.param(b"CONNECT mainspring:80 HTTP/1.1\r\nHost: mainspring\r\n\r\n", id="no tunnel"),
        pytest.param(b"{}\r\n\r\n", id="JSON"),
        pytest.param(post_head(2, "/", "Transfer-Encoding: chunked") + b"0\r\n\r\n", id="two lengths"),
        pytest.param(post_head(2, "/", "Content-Length: 3") + b"{} ", id="two other lengths"),
        pytest.param(post_head(2, "/", "Transfer-Encoding: xchunked") + b"{}", id="xchunked"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n{}", id="xchunked alone"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="gzip, chunked"
        ),
        pytest.param(
            in_chunks().replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n", 1), id="chunked twice"
        ),
        *(
            pytest.param(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {text}\r\n\r\n12345".encode(), id=text)
            for text in ("+5", "5,5", "0x5", "-1", "5 5", "", "9" * 30)
        ),
        *(
            pytest.param(in_chunks(b"12345").replace(b"\r\n5\r\n", b"\r\n" + size), id=size.decode("unicode_escape"))
            for size in (b"0x5\r\n", b"5;\n", b"5\n", b"+5\r\n", b"-5\r\n", b"5" * 17 + b"\r\n", b"z\r\n", b"\r\n")
        ),
    ],
)
async def test_what_cannot_be_read(data: bytes) -> None:
    """It is refused at once, in the one form of all errors, and nothing is read behind it."""
    for parts in ([data], bytewise(data)):
        client = Client(app_of(echo))
        await client.send(*parts, get())
        assert MALFORMED == refusal(client.answer())
        assert "close" == client.answer().headers["connection"]
        assert client.pipe.ended or client.pipe.closed


# --- methods ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["FOO", "QUERY", "PROPFIND", "get", "TRACE", "M-SEARCH", "SOURCE", "PRI", "X" * 32])
async def test_method_that_nobody_knows(app: ASGIApp, method: str) -> None:
    """The path says which it takes; what is behind the request is still read."""
    data = post(b"{}", "/livez").replace(b"POST", method.encode()) + get("/livez")
    for parts in ([data], bytewise(data)):
        client = Client(app)
        await client.send(*parts)
        first, second = client.answers()
        assert refused(405, "METHOD_NOT_ALLOWED") == refusal(first)
        assert "GET, HEAD, OPTIONS" == first.headers["allow"]
        assert 200 == second.status_code


async def test_method_reaches_the_application() -> None:
    """As it was sent."""
    client = Client(app_of(echo))
    await client.send(post(b"a").replace(b"POST", b"REBIND"), post(b"b"), get())

    assert ["REBIND / a", "POST / b", "GET /"] == [answer.text for answer in client.answers()]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/livez", "GET, HEAD, OPTIONS"),
        ("/api/schedulers/vps4/backups/jobs", "GET, HEAD, OPTIONS, POST"),
        ("/api/scheduler/calendars/a", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("*", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
    ],
)
async def test_options(app: ASGIApp, target: str, expected: str) -> None:
    """They are what the path takes."""
    client = Client(app)
    await client.send(get(target).replace(b"GET", b"OPTIONS"))

    assert (204, expected, b"") == (
        client.answer().status_code,
        client.answer().headers["allow"],
        client.answer().content,
    )


async def test_options_of_what_is_not_there(app: ASGIApp) -> None:
    """Nothing has none."""
    client = Client(app)
    await client.send(get("/x").replace(b"GET", b"OPTIONS"))

    assert refused(404, "NOT_FOUND") == refusal(client.answer())


# --- other protocols --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        ("Connection: upgrade", "UPGRADE: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        ("upgrade: TLS/1.0, h2c", "connection: keep-alive, Upgrade"),
    ],
)
async def test_offer_of_another_protocol_is_ignored(headers: tuple[str, ...]) -> None:
    """The body of such a request is its own, never a request of its own."""
    smuggled = get("/smuggled")
    client = Client(app_of(echo))

    await client.send(post(smuggled, "/a", *headers) + get("/b", *headers))

    assert [f"POST /a {smuggled.decode()}".strip(), "GET /b"] == [answer.text for answer in client.answers()]


# --- what stands around chunks ----------------------------------------------------------------------------------------


async def test_trailers_are_no_headers() -> None:
    """What comes behind a body is not taken for what came before it."""
    seen = []

    async def look(request: Request) -> Response:
        await body_of(request)
        seen.append(dict(request.scope["headers"]))
        return PlainTextResponse("")

    client = Client(app_of(look))
    await client.send(in_chunks(b"a", trailer=b"X-Request-ID: evil\r\nHost: evil\r\n"), get())

    assert 2 == len(client.answers())
    assert [b"mainspring"] * 2 == [headers[b"host"] for headers in seen]
    assert [None] * 2 == [headers.get(b"x-request-id") for headers in seen]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(in_chunks(b"a", trailer=b"X: " + b"x" * 100_000 + b"\r\n"), id="a long trailer"),
        pytest.param(in_chunks(b"a", trailer=b"X: x\r\n" * 100_000), id="many trailers"),
        pytest.param(
            in_chunks(b"a").replace(b"\r\n1\r\n", b"\r\n1;x=" + b"x" * 100_000 + b"\r\n"), id="a long extension"
        ),
    ],
)
async def test_there_is_little_around_chunks(data: bytes) -> None:
    """Nothing of that is ever used."""
    client = Client(app_of(echo))
    await client.send(data, get())

    assert HEADERS_TOO_LARGE == refusal(client.answer())


@pytest.mark.parametrize("size", [1, 7, 16 * 1024, 100_000])
async def test_body_in_chunks_may_be_cut_anywhere(size: int) -> None:
    """Also within what ends it, and if it looks like its end, or like a request."""
    inside = b"0\r\n\r\n" + get("/inside")
    data = in_chunks(inside, b"\r\n\r\n" * 1000, inside) + get("/behind")
    client = Client(app_of(echo))

    await client.send(*(data[n : n + size] for n in range(0, len(data), size)))

    first, second = client.answers()
    assert first.text.startswith("POST / 0\r\n\r\nGET /inside")
    assert "GET /behind" == second.text


def test_heads_are_as_large_as_the_tests_say() -> None:
    """To the byte."""
    assert HEAD_LIMIT == len(sized(HEAD_LIMIT))
    assert HEADER_LIMIT == numbered(HEADER_LIMIT).count(b": ")
