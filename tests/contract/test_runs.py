from datetime import UTC, datetime
from uuid import uuid4

import pytest

from mainspring.job import JobKey, Outcome, Run
from mainspring.schedule import MICROSECOND
from mainspring.store import Store
from tests.contract.build import BACKUPS, SECOND, SNAPSHOTS, START, a_job, a_run, history, with_history

PLAIN = a_run(a_job())
RUNS = {
    "every field": PLAIN._replace(
        number=2**53 + 1,
        key=JobKey("próduct", "group's"),
        fire_time=START - SECOND,
        due_at=START - MICROSECOND,
        attempt=7,
        node="nöde:1 'a'",
        started_at=START + MICROSECOND,
        finished_at=START + SECOND + MICROSECOND,
        reason='it said:\n\t"💥" \\ %s',
    ),
    "no reason": PLAIN,
    "an empty reason": PLAIN._replace(reason=""),
    "1970": PLAIN._replace(fire_time=datetime(1970, 1, 1, tzinfo=UTC)),
    "2100": PLAIN._replace(due_at=datetime(2100, 12, 31, 23, 59, 59, 999999, UTC)),
    **{outcome.value: PLAIN._replace(outcome=outcome) for outcome in Outcome},
}


@pytest.mark.parametrize("run", [pytest.param(run, id=name) for name, run in RUNS.items()])
async def test_run_comes_back_as_it_was_written(store: Store, run: Run) -> None:
    """Every field of a row of history survives."""
    await with_history(store, run)

    assert [run] == await history(store, run.key)


async def test_history_is_newest_first(store: Store) -> None:
    """The order is that of the run numbers."""
    runs = [a_run(a_job(), number=number) for number in (3, 10, 2, 1)]
    await with_history(store, *runs)

    assert [10, 3, 2, 1] == [run.number for run in await history(store)]


async def test_history_of_one_job(store: Store) -> None:
    """A job has its own runs, under its own group."""
    job, other = a_job(), a_job()
    mine = [a_run(job), a_run(job, attempt=2)]
    await with_history(store, mine[0], a_run(other), mine[1], a_run(a_job(key=SNAPSHOTS)))

    assert mine[::-1] == await history(store, BACKUPS, job.id)
    assert [[], []] == [await history(store, SNAPSHOTS, job.id), await history(store, BACKUPS, uuid4())]


async def test_history_of_a_group(store: Store) -> None:
    """The group is the pair: the same names cut elsewhere are another one."""
    runs = [a_run(a_job(key=key)) for key in (JobKey("a-b", "c"), JobKey("a", "b-c"))]
    await with_history(store, *runs)

    assert [[run] for run in runs] == [await history(store, run.key) for run in runs]


@pytest.mark.parametrize("whole_group", [True, False])
async def test_history_in_pages(store: Store, whole_group: bool) -> None:  # noqa: FBT001 - which of two lists
    """Whoever goes on from the last number seen sees each run once."""
    job = a_job()
    runs = [a_run(job, attempt=n) for n in range(1, 6)]
    await with_history(store, *runs)
    pages: list[list[Run]] = []
    before = None
    for _ in range(3):
        pages.append(await store.runs(BACKUPS, None if whole_group else job.id, before=before, limit=2))
        before = pages[-1][-1].number

    assert [runs[:2:-1], runs[2:0:-1], runs[:1]] == pages
    assert [] == await store.runs(BACKUPS, None if whole_group else job.id, before=before, limit=2)
