"""Calls that share a commit: what comes in while one commit is under way is written with the next.

A lone call waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID

from mainspring.errors import ConflictError, StoreUnavailableError
from mainspring.job import Receipt

Row = tuple[Any, ...]


class _Call(NamedTuple):
    """Rows that somebody wants written, by their ids, and who waits for it."""

    ids: list[UUID]
    rows: list[Row]
    receipts: list[Receipt]
    written: asyncio.Future[None]


class Sharing:
    """Writes the rows of several calls in one commit, for a store whose answers can be lost on their way.

    `insert` writes rows and receipts, all or none; `which` tells which ids are there. A call that is refused takes no
    other with it.
    """

    def __init__(
        self,
        insert: Callable[[list[Row], list[Receipt]], Awaitable[None]],
        which: Callable[[list[UUID]], Awaitable[set[UUID]]],
        answer_seconds: float,
    ) -> None:
        self._insert = insert
        self._which = which
        self._answer_seconds = answer_seconds
        self._waiting: list[_Call] = []
        self._writer: asyncio.Task[None] | None = None
        self._until: dict[asyncio.Future[None], float] = {}
        """When each call is given up, by the time of the loop; the oldest call comes first."""
        self._alarm: asyncio.TimerHandle | None = None
        """One for all calls: one for each took 3 us of a POST."""

    async def write(self, ids: list[UUID], rows: list[Row], receipt: Receipt | None = None) -> None:
        """Have rows, and a receipt with them, written.

        Raises what `insert` raises, and `StoreUnavailableError` when it takes too long.
        """
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        self._waiting.append(_Call(ids, rows, [] if receipt is None else [receipt], written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        self._until[written] = until = loop.time() + self._answer_seconds
        if self._alarm is None:
            self._alarm = loop.call_at(until, self._give_up, loop)
        try:
            await written
        finally:
            del self._until[written]

    def _give_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up the calls whose time is over, and look again when that of the next one is."""
        now = loop.time()
        late = {written for written, until in self._until.items() if until <= now}
        self._waiting = [call for call in self._waiting if call.written not in late]
        for written in late:
            if not written.done():
                written.set_exception(StoreUnavailableError("the job store did not answer in time"))
        left = next((until for until in self._until.values() if until > now), None)
        self._alarm = None if left is None else loop.call_at(left, self._give_up, loop)

    async def _write_waiting(self) -> None:
        while self._waiting:
            calls, self._waiting = self._waiting, []
            try:
                rows = [row for call in calls for row in call.rows]
                await self._insert(rows, [receipt for call in calls for receipt in call.receipts])
            except (ConflictError, ValueError) as error:
                if len(calls) == 1:
                    _fail(calls[0], error)
                else:
                    await self._write_apart(calls)
            except StoreUnavailableError as error:
                await self._look_again(calls, error)
            except Exception as error:  # noqa: BLE001 - goes to the callers
                for call in calls:
                    _fail(call, error)
            else:
                for call in calls:
                    _succeed(call)

    async def _write_apart(self, calls: list[_Call]) -> None:
        """Write each call by itself, so that one that is refused does not take the others with it."""
        for call in calls:
            try:
                await self._insert(call.rows, call.receipts)
            except Exception as error:  # noqa: BLE001 - goes to the caller
                _fail(call, error)
            else:
                _succeed(call)

    async def _look_again(self, calls: list[_Call], error: StoreUnavailableError) -> None:
        """Find out which rows of a write with an unknown end are there. If that fails too, nobody knows."""
        try:
            there = await self._which([id_ for call in calls for id_ in call.ids])
        except StoreUnavailableError:
            there = set()
        for call in calls:
            if there.issuperset(call.ids):
                _succeed(call)
            else:
                _fail(call, error)


def _succeed(call: _Call) -> None:
    if not call.written.done():
        call.written.set_result(None)


def _fail(call: _Call, error: Exception) -> None:
    if not call.written.done():
        call.written.set_exception(error)
