from mainspring.clock import ManualClock
from mainspring.job import Claim, Job, Outcome
from mainspring.store import NodeBeat, Store
from tests.contract.build import ALL, BACKUPS, NODE, SNAPSHOTS, START, a_job, ended, running

KEYS = (BACKUPS, SNAPSHOTS)


async def test_runs_of_the_living_are_no_orphans(store: Store) -> None:
    """While its node has a row, a running job has somebody."""
    await running(store, a_job())
    await store.add([a_job()])

    assert [] == await store.orphans(KEYS, ALL)


async def test_burying_makes_orphans(store: Store) -> None:
    """What a buried node ran is for others to end, as the store knows it; the living keep theirs."""
    mine = await running(store, a_job(), a_job(key=SNAPSHOTS))
    await running(store, a_job(), node="node-2")

    await store.bury(NodeBeat(NODE, 0))

    assert {job.id: job for job in mine} == {job.id: job for job in await store.orphans(KEYS, ALL)}


async def test_leaving_makes_orphans(store: Store) -> None:
    """What a node leaves behind is not forgotten."""
    mine = await running(store, a_job())

    await store.leave(NODE)

    assert mine == await store.orphans(KEYS, ALL)


async def test_orphans_of_other_groups_are_left_to_others(store: Store) -> None:
    """Only who knows the rules of a group may say what becomes of its job."""
    [mine, _] = await running(store, a_job(), a_job(key=SNAPSHOTS))
    await store.leave(NODE)

    assert [mine] == await store.orphans([BACKUPS], ALL)
    assert [] == await store.orphans([], ALL)


async def test_orphans_come_in_bites(store: Store) -> None:
    """There are as many at a time as asked for, until the last one has ended."""
    mine = await running(store, *(a_job() for _ in range(5)))
    await store.leave(NODE)
    bites: list[list[Job]] = []
    while orphans := await store.orphans(KEYS, 2):
        bites.append(orphans)
        await store.finish([ended(job, Outcome.LOST) for job in orphans])

    assert [2, 2, 1] == [len(bite) for bite in bites]
    assert {job.run for job in mine} == {job.run for bite in bites for job in bite}


async def test_node_can_ask_what_it_holds(store: Store, clock: ManualClock) -> None:
    """It gets what it has claimed and not finished, as it was claimed, and nothing of others."""
    ended_job, held = await running(store, a_job(), a_job(key=SNAPSHOTS))
    await running(store, a_job(), node="node-2")
    await store.finish([ended(ended_job)])
    clock.advance(minutes=1)

    assert [Claim(held, START)] == await store.holding(NODE)
    assert [] == await store.holding("stranger")
