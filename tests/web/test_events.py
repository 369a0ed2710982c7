"""Following events over HTTP: the stream, its pages, and those who go away, read nothing or come too late."""

import asyncio
import json
from typing import Any
from uuid import UUID

import httpx2
import pytest
from starlette.types import ASGIApp

from mainspring.clock import ManualClock
from mainspring.job import EVENTS_KEPT_FOR, Events
from mainspring.plugins import Registry
from mainspring.service import CalendarService, Feed, SchedulerService
from mainspring.service import feed as feeds
from mainspring.store import Notes
from mainspring.store.sqlite.store import SqliteStore
from mainspring.web import create_app
from mainspring.web.connection import READER_PATIENCE
from mainspring.web.endpoints.events import KEEP_ALIVE_SECONDS
from tests.web.answers import at, new_id, refusal, refused
from tests.web.plugin import BACKUPS, NOTES
from tests.web.wire import Client, get, turns

EVENTS = "/api/schedulers/events"
STREAM = "Accept: text/event-stream"
JSON = {"Accept": "application/json"}
LINES = {"Accept": "application/x-ndjson"}
LATER = {"when": "2026-12-01T10:00:00Z"}


@pytest.fixture
def service(store: SqliteStore, registry: Registry, clock: ManualClock, events: Events) -> SchedulerService:
    """The use cases."""
    return SchedulerService(store=store, notes=Notes(store, clock), registry=registry, clock=clock, events=events)


@pytest.fixture
def feed(service: SchedulerService) -> Feed:
    """The feed that is followed."""
    return service.feed


@pytest.fixture
def app(service: SchedulerService, store: SqliteStore, registry: Registry, clock: ManualClock) -> ASGIApp:
    """The application."""
    return create_app(
        service=service,
        calendars=CalendarService(store, Notes(store, clock)),
        registry=registry,
        obstacle=lambda: None,
        hosts=["mainspring"],
    )


async def create(client: httpx2.AsyncClient, number: int = 1, **body: Any) -> list[UUID]:
    """Create jobs, one by one."""
    return [new_id(await client.post(at(NOTES), json=LATER | body)) for _ in range(number)]


class Stream:
    """A client that follows, on a connection of its own."""

    def __init__(self, app: ASGIApp, store: SqliteStore, clock: ManualClock) -> None:
        self.client = Client(app)
        self._store = store
        self._clock = clock

    async def begin(self, path: str = EVENTS, *headers: str) -> "Stream":
        """Ask, and wait for the first answer."""
        await self.client.send(get(path, STREAM, *headers))
        for _ in range(5):
            await self.wait(0)
        await self.wait(feeds.POLL_SECONDS)
        return self

    async def wait(self, seconds: float) -> None:
        """Let time pass, and what then comes be written."""
        self._clock.advance(seconds=seconds)
        for _ in range(4):
            await turns()
            await self._store.noted()
        await turns()

    @property
    def text(self) -> str:
        """All that was written."""
        return b"".join(self.client.pipe.written).decode()

    @property
    def head(self) -> str:
        """The status and the headers."""
        return self.text.partition("\r\n\r\n")[0].lower()

    def said(self) -> list[dict[str, str]]:
        """Return the events so far, as their lines say; the frames of chunks are no part of them."""
        found = []
        for block in self.text.replace("\r\n", "\n").split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "data" in lines:
                found.append(lines)
        return found

    def jobs(self) -> list[str]:
        """Return the jobs that they are about."""
        return [json.loads(each["data"])["jobId"] for each in self.said()]


@pytest.fixture
async def stream(app: ASGIApp, store: SqliteStore, clock: ManualClock) -> Stream:
    """Somebody who follows, on the loop of the test."""
    return Stream(app, store, clock)


# --- the stream


async def test_a_stream(client: httpx2.AsyncClient, stream: Stream, feed: Feed) -> None:
    """It begins at once, and each event has an id, its type, and what it says."""
    before = await create(client)
    await stream.begin()
    assert "http/1.1 200 ok" in stream.head
    assert "content-type: text/event-stream" in stream.head
    assert "cache-control: no-store" in stream.head
    assert "x-accel-buffering: no" in stream.head
    assert "transfer-encoding: chunked" in stream.head
    assert "retry: 1000\n\n" in stream.text
    assert [] == stream.said()

    (job,) = await create(client)
    await stream.wait(feeds.POLL_SECONDS)

    (event,) = stream.said()
    data = json.loads(event["data"])
    tag = await feed.tag()
    assert (f"{tag}-2", "job.created") == (event["id"], event["event"])
    assert {
        "id": f"{tag}-2",
        "type": "job.created",
        "time": "2026-06-01T12:00:00.250Z",
        "product": NOTES.product,
        "jobGroup": NOTES.job_group,
        "jobId": str(job),
        "state": "scheduled",
    } == data
    assert job not in before
    await stream.client.go()


@pytest.mark.parametrize("how", ["header", "parameter"])
async def test_going_on_behind_an_id(client: httpx2.AsyncClient, stream: Stream, feed: Feed, how: str) -> None:
    """As browsers do, or by a parameter."""
    jobs = await create(client, 3)
    last = f"{await feed.tag()}-1"
    path, headers = (EVENTS, [f"Last-Event-ID: {last}"]) if how == "header" else (f"{EVENTS}?after={last}", [])
    await stream.begin(path, *headers)
    assert [str(job) for job in jobs[1:]] == stream.jobs()
    await stream.client.go()


async def test_all_that_are_kept(client: httpx2.AsyncClient, stream: Stream) -> None:
    """From the oldest on; the header of a client that comes back says more than its URL."""
    jobs = await create(client, 3)
    await stream.begin(f"{EVENTS}?after=oldest")
    ids = [event["id"] for event in stream.said()]
    assert [str(job) for job in jobs] == stream.jobs()
    await stream.client.go()

    again = Stream(stream.client.connection.app, stream._store, stream._clock)  # noqa: SLF001 - the same once more
    await again.begin(f"{EVENTS}?after=oldest", f"Last-Event-ID: {ids[1]}")
    assert [str(jobs[2])] == again.jobs()
    await again.client.go()


async def test_silence_is_broken(client: httpx2.AsyncClient, stream: Stream, feed: Feed) -> None:
    """With the place behind what passed no filter, so that whoever comes back goes on from there."""
    await stream.begin(f"{EVENTS}?type=node.lost")
    await create(client, 3)
    await stream.wait(feeds.POLL_SECONDS)
    before = stream.text
    await stream.wait(KEEP_ALIVE_SECONDS)
    assert f": \nid: {await feed.tag()}-3\n\n" in stream.text.removeprefix(before).replace("\r\n", "\n")
    assert [] == stream.said()
    await stream.client.go()


async def test_filters_and_scopes(client: httpx2.AsyncClient, stream: Stream) -> None:
    """Of a group, with a tag, and of a type."""
    await client.post(at(BACKUPS), json=LATER | {"options": {"tags": ["night"]}})
    await create(client)
    (wanted,) = await create(client, options={"tags": ["night", "x"]})
    await client.post(f"{at(NOTES, str(wanted))}/pause")
    await stream.begin(f"/api/scheduler/{NOTES}/events?tag=night&tag=x&type=job.created,job.deleted&after=oldest")
    assert [str(wanted)] == stream.jobs()
    await stream.client.go()


async def test_a_stream_ends_with_the_node(client: httpx2.AsyncClient, stream: Stream, feed: Feed) -> None:
    """In good order, so that its client comes back, to another node; here nobody may follow any longer."""
    await stream.begin()
    feed.end()
    await stream.wait(0)
    assert stream.text.endswith("0\r\n\r\n")
    assert 0 == feed.number
    assert refused(503, "TOO_MANY_FOLLOWERS") == refusal(await client.get(EVENTS, headers=JSON))


async def test_who_goes_away_is_let_go_of(stream: Stream, feed: Feed) -> None:
    """At once, while it waits."""
    await stream.begin()
    assert 1 == feed.number
    await stream.client.go()
    assert 0 == feed.number


async def test_who_goes_away_before_all_is_written(client: httpx2.AsyncClient, stream: Stream, feed: Feed) -> None:
    """Too, and so is one that goes before the answer begins."""
    await create(client, 5)
    stream.client.connection.flow.pause_writing()
    await stream.begin(f"{EVENTS}?after=oldest")
    assert 1 == feed.number
    await stream.client.go()
    assert 0 == feed.number


async def test_who_waits_is_no_work(stream: Stream) -> None:
    """So that a node that drains does not wait for it."""
    await stream.begin()
    assert 0 == stream.client.connections.requests()
    await stream.client.go()


async def test_who_reads_nothing_is_cut_off(client: httpx2.AsyncClient, stream: Stream, feed: Feed) -> None:
    """Nothing is kept for them meanwhile but a few entries, and nothing afterwards."""
    await stream.begin()
    stream.client.connection.flow.pause_writing()
    stream.client.pipe.unsent = 1000
    for _ in range(4):
        await client.post(f"{at(NOTES)}/batch", json=[LATER] * 100)
        await stream.wait(feeds.POLL_SECONDS)
    written = len(stream.text)
    await stream.client.wait(READER_PATIENCE + 1)
    assert stream.client.pipe.aborted
    await stream.client.go()
    assert written == len(stream.text)
    assert 0 == feed.number


async def test_a_store_that_is_away_ends_a_stream_that_is_behind(
    stream: Stream, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, feed: Feed
) -> None:
    """In good order: its client comes back, and goes on behind the last event."""
    await stream.begin(f"{EVENTS}?tag=night")
    await store.close()
    monkeypatch.setattr(store, "events", _one_more(store))
    stream._clock.advance(seconds=feeds.POLL_SECONDS)  # noqa: SLF001 - the store cannot be waited for any more
    await turns()
    assert stream.text.endswith("0\r\n\r\n")
    assert 0 == feed.number


def _one_more(store: SqliteStore) -> Any:
    """Return what finds one more event, whose labels a store that is closed cannot tell."""
    from mainspring.job import Entry, Scope, Told  # noqa: PLC0415 - for this one alone

    async def events(after: int | None, *_: Any) -> Told:
        entry = Entry("job.created", Scope(*NOTES), (UUID(int=1),), cursor=(after or 0) + 1)
        return Told([entry], entry.cursor, 0)

    assert store is not None
    return events


# --- what is refused


async def test_events_that_are_gone(
    client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock, feed: Feed
) -> None:
    """An id of another store, one of the future, and one of last week; before the answer begins."""
    await create(client, 2)
    tag = await feed.tag()
    for accept in (JSON, {"Accept": "text/event-stream"}):
        for last in ("01234567-1", f"{tag}-99"):
            answer = await client.get(EVENTS, headers=accept | {"Last-Event-ID": last})
            assert refused(410, "EVENTS_FORGOTTEN") == refusal(answer)
            assert not answer.json()["retryable"]
    clock.advance(days=EVENTS_KEPT_FOR.days, seconds=1)
    await store.prune_events()
    answer = await client.get(EVENTS, headers=JSON, params={"after": f"{tag}-1"})
    assert refused(410, "EVENTS_FORGOTTEN") == refusal(answer)
    assert [] == (await client.get(EVENTS, headers=JSON, params={"after": "oldest", "wait": "0"})).json()


async def test_all_that_is_wrong_is_said_at_once(client: httpx2.AsyncClient) -> None:
    """Each with its parameter and code."""
    query = "type=job.flew&state=flying&outcome=well&tag=a,b&wait=61&limit=0&after=x&q=&request.none=1&colour=red"
    answer = await client.get(f"{EVENTS}?{query}", headers=JSON)
    assert answer.status_code == 422
    assert {
        ("?type", "TYPE_INVALID"),
        ("?state", "STATE_INVALID"),
        ("?outcome", "OUTCOME_INVALID"),
        ("?tag", "TAG_INVALID"),
        ("?wait", "NUMBER_RANGE"),
        ("?limit", "NUMBER_RANGE"),
        ("?after", "CURSOR_INVALID"),
        ("?q", "PREFIX_INVALID"),
        ("?request.none", "FIELD_NOT_SEARCHABLE"),
        ("?colour", "UNKNOWN_PARAMETER"),
    } == {(each["pointer"], each["code"]) for each in answer.json()["errors"]}


async def test_a_stream_is_no_page(client: httpx2.AsyncClient) -> None:
    """It has no limit, and waits for ever."""
    answer = await client.get(f"{EVENTS}?limit=5", headers={"Accept": "text/event-stream"})
    assert [("?limit", "PARAMETER_INVALID")] == [(each["pointer"], each["code"]) for each in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("text/event-stream", "text/event-stream"),
        ("text/html, Text/Event-Stream", "text/event-stream"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/json, text/event-stream", "text/event-stream"),
        ("text/html", None),
        ("text/*", None),
    ],
)
async def test_heads(client: httpx2.AsyncClient, feed: Feed, accept: str, media_type: str | None) -> None:
    """What is answered in which form; a HEAD waits for nothing, and nobody follows then."""
    answer = await client.head(EVENTS, headers={"Accept": accept})
    assert (406 if media_type is None else 200) == answer.status_code
    if media_type is not None:
        assert media_type == answer.headers["content-type"].partition(";")[0]
    assert 0 == feed.number


async def test_without_accept_it_is_a_stream(client: httpx2.AsyncClient) -> None:
    """As for curl."""
    answer = await client.head(EVENTS)
    assert "text/event-stream" in answer.headers["content-type"]


# --- pages


@pytest.mark.parametrize("accept", [JSON, LINES], ids=["json", "lines"])
async def test_pages(client: httpx2.AsyncClient, accept: dict[str, str]) -> None:
    """Each leads to the next one, within a batch too."""
    await create(client)
    made = (await client.post(f"{at(NOTES)}/batch", json=[LATER] * 4)).json()["ids"]
    path, got, sizes = f"{EVENTS}?after=oldest&limit=2&wait=0", [], []
    for _ in range(4):
        answer = await client.get(path, headers=accept)
        is_json = accept == JSON
        events = answer.json() if is_json else [json.loads(line) for line in answer.text.splitlines()]
        got += [event["jobId"] for event in events]
        sizes.append(len(events))
        if events:
            assert events[-1]["id"] == answer.headers["last-event-id"]
        path = answer.links["next"]["url"]
    assert [2, 2, 1, 0] == sizes
    assert set(made) == set(got[1:])


async def test_a_page_waits(client: httpx2.AsyncClient, stream: Stream, feed: Feed) -> None:
    """For the first event, as long as it says; meanwhile it is no work."""
    waiting = asyncio.create_task(client.get(f"{EVENTS}?wait=20", headers=JSON))
    await stream.wait(feeds.POLL_SECONDS)
    assert 1 == feed.number
    (job,) = await create(client)
    await stream.wait(feeds.POLL_SECONDS)
    assert [str(job)] == [event["jobId"] for event in (await waiting).json()]

    waiting = asyncio.create_task(client.get(f"{EVENTS}?wait=20", headers=JSON))
    for _ in range(81):
        await stream.wait(feeds.POLL_SECONDS)
    assert [] == (await waiting).json()
    assert 0 == feed.number


async def test_a_page_that_waits_is_no_work(stream: Stream) -> None:
    """As little as a stream."""
    await stream.client.send(get(EVENTS, "Accept: application/json"))
    await stream.wait(feeds.POLL_SECONDS)
    assert 0 == stream.client.connections.requests()
    await stream.client.go()


async def test_a_scope_that_is_not_there_is_not_followed(client: httpx2.AsyncClient) -> None:
    """Whoever mistypes a name would wait for ever; the answer says what may have been meant."""
    for path in ("/api/schedulers/vps4/backup/events", "/api/schedulers/vps5/events"):
        answer = await client.get(path, params={"wait": 0}, headers=JSON)

        assert 404 == answer.status_code
        assert "UNKNOWN_JOB_GROUP" == answer.json()["errors"][0]["code"]
        assert "did you mean vps4" in answer.json()["detail"]
