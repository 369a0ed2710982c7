"""The server on a real port: what clients meet that send too much, too early, or close too soon."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.types import ASGIApp

from mainspring.clock import SystemClock
from mainspring.launch.serve import Server, http_server
from tests.web.answers import at, refusal, refused
from tests.web.plugin import NOTES
from tests.web.wire import answers, get, post, post_head

JSON = "Content-Type: application/json"
JOB = b'{"when": "2026-12-01T10:00:00Z"}'


@pytest.fixture
def server(app: ASGIApp) -> Server:
    """The server of the application."""
    return http_server(app)


@pytest.fixture
async def port(server: Server) -> AsyncIterator[int]:
    """The port on which it serves."""
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await SystemClock().sleep(0)
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving


async def said(port: int, *parts: bytes, eof: bool = False) -> bytes:
    """Return all that is answered to a client that sends this and then waits for the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    receiving = asyncio.create_task(reader.read())
    for part in parts:
        writer.write(part)
        await writer.drain()
    if eof:
        writer.write_eof()
    data = await receiving
    writer.close()
    await writer.wait_closed()
    return data


async def test_client_that_closes_its_side_gets_its_answers(port: int) -> None:
    """Each of them, though it sends no more."""
    path = at(NOTES)
    data = await said(port, post(JOB, path, JSON) * 20 + get(path), eof=True)

    *created, listed = answers(data)
    assert [201] * 20 == [answer.status_code for answer in created]
    assert 20 == len(listed.json())


async def test_thousands_of_requests_at_once(port: int) -> None:
    """They are answered in their order, as fast as their client reads."""
    data = await said(port, b"".join(get("/livez", f"X-Request-ID: {n}") for n in range(3000)), eof=True)

    assert [str(n) for n in range(3000)] == [answer.headers["x-request-id"] for answer in answers(data)]


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (post_head(10**7, at(NOTES), JSON, "Expect: 100-continue"), 413, "BODY_TOO_LARGE"),
        (post_head(10, at(NOTES), "Content-Type: text/plain", "Expect: 100-continue"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (
            post_head(10, at(NOTES), JSON, "Content-Encoding: gzip", "Expect: 100-continue"),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (post_head(10, at(NOTES), JSON, "Expect: tea"), 417, "EXPECTATION_FAILED"),
        (post_head(10, "/x", JSON, "Expect: 100-continue"), 404, "NOT_FOUND"),
    ],
)
async def test_client_that_asks_first_is_told_no_at_once(port: int, head: bytes, status: int, code: str) -> None:
    """Without a word that it may go on."""
    data = await said(port, head)

    assert b"100 Continue" not in data
    (answer,) = answers(data)
    assert refused(status, code) == refusal(answer)


async def test_client_that_asks_first_is_told_to_go_on(port: int) -> None:
    """If there is nothing against it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post_head(len(JOB), at(NOTES), JSON, "Expect: 100-continue"))
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == await reader.readexactly(25)
    writer.write(JOB)
    assert b"HTTP/1.1 201 Created\r\n" == await reader.readline()
    writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post(b" " * 5_000_000, at(NOTES), JSON), 413),
        (get("/" + "x" * 5_000_000), 414),
        (get("/", "X: " + "x" * 5_000_000), 431),
        (b"\0" * 5_000_000, 400),
        (post(b"{}," * 2_000_000, at(NOTES, "batch"), JSON), 413),
    ],
)
async def test_client_that_sends_on_gets_to_read_why_not(port: int, sent: bytes, status: int) -> None:
    """Its connection is not reset under it."""
    (answer,) = answers(await said(port, sent))

    assert status == refusal(answer).status


async def test_client_that_is_one_too_many(server: Server, port: int) -> None:
    """It is told so, and there is room again when another has gone."""
    server.server_state.most = 2
    busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    for _, writer in busy:
        writer.write(post_head(10, at(NOTES), JSON, "Expect: 100-continue"))
    for reader, _ in busy:
        await reader.readexactly(25)

    (answer,) = answers(await said(port))
    assert refused(503, "TOO_MANY_CONNECTIONS") == refusal(answer)

    for _, writer in busy:
        writer.close()
    while server.server_state.connections:
        await SystemClock().sleep(0)
    (answer,) = answers(await said(port, get("/livez"), eof=True))
    assert 200 == answer.status_code


async def test_server_counts_the_seconds(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick is a tenth of one."""
    ticks: list[int] = []
    monkeypatch.setattr(server.server_state, "tick", lambda: ticks.append(1))
    for counter in range(100):
        await server.on_tick(counter)

    assert 10 == len(ticks)
