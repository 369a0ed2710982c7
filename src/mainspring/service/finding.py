"""The use cases by which jobs are found: lists of a group, of a product or of all, in one order, page by page.

Labels lead to jobs where few have them. Else the jobs are gone through in the order of the list, which is quick where
many pass the filter.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from mainspring.errors import NotFoundError, Problem
from mainspring.job import DELIVERIES, PENDING, Job, JobFilter, JobKey, Position, Run, RunFilter, Scope, State
from mainspring.plugins import Registry
from mainspring.store import Store

MOST_SCANNED = 20_000
"""How many runs of a group are looked at for a page: that takes 20 ms."""
_ALL = 2**63 - 1
PAGE = 500
"""How many jobs of a streamed list are fetched at a time."""
MOST_LABELLED = 20_000
"""Where fewer jobs have a label all of them are read for a page, which takes 0.1 s at most."""


class Finding:
    """Finds jobs of one store."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    async def page(self, scope: Scope, which: JobFilter, *, after: Position | None, limit: int) -> list[Job]:
        """Return a page of jobs: pending ones by next run or creation, then done ones from the one that ended last.

        Raises `NotFoundError` for a scope of which no group is bound here or has jobs.
        """
        jobs: list[Job] = []
        if which.pending and not (after and after.run):
            jobs = await self._some(scope, replace(which, states=which.states & PENDING), after, limit)
            after = None
        if which.done and len(jobs) < limit:
            done = replace(which, states=frozenset({State.DONE}), by_created=False)
            jobs += await self._some(scope, done, after, limit - len(jobs))
        if not jobs:
            await self.check(scope)
        return jobs

    async def stream(self, scope: Scope, which: JobFilter, *, after: Position | None) -> AsyncIterator[list[Job]]:
        """Yield the jobs that `page` has, some at a time, while others go on changing them.

        Of one group it is settled at the beginning which pending jobs come, and in which order: each comes once, as it
        is then, unless it is gone or is not in these states any more. Else one that is moved meanwhile may come twice,
        or not. Raises `NotFoundError` like that.
        """
        is_empty = True
        pending = replace(which, states=which.states & PENDING)
        if pending.states and not (after and after.run) and scope.job_group and not which.prefix and not which.node:
            async for jobs in self._settled(JobKey(*scope), pending, after):
                is_empty = False
                yield jobs
            which, after = replace(which, states=which.states - PENDING), None
        while which.states and (jobs := await self._next(scope, which, after)):
            is_empty = False
            after = Position.of(jobs[-1], by_created=which.by_created)
            yield jobs
            if len(jobs) < PAGE:
                break
        if is_empty:
            await self.check(scope)

    async def _next(self, scope: Scope, which: JobFilter, after: Position | None) -> list[Job]:
        try:
            return await self.page(scope, which, after=after, limit=PAGE)
        except NotFoundError:
            return []

    async def _settled(self, key: JobKey, which: JobFilter, after: Position | None) -> AsyncIterator[list[Job]]:
        ids = await self._store.ids(key, which, after=after)
        for first in range(0, len(ids), PAGE * 16):
            page = [UUID(bytes=ids[place : place + 16]) for place in range(first, min(first + PAGE * 16, len(ids)), 16)]
            found = {job.id: job for job in await self._store.some(page)}
            yield [job for id_ in page if (job := found.get(id_)) is not None and job.state in which.states]

    async def _some(self, scope: Scope, which: JobFilter, after: Position | None, limit: int) -> list[Job]:
        """Return jobs that are either pending or done."""
        if which.node is not None:
            return await self._on_node(scope, which, after, limit)
        if which.prefix:
            return await self._store.find(scope, which, which.prefixes, after=after, limit=limit)
        if which.labels:
            numbers = {label: await self._store.labelled(scope, label, MOST_LABELLED) for label in which.labels}
            rarest = min(numbers, key=numbers.__getitem__)
            if numbers[rarest] < MOST_LABELLED:
                return await self._store.find(scope, which, [(rarest, rarest)], after=after, limit=limit)
        if scope.job_group:
            return await self._store.page(JobKey(*scope), which, after=after, limit=limit)
        keys = [key for key in await self._store.counts() if scope.has(key)]
        return await self._merged(sorted(keys), which, after, limit)

    async def _merged(self, keys: Sequence[JobKey], which: JobFilter, after: Position | None, limit: int) -> list[Job]:
        """Return the first jobs of several groups: each is read only as far as its jobs come."""
        each = max(10, 2 * limit // max(1, len(keys)))
        place = _place(which)
        heads: list[tuple[Any, JobKey, list[Job], bool]] = []
        for key in keys:
            jobs = await self._store.page(key, which, after=after, limit=min(each, limit))
            if jobs:
                heads.append((place(jobs[0]), key, jobs[::-1], len(jobs) == min(each, limit)))
        heapq.heapify(heads)
        merged: list[Job] = []
        while heads and len(merged) < limit:
            _, key, rest, may_have_more = heapq.heappop(heads)
            merged.append(last := rest.pop())
            if not rest and may_have_more:
                position = Position.of(last, by_created=which.by_created)
                rest = (await self._store.page(key, which, after=position, limit=each))[::-1]
                may_have_more = len(rest) == each
            if rest:
                heapq.heappush(heads, (place(rest[-1]), key, rest, may_have_more))
        return merged

    async def _on_node(self, scope: Scope, which: JobFilter, after: Position | None, limit: int) -> list[Job]:
        """Return jobs that run on a node, of which there are no more than it has slots."""
        if which.done or which.node is None:
            return []
        place = _place(which)
        jobs = [job for job in await self._store.on_node(scope, which.node) if which.passes(job)]
        behind = None if after is None else (after.due_at, after.id)
        return sorted((job for job in jobs if behind is None or place(job) > behind), key=place)[:limit]

    async def history(
        self, scope: Scope, which: RunFilter, *, before: int | None, limit: int
    ) -> tuple[list[Run], int | None]:
        """Return up to `limit` runs numbered below `before`, newest first, and from where on there may be more.

        Where a filter lets few pass there may be fewer than `limit`: of each group so many are looked at. Raises
        `NotFoundError` like `page`.
        """
        keys = [key for key in await self._store.counts() if scope.has(key)]
        scan = limit if which.is_all else max(limit, MOST_SCANNED)
        runs: list[Run] = []
        lasts: list[int] = []
        for key in keys:
            seen = await self._store.history(key, which, before=before or _ALL, limit=limit, scan=scan)
            runs += seen.runs
            lasts += [] if seen.last is None else [seen.last]
        last = max(lasts, default=None)  # behind it a group may have more, which come before what others have there
        runs = sorted((run for run in runs if last is None or run.number >= last), key=lambda run: -run.number)
        if not runs and not keys:
            await self.check(scope)
        if len(runs) > limit:
            return runs[:limit], runs[limit - 1].number
        return runs, last

    async def check(self, scope: Scope) -> None:
        """Raise `NotFoundError` for a scope of which no group is bound here or has jobs."""
        if scope in {Scope(), Scope(*DELIVERIES)}:
            return
        known = (*self._registry.bindings, *await self._store.counts())
        if any(scope.has(key) for key in known):
            return
        if scope.job_group:
            self._registry.find(JobKey(*scope))
        detail = f"there is no product {scope.product[:64]!r}"
        if near := get_close_matches(scope.product[:64], {key.product for key in known}, n=1):
            detail += f"; did you mean {near[0]}?"
        raise NotFoundError(detail, problems=[Problem("", "UNKNOWN_JOB_GROUP", detail)])


def _place(which: JobFilter) -> Callable[[Job], Any]:
    """Return what tells the place of a job in a list."""
    if which.done:
        return lambda job: -job.last_run.number if job.last_run else 0
    return (lambda job: (job.created_at, job.id)) if which.by_created else (lambda job: (job.due_at, job.id))
