"""Large writes: all or none, in slices that let others come between."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mainspring.clock import ManualClock
from mainspring.errors import ConflictError, InvalidRequestError, KeyTakenError, Problem
from mainspring.failpoint import FailpointError, armed
from mainspring.job import Edit, Job, JobFilter, Options, State
from mainspring.schedule import Every, Period, Recurring
from mainspring.store import NodeBeat, Store
from mainspring.store.postgres.store import PostgresStore
from mainspring.store.sqlite import batch
from mainspring.store.sqlite.batch import SLICE
from mainspring.store.sqlite.store import SqliteStore
from tests.contract.build import ALL, BACKUPS, NODE, START, a_job, a_run, a_running_job, jobs_of, opened

DAILY = Recurring(Every(Period(days=1)), START)

MANY = 2 * SLICE + 7


async def test_batch_is_written_whole(store: Store) -> None:
    """With the rows of history that belong to it."""
    jobs = [a_job() for _ in range(MANY)]
    await store.add(jobs, [a_run(jobs[0])._replace(number=0) for _ in range(SLICE + 1)])

    assert {job.id for job in jobs} == (await jobs_of(store)).keys()
    assert SLICE + 1 == len(await store.runs(BACKUPS, jobs[0].id, before=None, limit=ALL))


async def test_batch_with_an_id_that_is_there_is_refused_whole(store: Store) -> None:
    """Also if that is in the last slice."""
    there = a_job()
    await store.add([there])

    with pytest.raises(ConflictError):
        await store.add([*(a_job() for _ in range(MANY)), there])

    assert {there.id} == (await jobs_of(store)).keys()


async def test_others_come_between_the_slices(store: Store) -> None:
    """A claim need not wait for a batch to end."""
    due = a_job()
    await store.join(NodeBeat(NODE))
    await store.add([due])

    adding = asyncio.get_running_loop().create_task(store.add([a_job() for _ in range(20 * SLICE)]))
    await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
    claims = (await store.claim(NODE, {BACKUPS: 1}, 1)).claims
    was_done = adding.done()
    await adding

    assert 1 == len(claims)
    assert isinstance(store, PostgresStore) or not was_done  # there it is a transaction of its own, quick or slow


@pytest.mark.parametrize(("place", "left"), [("batch.put_aside=raise@2", 0), ("batch.accepted=raise", MANY)])
async def test_batch_that_a_crash_cut_is_all_or_none(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, place: str, left: int
) -> None:
    """Nothing is left of one that was not accepted; all is written of one that was."""
    path = tmp_path / "jobs.db"
    async with opened(SqliteStore(path, clock)) as first:
        monkeypatch.setattr(batch, "fp", armed(place))
        with pytest.raises(FailpointError):
            await first.add([a_job() for _ in range(MANY)])

    monkeypatch.undo()
    async with opened(SqliteStore(path, clock)) as second:
        assert left == len(await jobs_of(second))
    with sqlite3.connect(path) as db:
        aside = [db.execute(f"select count(*) from {table}").fetchone() for table in ("accepted", "batches")]  # noqa: S608
    assert [(0,), (0,)] == aside


async def slices(*some: Sequence[Job], error: Exception | None = None) -> AsyncIterator[list[Edit]]:
    """Yield jobs slice by slice, the first of each with a row of history; raise the error at the end."""
    for jobs in some:
        yield [Edit(job, (a_run(job)._replace(number=0),) if job is jobs[0] else ()) for job in jobs]
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
    if error is not None:
        raise error


async def test_slices_are_written_whole(store: Store) -> None:
    """With the rows of history that belong to them; whoever watches hears of the first that is due."""
    heard: list[datetime] = []
    store.watch(heard.append)
    some = [[a_job(due_at=START + timedelta(seconds=3 - number)) for _ in range(3)] for number in range(3)]

    await store.add_slices(slices(*some))

    jobs = [job for jobs in some for job in jobs]
    assert {job.id for job in jobs} == (await jobs_of(store)).keys()
    assert {some[0][0].id, some[1][0].id, some[2][0].id} == {
        run.job_id for run in await store.runs(BACKUPS, None, before=None, limit=ALL)
    }
    assert [START + timedelta(seconds=1)] == heard


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_slices_that_end_with_an_error_leave_nothing(store: Store, number: int) -> None:
    """Whoever makes them finds out late that one cannot be; the error is theirs."""
    error = InvalidRequestError("no", problems=[Problem("", "NO", "no")])
    with pytest.raises(InvalidRequestError):
        await store.add_slices(slices(*[[a_job(), a_job()] for _ in range(number)], error=error))

    assert {} == await jobs_of(store)
    assert [] == await store.runs(BACKUPS, None, before=None, limit=ALL)
    await store.add_slices(slices([a_job()]))
    assert 1 == len(await jobs_of(store))


async def test_no_slices_are_no_mistake(store: Store) -> None:
    """Nothing is written."""
    await store.add_slices(slices())

    assert {} == await jobs_of(store)


@pytest.mark.parametrize("which", [0, 2])
async def test_slices_with_an_id_or_key_that_is_there_are_refused_whole(store: Store, which: int) -> None:
    """Whichever slice it is in."""
    there = a_job(options=Options(key="k"))
    await store.add([there])

    for bad, refusal in ((there, ConflictError), (a_job(options=Options(key="k")), KeyTakenError)):
        some = [[a_job()] for _ in range(3)]
        some[which].append(bad)
        with pytest.raises(refusal):
            await store.add_slices(slices(*some))

    assert {there.id} == (await jobs_of(store)).keys()


async def test_batch_goes_on_when_its_caller_goes_away(store: Store) -> None:
    """Whoever was cut off finds all or nothing."""
    adding = asyncio.get_running_loop().create_task(store.add([a_job() for _ in range(MANY)]))
    for _ in range(3):
        await asyncio.sleep(0)  # noqa: TID251
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding

    await store.add([a_job() for _ in range(MANY)])  # after whatever is under way
    assert len(await jobs_of(store)) in {MANY, 2 * MANY}


# --- children ---------------------------------------------------------------------------------------------------------


async def test_children_of_a_deleted_job_follow(store: Store) -> None:
    """In slices; that they are to follow is known until all are gone, whoever began it."""
    parent = a_job()
    await store.add(
        [parent, *(a_job(parent=parent.id) for _ in range(5)), *(a_running_job(parent=parent.id) for _ in range(2))]
    )
    assert [] == await store.deletions()

    assert await store.delete(parent, None)
    assert [parent.id] == await store.deletions()
    assert [True, True, False] == [await store.delete_children(parent.id, "it was deleted", 3) for _ in range(3)]

    assert ([], []) == (await store.deletions(), await store.children(parent.id))
    ended = await store.runs(BACKUPS, parent.id, before=None, limit=ALL)
    assert [("cancelled", "it was deleted", START)] * 2 == [(run.outcome, run.reason, run.finished_at) for run in ended]
    assert {} == {key: counts for key, counts in (await store.counts()).items() if any(counts.states.values())}


async def test_job_without_children_leaves_nothing_to_follow(store: Store) -> None:
    """Nobody has to look for them."""
    job = a_job()
    await store.add([job])
    await store.delete(job, None)

    assert [] == await store.deletions()


async def test_nodes_of_children_that_run_are_told(store: Store) -> None:
    """They stop them."""
    parent = a_job()
    child = a_running_job(parent=parent.id)
    await store.join(NodeBeat(NODE))
    await store.add([parent, child])
    await store.delete(parent, None)
    await store.delete_children(parent.id, "it was deleted", 10)

    assert {child.run} == (await store.beat(NODE)).stops


# --- lists that stream ------------------------------------------------------------------------------------------------


async def test_ids_are_those_of_the_pages_in_their_order(store: Store) -> None:
    """Of one group, in some states."""
    jobs = [a_job() for _ in range(5)]
    await store.add([*jobs, a_job(state=State.PAUSED, paused=True)])
    scheduled = JobFilter(frozenset({State.SCHEDULED}))

    page = await store.page(BACKUPS, scheduled, after=None, limit=ALL)
    ids = await store.ids(BACKUPS, scheduled, after=None)

    assert b"".join(job.id.bytes for job in page) == ids
    assert {job.id for job in jobs} == {job.id for job in await store.some([job.id for job in jobs])}


# --- notes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", [5, 7])
async def test_claim_by_older_notes_brings_only_what_runs_once(store: Store, priority: int) -> None:
    """A schedule may keep to a calendar that was written since; progress is no such note."""
    await store.join(NodeBeat(NODE))
    await store.add([series := a_job(trigger=DAILY, priority=priority), once := a_job(priority=priority)])
    before = await store.noted()
    await store.note("calendar", "nights", {})
    await store.note("replanning", "nights", {})

    assert [once.id] == [claim.job.id for claim in (await store.claim(NODE, {BACKUPS: 9}, 9, notes=before)).claims]
    after = await store.noted()
    assert [series.id] == [claim.job.id for claim in (await store.claim(NODE, {BACKUPS: 9}, 9, notes=after)).claims]
    assert after == (await store.beat(NODE)).notes


async def test_claim_by_notes_older_than_a_pause_brings_nothing(store: Store) -> None:
    """It may be the pause of just these jobs."""
    await store.join(NodeBeat(NODE))
    await store.add([a_job(), a_job(trigger=DAILY)])
    before = await store.noted()
    await store.note("pause", "all", {})
    after = await store.noted()
    await store.note("calendar", "nights", {})

    assert [] == (await store.claim(NODE, {BACKUPS: 9}, 9, notes=before)).claims
    assert 1 == len((await store.claim(NODE, {BACKUPS: 9}, 9, notes=after)).claims)
