"""Clients of the real application in process, and of a transport that answers as a test says."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import anyio.from_thread
import httpx2
import pytest

from mainspring.client import AsyncClient, Client
from mainspring.clock import ManualClock
from tests.web.conftest import app, clock, events, make_app, registry, store

__all__ = ["app", "clock", "events", "make_app", "registry", "store"]

Handler = Callable[[httpx2.Request], httpx2.Response]
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class FromThread(httpx2.BaseTransport):
    """Lets a client in a thread call an application that lives on the loop of the test."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        async def answer() -> httpx2.Response:
            asked = httpx2.Request(request.method, request.url, headers=request.headers, content=request.read())
            response = await self._inner.handle_async_request(asked)
            content = await response.aread()
            return httpx2.Response(response.status_code, headers=response.headers, content=content)

        return anyio.from_thread.run(answer)


def client_with(handler: Handler, **options: object) -> Client:
    """Return a client whose calls `handler` answers."""
    made = partial(Client, "http://mainspring", transport=httpx2.MockTransport(handler), clock=ManualClock(NOON))
    return made(**options)  # type: ignore[arg-type]  # options of a test


def async_client_with(handler: Handler, **options: object) -> AsyncClient:
    """Return a client for asyncio whose calls `handler` answers."""
    made = partial(AsyncClient, "http://mainspring", transport=httpx2.MockTransport(handler), clock=ManualClock(NOON))
    return made(**options)  # type: ignore[arg-type]  # options of a test


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nothing waits: the pauses are passed by the clock at once, and listed here."""
    pauses: list[float] = []

    def sleep(client: Client, seconds: float) -> None:
        pauses.append(seconds)
        assert isinstance(client.clock, ManualClock)
        client.clock.advance(seconds=seconds)

    async def async_sleep(client: AsyncClient, seconds: float) -> None:
        sleep(client, seconds)  # type: ignore[arg-type]  # both have a clock

    monkeypatch.setattr(Client, "_sleep", sleep)
    monkeypatch.setattr(AsyncClient, "_sleep", async_sleep)
    return pauses
