from datetime import timedelta
from itertools import product

import pytest

from mainspring.clock import ManualClock
from mainspring.job import AGING, JobKey, State, in_turn, rank
from mainspring.schedule import MICROSECOND
from mainspring.store import NodeBeat, Store
from tests.contract.build import ALL, ANY, BACKUPS, NODE, SECOND, START, a_job, claim, due_in, edited, in_order, jobs_of

OTHERS = JobKey("vps4", "others")


@pytest.fixture
async def store(store: Store) -> Store:
    """A store in which a node lives."""
    await store.join(NodeBeat(NODE))
    return store


async def claimed_one_by_one(store: Store, count: int) -> list[int]:
    """Claim jobs one after the other; return their priorities."""
    return [each.job.priority for _ in range(count) for each in await claim(store, limit=1)]


async def test_highest_priority_comes_first(store: Store) -> None:
    """Whoever came first; in single claims as in one."""
    priorities = [5, 0, 9, 3, 5, 7]
    await store.add(
        [a_job(priority=priority, fire_at=START - (9 - n) * SECOND) for n, priority in enumerate(priorities)]
    )
    together = await claim(store)
    await store.unclaim([each.job for each in together])

    assert sorted(priorities, reverse=True) == [each.job.priority for each in together]
    assert sorted(priorities, reverse=True) == await claimed_one_by_one(store, len(priorities))


async def test_of_one_priority_the_earliest_due_comes_first(store: Store) -> None:
    """As it does among jobs that have the usual one."""
    jobs = [a_job(priority=8, fire_at=START - n * SECOND) for n in (2, 5, 1)]
    await store.add(jobs)

    assert [5, 2, 1] == [(START - each.job.due_at) // SECOND for _ in jobs for each in await claim(store, limit=1)]


@pytest.mark.parametrize(("first", "second"), [(5, 4), (9, 8), (1, 0), (6, 5)])
async def test_who_waits_long_counts_one_higher(store: Store, clock: ManualClock, first: int, second: int) -> None:
    """A microsecond before that it does not; then it has the same priority, and has waited longer."""
    waiting, fresh = a_job(priority=second), a_job(priority=first, fire_at=START + AGING - SECOND)
    await store.add([waiting, fresh])

    clock.set(START + AGING - MICROSECOND)
    [before] = await claim(store, limit=1)
    await store.unclaim([before.job])
    clock.set(START + AGING)
    [after] = await claim(store, limit=1)

    assert (fresh.id, waiting.id) == (before.job.id, after.job.id)


async def test_nobody_counts_higher_than_the_highest(store: Store, clock: ManualClock) -> None:
    """What has waited for days comes before what has the highest priority only if it was due earlier."""
    old, high = a_job(priority=0), a_job(priority=9, fire_at=START - SECOND)
    await store.add([old, high])
    clock.advance(seconds=100 * AGING.total_seconds())

    assert [high.id, old.id] == [each.job.id for _ in range(2) for each in await claim(store, limit=1)]


async def test_priorities_hold_within_a_group_alone(store: Store) -> None:
    """Groups are served in the order of the demand, each with what is first in it."""
    low, high = a_job(priority=0), a_job(priority=9, key=OTHERS)
    await store.add([low, high])

    [claimed] = (await store.claim(NODE, {BACKUPS: 1, OTHERS: 1}, 1)).claims

    assert low.id == claimed.job.id


async def test_what_is_not_due_waits_whatever_its_priority(store: Store, clock: ManualClock) -> None:
    """Its due time is known all the same."""
    await store.add([a_job(priority=9, fire_at=START + SECOND), a_job(priority=2, fire_at=START + 2 * SECOND)])

    assert [] == await claim(store)
    assert SECOND == await due_in(store, [BACKUPS])

    clock.advance(seconds=1)
    answer = await store.claim(NODE, {BACKUPS: ALL}, ALL)
    assert [9] == [each.job.priority for each in answer.claims]
    assert answer.next_due is not None
    assert answer.next_due.wait == SECOND


async def test_lists_go_by_due_time(store: Store) -> None:
    """Pages of jobs of all priorities are one list."""
    jobs = [a_job(priority=priority, fire_at=START + n * SECOND) for n, priority in enumerate((5, 1, 9, 5, 0, 7, 5))]
    await store.add(jobs)

    pages = [await store.page(BACKUPS, ANY, after=None, limit=3)]
    assert in_order(*jobs)[:3] == pages[0]
    assert b"".join(job.id.bytes for job in in_order(*jobs)) == await store.ids(BACKUPS, ANY, after=None)


async def test_priority_can_be_edited(store: Store) -> None:
    """What waited behind comes first."""
    jobs = [a_job(), a_job(fire_at=START - SECOND)]
    await store.add(jobs)
    assert await store.update(edited(jobs[0], priority=6))

    assert [jobs[0].id, jobs[1].id] == [each.job.id for _ in jobs for each in await claim(store, limit=1)]


async def test_priority_is_kept_when_the_job_is_done(store: Store) -> None:
    """What is brought back has it again."""
    job = a_job(priority=2)
    await store.add([job])
    [claimed] = await claim(store)
    await store.unclaim([claimed.job])

    assert {2} == {each.priority for each in (await jobs_of(store)).values()}
    assert State.SCHEDULED == (await jobs_of(store))[job.id].state


@pytest.mark.parametrize(
    ("priority", "waited"), [*product((0, 4, 9), (-SECOND, 0 * SECOND, AGING, 3 * AGING, 99 * AGING))]
)
def test_rank(priority: int, waited: timedelta) -> None:
    """One higher for each time that a job has been due for long, at most the highest; one lower before it is due."""
    assert min(9, priority + waited // AGING) == rank(priority, waited)


async def test_jobs_claimed_ahead_come_after_those_that_are_due(store: Store) -> None:
    """Also with a higher priority: those that are due can begin at once."""
    due, coming = a_job(priority=1), a_job(priority=9, fire_at=START + SECOND / 100)
    await store.add([coming, due])

    claims = (await store.claim(NODE, {BACKUPS: ALL}, ALL, SECOND)).claims

    assert [due.id, coming.id] == [each.job.id for each in claims]
    assert claims == in_turn(reversed(claims))
