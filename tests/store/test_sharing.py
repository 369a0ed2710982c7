"""Calls that share a commit: one that takes too long is given up, and takes no other with it."""

import asyncio
from uuid import UUID

import pytest

from mainspring.errors import StoreUnavailableError
from mainspring.store.sharing import Row, Sharing

SOON = 0.1
"""After how many seconds a call is given up here."""
IDS = [UUID(int=number) for number in range(9)]


class Database:
    """Takes rows once it may."""

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.written: list[Row] = []

    async def insert(self, rows: list[Row], _receipts: object) -> None:
        self.is_asked.set()
        await self.may_answer.wait()
        self.written += rows

    async def which(self, ids: list[UUID]) -> set[UUID]:
        return {id_ for id_ in ids if (id_,) in self.written}


async def test_call_is_given_up_when_its_time_is_over() -> None:
    """And so is one that came later, after as long."""
    database = Database()
    sharing = Sharing(database.insert, database.which, SOON)
    loop = asyncio.get_running_loop()
    began = loop.time()

    first = asyncio.create_task(sharing.write(IDS[:1], [(IDS[0],)]))
    with pytest.raises(StoreUnavailableError, match="did not answer in time"):
        await first
    ended = loop.time()
    with pytest.raises(StoreUnavailableError, match="did not answer in time"):
        await sharing.write(IDS[1:2], [(IDS[1],)])

    assert ended - began >= SOON * 0.9
    assert loop.time() - ended >= SOON * 0.9


async def test_what_was_given_up_while_it_waited_is_not_written() -> None:
    """What was under way may be; what comes later is."""
    database = Database()
    sharing = Sharing(database.insert, database.which, SOON)
    calls = [asyncio.create_task(sharing.write([IDS[0]], [(IDS[0],)]))]
    await database.is_asked.wait()
    calls += [asyncio.create_task(sharing.write([IDS[number]], [(IDS[number],)])) for number in (1, 2)]

    ends = await asyncio.gather(*calls, return_exceptions=True)
    database.may_answer.set()
    await sharing.write([IDS[5]], [(IDS[5],)])

    assert [type(end) for end in ends] == [StoreUnavailableError] * 3
    assert database.written == [(IDS[0],), (IDS[5],)]


async def test_each_call_has_its_own_time() -> None:
    """It is not given up when that of an older one is over, which was answered meanwhile."""
    database = Database()
    sharing = Sharing(database.insert, database.which, SOON)
    loop = asyncio.get_running_loop()
    loop.call_later(SOON / 2, database.may_answer.set)
    await sharing.write(IDS[:1], [(IDS[0],)])
    database.may_answer.clear()
    began = loop.time()

    with pytest.raises(StoreUnavailableError, match="did not answer in time"):
        await sharing.write(IDS[1:2], [(IDS[1],)])

    assert loop.time() - began >= SOON * 0.9
