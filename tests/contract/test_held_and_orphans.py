from mainspring.model import Job, NodeBeat, Outcome
from mainspring.store.protocol import Store
from tests.contract.build import NODE, a_job, ended, running


def numbers(*jobs: Job) -> frozenset[int]:
    """Name the runs of jobs."""
    return frozenset(job.run for job in jobs if job.run is not None)


async def test_node_holds_what_it_claimed(store: Store) -> None:
    """Each node holds its own runs."""
    mine = await running(store, a_job(), a_job())
    others = await running(store, a_job(), node="node-2")

    assert [numbers(*mine), numbers(*others), frozenset()] == [
        await store.held(node) for node in (NODE, "node-2", "stranger")
    ]


async def test_node_no_longer_holds_what_ended(store: Store) -> None:
    """A run that was finished or whose job was deleted is not the node's."""
    finished, deleted, still = await running(store, a_job(), a_job(), a_job())
    await store.finish([ended(finished)])
    await store.delete(deleted, None)

    assert numbers(still) == await store.held(NODE)


async def test_runs_of_the_living_are_no_orphans(store: Store) -> None:
    """While its node has a row, a running job has somebody."""
    await running(store, a_job())
    await store.add([a_job()])

    assert [] == await store.orphans(10)


async def test_burying_makes_orphans(store: Store) -> None:
    """What a buried node ran is for others to end, as the store knows it; the living keep theirs."""
    mine = await running(store, a_job(), a_job())
    await running(store, a_job(), node="node-2")

    await store.bury(NodeBeat(NODE, 0))

    assert {job.id: job for job in mine} == {job.id: job for job in await store.orphans(10)}


async def test_leaving_makes_orphans(store: Store) -> None:
    """What a node leaves behind is not forgotten."""
    mine = await running(store, a_job())

    await store.leave(NODE)

    assert mine == await store.orphans(10)


async def test_orphans_come_in_bites(store: Store) -> None:
    """There are as many at a time as asked for, until the last one has ended."""
    mine = await running(store, *(a_job() for _ in range(5)))
    await store.leave(NODE)
    bites: list[list[Job]] = []
    while orphans := await store.orphans(2):
        bites.append(orphans)
        await store.finish([ended(job, Outcome.LOST) for job in orphans])

    assert [2, 2, 1] == [len(bite) for bite in bites]
    assert numbers(*mine) == numbers(*(job for bite in bites for job in bite))
