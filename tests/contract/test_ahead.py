"""How many jobs go before one, and of which groups nodes have no thread left."""

from datetime import timedelta

import pytest

from mainspring.store import NodeBeat, Store
from tests.contract.build import BACKUPS, NODE, SNAPSHOTS, START, a_job, running

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(("priority", "limit", "expected"), [(5, 99, 3), (5, 2, 2), (9, 99, 0), (0, 99, 5), (7, 99, 1)])
async def test_jobs_of_higher_rank_and_those_due_before_are_ahead(
    store: Store, priority: int, limit: int, expected: int
) -> None:
    """Of its group, as far as they are counted; what runs, waits or comes later is not."""
    await running(store, a_job(), a_job(key=SNAPSHOTS))
    job = a_job(fire_at=START + MINUTE, priority=priority)
    await store.add([
        job,
        a_job(), a_job(), a_job(priority=4), a_job(priority=7, fire_at=START), a_job(priority=1),
        a_job(fire_at=START + 2 * MINUTE), a_job(fire_at=START + 2 * MINUTE, priority=9),
        a_job(key=SNAPSHOTS), a_job(waits_for=(job.id,)),
    ])  # fmt: skip

    assert expected == await store.ahead(job, limit)


async def test_a_node_shows_where_it_is_stuck(store: Store) -> None:
    """Until it is so no more."""
    await store.join(NodeBeat(NODE, groups=(BACKUPS, SNAPSHOTS), slots=3))
    await store.show_stuck(NODE, [BACKUPS])
    [node] = await store.nodes()
    assert ((BACKUPS,), (BACKUPS, SNAPSHOTS)) == (node.stuck, node.groups)

    await store.show_stuck(NODE, [])

    [node] = await store.nodes()
    assert () == node.stuck
