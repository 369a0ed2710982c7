"""The life of a store, and its time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from mainspring.clock import ManualClock
from mainspring.errors import StoreUnavailableError
from mainspring.job import Cap, Edit, Job, Limits, Progress, Receipt, Run, RunFilter, Scope, lifecycle
from mainspring.store import NodeBeat, Store, spans
from tests.contract.build import (
    ALL,
    ANY,
    BACKUPS,
    NODE,
    START,
    Place,
    a_done_job,
    a_job,
    a_running_job,
    edited,
    ended,
    opened,
)


def lifecycle_cancelled() -> tuple[Job, Run]:
    """Return a job that was cancelled before it began, and the row that says so."""
    job, run = lifecycle.cancel(a_job(), now=START)
    assert run is not None
    return job, run


async def one_slice() -> AsyncIterator[list[Edit]]:
    """Yield one job."""
    yield [Edit(a_job())]


VERBS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "now": lambda store: store.now(),
    "add": lambda store: store.add([a_job()]),
    "add_slices": lambda store: store.add_slices(one_slice()),
    "add_named": lambda store: store.add_named(a_job()),
    "labelled": lambda store: store.labelled(Scope("vps4"), "t:x", 1),
    "find": lambda store: store.find(Scope("vps4"), ANY, [("t:x", "t:x")], after=None, limit=ALL),
    "on_node": lambda store: store.on_node(Scope("vps4"), NODE),
    "events": lambda store: store.events(0, 1),
    "labels_of": lambda store: store.labels_of([a_job().id]),
    "prune_group": lambda store: store.prune_group(a_job().key, timedelta(days=1)),
    "prune_events": lambda store: store.prune_events(),
    "keep": lambda store: store.keep(Receipt(a_job().id.bytes, b"", b"")),
    "receipt": lambda store: store.receipt(b"id"),
    "get": lambda store: store.get(a_job().id),
    "page": lambda store: store.page(BACKUPS, ANY, after=None, limit=ALL),
    "ids": lambda store: store.ids(BACKUPS, ANY, after=None),
    "some": lambda store: store.some([a_job().id]),
    "counts": lambda store: store.counts(),
    "update": lambda store: store.update(edited(a_job())),
    "amend": lambda store: store.amend(edited(a_done_job())),
    "revive": lambda store: store.revive(edited(a_job())),
    "cancel": lambda store: store.cancel(edited(a_running_job(), cancelling=True)),
    "end": lambda store: store.end(*lifecycle_cancelled()),
    "with_keys": lambda store: store.with_keys(BACKUPS, ["k"]),
    "waiting": lambda store: store.waiting(a_job().id),
    "ended_waits": lambda store: store.ended_waits(1),
    "know": lambda store: store.know(a_job().id),
    "resumable": lambda store: store.resumable(1),
    "delete": lambda store: store.delete(a_job(), None),
    "recurring": lambda store: store.recurring(None, ALL),
    "delete_children": lambda store: store.delete_children(a_job().id, "it went", 1),
    "deletions": lambda store: store.deletions(),
    "count_recurring": lambda store: store.count_recurring("nights"),
    "children": lambda store: store.children(a_job().id),
    "put_progress": lambda store: store.put_progress({1: Progress(1)}),
    "split_off": lambda store: store.split_off(edited(a_job()), a_job(), []),
    "notes": lambda store: store.notes("calendar"),
    "note": lambda store: store.note("calendar", "holidays", {}),
    "swap_note": lambda store: store.swap_note("limits", "vps4", None, {}),
    "noted": lambda store: store.noted(),
    "claim": lambda store: store.claim(NODE, {BACKUPS: 1}, 1),
    "claim_capped": lambda store: store.claim_capped(NODE, BACKUPS, 1, [Cap(Scope(*BACKUPS), Limits())]),
    "unclaim": lambda store: store.unclaim([a_running_job()]),
    "next_due": lambda store: store.next_due([BACKUPS]),
    "finish": lambda store: store.finish([ended(a_running_job())]),
    "holding": lambda store: store.holding(NODE),
    "ahead": lambda store: store.ahead(a_job(), 1),
    "running": lambda store: store.running(),
    "rates": lambda store: store.rates("vps4"),
    "pressures": lambda store: store.pressures("vps4"),
    "swap_pressure": lambda store: store.swap_pressure("vps4", "dc:ams3", None, None),
    "request_bytes": lambda store: store.request_bytes(Scope("vps4")),
    "spend": lambda store: store.spend("vps4", "+*", timedelta(seconds=1), timedelta(minutes=1)),
    "orphans": lambda store: store.orphans([BACKUPS], 1),
    "history": lambda store: store.history(BACKUPS, RunFilter(), before=9, limit=1, scan=1),
    "run": lambda store: store.run(BACKUPS, a_job().id, 1),
    "runs": lambda store: store.runs(BACKUPS, None, before=None, limit=ALL),
    "prune": lambda store: store.prune(timedelta(days=1)),
    "join": lambda store: store.join(NodeBeat(NODE)),
    "beat": lambda store: store.beat(NODE),
    "nodes": lambda store: store.nodes(),
    "show_stuck": lambda store: store.show_stuck(NODE, [BACKUPS]),
    "leave": lambda store: store.leave(NODE),
    "bury": lambda store: store.bury(NodeBeat(NODE, 0)),
}


async def refused(store: Store) -> set[str]:
    """Call every verb; name those that said that the store does not answer."""
    names = set()
    for name, verb in VERBS.items():
        try:
            await verb(store)
        except StoreUnavailableError:
            names.add(name)
    return names


def test_every_verb_is_called() -> None:
    """The table above leaves no verb of the protocol out."""
    assert set(spans.VERBS) - {"open", "close"} == set(VERBS)


async def test_open_store_answers(store: Store) -> None:
    """Every verb does something on a store that is open."""
    assert set() == await refused(store)


async def test_closed_store_does_not_answer(place: Place) -> None:
    """A verb that comes before the open or after the close is told so, and does not wait."""
    store = place()
    assert set(VERBS) == await refused(store)

    async with opened(store):
        pass

    assert set(VERBS) == await refused(store)


async def test_closing_twice_is_harmless(place: Place) -> None:
    """Whoever cleans up need not know what is closed already, or was never open."""
    store = place()
    await store.close()
    async with opened(store):
        await store.close()


async def test_closed_store_can_be_opened_again(place: Place) -> None:
    """A close is no end for ever."""
    store = place()
    for _ in range(2):
        async with opened(store):
            assert [] == await store.nodes()


async def test_time_is_that_of_the_store(store: Store, clock: ManualClock) -> None:
    """The store's clock is the one that was set for it, in UTC."""
    clock.advance(microseconds=1)

    now = await store.now()

    assert (START + timedelta(microseconds=1), timedelta()) == (now, now.utcoffset())
