"""On the node's loop. Learns from runs that ended how much the services bear that say that they are busy.

It is written before the ends of the runs are: what is claimed after these goes by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from mainspring.job import FORGET, Ending, Heard, Job, JobKey, Limits, Outcome, Run, Scope, caps_of, learned
from mainspring.schedule import HORIZON
from mainspring.store import Notes, Store

TRIES = 20
"""How often what is known of a key is written when other nodes keep writing it."""


class _News(NamedTuple):
    """What came of the runs of a key in one batch."""

    group: JobKey
    succeeded: list[datetime]
    refused: list[datetime]
    waits: list[timedelta]


class Learner:
    """Keeps what is known of the services behind concurrency keys."""

    def __init__(self, store: Store, notes: Notes, declared: Mapping[Scope, Limits]) -> None:
        self._store = store
        self._notes = notes
        self._declared = declared

    async def learn(self, ended: Sequence[tuple[Job, Run, Ending]]) -> None:
        """Learn from runs that ended. Raises `StoreUnavailableError`."""
        busy = self._notes.busy
        if not busy and all(ending.busy is None for _, _, ending in ended):
            return
        news: defaultdict[str, dict[str, _News]] = defaultdict(dict)
        for job, run, ending in ended:
            key = ending.busy or job.concurrency_key
            is_refused = ending.busy is not None
            if key is None or not (is_refused or (job.key.product in busy and ending.outcome is Outcome.SUCCEEDED)):
                continue
            of_key = news[job.key.product].setdefault(key, _News(job.key, [], [], []))
            (of_key.refused if is_refused else of_key.succeeded).append(run.started_at)
            if is_refused:
                of_key.waits.append(ending.delay or timedelta())
        for product, by_key in news.items():
            await self._learn(product, by_key)

    async def forget(self) -> None:
        """Forget services at which nobody was refused for long. Raises `StoreUnavailableError`."""
        for product in self._notes.busy:
            now = await self._store.now()
            for key, (known, _) in (await self._store.pressures(product)).items():
                if known is not None and now - known.busy_at > FORGET:
                    await self._store.swap_pressure(product, key, known, None)
            await self._note(product)

    async def _learn(self, product: str, news: Mapping[str, _News]) -> None:
        keys = set(news)
        is_known = False
        now = await self._store.now()
        for _ in range(TRIES):
            strains = await self._store.pressures(product, keys)
            for key, (before, running) in strains.items():
                after = learned(before, self._heard(news[key], running), stated=self._stated(news[key].group), now=now)
                if after is before or await self._store.swap_pressure(product, key, before, after):
                    keys.discard(key)
                    is_known = is_known or after is not None
            if not keys:
                break
        if not (is_known and product in self._notes.busy):  # else there is nothing to note: it costs no question
            await self._note(product)

    async def _note(self, product: str) -> None:
        """Note that claims are to go by what is known of a product, or need not do so any more."""
        is_busy = bool(await self._store.pressures(product))
        if is_busy == (product in self._notes.busy):
            return
        await self._notes.put_busy(product, is_busy=is_busy)
        if not is_busy and await self._store.pressures(product):  # another node has heard of one meanwhile
            await self._notes.put_busy(product, is_busy=True)

    def _heard(self, news: _News, running: int) -> Heard:
        """Return what came of a key; of those that run, the ones that ended are not written yet."""
        others = max(0, running - len(news.succeeded) - len(news.refused))
        wait = min(max(news.waits, default=timedelta()), HORIZON)
        return Heard(tuple(news.succeeded), tuple(news.refused), max(wait, timedelta()), others)

    def _stated(self, group: JobKey) -> int | None:
        caps = caps_of(group, self._notes.limits, self._declared)
        return min((limit.limit for cap in caps for limit in cap.limits.concurrency if limit.by), default=None)
