"""Requests that no HTTP client would send, as a server hands them to the application."""

from collections.abc import AsyncIterable, Iterable
from typing import Any
from urllib.parse import unquote

import httpx2
from starlette.types import ASGIApp

JSON = ("content-type", "application/json")


async def ask(
    app: ASGIApp,
    method: str,
    target: str,
    *headers: tuple[str, str],
    body: Iterable[bytes] = (),
    cut_off: bool = False,
    version: str = "1.1",
    hosts: Iterable[str] = ("mainspring",),
) -> httpx2.Response:
    """Send a request with this very target and these chunks of body; if `cut_off`, hang up after them."""
    headers = (*(("host", host) for host in hosts), *headers)
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": version,
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "server": ("mainspring", 80),
        "client": ("127.0.0.1", 1),
    }
    parts = iter(body)
    end = [{"type": "http.disconnect"} if cut_off else {"type": "http.request", "body": b""}]
    sent: list[Any] = []

    async def receive() -> Any:
        if (part := next(parts, None)) is not None:
            return {"type": "http.request", "body": part, "more_body": True}
        return end.pop() if end else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    content = b"".join(message.get("body", b"") for message in rest)
    return httpx2.Response(start["status"], headers=start["headers"], content=content)


async def counted(chunks: Iterable[bytes], taken: list[int]) -> AsyncIterable[bytes]:
    """Give out chunks, and note the size of each."""
    for chunk in chunks:
        taken.append(len(chunk))
        yield chunk
