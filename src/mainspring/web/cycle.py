"""How an answer begins to go out: uvicorn's way, but for the time that it takes to look at each header."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_NO_BODY = frozenset({204, 304})


class Cycle(RequestResponseCycle):
    """A request and its answer.

    uvicorn searches each name and each value for what does not belong there: 1.1 us for each of a dozen headers. Here
    the whole head is searched for lines that are too many, which is all that a header of ours could do wrong.
    """

    async def send(self, message: Any) -> None:
        """See `RequestResponseCycle.send`."""
        if self.response_started or self.disconnected or self.flow.write_paused:
            await super().send(message)
        else:
            self._begin(message["status"], message.get("headers", ()))

    def _begin(self, status: int, headers: Any) -> None:
        """Write the head. The names of its headers are in lower case; of the framing they have the length alone."""
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [*map(b": ".join, (*self.default_headers, *headers))]
        for name, value in headers:
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
        if not self.keep_alive:
            lines.append(b"connection: close")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _NO_BODY:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked")
        head = b"\r\n".join([STATUS_LINE[status][:-2], *lines, b"\r\n"])
        if head.count(b"\n") != len(lines) + 2 or head.count(b"\r") != len(lines) + 2:
            raise RuntimeError("a header has the end of a line in it")
        self.transport.write(head)
