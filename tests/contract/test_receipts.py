"""Receipts: an answer is written with what the call writes, once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from mainspring.clock import ManualClock
from mainspring.errors import ReceiptTakenError
from mainspring.job import KEPT_FOR, Edit, Job, Receipt, State
from mainspring.store import NodeBeat, Store
from tests.contract.build import ALL, ANY, BACKUPS, NODE, a_done_job, a_job, claim, edited, ended, running

RECEIPT = Receipt(b"\x00one\xff", b"fingerprint", b'{"status":201}\n\x00\xff')
OTHER = RECEIPT._replace(answer=b"other")


async def slices(*jobs: Job) -> AsyncIterator[list[Edit]]:
    """Yield jobs, one at a time."""
    for job in jobs:
        yield [Edit(job)]


async def add(store: Store, receipt: Receipt) -> None:
    """Add a job."""
    await store.add([a_job()], receipt=receipt)


async def add_many(store: Store, receipt: Receipt) -> None:
    """Add more than share a commit with others."""
    await store.add([a_job() for _ in range(300)], receipt=receipt)


async def add_slices(store: Store, receipt: Receipt) -> None:
    """Add jobs as they come."""
    await store.add_slices(slices(a_job(), a_job()), lambda: receipt)


async def update(store: Store, receipt: Receipt) -> object:
    """Change a job, and add one with it."""
    await store.add([job := a_job()])
    return await store.update(edited(job), added=[a_job()], receipt=receipt)


async def revive(store: Store, receipt: Receipt) -> object:
    """Bring a job back."""
    [job] = await running(store, a_job())
    await store.finish([ended(job)])
    done = await store.get(job.id)
    assert done is not None
    return await store.revive(edited(done, state=State.SCHEDULED, last_run=None), receipt=receipt)


WRITES = [add, add_many, add_slices, update, revive]
Write = Callable[[Store, Receipt], Awaitable[object]]


@pytest.mark.parametrize("write", WRITES)
async def test_a_receipt_is_written_with_it(store: Store, write: Write) -> None:
    """It comes back byte for byte."""
    await write(store, RECEIPT)

    assert RECEIPT == await store.receipt(RECEIPT.id)
    assert await store.receipt(b"another") is None


@pytest.mark.parametrize("write", WRITES)
async def test_where_one_is_there_nothing_is_written(store: Store, write: Write) -> None:
    """The call was done before."""
    await store.keep(RECEIPT)
    counts = await store.counts()

    with pytest.raises(ReceiptTakenError):
        await write(store, OTHER)

    pending = [job for job in await store.page(BACKUPS, ANY, after=None, limit=ALL) if job.version > 1]
    assert ([], RECEIPT) == (pending, await store.receipt(RECEIPT.id))
    if write in {add, add_many, add_slices}:
        assert counts == await store.counts()


async def test_one_that_is_refused_takes_no_other_with_it(store: Store) -> None:
    """Calls that share a commit are refused one by one."""
    await store.keep(RECEIPT)
    jobs = [a_job() for _ in range(3)]
    receipts = [None, OTHER, RECEIPT._replace(id=b"two")]

    outcomes = await asyncio.gather(
        *(store.add([job], receipt=receipt) for job, receipt in zip(jobs, receipts, strict=True)),
        return_exceptions=True,
    )

    assert [None, ReceiptTakenError, None] == [outcome and type(outcome) for outcome in outcomes]
    assert [True, False, True] == [await store.get(job.id) is not None for job in jobs]


async def test_what_is_not_written_leaves_no_receipt(store: Store) -> None:
    """An edit that came too late."""
    await store.add([job := a_job()])
    assert not await store.update(edited(edited(job)), receipt=RECEIPT)
    assert not await store.revive(edited(a_done_job()), receipt=RECEIPT)

    assert await store.receipt(RECEIPT.id) is None


async def test_a_receipt_is_kept_for_a_day(store: Store, clock: ManualClock) -> None:
    """Then the key is as new, whether or not the store was pruned meanwhile."""
    two = RECEIPT._replace(id=b"two")
    await store.keep(RECEIPT)
    await store.keep(two)
    clock.advance(seconds=KEPT_FOR.total_seconds() - 1)
    await store.prune(timedelta(days=30))
    assert RECEIPT == await store.receipt(RECEIPT.id)
    clock.advance(seconds=2)

    assert await store.receipt(RECEIPT.id) is None
    await store.keep(OTHER)
    await store.prune(timedelta(days=30))
    await store.keep(two)
    assert OTHER == await store.receipt(RECEIPT.id)


async def test_a_job_with_an_id_of_its_own_is_written_once(store: Store) -> None:
    """A done one is there too; one that was deleted is not."""
    job = a_job(digest="made of this")
    assert [True, False] == [await store.add_named(job) for _ in range(2)]
    assert job == await store.get(job.id)
    await store.join(NodeBeat(NODE))
    [again] = [claimed.job for claimed in await claim(store)]
    assert not await store.add_named(job)
    await store.finish([ended(again)])
    assert not await store.add_named(job)
    done = await store.get(job.id)
    assert done is not None
    assert ("made of this", State.DONE) == (done.digest, done.state)

    await store.delete(done, None)

    assert await store.add_named(job)


async def test_of_many_that_add_one_id_one_does(store: Store) -> None:
    """However they meet."""
    job = a_job(digest="made of this")
    assert 1 == sum(await asyncio.gather(*(store.add_named(job) for _ in range(20))))
