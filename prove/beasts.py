"""The beasts of the zoo of targets: what each answers a call by HTTP, and how the run must end."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from typing import NamedTuple

from prove.names import leading
from tests.execution.declared.hostile import Behaviour, answering, repeating, response

INSIDE = "127.0.0.66"
"""An address of this machine that nobody may call."""
LINK_LOCAL = "169.254.169.254"
"""Where clouds keep the secrets of a machine."""
REFUSED = "refused"
"""How a call ends that is refused when its job is created."""
HEAD = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
_PAUSE = 0.02


class Beast(NamedTuple):
    """What it does, how the run must end, and with which reason. It is reached at `url`, if not just so."""

    does: Behaviour | None
    outcome: str
    reason: str = ""
    url: str = ""
    waits: float | None = None
    """How many seconds later the job must be tried again, where it is postponed."""

    @property
    def group(self) -> str:
        """The group whose jobs call it: those that are to time out wait for less long."""
        return "impatient" if self.outcome == "timed_out" else "patient"


async def _trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"content-length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(_PAUSE)


async def _trickle_of_a_head(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(b"a: b\r\n")
        await writer.drain()
        await asyncio.sleep(_PAUSE)


def _busy(status: int, retry_after: str | None) -> Behaviour:
    return answering(response(status) if retry_after is None else response(status, retry_after=retry_after))


def _to(url: str, status: int = 302) -> Behaviour:
    return answering(response(status, location=url))


def beasts(port: int, forbidden: int) -> Mapping[str, Beast]:
    """Return all by name; they live at a port of this machine, and the other one is forbidden.

    ``{number}`` in a URL stands for the number of the job.
    """
    return {**_honest(port), **_slow(), **_broken(port), **_large(), **_unwilling(port), **_leading(port, forbidden)}


def _honest(port: int) -> dict[str, Beast]:
    return {
        "ok": Beast(answering(response(200, b"yes")), "succeeded"),
        "no content": Beast(answering(b"HTTP/1.1 204 X\r\n\r\n"), "succeeded"),
        "one redirect": Beast(_to(f"http://127.0.0.1:{port}/ok"), "succeeded"),
        "more than it says": Beast(answering(HEAD + b"content-length: 2\r\n\r\nabcdef"), "succeeded"),
        "a few 1xx": Beast(answering(b"HTTP/1.1 103 X\r\n\r\n" * 9 + response()), "succeeded"),
    }


def _slow() -> dict[str, Beast]:
    late = "took longer than its limit of [16] s"  # by itself, or where the machine is busy when it is stopped
    return {
        "never answers": Beast(answering(then="wait"), "timed_out", late),
        "half a head": Beast(answering(HEAD, then="wait"), "timed_out", late),
        "half a body": Beast(answering(HEAD + b"content-length: 9\r\n\r\nab", then="wait"), "timed_out", late),
        "trickles": Beast(_trickle, "timed_out", late),
        "trickles its head": Beast(_trickle_of_a_head, "timed_out", late),
    }


def _broken(port: int) -> dict[str, Beast]:
    no_http = "does not speak HTTP"
    return {
        "closes at once": Beast(answering(), "failed", no_http),
        "resets": Beast(answering(then="reset"), "failed", f"the connection broke|{no_http}"),
        "closes in its head": Beast(answering(HEAD + b"content-le"), "failed", no_http),
        "closes in its body": Beast(answering(HEAD + b"content-length: 9\r\n\r\nab"), "failed", "broke off its answer"),
        "says too little": Beast(answering(HEAD + b"content-length: -5\r\n\r\nab"), "failed", no_http),
        "says it in words": Beast(answering(HEAD + b"content-length: many\r\n\r\nab"), "failed", no_http),
        "says two lengths": Beast(
            answering(HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\na"), "failed", no_http
        ),
        "bad chunks": Beast(answering(_CHUNKED + b"zz\r\nab\r\n0\r\n\r\n"), "failed", "broke off its answer"),
        "half a chunk": Beast(answering(_CHUNKED + b"ff\r\nab"), "failed", "broke off its answer"),
        "garbage": Beast(answering(bytes(range(256)) * 9 + b"\r\n\r\n"), "failed", no_http),
        "speaks no TLS": Beast(None, "failed", "TLS failed", f"https://127.0.0.1:{port}/"),
    }


def _large() -> dict[str, Beast]:
    too_much = "more than 512 KiB|does not speak HTTP"
    bomb = gzip.compress(bytes(20_000_000))
    return {
        "a huge body": Beast(repeating(HEAD + b"content-length: 10737418240\r\n\r\n", b"x" * 65536), "succeeded"),
        "a body without end": Beast(repeating(HEAD + b"\r\n", b"x" * 65536), "succeeded"),
        "chunks without end": Beast(repeating(_CHUNKED, b"4000\r\n" + b"x" * 0x4000 + b"\r\n"), "succeeded"),
        "a bomb": Beast(answering(response(200, bomb, content_encoding="gzip")), "succeeded"),
        "1xx without end": Beast(repeating(b"", b"HTTP/1.1 103 X\r\n\r\n" * 50), "failed", too_much),
        "a head without end": Beast(repeating(HEAD, b"x: y\r\n" * 50), "failed", too_much),
        "a line without end": Beast(repeating(HEAD + b"x: ", b"y" * 999), "failed", too_much),
    }


def _unwilling(port: int) -> dict[str, Beast]:
    # Each has a name of its own, because a host that is busy is left alone by all jobs of the product.
    named = f"http://{leading('127.0.0.1', number=1).replace('.n1.', '.n{number}.')}:{port}/{{name}}"
    busy = "busy: the target answered"
    past, never = "Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"
    day = 86_400.0
    found = {
        "429": Beast(_busy(429, None), "postponed", busy, waits=1),
        "429, 7": Beast(_busy(429, "7"), "postponed", busy, waits=7),
        "429, for ever": Beast(_busy(429, "9" * 400), "postponed", busy, waits=day),
        "429, -5": Beast(_busy(429, "-5"), "postponed", busy, waits=1),
        "429, soon": Beast(_busy(429, "soon"), "postponed", busy, waits=1),
        "429, long ago": Beast(_busy(429, past), "postponed", busy, waits=1),
        "429, year 9999": Beast(_busy(429, never), "postponed", busy, waits=day),
        "503, 30": Beast(_busy(503, "30"), "postponed", busy, waits=30),
        "503, 1e9": Beast(_busy(503, "1e9"), "failed", "answered 503"),
        "503": Beast(_busy(503, None), "failed", "answered 503"),
        "410": Beast(answering(response(410)), "cancelled", "gone for good"),
        "500": Beast(answering(response(500)), "failed", "answered 500"),
        "304": Beast(answering(b"HTTP/1.1 304 X\r\n\r\n"), "failed", "answered 304"),
        "999": Beast(answering(response(999)), "failed", "999|does not speak HTTP"),
        "101": Beast(answering(b"HTTP/1.1 101 X\r\nupgrade: x\r\n\r\n"), "failed", "answered 101|does not speak HTTP"),
    }
    return {name: beast._replace(url=named) if beast.waits else beast for name, beast in found.items()}


def _leading(port: int, forbidden: int) -> dict[str, Beast]:
    """Return those that lead inside."""
    blocked = "ssrf-blocked"
    turns = leading("127.0.0.1", then=(INSIDE,), number=1).replace(".n1.", ".n{number}.")
    both = leading("127.0.0.1", INSIDE, number=1).replace(".n1.", ".n{number}.")
    inside = leading(INSIDE)
    place = "http://{}/"
    redirects = {
        "link-local": place.format(LINK_LOCAL),
        "another address": place.format(f"{INSIDE}:{port}"),
        "another port": place.format(f"127.0.0.1:{forbidden}"),
        "a name": place.format(f"{inside}:{port}"),
        "localhost": place.format(f"localhost:{forbidden}"),
        "IPv6": place.format(f"[::1]:{forbidden}"),
        "IPv4 as IPv6": place.format(f"[::ffff:{INSIDE}]:{port}"),
        "a number": place.format(f"2130706498:{port}"),
        "no scheme": f"//{INSIDE}:{port}/",
        "a file": "file:///etc/passwd",
    }
    refused = {
        "link-local": place.format(LINK_LOCAL),
        "another address": place.format(f"{INSIDE}:{port}"),
        "another port": place.format(f"127.0.0.1:{forbidden}"),
        "IPv4 as IPv6": place.format(f"[::ffff:{INSIDE}]:{port}"),
        "a number": place.format(f"2130706498:{port}"),
    }
    return {
        **{f"redirects to {name}": Beast(_to(url, 307), "failed", blocked) for name, url in redirects.items()},
        **{f"is {name}": Beast(None, REFUSED, "HTTP_TARGET_FORBIDDEN", url) for name, url in refused.items()},
        "redirects to itself": Beast(_to("redirects%20to%20itself"), "failed", "of which 3 may be followed"),
        "a name inside": Beast(None, "failed", blocked, f"http://{inside}:{port}/"),
        "a name of both": Beast(None, "failed", blocked, f"http://{both}:{port}/"),
        "a name that turns": Beast(answering(response()), "succeeded", "", f"http://{turns}:{port}/{{name}}"),
        "a name that turns, behind a redirect": Beast(_to("/ok"), "failed", blocked, f"http://{turns}:{port}/{{name}}"),
    }
