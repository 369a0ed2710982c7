"""Whoever follows events gets each of them once and in order, however fast they come and whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from mainspring.clock import ManualClock, SystemClock
from mainspring.errors import EventsForgottenError, StoreUnavailableError, TooManyFollowersError
from mainspring.job import EVENTS_KEPT_FOR, Entry, EventFilter, EventKind, Job, JobKey, Outcome, Scope, State, Told
from mainspring.service import Event, Feed, News, Place
from mainspring.service import feed as feeds
from mainspring.store import NodeBeat, Notes
from mainspring.store.sqlite.store import SqliteStore
from tests.contract.build import BACKUPS, NODE, SNAPSHOTS, a_job, claim, edited, ended

GROUP, OTHER = Scope(*BACKUPS), Scope(*SNAPSHOTS)
ALL = EventFilter()


class WatchedStore(SqliteStore):
    """A store in memory that counts reads of events, can hold them up, and can be away."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(None, clock)
        self.reads = 0
        self.away = False
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.scopes: list[Collection[Scope] | None] = []

    async def events(self, after: int | None, limit: int, scopes: Collection[Scope] | None = None) -> Told:
        """See `Store.events`; it is held up between the read and its answer."""
        self.scopes.append(scopes)
        try:
            if self.away:
                raise StoreUnavailableError("away")
            found = await super().events(after, limit, scopes)
            await self.may_read.wait()
            return found
        finally:
            self.reads += 1


@pytest.fixture
def clock() -> ManualClock:
    """Time that stands still."""
    return ManualClock(datetime(2026, 6, 1, 12, tzinfo=UTC))


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[WatchedStore]:
    """A store in memory."""
    store = WatchedStore(clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def feed(store: WatchedStore, clock: ManualClock) -> Feed:
    """Its feed."""
    return Feed(store, Notes(store, clock), clock)


class Reader:
    """Follows in a task of its own, and keeps what it gets. While it is `slow` it takes nothing."""

    def __init__(self, feed: Feed, which: EventFilter = ALL, after: Place = Place(0), seconds: float = 15) -> None:  # noqa: B008 - a tuple
        self.news: list[News] = []
        self.may_take = asyncio.Event()
        self.may_take.set()
        self._more = asyncio.Event()
        self._many = feed.follow(which, after, seconds)
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with aclosing(self._many):
            async for news in self._many:
                self.news.append(news)
                self._more.set()
                await self.may_take.wait()

    @property
    def events(self) -> list[Event]:
        """All that it got."""
        return [event for news in self.news for event in news.events]

    @property
    def jobs(self) -> list[UUID | None]:
        """What that was about."""
        return [event.job_id for event in self.events]

    async def begun(self) -> None:
        """Wait for the first answer."""
        await asyncio.wait_for(self._more.wait(), 20)

    async def ended(self) -> None:
        """Wait for the end; raise what it ended with."""
        await asyncio.wait_for(self.task, 20)

    async def leave(self) -> None:
        """Be gone."""
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest.fixture
async def read(feed: Feed) -> AsyncIterator[Any]:
    """Make readers, which leave in the end."""
    readers: list[Reader] = []

    def make(*args: Any, **kwargs: Any) -> Reader:
        readers.append(Reader(feed, *args, **kwargs))
        return readers[-1]

    yield make
    for reader in readers:
        await reader.leave()


async def turns(number: int = 30) -> None:
    """Let everybody else have turns."""
    for _ in range(number):
        await SystemClock().sleep(0)


async def polled(store: WatchedStore, clock: ManualClock, times: int = 2) -> None:
    """Let the hub read so many times, and hand on what it found."""
    for _ in range(times):
        clock.advance(seconds=feeds.POLL_SECONDS)
        for _ in range(3):
            await turns()
            await store.noted()  # what was asked of the store before that is answered by then
        await turns()


async def joined(reader: Reader, store: WatchedStore, clock: ManualClock) -> None:
    """Wait until somebody is not behind any more."""
    await reader.begun()
    await polled(store, clock)


async def tell(store: WatchedStore) -> None:
    """Have something happen that is about no job."""
    await store.note("x", "y", {}, Entry(EventKind.GROUP_PAUSED, GROUP))


# --- order and places


async def test_everything_comes_in_order(store: WatchedStore, clock: ManualClock, read: Any) -> None:
    """What there is, and then what comes; the first answer comes at once."""
    early = [a_job() for _ in range(3)]
    for job in early:
        await store.add([job])
    reader = read()
    await joined(reader, store, clock)
    late = [a_job() for _ in range(3)]
    for job in late:
        await store.add([job])
    await polled(store, clock)

    assert [job.id for job in early + late] == reader.jobs
    assert sorted(event.place for event in reader.events) == [event.place for event in reader.events]


async def test_nothing_is_said_at_once_and_now_and_then(store: WatchedStore, clock: ManualClock, read: Any) -> None:
    """So that whoever waits knows that the service is there, and where to go on."""
    reader = read(seconds=15)
    await joined(reader, store, clock)
    assert [[]] == [news.events for news in reader.news]
    await polled(store, clock, 56)
    assert 1 == len(reader.news)
    await polled(store, clock, 3)
    assert [[], []] == [news.events for news in reader.news]


async def test_words_come_in_time_though_no_job_has_the_tag(store: WatchedStore, clock: ManualClock, read: Any) -> None:
    """The first at once, and the next ones, with their places, beside many events that do not pass."""
    await store.add([a_job()])
    reader = read(EventFilter(labels=frozenset({"t:none"})), seconds=1)
    await joined(reader, store, clock)
    for _ in range(8):
        await store.add([a_job()])
        await polled(store, clock, 1)
    places = [news.place.cursor for news in reader.news]
    assert [] == reader.events
    assert len(places) >= 3
    assert 9 == (await store.events(None, 0)).seen
    assert places[-1] > places[1] > 0


async def test_a_place_inside_an_entry(store: WatchedStore, feed: Feed) -> None:
    """One write told of several jobs: whoever got some of them gets the others."""
    jobs = [a_job() for _ in range(5)]
    await store.add(jobs)
    await store.add([last := a_job()])
    place, got = Place(0), []
    for _ in range(6):
        news = await feed.page(ALL, place, limit=1, seconds=0)
        got += [event.job_id for event in news.events]
        place = await feed.read(news.place.id(await feed.tag()))

    assert [*(job.id for job in jobs), last.id] == got
    assert ["1-1", "1-2", "1-3", "1-4", "1", "2"] == [
        event.place.id("")[1:] for event in (await feed.page(ALL, Place(0), limit=9, seconds=0)).events
    ]
    assert Place(2) == place
    assert [] == (await feed.page(ALL, place, limit=1, seconds=0)).events


async def test_a_page_waits_for_its_first_event(store: WatchedStore, clock: ManualClock, feed: Feed) -> None:
    """For so long, and no longer."""
    page = asyncio.create_task(feed.page(ALL, Place(0), limit=5, seconds=30))
    await polled(store, clock)
    await store.add([job := a_job()])
    await polled(store, clock)
    assert [job.id] == [event.job_id for event in (await page).events]

    page = asyncio.create_task(feed.page(ALL, Place(1), limit=5, seconds=1))
    await polled(store, clock, 5)
    assert ([], Place(1)) == (await page)[:2]


async def test_a_page_looks_on_while_there_is_more(store: WatchedStore, feed: Feed) -> None:
    """One that need not wait does not end before what passes is found."""
    for _ in range(3 * feeds.PAGE):
        await tell(store)
    await store.add([a_job(), wanted := a_job(labels=("t:x",))])

    page = await feed.page(EventFilter(labels=frozenset({"t:x"})), Place(0), limit=5, seconds=0)

    assert [wanted.id] == [event.job_id for event in page.events]


# --- filters


async def some_events(store: WatchedStore) -> dict[str, Job]:
    """Have something of each kind happen."""
    jobs = {
        "tagged": a_job(labels=("t:night", "k:the-key", "c:acme", "r:vmId=7")),
        "plain": a_job(),
        "other": a_job(key=SNAPSHOTS),
        "far": a_job(key=JobKey("else", "one")),
    }
    await store.join(NodeBeat(NODE))
    for job in jobs.values():
        await store.add([job])
    for run in await claim(store):
        await store.finish([ended(run[0], Outcome.FAILED if run[0].id == jobs["plain"].id else Outcome.SUCCEEDED)])
    await store.note("pause", "a", {}, Entry(EventKind.GROUP_PAUSED, Scope("vps4")))
    await store.note("pause", "b", {}, Entry(EventKind.GROUP_PAUSED, Scope()))
    await store.note("pause", "c", {}, Entry(EventKind.GROUP_LIMITS, OTHER))
    await store.leave(NODE)
    return jobs


async def found(feed: Feed, which: EventFilter, jobs: dict[str, Job]) -> list[tuple[str, str]]:
    """Return what passes a filter: its kind, and which job, group or node it is about."""
    names = {job.id: name for name, job in jobs.items()}
    return [
        (
            event.entry.kind,
            names[event.job_id] if event.job_id else str(event.entry.scope and "/".join(event.entry.scope)),
        )
        for event in (await feed.page(which, Place(0), limit=100, seconds=0)).events
    ]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (
            EventFilter(Scope("else")),
            {("job.created", "far"), ("group.paused", "/")},
        ),
        (
            EventFilter(OTHER, {"group.paused", "group.limits", "job.created"}),
            {
                ("job.created", "other"),
                ("group.limits", "vps4/snapshots"),
                ("group.paused", "vps4/"),
                ("group.paused", "/"),
            },
        ),
        (EventFilter(kinds={"node.joined", "node.left"}), {("node.joined", "None"), ("node.left", "None")}),
        (EventFilter(GROUP, kinds={"node.joined"}), set()),
        (EventFilter(outcomes={Outcome.FAILED}), {("run.ended", "plain")}),
        (EventFilter(GROUP, states={State.DONE}), {("run.ended", "tagged")}),
        (EventFilter(node=NODE, kinds={"node.left", "job.created"}), {("node.left", "None")}),
        (EventFilter(node="nobody"), set()),
        (EventFilter(labels=frozenset({"t:night"}), kinds={"job.created"}), {("job.created", "tagged")}),
        (
            EventFilter(labels=frozenset({"t:night", "k:the-key", "c:acme", "r:vmId=7"}), kinds={"run.ended"}),
            {("run.ended", "tagged")},
        ),
        (EventFilter(labels=frozenset({"t:night", "t:day"})), set()),
        (EventFilter(prefix="the-", kinds={"job.created"}), {("job.created", "tagged")}),
        (EventFilter(prefix="nig", kinds={"job.created"}), {("job.created", "tagged")}),
        (EventFilter(prefix="acme"), set()),
    ],
)  # fmt: skip
async def test_filters(store: WatchedStore, feed: Feed, which: EventFilter, expected: set[tuple[str, str]]) -> None:
    """What holds for more than a group is told to those who follow the group; a node is in none."""
    jobs = await some_events(store)
    got = await found(feed, which, jobs)
    assert sorted(expected) == sorted(got)


async def test_an_id_begins_like_that(store: WatchedStore, feed: Feed) -> None:
    """A prefix may be that of the id of a job."""
    jobs = await some_events(store)
    got = await found(feed, EventFilter(prefix=str(jobs["far"].id)[:35], kinds={"job.created"}), jobs)
    assert ("job.created", "far") in got


async def test_what_a_deleted_job_had(store: WatchedStore, feed: Feed) -> None:
    """Its tags are known with its end, but no longer with what came before."""
    await store.add([job := a_job(labels=("t:x",))])
    await store.delete(job, None)
    page = await feed.page(EventFilter(labels=frozenset({"t:x"})), Place(0), limit=5, seconds=0)
    assert ["job.deleted"] == [event.entry.kind for event in page.events]


async def test_only_what_somebody_follows_is_read(store: WatchedStore, clock: ManualClock, read: Any) -> None:
    """The store leaves out other groups, unless somebody follows everything."""
    one, two = read(EventFilter(GROUP)), read(EventFilter(OTHER))
    await joined(one, store, clock)
    await joined(two, store, clock)
    await polled(store, clock)
    assert {GROUP, OTHER} == set(store.scopes[-1] or ())
    await store.add([a_job(), other := a_job(key=SNAPSHOTS)])
    await polled(store, clock)
    assert [other.id] == two.jobs
    third = read()
    await joined(third, store, clock)
    await polled(store, clock)
    assert store.scopes[-1] is None


# --- those who are slow, who join and who leave


async def test_who_is_slow_is_overtaken_and_misses_nothing(
    store: WatchedStore, clock: ManualClock, read: Any, feed: Feed
) -> None:
    """Only some entries wait; the others are read when they are wanted."""
    slow, fast = read(), read()
    await joined(slow, store, clock)
    await joined(fast, store, clock)
    slow.may_take.clear()
    jobs = [a_job() for _ in range(feeds.MOST_WAITING + 150)]
    for n, job in enumerate(jobs):
        await store.add([job])
        if n % 90 == 89:
            await polled(store, clock)
    await polled(store, clock, 5)
    assert len(slow.jobs) <= 90
    waiting = [len(each._waiting) for each in feed._followers]  # noqa: SLF001 - what is kept is the point
    assert max(waiting) <= feeds.MOST_WAITING
    assert [job.id for job in jobs] == fast.jobs
    slow.may_take.set()
    await store.add([last := a_job()])
    while len(slow.jobs) < len(jobs) + 1:
        await polled(store, clock, 1)

    assert [*(job.id for job in jobs), last.id] == slow.jobs


async def test_who_joins_while_the_hub_reads(store: WatchedStore, clock: ManualClock, read: Any) -> None:
    """That read leaves their group out: they read for themselves what it has not shown."""
    first = read(EventFilter(OTHER))
    await joined(first, store, clock)
    second = read(EventFilter(GROUP))
    await second.begun()  # it has read all there is, and joins in its next turn
    store.may_read.clear()
    await turns()
    clock.advance(seconds=feeds.POLL_SECONDS)
    await turns()
    jobs = [a_job() for _ in range(3)]
    for job in jobs:
        await store.add([job])
    store.may_read.set()
    await polled(store, clock, 4)

    assert [job.id for job in jobs] == second.jobs
    assert [] == first.jobs


async def test_many_who_come_and_go_get_all_once(store: WatchedStore, clock: ManualClock, feed: Feed) -> None:
    """Readers that leave at any moment and come back with their place, while others write."""
    jobs = [a_job(key=BACKUPS if n % 3 else SNAPSHOTS) for n in range(240)]
    places = dict.fromkeys(range(6), Place(0))
    got: dict[int, list[UUID | None]] = {n: [] for n in places}
    which = {n: EventFilter(GROUP) if n % 2 else ALL for n in places}
    wanted = {n: [job.id for job in jobs if which[n].scope.includes(Scope(*job.key))] for n in places}

    async def follow(number: int) -> None:
        stay = number + 1
        while len(got[number]) < len(wanted[number]):
            many = feed.follow(which[number], places[number], 0.5)
            async with aclosing(many):
                for _ in range(stay):
                    news = await anext(many)
                    got[number] += [event.job_id for event in news.events]
                    places[number] = news.place

    async def write() -> None:
        for first in range(0, len(jobs), 2):
            await store.add(jobs[first : first + 2])

    async def pass_time() -> None:
        while True:
            clock.advance(seconds=0.01)
            await turns(3)

    passing = asyncio.create_task(pass_time())
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for number in places:
            tasks.create_task(follow(number))
        tasks.create_task(write())
    passing.cancel()

    for number in places:
        assert wanted[number] == got[number]
    assert 0 == feed.number


async def test_the_hub_rests_when_nobody_follows(
    store: WatchedStore, clock: ManualClock, read: Any, feed: Feed
) -> None:
    """Nothing is read for nobody; and it begins again where the next one is."""
    reader = read()
    await joined(reader, store, clock)
    assert 1 == feed.number
    await reader.leave()
    assert 0 == feed.number
    before = store.reads
    for _ in range(5):
        clock.advance(seconds=feeds.POLL_SECONDS)
        await turns()
    assert before == store.reads
    await store.add([job := a_job()])
    again = read()
    await joined(again, store, clock)
    assert [job.id] == again.jobs


async def test_a_hub_that_breaks_loses_nothing(store: WatchedStore, clock: ManualClock, read: Any) -> None:
    """Whoever followed reads for themselves, and another hub is there for them."""
    one, two = read(), read()
    await joined(one, store, clock)
    await joined(two, store, clock)
    real, store.events = store.events, broken  # type: ignore[method-assign,assignment]  # for one read
    clock.advance(seconds=feeds.POLL_SECONDS)
    store.events = real  # type: ignore[method-assign]
    jobs = [a_job() for _ in range(4)]
    for job in jobs:
        await store.add([job])
        await polled(store, clock)

    assert [job.id for job in jobs] == one.jobs == two.jobs


async def broken(*_: Any) -> Told:
    """Fail as no store should."""
    raise RuntimeError("a mistake")


# --- what is gone, and what is too much


async def test_forgotten_events(store: WatchedStore, clock: ManualClock, feed: Feed) -> None:
    """Whoever would go on behind one that is gone is told so; the last that is kept can be gone on from."""
    for _ in range(3):
        await store.add([a_job()])
    last = await feed.now()
    clock.advance(days=EVENTS_KEPT_FOR.days, seconds=1)
    await store.prune_events()

    with pytest.raises(EventsForgottenError, match="not kept"):
        await feed.page(ALL, Place(last.cursor - 1), limit=1, seconds=0)
    with pytest.raises(EventsForgottenError, match="not kept"):
        await feed.page(ALL, Place(last.cursor, 0), limit=1, seconds=0)
    assert last == await feed.oldest() == await feed.now()
    assert [] == (await feed.page(ALL, last, limit=1, seconds=0)).events


async def test_who_is_overtaken_by_forgetting(store: WatchedStore, clock: ManualClock, read: Any) -> None:
    """A reader that takes nothing for a week has missed something, and is told so."""
    reader = read()
    await joined(reader, store, clock)
    reader.may_take.clear()
    for _ in range(feeds.MOST_WAITING + 2 * feeds.PAGE + 50):
        await tell(store)
    await polled(store, clock, 5)
    clock.advance(days=EVENTS_KEPT_FOR.days, seconds=1)
    await store.prune_events()
    reader.may_take.set()
    with pytest.raises(EventsForgottenError):
        await reader.ended()


async def test_an_id_of_another_store(feed: Feed) -> None:
    """It says nothing here."""
    assert Place(7, 2) == await feed.read(f"{await feed.tag()}-7-2")
    with pytest.raises(EventsForgottenError, match="another store"):
        await feed.read("01234567-7")
    for text in ("", "7", "x-7", f"{await feed.tag()}-", f"{await feed.tag()}-1-2-3", f"{await feed.tag()}-٣"):
        with pytest.raises(ValueError, match="no id"):
            await feed.read(text)


async def test_a_store_that_was_brought_back(store: WatchedStore, clock: ManualClock, feed: Feed, read: Any) -> None:
    """Places that it has not reached yet are those of what never happened: nobody waits there."""
    await store.add([a_job()])
    for place in (Place(2), Place(3, 1), Place(99)):
        with pytest.raises(EventsForgottenError, match="earlier"):
            await feed.page(ALL, place, limit=1, seconds=0)

    reader = read()
    await joined(reader, store, clock)
    real = store.events

    async def earlier(*args: Any) -> Told:
        told = await real(*args)
        return told._replace(entries=[], seen=0)

    store.events = earlier  # type: ignore[method-assign,assignment]
    await polled(store, clock)
    with pytest.raises(EventsForgottenError, match="earlier"):
        await reader.ended()


async def test_no_more_may_follow(feed: Feed, monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    """Each of them costs memory; and when one goes another may come."""
    monkeypatch.setattr(feeds, "MOST_FOLLOWERS", 2)
    one, two = read(), read()
    await one.begun()
    await two.begun()
    with pytest.raises(TooManyFollowersError):
        await feed.page(ALL, Place(0), limit=1, seconds=0)
    await two.leave()
    assert [] == (await feed.page(ALL, Place(0), limit=1, seconds=0)).events


async def test_the_end(store: WatchedStore, clock: ManualClock, feed: Feed, read: Any) -> None:
    """All are let go of, with what waits for them, and nobody else may follow."""
    one, two = read(), read(EventFilter(GROUP))
    await joined(one, store, clock)
    await joined(two, store, clock)
    feed.end()
    await one.ended()
    await two.ended()
    with pytest.raises(TooManyFollowersError, match="ends"):
        await feed.page(ALL, Place(0), limit=1, seconds=0)


# --- a store that is away


async def test_the_store_is_away_for_a_while(store: WatchedStore, clock: ManualClock, read: Any) -> None:
    """Whoever is not behind hears nothing meanwhile, and all of it then."""
    reader = read()
    await joined(reader, store, clock)
    store.away = True
    await polled(store, clock, 4)
    await store.add([job := a_job()])
    store.away = False
    await polled(store, clock)

    assert [job.id] == reader.jobs


async def test_who_is_behind_cannot_go_on_without_the_store(
    store: WatchedStore, clock: ManualClock, feed: Feed, read: Any
) -> None:
    """They are told so, and come back to where they were."""
    reader = read()
    await joined(reader, store, clock)
    reader.may_take.clear()
    jobs = [a_job() for _ in range(feeds.MOST_WAITING + 2 * feeds.PAGE + 50)]
    for job in jobs:
        await store.add([job])
    await polled(store, clock, 5)
    store.away = True
    reader.may_take.set()
    with pytest.raises(StoreUnavailableError):
        await reader.ended()
    store.away = False
    rest = read(after=reader.news[-1].place)
    await joined(rest, store, clock)
    await polled(store, clock)

    assert [job.id for job in jobs] == reader.jobs + rest.jobs
    assert 1 == feed.number


async def test_labels_that_cannot_be_looked_up(store: WatchedStore, clock: ManualClock, read: Any) -> None:
    """Events are not passed over for that: the follower ends before them."""
    reader = read(EventFilter(labels=frozenset({"t:x"})))
    await joined(reader, store, clock)
    real = store.labels_of

    async def away(_: Any) -> Any:
        raise StoreUnavailableError("away")

    store.labels_of = away  # type: ignore[method-assign,assignment]
    await store.add([job := a_job(labels=("t:x",))])
    await polled(store, clock)
    with pytest.raises(StoreUnavailableError):
        await reader.ended()
    store.labels_of = real  # type: ignore[method-assign]
    again = read(EventFilter(labels=frozenset({"t:x"})), after=reader.news[-1].place)
    await again.begun()
    assert [job.id] == again.jobs


async def test_a_changed_job(store: WatchedStore, feed: Feed) -> None:
    """Tags are those that a job has when its events are read."""
    await store.add([job := a_job()])
    await store.update(edited(job, labels=("t:later",)))
    page = await feed.page(EventFilter(labels=frozenset({"t:later"})), Place(0), limit=5, seconds=0)
    assert ["job.created", "job.changed"] == [event.entry.kind for event in page.events]
