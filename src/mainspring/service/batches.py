"""Many jobs, all or none: made slice by slice, so that they are not all in memory and everybody else comes between."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import UUID

from mainspring.clock import Clock
from mainspring.errors import ConflictError, InvalidRequestError, KeyTakenError, Problem
from mainspring.failpoint import fp
from mainspring.job import Edit, Events, Job, JobKey, JobScheduled, Receipt
from mainspring.service.asked import Asked
from mainspring.service.control import EDIT_TRIES
from mainspring.service.keys import Keys
from mainspring.store import Store

if TYPE_CHECKING:
    from mainspring.service.jobs import SchedulerService

T = TypeVar("T")

MOST_PROBLEMS = 100
"""How many problems of a batch are looked for."""
SLICE = 256
"""How many jobs are written at once."""
TURN = 64
"""After so many that are made everybody else has a turn: that is 1 to 2 ms."""


class Batch(NamedTuple):
    """The ids of the jobs of a batch, in order, 16 bytes each, and how many of the jobs are new."""

    ids: bytes
    created: int


class Batches:
    """Makes and writes many jobs."""

    def __init__(self, jobs: SchedulerService, store: Store, clock: Clock, events: Events) -> None:
        self._jobs = jobs
        self._store = store
        self._clock = clock
        self.breathe = clock.breathe
        """Let everybody else have a turn: for whoever reads the bodies of a batch."""
        self._events = events
        self._keys = Keys(store)
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait for a turn to make thousands of jobs: of two at once none leaves the interpreter to others.

        Memory that it took goes back to the system; by itself the C library keeps it, 15 MB after some batches.
        """
        async with self._turn:
            try:
                yield
            finally:
                await asyncio.to_thread(_give_memory_back)

    async def create(
        self,
        key: JobKey,
        bodies: Collection[Mapping[str, Any]],
        receipt: Callable[[Batch], Receipt] | None = None,
    ) -> Batch:
        """Create a job from each body, all or none; they are durable when this returns.

        The bodies are gone through several times, and need not be in memory at once.

        A body whose key another job has creates none if its ``options.onConflict`` is ``keep``. Raises like
        `SchedulerService.create_or_keep`, and like there a `receipt` is written; the pointers of problems begin with
        the number of the body, from 0. Reading stops when `MOST_PROBLEMS` were found.
        """
        asked = Asked()
        for number, body in enumerate(bodies):
            asked.add(number, body)
            if number % SLICE == SLICE - 1:
                await self.breathe()
        make = await self._jobs.maker(key, asked)
        for _ in range(EDIT_TRIES):
            making = _Making(make, len(bodies), await self._keys.kept(key, asked.keyed), Keys.problems(asked.keyed))
            try:
                await self._write(key, making, bodies, receipt)
            except KeyTakenError:
                continue  # another was quicker
            return making.batch
        raise ConflictError("the jobs with these keys kept changing; try again")

    async def _write(
        self,
        key: JobKey,
        making: _Making,
        bodies: Collection[Mapping[str, Any]],
        receipt: Callable[[Batch], Receipt] | None,
    ) -> None:
        """Write what is made of bodies, if there are no quotas in the way. Raises `QuotaExceededError`."""
        quotas = await self._jobs.quotas.current(key)
        slices = making.slices(bodies, self._clock)
        kept = None if receipt is None else lambda: receipt(making.batch)
        if not quotas or len(making.kept) == len(bodies):
            await self.write(slices, kept)
            return
        size = await self._jobs.quotas.measured(quotas, bodies, making.kept)
        async with self._jobs.quotas.taken(key, quotas, size):
            await self.write(slices, kept)

    async def write(self, slices: AsyncIterator[list[Edit]], receipt: Callable[[], Receipt] | None = None) -> None:
        """Write the jobs that come, all or none; those of one slice share a commit with what others write.

        A `receipt` goes with them.
        """
        announced: list[Job] = []
        ahead = [edits async for edits in _first(slices, 2)]

        async def all_slices() -> AsyncIterator[list[Edit]]:
            for edits in ahead:
                yield edits
            async for edits in slices:
                if self._events.has_subscribers(JobScheduled):
                    announced.extend(edit.job for edit in edits)
                yield edits

        fp("create.before_add")
        if len(ahead) > 1:
            await self._store.add_slices(all_slices(), receipt)
        else:
            for edits in ahead:
                unrun = [run for edit in edits for run in edit.unrun]
                await self._store.add([edit.job for edit in edits], unrun, receipt and receipt())
        fp("create.after_add")
        if self._events.has_subscribers(JobScheduled):
            for job in (*(edit.job for edits in ahead for edit in edits), *announced):
                self._events.announce(JobScheduled(job))


class _Making:
    """The jobs of a batch while they are made, by their numbers: their ids, and what is wrong with them.

    `kept` are the ids of jobs that are there.
    """

    def __init__(
        self,
        make: Callable[[Mapping[str, Any]], Edit],
        number: int,
        kept: Mapping[int, UUID],
        problems: list[Problem],
    ) -> None:
        self._make = make
        self.kept = kept
        self._ids = bytearray(16 * number)  # a tenth of what as many UUIDs take
        for place, job_id in kept.items():
            self._put(place, job_id)
        self._problems = problems

    def _put(self, number: int, job_id: UUID) -> None:
        self._ids[16 * number : 16 * number + 16] = job_id.bytes

    async def slices(self, bodies: Iterable[Mapping[str, Any]], clock: Clock) -> AsyncIterator[list[Edit]]:
        """Make the jobs. Raises `InvalidRequestError`, at the end, if any is wrong."""
        async for edits in in_slices(clock, enumerate(bodies), self._made):
            if not self._problems:
                yield edits
        self._refuse()

    @property
    def batch(self) -> Batch:
        """What has become of it."""
        return Batch(bytes(self._ids), len(self._ids) // 16 - len(self.kept))

    def _made(self, numbered: tuple[int, Mapping[str, Any]]) -> Edit | None:
        number, body = numbered
        if number in self.kept:
            return None
        try:
            edit = self._make(body)
        except InvalidRequestError as error:
            self._problems += [replace(problem, pointer=f"/{number}{problem.pointer}") for problem in error.problems]
            if len(self._problems) >= MOST_PROBLEMS:
                self._refuse()
            return None
        self._put(number, edit.job.id)
        return edit

    def _refuse(self) -> None:
        if self._problems:
            said = "; ".join(f"{problem.pointer} {problem.detail}" for problem in self._problems[:3])
            raise InvalidRequestError(f"nothing was created: {said}", problems=self._problems)


def _give_memory_back() -> None:
    if _TRIM is not None:
        _TRIM(0)


_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""A function of glibc."""


async def in_slices(clock: Clock, items: Iterable[T], make: Callable[[T], Edit | None]) -> AsyncIterator[list[Edit]]:
    """Yield the jobs that are made of `items`, `SLICE` of these at a time; `None` is no job."""
    edits: list[Edit] = []
    for number, item in enumerate(items, 1):
        if (edit := make(item)) is not None:
            edits.append(edit)
        if number % TURN == 0:
            await clock.breathe()
        if number % SLICE == 0 and edits:
            yield edits
            edits = []
    if edits:
        yield edits


async def _first(slices: AsyncIterator[T], number: int) -> AsyncIterator[T]:
    while number > 0:
        try:
            yield await anext(slices)
        except StopAsyncIteration:
            return
        number -= 1
