from mainspring.job import JobKey, State
from mainspring.store import Store
from tests.contract.build import BACKUPS, SNAPSHOTS, a_done_job, a_job, a_running_job, put


async def test_empty_store_counts_nothing(store: Store) -> None:
    """Groups without jobs are absent."""
    assert {} == await store.counts()


async def test_counts_by_group_and_state(store: Store) -> None:
    """Every job counts once, where it stands; states that no job is in are absent."""
    await store.add([a_job(), a_job(), a_running_job(), a_job(state=State.PAUSED, paused=True)])
    await put(store, *(a_done_job(key=SNAPSHOTS) for _ in range(3)))

    assert {
        BACKUPS: {State.SCHEDULED: 2, State.RUNNING: 1, State.PAUSED: 1},
        SNAPSHOTS: {State.DONE: 3},
    } == await store.counts()


async def test_counts_keep_pairs_apart(store: Store) -> None:
    """Groups whose names join to the same text are counted apart."""
    keys = [JobKey("a-b", "c"), JobKey("a", "b-c")]
    await store.add([a_job(key=key) for key in keys])

    assert {key: {State.SCHEDULED: 1} for key in keys} == await store.counts()
