"""A connection as uvicorn serves it, within limits, so that no client takes memory or time from the others.

uvicorn hands to its parser whatever comes, for as long as it comes. Here the parser gets one head, or a part of one
body, at a time, and no more is read while enough requests wait. What cannot be read is answered like any other error,
after the requests before it. Heads of answers are written by `mainspring.web.cycle`.

Time is counted by `Connections.tick`, once a second. So there are no timers to set for each request, and a service that
stands still blames no client for it.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

import httptools
import structlog
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from mainspring.web.cycle import Cycle
from mainspring.web.problem import HttpError
from mainspring.web.transport import Joining

HEAD_LIMIT = 16 * 1024
HEADER_LIMIT = 100
PIPELINE = 16
"""How many requests of one connection are under way or wait."""
READ_AHEAD = 64 * 1024
"""How many bytes of bodies wait on one connection, before what is read at once."""
PATIENCE = 10
"""For how many seconds is waited for the head of a request, for a body to begin to flow, and for another request."""
BODY_RATE = 16 * 1024
"""How many bytes of a body must come in a second, on average over `PATIENCE`."""
READER_PATIENCE = 60
"""For how many seconds a client may read nothing of an answer. People page through long lists by hand."""
QUIET = 60
"""For how many seconds nothing is logged of connections that were refused, after it was."""

_END = b"\r\n\r\n"
_PIECE = 16 * 1024
"""How much of a body in chunks is parsed at once."""
_METHODS = (b"GET ", b"POST ", b"HEAD ", b"PATCH ", b"PUT ", b"DELETE ", b"OPTIONS ")
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?= )")
_EMPTY_LINES = re.compile(rb"[\r\n]*")
_NO_HEAD = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")
"""What is in no head, so that there is no need to wait for its end."""
_NO_HEAD_REASON = "it has characters that no head has, or lines that do not end in CR LF"
_UPGRADE = re.compile(rb"(?<=\n)upgrade(?=[ \t]*:)", re.IGNORECASE)
_REFUSED = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
"""Stands for what cannot be read, so that it gets its answer in its turn."""

log = structlog.get_logger("mainspring.web")


class Connections(ServerState):
    """All connections of a server, of which there are never more than `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self._refused = 0
        self._quiet = 0

    def tick(self) -> None:
        """See to all connections once a second: this is what their deadlines are counted by."""
        for connection in tuple(self.connections):
            cast("Connection", connection).tick()
        self._quiet -= 1
        if self._refused and self._quiet < 0:
            log.warning("connections refused", refused=self._refused, most=self.most)
            self._refused, self._quiet = 0, QUIET

    def requests(self) -> int:
        """Return how many requests are worked for. One that waits for its client is none of them."""
        return sum(cast("Connection", connection).is_working() for connection in self.connections)

    def make_room(self) -> bool:
        """Tell whether one more connection may stay. If there are too many, the one that is idle longest goes."""
        if len(self.connections) < self.most:
            return True
        idle = [each for each in cast("set[Connection]", self.connections) if each.is_idle()]
        if idle:
            max(idle, key=lambda each: each.seconds).transport.close()
        else:
            self._refused += 1
        return bool(idle)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, within limits."""

    server_state: Connections
    transport: Any
    flow: _Flow

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.seconds = 0
        """How long the head, the next request or the end of the connection has been waited for."""
        self._running: RequestResponseCycle | None = None
        self._method: str | None = None

        # what was received
        self._unread = b""
        self._at = 0
        """How much of that is parsed."""
        self._searched = 0
        """How much of that has no end of a head."""
        self._is_deaf = False
        """Whether nothing that comes is read any more."""
        self._is_half_closed = False

        # the body that is being received
        self._in_body = False
        self._keep_alive = True
        self._left: int | None = None
        """How many bytes of it are to come, `None` for chunks, which end where they say so."""
        self._last = b""
        self._framing = 0
        """How many bytes have come of chunks that are no body."""
        self._received = 0
        self._owed = 0

        # what is sent
        self._unsent = 0
        self._stalled = 0

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        has_room = self.server_state.make_room()
        super().connection_made(cast("asyncio.Transport", Joining(transport, self.loop)))
        self.flow = _Flow(self)
        if not has_room:
            self._fail(HttpError(503, "TOO_MANY_CONNECTIONS", "too many connections are open here; try again"))
            self.transport.expects_more = False  # to wait for it would take what there is too little of

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what waits, and let what is under way hear of it."""
        self._be_deaf()
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)
        self.flow.connection = None

    def eof_received(self) -> bool:  # type: ignore[override] # as asyncio has it, and uvicorn's has not
        """Go on until a client that sends no more has its answers."""
        self._is_half_closed = True
        self.transport.expects_more = False
        if self._in_body:
            self._fail(HttpError(400, "BODY_INCOMPLETE", "the body was cut off"))
        elif self._unread:
            self._fail(HttpError(400, "MALFORMED_REQUEST", "the head of the request was cut off"))
        if not self._is_busy():
            self.transport.close()
        return not self.transport.is_closing()

    def shutdown(self) -> None:
        """Close when what is under way is answered."""
        if not self._in_body:
            self._be_deaf()
        self._keep_alive = False
        super().shutdown()

    def is_idle(self) -> bool:
        """Tell whether nothing is lost if it is closed."""
        return not (self._is_busy() or self._in_body or self._unread or self.transport.is_closing())

    def is_working(self) -> bool:
        """Tell whether a request is under way that waits for nothing: its body, its reader, or what may happen."""
        if self._running is None or not self._is_busy():
            return False
        waits = self._running.scope["state"].get("waits", False)
        return not (waits or self.flow.write_paused or (self._in_body and self._running is self.cycle))

    def _is_busy(self) -> bool:
        return self._running is not None and not self._running.response_complete

    # --- time

    def tick(self) -> None:
        """Take it that a second has passed, and end what takes too long."""
        self.seconds += 1
        if self._is_stalled() or (self.transport.lingers and self.seconds > PATIENCE):
            self.transport.abort()
        elif self.transport.is_closing():
            pass
        elif self._in_body:
            self._see_to_the_body()
        elif self._is_busy():
            self.seconds = 0
        elif self.seconds >= PATIENCE:
            if self._unread:
                detail = f"the head of the request did not come within {PATIENCE} seconds"
                self._fail(HttpError(408, "REQUEST_TIMEOUT", detail))
            else:
                self.transport.close()

    def _is_stalled(self) -> bool:
        """Tell whether the client has not read for too long."""
        unsent = self.transport.get_write_buffer_size()
        self._stalled = self._stalled + 1 if unsent and unsent == self._unsent else 0
        self._unsent = unsent
        return self._stalled >= READER_PATIENCE

    def _see_to_the_body(self) -> None:
        """End a body that comes too slowly. Only the seconds count in which it could come.

        It could not while nobody took what came before, nor before the turn of a request that asks whether to go on.
        """
        if self.flow.read_paused or self._running is not self.cycle:
            return
        self._owed = max(0, self._owed - self._received) + BODY_RATE
        self._received = 0
        if self._owed > PATIENCE * BODY_RATE:
            detail = f"the body came at less than {BODY_RATE // 1024} KiB per second for {PATIENCE} seconds"
            self._fail(HttpError(408, "REQUEST_TIMEOUT", detail))

    # --- reading

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self._is_deaf:
            self._unread += data
            self.read_on()

    def read_on(self) -> None:
        """Parse what was received, until enough requests wait; read more if there are less."""
        while self._unread and not self._has_enough():
            if self._in_body:
                self._parse(self._next_of_body())
            elif head := self._next_head():
                self._parse(head)
                self._begin_body()
            else:
                break
            if self._at == len(self._unread):
                self._unread, self._at = b"", 0
        if self._has_enough():
            self.flow.pause_reading()
        elif self.flow.read_paused and not self._is_half_closed:
            self.flow.go_on()

    def has_more(self) -> bool:
        """Tell whether there is something that `read_on` has left unread, here or in the socket."""
        return bool(self._unread) or self.flow.read_paused

    def _has_enough(self) -> bool:
        if self.pipeline:
            waiting = sum(len(cycle.body) for cycle, _ in self.pipeline)
            return len(self.pipeline) >= PIPELINE - 1 or waiting > READ_AHEAD
        return self._running is not None and len(self.cycle.body) > READ_AHEAD and self._is_busy()

    def _next_head(self) -> bytes:
        """Return the next head, or nothing while it is not whole."""
        unread = self._unread
        if unread[self._at] in b"\r\n":
            self._at = cast("re.Match[bytes]", _EMPTY_LINES.match(unread, self._at)).end()
        start = self._at
        end = unread.find(_END, max(start, self._searched - 3))
        if (len(unread) if end < 0 else end + 4) - start > HEAD_LIMIT:
            self._fail(_no_head(unread[start : start + HEAD_LIMIT]))
            return b""
        if end < 0:
            self._wait_for_head()
            return b""
        self._at, self._searched = end + 4, 0
        head = unread[start : self._at]
        return head if head.startswith(_METHODS) else self._without_method(head)

    def _wait_for_head(self) -> None:
        """Keep the part of a head, if it can be one."""
        begins = not self._searched
        self._unread, self._at = self._unread[self._at :], 0
        if begins and self._unread:
            self.seconds = 0
        if _NO_HEAD.search(self._unread, max(0, self._searched - 1)):
            self._fail(_malformed(_NO_HEAD_REASON))
        else:
            self._searched = len(self._unread)

    def _without_method(self, head: bytes) -> bytes:
        """Remember a method that the parser does not know or treats in its own way; return a head without it."""
        if method := _METHOD.match(head):
            self._method = method[0].decode()
            return b"POST" + head[method.end() :]
        return head

    def _next_of_body(self) -> bytes:
        """Return the next part of a body, and nothing behind the body."""
        if self._left is None:
            part = self._unread[self._at : self._at + _PIECE]
            if (end := (self._last + part).find(_END)) >= 0:  # as each body in chunks ends
                part = part[: end + 4 - len(self._last)]
            self._last = (self._last + part)[-3:]
            self._framing += len(part)
        else:
            part = self._unread[self._at : self._at + self._left]
            self._left -= len(part)
        self._at += len(part)
        return part

    def _begin_body(self) -> None:
        """See how the body is written, if one follows."""
        if not self._in_body:
            return
        headers, self.headers = self.headers, []  # what comes behind chunks is not for the application
        self._left, self._last, self._framing, self._received, self._owed = None, b"", 0, 0, 0
        coding = b""
        for name, value in headers:
            if name == b"content-length":
                self._left = int(value)
            elif name == b"transfer-encoding":
                coding += value
        if coding.lower() not in {b"", b"chunked"}:
            self._fail(_malformed("its Transfer-Encoding is not chunked"))

    # --- parsing

    def _parse(self, part: bytes) -> None:
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            # The parser leaves the body to the other protocol, and would take it for the next request. We speak none.
            self.parser = httptools.HttpRequestParser(self)
            self._parse(_UPGRADE.sub(b"x-upgrade", part))
        except httptools.HttpParserCallbackError:  # uvicorn could not take the URL apart
            self._fail(_malformed("its URL cannot be read"))
        except httptools.HttpParserError as error:
            self._fail(_malformed(str(error)))
        else:
            if self._framing > HEAD_LIMIT:
                self._fail(HttpError(431, "HEADERS_TOO_LARGE", "there is too much between the chunks of the body"))

    def on_headers_complete(self) -> None:
        """Begin a request, or let it wait for its turn."""
        if self.parser.should_upgrade():
            return
        is_asterisk = self.url == b"*"
        if is_asterisk:
            self.url = b"/"
        super().on_headers_complete()
        if is_asterisk:
            self.scope["path"], self.scope["raw_path"] = "*", b"*"
        if self._method is not None:
            self.scope["method"], self._method = self._method, None
        self._in_body = self.transport.expects_more = True
        self._keep_alive, self.cycle.keep_alive = self.cycle.keep_alive, False  # see `on_message_complete`
        if len(self.headers) > HEADER_LIMIT:
            self._fail(HttpError(431, "HEADERS_TOO_LARGE", f"the request has more than {HEADER_LIMIT} headers"))
        elif self.scope["http_version"] not in {"1.1", "1.0"}:
            self._fail(_malformed("it is neither HTTP/1.1 nor HTTP/1.0"))

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._received += len(body)
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Let the connection go on, unless an answer to a part of the body has begun: it says that it does not."""
        if not self._in_body:
            return
        super().on_message_complete()
        self._in_body = self.transport.expects_more = False
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._keep_alive
        if not self.cycle.keep_alive:
            self._be_deaf()

    # --- answering

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.__class__ = Cycle  # uvicorn makes it, and takes no other class for it
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self.server_state.total_requests += 1
        self.seconds = 0
        if self.transport.is_closing():
            self._be_deaf()
            self.pipeline.clear()
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        if self.has_more():
            self.read_on()
        if self._is_half_closed and not self._is_busy():
            self.transport.close()

    def _fail(self, error: HttpError) -> None:
        """Answer the request that is being read with an error, after those before it, and read nothing behind it."""
        if not self._in_body:
            self.parser, self._method = httptools.HttpRequestParser(self), None
            self.parser.feed_data(_REFUSED)
        self.scope["state"]["refusal"] = error  # the application raises it
        self._keep_alive = self.cycle.keep_alive = self._in_body = False
        self.cycle.message_event.set()
        self.transport.expects_more = not self._is_half_closed
        self._be_deaf()

    def _be_deaf(self) -> None:
        self._is_deaf, self._unread, self._at = True, b"", 0


class _Flow(FlowControl):
    """Lets a request that waits for more of its body have what was left unread first."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.transport)
        self.connection: Connection | None = connection

    def resume_reading(self) -> None:
        if self.connection is not None and self.connection.has_more():
            self.connection.read_on()

    def go_on(self) -> None:
        super().resume_reading()


def _malformed(reason: str) -> HttpError:
    return HttpError(400, "MALFORMED_REQUEST", f"this is not an HTTP request that can be read: {reason}")


def _no_head(beginning: bytes) -> HttpError:
    """Say what is wrong with a head that is too large."""
    if _NO_HEAD.search(beginning):
        return _malformed(_NO_HEAD_REASON)
    if b"\r\n" not in beginning:
        return HttpError(414, "URI_TOO_LONG", f"the first line is longer than {HEAD_LIMIT // 1024} KiB")
    return HttpError(431, "HEADERS_TOO_LARGE", f"the headers are larger than {HEAD_LIMIT // 1024} KiB")
