"""Finding jobs by their labels, their creation and their nodes, and runs by how, where and when they ended."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from mainspring.clock import ManualClock
from mainspring.job import Job, JobFilter, JobKey, Options, Outcome, Position, RunFilter, Scope, State
from mainspring.store import Store
from tests.contract.build import (
    ALL,
    BACKUPS,
    NODE,
    SECOND,
    START,
    a_done_job,
    a_job,
    a_run,
    edited,
    ended,
    put,
    running,
)

MAILS, ORDERS = JobKey("vps4", "mails"), JobKey("shop", "orders")
EVERYTHING, PRODUCT, GROUP = Scope(), Scope("vps4"), Scope(*BACKUPS)
DONE = frozenset({State.DONE})


async def found(
    store: Store, label: str, which: JobFilter | None = None, scope: Scope = EVERYTHING, limit: int = ALL
) -> list[UUID]:
    """Return the jobs that are found by a label."""
    return [job.id for job in await store.find(scope, which or JobFilter(), [(label, label)], after=None, limit=limit)]


def labelled(*labels: str, key: JobKey = BACKUPS, at: int = 0) -> Job:
    """Make a job with labels, due some seconds after the start."""
    return a_job(key=key, labels=labels, fire_at=START + at * SECOND)


async def test_jobs_are_found_by_a_label(store: Store) -> None:
    """Of a group, a product and all, by due time, also where they came in a batch or slice by slice."""
    first, second, other, third = (
        labelled("t:x", "t:y", at=3),
        labelled("t:x", at=2),
        labelled("t:y", at=1),
        labelled("t:x", key=MAILS, at=1),
    )
    fourth = labelled("t:x", key=ORDERS, at=0)
    await store.add([first])
    await store.add([second, other, third, fourth, *(a_job() for _ in range(300))])

    assert [fourth.id, third.id, second.id, first.id] == await found(store, "t:x")
    assert [third.id, second.id, first.id] == await found(store, "t:x", scope=PRODUCT)
    assert [second.id, first.id] == await found(store, "t:x", scope=GROUP)
    assert [second.id] == await found(store, "t:x", scope=GROUP, limit=1)
    assert [first.id] == await found(store, "t:x", JobFilter(labels=frozenset({"t:x", "t:y"})))
    assert [] == await found(store, "t:z")
    assert (4, 3, 2, 2) == (
        await store.labelled(EVERYTHING, "t:x", 9),
        await store.labelled(PRODUCT, "t:x", 9),
        await store.labelled(GROUP, "t:x", 9),
        await store.labelled(EVERYTHING, "t:x", 2),
    )


async def test_labels_follow_edits(store: Store) -> None:
    """Those that a job has no longer lead to it no more; also after it is done, and brought back."""
    await store.add([job := labelled("t:x", "t:y")])
    assert await store.update(job := edited(job, labels=("t:y", "t:z")))
    assert [[], [job.id], [job.id]] == [await found(store, label) for label in ("t:x", "t:y", "t:z")]
    assert job == await store.get(job.id)

    assert await store.update(job := edited(job, labels=()))
    assert [[], []] == [await found(store, label) for label in ("t:y", "t:z")]


async def test_done_jobs_are_found(store: Store) -> None:
    """From the one that ended last; they keep their labels, and get others when they are amended."""
    jobs = await running(store, labelled("t:x", at=-3), labelled("t:x", at=-2), labelled("t:y", at=-1))
    assert jobs == sorted(jobs, key=lambda job: job.run or 0)
    await store.finish([ended(job) for job in jobs])

    assert [jobs[1].id, jobs[0].id] == await found(store, "t:x", JobFilter(DONE))
    assert [] == await found(store, "t:x")
    done = await store.get(jobs[0].id)
    assert done is not None
    assert ("t:x",) == done.labels
    assert await store.amend(edited(done, labels=("t:z",)))
    assert [[jobs[1].id], [jobs[0].id]] == [await found(store, label, JobFilter(DONE)) for label in ("t:x", "t:z")]
    again = await store.get(jobs[0].id)
    assert again is not None
    assert await store.revive(edited(again, state=State.SCHEDULED, last_run=None))
    assert [jobs[0].id] == await found(store, "t:z")


async def test_deleted_and_forgotten_jobs_are_not_found(store: Store, clock: ManualClock) -> None:
    """Nothing is left of their labels."""
    jobs = await running(store, labelled("t:x"), labelled("t:x"))
    await store.finish([ended(jobs[0])])
    await store.delete(jobs[1], None)
    assert 1 == await store.labelled(EVERYTHING, "t:x", 9)
    clock.advance(days=40)
    while await store.prune(timedelta(days=1)):
        pass
    await store.prune(timedelta(days=1))
    assert 0 == await store.labelled(EVERYTHING, "t:x", 9)


async def test_jobs_are_found_by_how_something_begins(store: Store) -> None:
    """A key, a tag, an id; no other label."""
    job, tagged, other = labelled("k:nightly-1"), labelled("t:night"), labelled("c:nightly", "f:a=nightly")
    await store.add([job, tagged, other])

    async def beginning(prefix: str) -> set[UUID]:
        which = JobFilter(prefix=prefix)
        return {each.id for each in await store.find(GROUP, which, which.prefixes, after=None, limit=ALL)}

    assert {job.id, tagged.id} == await beginning("night")
    assert {job.id} == await beginning("nightly")
    assert set() == await beginning("%")
    for length in (30, 36):
        assert {other.id} == await beginning(str(other.id)[:length])
        assert {other.id} == await beginning(str(other.id)[:length].upper())


@pytest.mark.parametrize("by", ["page", "find"])
async def test_jobs_come_by_their_creation(store: Store, by: str) -> None:
    """From and until a time, page by page; running ones among them."""
    jobs = [
        a_job(created_at=START + timedelta(minutes=at), fire_at=START - timedelta(minutes=at), labels=("t:x",))
        for at in (3, 1, 4, 2)
    ]
    [ran] = await running(store, a_job(created_at=START + timedelta(minutes=5), labels=("t:x",)))
    await store.add(jobs)
    which = JobFilter(by_created=True)

    async def listed(which: JobFilter, after: Job | None = None, limit: int = ALL) -> list[UUID]:
        place = None if after is None else Position.of(after, by_created=True)
        if by == "page":
            return [job.id for job in await store.page(BACKUPS, which, after=place, limit=limit)]
        return [job.id for job in await store.find(GROUP, which, [("t:x", "t:x")], after=place, limit=limit)]

    in_order = [jobs[place].id for place in (1, 3, 0, 2)] + [ran.id]
    assert in_order == await listed(which)
    assert in_order[:2] == await listed(which, limit=2)
    assert in_order[2:] == await listed(which, jobs[3])
    from_to = replace(which, created_from=START + timedelta(minutes=2), created_to=START + timedelta(minutes=4))
    assert in_order[1:3] == await listed(from_to)
    assert [ran.id] == await listed(replace(which, states=frozenset({State.RUNNING})))


async def test_jobs_of_a_node(store: Store) -> None:
    """Those that it runs."""
    jobs = await running(store, a_job(), a_job(key=ORDERS))
    await store.add([a_job()])
    assert {job.id for job in jobs} == {job.id for job in await store.on_node(EVERYTHING, NODE)}
    assert [jobs[0].id] == [job.id for job in await store.on_node(PRODUCT, NODE)]
    assert [] == await store.on_node(EVERYTHING, "another")


async def test_runs_that_pass_a_filter(store: Store) -> None:
    """By outcome, node and end; with the place from which on there may be more."""
    outcomes = [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SUCCEEDED, Outcome.FAILED]
    done = []
    for number, outcome in enumerate(outcomes):
        job = a_done_job(outcome=outcome)
        run = a_run(job, node=f"node-{number % 2}", outcome=outcome, finished_at=START + number * SECOND)
        done.append(job._replace(last_run=run))
    await put(store, *done)
    runs = await store.runs(BACKUPS, None, before=None, limit=ALL)
    numbers = [run.number for run in runs]

    async def seen(which: RunFilter, limit: int = ALL, scan: int = ALL) -> tuple[Sequence[int], int | None]:
        found = await store.history(BACKUPS, which, before=2**63 - 1, limit=limit, scan=scan)
        return [run.number for run in found.runs], found.last

    assert (numbers, None) == await seen(RunFilter())
    assert (numbers[:2], numbers[1]) == await seen(RunFilter(), limit=2)
    failed = RunFilter(frozenset({Outcome.FAILED}))
    assert ([run.number for run in runs if run.outcome is Outcome.FAILED], None) == await seen(failed)
    assert (numbers[:1], numbers[0]) == await seen(failed, limit=1)
    assert ([], None) == await seen(RunFilter(frozenset({Outcome.LOST})))
    assert ([], numbers[2]) == await seen(RunFilter(frozenset({Outcome.LOST})), limit=1, scan=3)
    assert ([run.number for run in runs if run.node == "node-1"], None) == await seen(RunFilter(node="node-1"))
    late = RunFilter(ended_from=START + SECOND, ended_to=START + 3 * SECOND)
    assert {1, 2} == {(run.finished_at - START) // SECOND for run in runs if run.number in (await seen(late))[0]}
    assert Options() == done[0].options
