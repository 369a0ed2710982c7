"""What every request passes first, whatever it asks for.

It gets an id, which the log names too. A host that is not answered, and a URL, a body, an ``Accept`` or an ``Expect``
that no route takes, is refused here. And here whatever a route raises becomes an answer.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote_to_bytes

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from mainspring.clock import new_request_id
from mainspring.web.headers import security_headers
from mainspring.web.hosts import Hosts
from mainspring.web.memory import Memory
from mainspring.web.paths import BASE, OTHER_BASE
from mainspring.web.problem import HttpError, error_response

URL_LIMIT = 8 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%2[Ff]")
"""Also an escaped slash: no name has one, and routes are found after escapes are read."""
_PLAIN = re.compile(rb"[A-Za-z0-9._~/-]*")
_ANYTHING = b"*/*"


class Gate:
    """The application as a server calls it.

    It stands in the place of Starlette's own layers, which with FastAPI's took a third of the time of a POST.
    """

    def __init__(self, answer: Callable[[Request], Awaitable[Response]], hosts: Hosts) -> None:
        self._answer = answer
        self._hosts = hosts
        self._memory = Memory()
        self._other = Router()
        """Turns WebSockets away, and tells a server that asks that there is nothing to start or stop."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["memory"] = self._memory
        if b"idempotency-key" in headers:
            state["idempotency_key"] = True
        known = structlog.contextvars.bind_contextvars(request=request_id)  # `bound_contextvars` took 2 us more
        try:
            request = Request(scope, receive)
            try:
                _check(scope, headers)
                self._hosts.check(scope, headers)
                response = await self._answer(request)
            except Exception as error:  # noqa: BLE001 - it is logged there
                response = error_response(request, error)
            response.raw_headers += [(b"x-request-id", request_id.encode()), *security_headers(scope["path"])]
            await response(scope, receive, send)
        finally:
            self._memory.give_back(state)
            structlog.contextvars.reset_contextvars(**known)


def _check(scope: Scope, headers: Mapping[bytes, bytes]) -> None:
    """Refuse what no route takes, and let both base paths be one. Raises `HttpError`."""
    if "refusal" in scope["state"]:  # the connection found that it cannot be read
        raise scope["state"].pop("refusal")
    path: str = scope["path"]
    raw_path: bytes = scope.get("raw_path") or path.encode()
    if len(raw_path) + len(scope["query_string"]) > URL_LIMIT:
        raise HttpError(414, "URI_TOO_LONG", f"the URL is longer than {URL_LIMIT // 1024} KiB")
    if not (_PLAIN.fullmatch(raw_path) or _is_clean(raw_path)):
        raise HttpError(400, "INVALID_PATH", "the path contains an invalid percent-escape")
    if (expected := headers.get(b"expect")) is not None and expected.strip().lower() != b"100-continue":
        raise HttpError(417, "EXPECTATION_FAILED", "Expect can only be 100-continue")
    if path.startswith("/api/"):
        if scope["method"] in {"GET", "HEAD", "DELETE"} and _has_body(headers):
            raise HttpError(400, "BODY_NOT_ALLOWED", f"{scope['method']} takes no body")
        accept = headers.get(b"accept", _ANYTHING)
        streams = path.endswith("/events") and b"text/event-stream" in accept.lower()
        if accept != _ANYTHING and not streams and not _accepts_json(accept.decode("latin-1")):
            raise HttpError(406, "NOT_ACCEPTABLE", "answers are application/json")
    if path == OTHER_BASE or path.startswith(f"{OTHER_BASE}/"):
        scope["path"] = BASE + path.removeprefix(OTHER_BASE)
        scope["raw_path"] = BASE.encode() + raw_path.removeprefix(OTHER_BASE.encode())


def _is_clean(raw_path: bytes) -> bool:
    if _BAD_ESCAPE.search(raw_path):
        return False
    try:
        text = unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        return False
    return text.isprintable() and "%" not in text


def _has_body(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-length", b"0").strip(b"0") != b"" or b"transfer-encoding" in headers


def _accepts_json(accept: str) -> bool:
    ranges = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return any(
        kind in {"*/*", "application/*", ""} or (kind.startswith("application/") and kind.endswith("json"))
        for kind in ranges
    )
