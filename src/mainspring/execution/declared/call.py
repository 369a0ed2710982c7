"""One call by HTTP: resolves, checks, connects, sends, and keeps the first part of the answer.

Each step may take a part of the one deadline of the call. Every hop of a redirect begins again with the check.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urljoin

import httpcore2
import httpx2

from mainspring.declared import AllowedTargets, Target, TargetError, read_target
from mainspring.execution.declared.connection import MOST_BYTES, PinnedTransport, TooMuchError
from mainspring.execution.declared.resolver import Address, Resolver

KEPT_BYTES = 64 * 1024
"""How much is kept of the body of an answer."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER = 303
_MOVED = frozenset({301, 302})


class CallError(Exception):
    """A call that has no answer; the text says why."""


class BlockedError(CallError):
    """A call that was not made, because its target is forbidden."""


class OverdueError(CallError):
    """A call that took longer than its limit."""


class Message(NamedTuple):
    """What is sent. `own` are headers for the first target alone, and not for where it redirects to."""

    method: str
    body: bytes | None
    headers: Mapping[str, str]
    own: Mapping[str, str]


class Answer(NamedTuple):
    """What came back: of the body at most `KEPT_BYTES`, as it was sent."""

    status: int
    headers: httpx2.Headers
    body: bytes
    is_cut: bool


@dataclass(slots=True)
class Caller:
    """Makes calls for one product."""

    resolver: Resolver
    context: ssl.SSLContext
    allowed: AllowedTargets = field(default_factory=AllowedTargets)

    async def call(self, target: Target, message: Message, *, seconds: float, redirects: int = 0) -> Answer:
        """Make a call. Raises `CallError`, after at most so many `seconds`.

        Up to that many `redirects` are followed; an answer that would be one more is returned.
        """
        progress = _Progress()
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(target, message, redirects, progress)
        except TimeoutError:
            raise OverdueError(f"took longer than its limit of {seconds:g} s, {progress.doing}") from None
        except TooMuchError:
            raise CallError(
                f"the target sent more than {MOST_BYTES // 1024} KiB before the end of its headers"
            ) from None
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
            raise CallError(_of_connection(error)) from None
        except httpcore2.RemoteProtocolError as error:
            raise CallError(f"the target does not speak HTTP: {_first_line(error)}") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
            raise CallError(f"the connection broke, {progress.doing}: {_first_line(error)}") from None

    async def _follow(self, target: Target, message: Message, redirects: int, progress: _Progress) -> Answer:
        first = target
        while True:
            answer = await self._send(target, message, progress)
            if answer.status not in REDIRECTS or not redirects or "location" not in answer.headers:
                return answer
            redirects -= 1
            try:
                target = _next(target, answer.headers["location"])
            except TargetError as error:
                raise BlockedError(f"ssrf-blocked: the URL that it was redirected to {error}") from None
            if (target.scheme, target.host, target.port) != (first.scheme, first.host, first.port):
                message = message._replace(own={})
            if answer.status == _SEE_OTHER or (answer.status in _MOVED and message.method == "POST"):
                message = message._replace(method="HEAD" if message.method == "HEAD" else "GET", body=None)

    async def _send(self, target: Target, message: Message, progress: _Progress) -> Answer:
        addresses = await self._addresses(target, progress)
        progress.doing = f"while it connected to {target.authority} and waited for the answer"
        headers = {**message.headers, **message.own, "host": target.authority}
        if message.body is None:
            headers.pop("content-type", None)
        request = httpx2.Request(message.method, target.url, headers=headers, content=message.body)
        transport = PinnedTransport(addresses, self.context)
        try:
            response = await transport.handle_async_request(request)
            progress.doing = "while it read the body of the answer"
            body = bytearray()
            try:
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > KEPT_BYTES:
                        break
            except httpcore2.RemoteProtocolError as error:
                raise CallError(f"the target broke off its answer: {_first_line(error)}") from None
            return Answer(response.status_code, response.headers, bytes(body[:KEPT_BYTES]), len(body) > KEPT_BYTES)
        finally:
            await transport.aclose()

    async def _addresses(self, target: Target, progress: _Progress) -> list[Address]:
        """Return all addresses of a target, each of which may be called. Raises `CallError`."""
        progress.doing = f"while it looked up {target.host}"
        try:
            self.allowed.check(target)
            if (own := target.address) is not None:
                return [own]
            addresses = await self.resolver.addresses(target.host)
            self.allowed.check(target, addresses)
        except TargetError as error:
            raise BlockedError(f"ssrf-blocked: the URL {error}") from None
        except (OSError, ValueError, RuntimeError) as error:
            raise CallError(f"the host {target.host} cannot be found: {_first_line(error)}") from None
        return addresses


class _Progress:
    """What a call is at."""

    doing = "before it began"


def _next(target: Target, location: str) -> Target:
    """Return where a redirect leads. Raises `TargetError`; https does not lead to http."""
    found = read_target(urljoin(target.url, location).partition("#")[0])
    if target.scheme == "https" and found.scheme == "http":
        raise TargetError("HTTP_URL_SCHEME", "is http, after https")
    return found


def _of_connection(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {_first_line(cause)}"
        cause = cause.__cause__ or cause.__context__
    return f"no connection: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
