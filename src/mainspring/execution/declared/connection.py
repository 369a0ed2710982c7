"""Connections to addresses that were checked before: the name of a target is never looked up a second time.

The name stays in the ``Host`` header and in the TLS handshake, where certificates are compared with it. What comes from
a target is counted, so that a head without an end takes no memory and no time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import httpcore2
import httpx2

from mainspring.execution.declared.resolver import Address

CONNECT_SECONDS = 5.0
"""How long one address may take to answer, if there is another one."""
MOST_BYTES = 512 * 1024
"""How much is read from a target: what is kept of its body, and the rest for its head."""


class TooMuchError(Exception):
    """A target sends without an end."""


class _Counted(httpcore2.AsyncNetworkStream):
    """A stream that ends when too much was read."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = MOST_BYTES

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as httpcore2 has it
        data = await self._stream.read(max_bytes, timeout)
        self._left -= len(data)
        if self._left < 0:
            raise TooMuchError
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as httpcore2 has it
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore2 has it
    ) -> httpcore2.AsyncNetworkStream:
        return _Counted(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class PinnedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to one of the given addresses, whatever host it is asked for."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - it was looked up before
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore2 has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers. Raises what the last one failed with."""
        *first, last = map(str, self._addresses)
        for address in first:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await self._connect(address, port, timeout, local_address, socket_options)
            except (TimeoutError, httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._connect(last, port, timeout, local_address, socket_options)

    async def _connect(self, *arguments: Any) -> httpcore2.AsyncNetworkStream:
        return _Counted(await self._backend.connect_tcp(*arguments))


class _Body(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class PinnedTransport(httpx2.AsyncBaseTransport):
    """Carries one call over one connection of its own. Raises errors of httpcore2, and `TooMuchError`."""

    def __init__(self, addresses: Sequence[Address], context: ssl.SSLContext) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=1,
            max_keepalive_connections=0,
            http2=False,
            network_backend=PinnedBackend(addresses),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its answer, of which the body has not been read."""
        url = request.url
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        answer = await self._pool.handle_async_request(
            httpcore2.Request(
                request.method,
                target,
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._pool.aclose()
