"""How many jobs are where: counted with each write, so that no call has to."""

from mainspring.job import Counts, JobKey, Outcome, State
from mainspring.store import Store
from tests.contract.build import (
    BACKUPS,
    SNAPSHOTS,
    a_done_job,
    a_job,
    a_running_job,
    claim,
    edited,
    ended,
    put,
    running,
)


async def test_empty_store_counts_nothing(store: Store) -> None:
    """Groups without jobs are absent."""
    assert {} == await store.counts()


async def test_counts_by_group_and_state(store: Store) -> None:
    """Every job counts once, where it stands; states that no job is in are absent."""
    await store.add([a_job(), a_job(), a_running_job(), a_job(state=State.PAUSED, paused=True)])
    await put(store, *(a_done_job(key=SNAPSHOTS) for _ in range(3)))

    assert {
        BACKUPS: Counts({State.SCHEDULED: 2, State.RUNNING: 1, State.PAUSED: 1}),
        SNAPSHOTS: Counts({State.DONE: 3}),
    } == await store.counts()


async def test_counts_keep_pairs_apart(store: Store) -> None:
    """Groups whose names join to the same text are counted apart."""
    keys = [JobKey("a-b", "c"), JobKey("a", "b-c")]
    await store.add([a_job(key=key) for key in keys])

    assert {key: Counts({State.SCHEDULED: 1}) for key in keys} == await store.counts()


async def test_counts_those_that_gave_up(store: Store) -> None:
    """Whether they are done or go on; one that is tried again did not give up, nor did one that was revived."""
    gave_up, tried_again = a_job(outcome=Outcome.FAILED), a_job(outcome=Outcome.FAILED, attempt=1)
    dead = a_done_job(outcome=Outcome.LOST)
    await put(store, gave_up, tried_again, dead, a_done_job(), a_job(key=SNAPSHOTS))
    assert [2, 0] == [(await store.counts())[key].gave_up for key in (BACKUPS, SNAPSHOTS)]

    await store.update(edited(gave_up, outcome=None))
    assert 1 == (await store.counts())[BACKUPS].gave_up

    await store.revive(edited(dead, state=State.SCHEDULED, last_run=None))
    assert 0 == (await store.counts())[BACKUPS].gave_up


async def test_counts_follow_a_job_that_gives_up(store: Store) -> None:
    """From its end to its next run; if that does not begin, it gave up as before."""
    [claimed] = await running(store, a_job(outcome=Outcome.FAILED))
    assert Counts({State.RUNNING: 1}) == (await store.counts())[BACKUPS]

    await store.unclaim([claimed])
    assert Counts({State.SCHEDULED: 1}, 1) == (await store.counts())[BACKUPS]

    [claimed] = [claim.job for claim in await claim(store)]
    await store.finish([ended(claimed._replace(failures=4), Outcome.FAILED)])
    assert Counts({State.DONE: 1}, 1) == (await store.counts())[BACKUPS]
