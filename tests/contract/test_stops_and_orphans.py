from mainspring.model import Job, NodeBeat, Outcome
from mainspring.store.protocol import Store
from tests.contract.build import NODE, a_job, ended, running


async def test_node_is_told_what_to_stop(store: Store) -> None:
    """The run of a job that was deleted under it is told to its node, once."""
    deleted, _, other = await running(store, a_job(), a_job(), a_job())
    elsewhere, *_ = await running(store, a_job(), node="node-2")
    for job in (deleted, elsewhere):
        await store.delete(job, ended(job, Outcome.CANCELLED).run)
    await store.finish([ended(other)])

    assert [{deleted.run}, set()] == [await store.stops(NODE) for _ in range(2)]


async def test_dead_are_told_nothing(store: Store) -> None:
    """What a node was to stop is forgotten with it, however it ends."""
    for name, end in {NODE: store.leave(NODE), "node-2": store.bury(NodeBeat("node-2", 0))}.items():
        [job] = await running(store, a_job(), node=name)
        await store.delete(job, ended(job, Outcome.CANCELLED).run)
        await end

    assert [frozenset(), frozenset()] == [await store.stops(name) for name in (NODE, "node-2")]


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
    assert {job.run for job in mine} == {job.run for bite in bites for job in bite}
