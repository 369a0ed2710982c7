"""The proxy forwards, holds, and breaks off; the client calls what it cannot know unknown."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from prove.client import Client
from prove.network import Proxy

ANSWER = b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"id": "j"}'


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request with 201; who breaks off is not answered."""
    with suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that answers 201."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname())
    await proxy.start()
    yield proxy
    await proxy.close()
    server.close()


@pytest.fixture
def client(proxy: Proxy, tmp_path: Path) -> Iterator[Client]:
    """A client behind the proxy."""
    client = Client(lambda: [("127.0.0.1", proxy.port)], tmp_path / "notes.jsonl", seed=1)
    yield client
    client.close()


async def test_forwards(client: Client) -> None:
    """What is sent arrives, and so does the answer."""
    answer = await client.send("GET", "/")
    assert ("ok", 201, {"id": "j"}) == (answer.verdict, answer.status, answer.body)
    assert {"j"} == client.acked


async def test_cut_is_silent_until_it_heals(proxy: Proxy, client: Client) -> None:
    """Nothing is answered and nothing is refused; then the answer comes."""
    proxy.cut()
    asked = asyncio.create_task(client.send("GET", "/"))
    while not proxy.accepted:
        await asyncio.wait([asked], timeout=0.01)
    assert not asked.done()
    proxy.heal()
    assert "ok" == (await asked).verdict


@pytest.mark.parametrize("after", [0, 1, len(ANSWER) - 1])
async def test_answer_that_breaks_off_is_unknown(proxy: Proxy, client: Client, after: int) -> None:
    """Whether it was done nobody can know, wherever the answer broke."""
    proxy.break_after = lambda: after
    answer = await client.send("POST", "/", {})
    assert ("info", 0, 1) == (answer.verdict, answer.status, proxy.broken)


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("after", [1, 20])
async def test_request_that_breaks_off_is_unknown(proxy: Proxy, client: Client, after: int, resets: bool) -> None:  # noqa: FBT001
    """The target got no whole one; the client cannot know that."""
    proxy.break_requests_after, proxy.resets = lambda: after, resets
    answer = await client.send("POST", "/", {})
    assert ("info", 0, 1) == (answer.verdict, answer.status, proxy.broken)


async def test_nobody_there_is_surely_not_done(proxy: Proxy, client: Client) -> None:
    """A connection that was refused took no request with it."""
    await proxy.close()
    assert "fail" == (await client.send("POST", "/", {})).verdict
