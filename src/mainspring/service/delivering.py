"""The duty of handing events on to webhooks: it follows the feed, and makes a delivery of each event that passes.

A delivery is a job, whose id comes from the subscription and the event. Deliveries are written first, and then the
place up to which this was done, if nobody else has moved it. So whoever does it again, or at the same time, makes
nothing twice, and whoever dies in between leaves nothing out. One node does it, so that not all do the same; each other
looks now and then, in case that one cannot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from mainspring import logs
from mainspring.clock import Clock
from mainspring.failpoint import fp
from mainspring.job import (
    DELIVERIES,
    PENDING,
    EventFilter,
    Job,
    JobFilter,
    Scope,
    Told,
    concurrency_label,
    delivery_id,
    webhook_key,
)
from mainspring.plugins import Registry
from mainspring.schedule import format_time
from mainspring.service.feed import Event, Place, events_of, passing
from mainspring.service.webhooks import PLACES, Subscription
from mainspring.store import Store

if TYPE_CHECKING:
    from mainspring.service.jobs import SchedulerService

POLL_SECONDS = 0.5
"""How often the node that does it looks for events."""
IDLE_SECONDS = 2.0
"""How often is looked for webhooks while there are none."""
OTHERS_SECONDS = 5.0
"""How often the other nodes look."""
PAGE = 100
"""How many entries of the feed are read at once; one may be about a thousand jobs."""
MOST_EVENTS = 500
"""How many events of a webhook are looked at in a turn: then it is the turn of the others."""
AT_ONCE = 32
"""How many deliveries are written at the same time: stores let them share commits."""
MOST_IN_ALL = 10_000
"""Up to how many deliveries may wait before it matters whose they are."""
MOST_OF_ONE = 1000
"""How many deliveries of one webhook may wait beyond that: its other events wait in the feed."""
HELD_BACK = timedelta(seconds=10)
"""How long such a webhook is held back before it is looked again."""
LAG = 1000
"""Up to how many entries of the feed a place that moved over nothing may be ahead of what is noted of it."""
NOTED_EVERY = timedelta(hours=1)
"""How often such a place is noted all the same: entries are forgotten after days."""
_OWN = Scope(*DELIVERIES)
log = logs.logger("mainspring")


class _Ahead(NamedTuple):
    """A place that is ahead of its note, as that is, and since when."""

    note: Any
    place: Place
    since: float


class Delivering:
    """Hands events on, in one process."""

    def __init__(self, jobs: SchedulerService, store: Store, registry: Registry, clock: Clock) -> None:
        self._jobs = jobs
        self._store = store
        self._registry = registry
        self._clock = clock
        self._ahead: dict[UUID, _Ahead] = {}
        self._held: dict[UUID, float] = {}
        self.pause: float = 0
        """For how many seconds to wait before the next turn."""

    async def turn(self, node: str) -> None:
        """Hand on what has happened, as the node of that name; then wait for the `pause`.

        Raises `StoreUnavailableError`.
        """
        self.pause = IDLE_SECONDS
        subscriptions = await self._jobs.webhooks.list_webhooks()
        if not subscriptions:
            return
        notes = await self._store.notes(PLACES)
        await self._forget({each.id for each in subscriptions.values()}, notes)
        active = [each for each in subscriptions.values() if not each.webhook.is_paused and not self._is_held(each)]
        is_more = await self._hand_on_all(active, notes)
        is_first = await self._is_first(node)
        self.pause = OTHERS_SECONDS if not is_first else 0 if is_more else POLL_SECONDS

    async def _is_first(self, node: str) -> bool:
        """Tell whether it is for this node to do it: it is the first by name of those that know how to."""
        names = [beat.name for beat in await self._store.nodes() if DELIVERIES in beat.groups]
        return node == min(names, default=node)

    async def _forget(self, ids: set[UUID], notes: Mapping[str, Any]) -> None:
        """Forget the places of webhooks that were deleted meanwhile."""
        for name in notes.keys() - set(map(str, ids)):
            await self._store.note(PLACES, name, None)
        self._ahead = {id_: ahead for id_, ahead in self._ahead.items() if id_ in ids}
        self._held = {id_: until for id_, until in self._held.items() if id_ in ids}

    def _is_held(self, subscription: Subscription) -> bool:
        return self._held.get(subscription.id, 0) > self._clock.monotonic()

    async def _hand_on_all(self, active: Sequence[Subscription], notes: Mapping[str, Any]) -> bool:
        """Hand on events to all, reading those once that several are to hear of; tell whether there may be more."""
        by_place: dict[Place, list[Subscription]] = {}
        for each in active:
            by_place.setdefault(self._place_of(each, notes.get(str(each.id))), []).append(each)
        is_more = False
        for place, hooks in by_place.items():
            told = await self._store.events(_seen(place), PAGE)
            is_more |= len(told.entries) >= PAGE
            for each in hooks:
                is_more |= await self._hand_on(each, place, told, notes.get(str(each.id)))
        return is_more

    def _place_of(self, subscription: Subscription, note: Any) -> Place:
        ahead = self._ahead.get(subscription.id)
        if ahead is not None and ahead.note == note:
            return ahead.place
        return _noted(subscription, note)

    async def _hand_on(self, subscription: Subscription, place: Place, told: Told, note: Any) -> bool:
        """Make deliveries of the next events that pass, and note the place behind them; tell whether there are more."""
        name, which = subscription.webhook.name, subscription.webhook.filter.filter()
        if _seen(place) < told.forgotten:
            log.warning("events were forgotten before a webhook heard of them", webhook=name)
        looked, after = _next(which, told, place)
        events = await passing(self._store, which, looked)
        if events and await self._is_full(subscription):
            self._held[subscription.id] = self._clock.monotonic() + HELD_BACK.total_seconds()
            return False
        if events:
            await self._write(subscription, events)
            fp("webhooks.written")
        await self._move(subscription, note, after, is_lazy=not events)
        return after.cursor < told.seen

    async def _is_full(self, subscription: Subscription) -> bool:
        """Tell whether so many deliveries of a webhook wait that others would have to wait for them."""
        counts = (await self._store.counts()).get(DELIVERIES)
        if counts is None or sum(counts.states.get(state, 0) for state in PENDING) < MOST_IN_ALL:
            return False
        label = concurrency_label(webhook_key(subscription.webhook.name))
        which = JobFilter(labels=frozenset({label}))
        return len(await self._store.find(_OWN, which, [(label, label)], after=None, limit=MOST_OF_ONE)) >= MOST_OF_ONE

    async def _write(self, subscription: Subscription, events: Sequence[Event]) -> None:
        """Write a delivery for each event, but for those that are there, or were."""
        tag, now, turns = await self._jobs.feed.tag(), await self._store.now(), asyncio.Semaphore(AT_ONCE)
        binding = self._registry.bindings[DELIVERIES]

        def made(event: Event) -> Job:
            entry = event.entry
            body = {
                "when": format_time(now),
                "webhook": subscription.webhook.name,
                "subscription": str(subscription.id),
                "event": event.to_json(tag),
            }
            id_ = delivery_id(subscription.id, entry.cursor, event.number, entry.at or now)
            return binding.follow_up(body, id_, now)

        async def write(event: Event) -> None:
            async with turns:
                await self._store.add_named(made(event))

        async with asyncio.TaskGroup() as tasks:
            for event in events:
                tasks.create_task(write(event))

    async def _move(self, subscription: Subscription, note: Any, place: Place, *, is_lazy: bool) -> None:
        """Note a place, if nobody else has; one that moved over nothing may wait until it is far ahead."""
        if place == self._place_of(subscription, note):
            return
        now, ahead = self._clock.monotonic(), self._ahead.get(subscription.id)
        since = ahead.since if ahead is not None and ahead.note == note else now
        lag = place.cursor - _noted(subscription, note).cursor
        if is_lazy and 0 <= lag < LAG and now - since < NOTED_EVERY.total_seconds():
            self._ahead[subscription.id] = _Ahead(note, place, since)
            return
        after = {"cursor": place.cursor, "taken": place.taken}
        await self._store.swap_note(PLACES, str(subscription.id), note, after)
        self._ahead.pop(subscription.id, None)


def _seen(place: Place) -> int:
    """Return the last entry that was handed on as a whole."""
    return place.cursor - (place.taken is not None)


def _noted(subscription: Subscription, note: Any) -> Place:
    """Return the place that is noted of a subscription: where it begins, before anything is."""
    try:
        return Place(int(note["cursor"]), None if note["taken"] is None else int(note["taken"]))
    except (ValueError, TypeError, LookupError):
        return Place(subscription.begins)


def _next(which: EventFilter, told: Told, place: Place) -> tuple[list[Event], Place]:
    """Return the next events that may pass, and the place behind them; those of deliveries are left out.

    A store that was brought back to an earlier time has no place beyond its last entry: then that is the place.
    """
    looked: list[Event] = []
    meant = [entry for entry in told.entries if entry.scope != _OWN and which.may_pass(entry)]
    for event in events_of(meant, place):
        if len(looked) == MOST_EVENTS:
            return looked, looked[-1].place
        looked.append(event)
    return looked, Place(told.seen)
