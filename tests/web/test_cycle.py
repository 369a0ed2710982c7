"""How an answer begins: byte for byte as uvicorn has it, and never with more lines than it has headers."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from mainspring.web.cycle import Cycle
from tests.web.wire import Pipe

FRAMING = {b"content-length", b"transfer-encoding", b"connection"}
names = st.from_regex(rb"\A[a-z][a-z0-9-]{0,9}\Z").filter(lambda name: name not in FRAMING)
values = st.from_regex(rb"\A[!-~\xa0-\xff][ -~\x80-\xff]{0,20}\Z")


async def written(kind: type[RequestResponseCycle], method: str, *, keep_alive: bool, **start: Any) -> bytes:
    """Return what goes out of an answer that begins so and has a body of five bytes."""
    pipe, log = Pipe(), logging.getLogger("test")
    scope: Any = {"type": "http", "method": method}
    cycle = kind(
        scope=scope,
        transport=pipe,
        flow=FlowControl(pipe),
        logger=log,
        access_logger=log,
        access_log=False,
        default_headers=[(b"date", b"today")],
        message_event=asyncio.Event(),
        expect_100_continue=True,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )
    begin: Any = {"type": "http.response.start", **start}
    await cycle.send(begin)
    await cycle.send({"type": "http.response.body", "body": b"hello"})
    return b"".join(pipe.written) + bytes(pipe.closed)


@settings(max_examples=200, deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD"]),
    status=st.sampled_from([200, 201, 404, 421]),
    headers=st.lists(st.tuples(names, values), max_size=4),
    has_length=st.booleans(),
    keep_alive=st.booleans(),
)
async def test_answer_is_as_uvicorn_writes_it(
    method: str, status: int, headers: list[tuple[bytes, bytes]], *, has_length: bool, keep_alive: bool
) -> None:
    """With a length and without, whether the connection goes on or not."""
    start = {"status": status, "headers": [*headers, *([(b"content-length", b"5")] if has_length else [])]}

    ours, theirs = [
        await written(kind, method, keep_alive=keep_alive, **start) for kind in (Cycle, RequestResponseCycle)
    ]

    assert theirs == ours


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("header", ["{}", "a{}x-evil: 1", "{}{}<script>"])
async def test_header_cannot_begin_another(header: str, line_end: str) -> None:
    """Nothing goes out then."""
    value = header.replace("{}", line_end).encode()

    for pair in ((b"location", value), (value, b"1")):
        with pytest.raises(RuntimeError, match="header"):
            await written(Cycle, "GET", keep_alive=True, status=200, headers=[pair])
