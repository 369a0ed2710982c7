"""Following events of the real service over a real port, through its restarts."""

import asyncio
import json
import re
import shlex
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx2
import pytest

import mainspring.client
from mainspring.client import AsyncClient, Client, Event, Gone, Invalid, NoAnswerError, Retries
from mainspring.clock import ManualClock, SystemClock
from mainspring.job import Events
from mainspring.launch.serve import http_server
from mainspring.plugins import Registry
from mainspring.service import CalendarService, SchedulerService
from mainspring.store import Notes
from mainspring.store.sqlite.store import SqliteStore
from mainspring.web import create_app
from tests.client.conftest import client_with
from tests.docs.reading import ROOT
from tests.docs.shell import Shell
from tests.web.plugin import BACKUPS, NOTES

QUICK = Retries(first_pause=0.01)


class Service:
    """The service on a port of its own; it can be begun again on the same store."""

    def __init__(self, store: SqliteStore, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._port = 0

    async def start(self) -> None:
        """Serve."""
        clock = SystemClock()
        notes = Notes(self._store, clock)
        self.jobs = SchedulerService(
            store=self._store, notes=notes, registry=self._registry, clock=clock, events=Events()
        )
        app = create_app(
            service=self.jobs,
            calendars=CalendarService(self._store, notes),
            registry=self._registry,
            obstacle=lambda: None,
            hosts=["127.0.0.1"],
        )
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        self._server = http_server(app)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            await SystemClock().sleep(0)

    async def stop(self) -> None:
        """Serve no more; those who follow are let go of."""
        self.jobs.feed.end()
        self._server.should_exit = True
        await self._serving

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}"

    async def create(self, number: int, **options: Any) -> list[str]:
        """Create jobs."""
        body = {"when": "2030-01-01T00:00:00Z", "options": options}
        return [str((await self.jobs.create_job(NOTES, body)).id) for _ in range(number)]


@pytest.fixture
async def service(registry: Registry) -> AsyncIterator[Service]:
    """It serves until the test ends."""
    store = SqliteStore(None, SystemClock())
    await store.open()
    service = Service(store, registry)
    await service.start()
    yield service
    await service.stop()
    await store.close()


Follow = Callable[..., AsyncIterator[Event]]


@pytest.fixture(params=["sync", "async"])
async def follow(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[Follow]:
    """Follow with each of the two clients."""
    if request.param == "async":
        async with AsyncClient(service.url, retries=QUICK) as client:
            yield client.events
        return
    with Client(service.url, retries=QUICK) as waiting:

        async def events(*args: Any, **kwargs: Any) -> AsyncIterator[Event]:
            many: Iterator[Event] = waiting.events(*args, **kwargs)
            while True:
                yield await anyio.to_thread.run_sync(next, many)

        yield events


async def take(events: AsyncIterator[Event], number: int) -> list[Event]:
    """Return the next events."""
    async with asyncio.timeout(30):
        return [await anext(events) for _ in range(number)]


async def test_through_restarts(service: Service, follow: Follow) -> None:
    """Each event once, in order, whatever happens to the connection."""
    jobs = await service.create(3)
    got = []
    async with aclosing(follow(after="oldest")) as events:  # type: ignore[type-var]  # it is a generator
        got += await take(events, 2)
        for _ in range(2):
            await service.stop()
            jobs += await service.create(2)
            await service.start()
            jobs += await service.create(2)
            got += await take(events, 4)
        got += await take(events, 1)

    assert jobs == [event.data["jobId"] for event in got]


async def test_what_an_event_says(service: Service, follow: Follow) -> None:
    """In words of this language; its job can be asked for as it stands there."""
    (job,) = await service.create(1)
    async with aclosing(follow(after="oldest")) as events:  # type: ignore[type-var]
        (event,) = await take(events, 1)
    assert ("job.created", *NOTES, "scheduled", None, None, None) == (
        event.type, event.product, event.job_group, event.state, event.run, event.outcome, event.node,
    )  # fmt: skip
    assert event.time is not None
    assert abs((SystemClock().now() - event.time).total_seconds()) < 60
    with Client(service.url) as client:
        assert event.job
        shown = await anyio.to_thread.run_sync(client.get, event.job)
    assert job == shown.id


async def test_scopes_and_filters(service: Service, follow: Follow) -> None:
    """As they stand in the contract."""
    await service.create(1)
    (job,) = await service.create(1, tags=["a", "b"], key="k", concurrencyKey="c")
    which = {"type": ["job.created", "job.deleted"], "tag": ["a", "b"], "key": "k", "concurrency_key": "c", "q": "a"}
    async with aclosing(follow(*NOTES, after="oldest", **which)) as events:  # type: ignore[type-var]
        assert [job] == [event.data["jobId"] for event in await take(events, 1)]


async def test_what_is_wrong_or_gone(follow: Follow) -> None:
    """It is raised at once."""
    with pytest.raises(Invalid):
        await take(follow(type="job.flew"), 1)
    with pytest.raises(Gone):
        await take(follow(after="01234567-1"), 1)


async def test_the_examples_of_the_page(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The loop runs as it stands there, the calls with curl do too; only where the service is is another thing."""
    page = (ROOT / "docs/events.md").read_text()
    written = "http://127.0.0.1:8089"
    for _ in range(2):
        await service.jobs.create_job(BACKUPS, {"when": "2030-01-01T00:00:00Z"})

    (loop,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.setattr(mainspring.client, "Client", lambda _: Client(service.url))
    await anyio.to_thread.run_sync(exec, loop, {})
    assert 2 == capsys.readouterr().out.count("JobRef")

    stream, paged = re.findall(r"^\$ (curl .*)$", page, re.MULTILINE)
    with Shell(tmp_path, service.url) as shell:
        pasted = await anyio.to_thread.run_sync(shell.paste, paged)
    assert ["GET 200"] == pasted.calls
    assert 2 == len(json.loads(pasted.output))
    _, flag, url = shlex.split(stream)
    assert (flag, True) == ("-N", url.startswith(written))
    async with httpx2.AsyncClient() as client, client.stream("GET", service.url + url.removeprefix(written)) as answer:
        assert "text/event-stream" in answer.headers["content-type"]
        assert "retry: 1000" == await anext(answer.aiter_lines())


def test_what_is_sent() -> None:
    """The scope in the path, the filters as parameters."""
    sent: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.url.raw_path.decode().removeprefix("/api/schedulers"))
        raise httpx2.ConnectError("refused", request=request)

    client = client_with(handler, retries=Retries(attempts=1))
    for args, which in [((), {}), (("a",), {"node": "n"}), (BACKUPS, {"request": {"vmId": 7}, "outcome": "failed"})]:
        with pytest.raises(NoAnswerError):
            next(client.events(*args, **which))  # type: ignore[arg-type]
    assert ["/events", "/a/events?node=n", "/vps4/backups/events?outcome=failed&request.vmId=7"] == sent


def test_a_service_that_stays_away() -> None:
    """It is waited for as long as was said, with longer and longer pauses, counted from the last word of it."""
    clock, pauses, tries = ManualClock(), [], []

    class Waiting(Client):
        def _sleep(self, seconds: float) -> None:
            pauses.append(seconds)
            clock.advance(seconds=seconds)

    def handler(request: httpx2.Request) -> httpx2.Response:
        tries.append(clock.monotonic())
        if len(tries) == 3:
            return httpx2.Response(200, text=": \nid: 1\n\n")
        raise httpx2.ConnectError("refused", request=request)

    transport = httpx2.MockTransport(handler)
    client = Waiting("http://mainspring", transport=transport, clock=clock, retries=Retries(total=30))
    with pytest.raises(NoAnswerError), suppress(StopIteration):
        next(client.events())
    assert sorted(pauses[2:]) == pauses[2:]
    assert max(pauses) <= 10
    assert tries[-1] - tries[2] >= 30
    assert 30 > tries[-2] - tries[2]
