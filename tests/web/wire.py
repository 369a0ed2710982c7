"""A client of one connection, byte by byte: what it sends, what it gets, and how the seconds pass."""

import asyncio
from collections.abc import Awaitable, Callable

import httptools
import httpx2
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from mainspring.clock import SystemClock
from mainspring.launch.serve import http_server
from mainspring.web import Connection, Connections
from mainspring.web.body import read_bytes
from mainspring.web.gate import Gate
from mainspring.web.hosts import Hosts

READ_SIZE = 256_000
"""How much of what a client has sent a loop reads at once."""


class Pipe(asyncio.Transport):
    """A transport that hands over what was sent when it is read, and keeps what was written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.connection: Connection | None = None
        self.incoming = b""
        self.written: list[bytes] = []
        self.unsent = 0
        self.paused = False
        self.ended = False
        """Whether nothing more will be written, while it still reads."""
        self.closed = False
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        assert not self.ended
        self.written.append(bytes(data))

    def write_eof(self) -> None:
        assert not self.closed
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        if self.incoming:
            asyncio.get_running_loop().call_soon(self.deliver)

    def deliver(self) -> None:
        """Hand over what was sent, while somebody reads."""
        while self.incoming and not self.paused and not self.closed:
            data, self.incoming = self.incoming[:READ_SIZE], self.incoming[READ_SIZE:]
            assert self.connection is not None
            self.connection.data_received(data)


class Client:
    """A client that has connected to an application."""

    def __init__(self, app: ASGIApp, connections: Connections | None = None) -> None:
        self.connections = connections or Connections(10)
        self.connection = Connection(http_server(app).config, self.connections, {})
        self.pipe = Pipe()
        self.pipe.connection = self.connection
        self.connection.connection_made(self.pipe)

    async def send(self, *parts: bytes) -> None:
        """Send these parts, one by one, and let the application do what it can do."""
        for part in parts:
            self.pipe.incoming += part
            self.pipe.deliver()
        await turns()

    async def send_eof(self) -> None:
        """Say that no more will be sent."""
        assert not self.pipe.incoming
        if not self.connection.eof_received():
            self.pipe.close()
        await turns()

    async def go(self) -> None:
        """Be gone: the connection was reset."""
        self.pipe.close()
        self.connection.connection_lost(ConnectionResetError())
        await turns()

    async def wait(self, seconds: int) -> None:
        """Let so many seconds pass."""
        for _ in range(seconds):
            self.connections.tick()
        await turns()

    def answers(self) -> list[httpx2.Response]:
        """Return the answers so far."""
        return answers(b"".join(self.pipe.written))

    def answer(self) -> httpx2.Response:
        """Return the only answer."""
        (answer,) = self.answers()
        return answer


async def turns(number: int = 60) -> None:
    """Let everybody else on the loop have some turns."""
    for _ in range(number):
        await SystemClock().sleep(0)


def answers(data: bytes) -> list[httpx2.Response]:
    """Read all answers in these bytes but interim ones; an answer that is not whole is a mistake."""
    reader = _Reader()
    reader.parser.feed_data(data)
    assert reader.is_whole
    return reader.answers


class _Reader:
    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.answers: list[httpx2.Response] = []
        self.is_whole = True
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    def on_message_begin(self) -> None:
        self._headers, self._body, self.is_whole = [], b"", False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.is_whole = True
        if (status := self.parser.get_status_code()) != 100:
            self.answers.append(httpx2.Response(status, headers=self._headers, content=self._body))


def app_of(answer: Callable[[Request], Awaitable[Response]]) -> Gate:
    """Return an application that answers all requests in one way."""
    return Gate(answer, Hosts(["mainspring"]))


async def echo(request: Request) -> Response:
    """Answer with the method, the path and the body."""
    body = await body_of(request)
    return PlainTextResponse(f"{request.method} {request.url.path} {body.decode()}".strip())


async def body_of(request: Request) -> bytearray:
    """Read the body of a request, however large it is."""
    return await read_bytes(request, dict(request.scope["headers"]), 10**9)


def get(path: str = "/", *headers: str) -> bytes:
    """Return a GET."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: mainspring", *headers, "", ""]).encode()


def post(body: bytes, path: str = "/", *headers: str) -> bytes:
    """Return a POST with the length of its body."""
    return post_head(len(body), path, *headers) + body


def post_head(length: int, path: str = "/", *headers: str) -> bytes:
    """Return the head of a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: mainspring", f"Content-Length: {length}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def in_chunks(*parts: bytes, path: str = "/", trailer: bytes = b"") -> bytes:
    """Return a POST with a body in chunks."""
    head = f"POST {path} HTTP/1.1\r\nHost: mainspring\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"
