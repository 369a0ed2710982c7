import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from mainspring.clock import ManualClock
from mainspring.job import Claim, Job, JobKey, Options, State
from mainspring.schedule import MICROSECOND
from mainspring.store import Due, NodeBeat, Store
from tests.contract.build import (
    ALL,
    BACKUPS,
    NODE,
    SECOND,
    SNAPSHOTS,
    START,
    Place,
    a_done_job,
    a_job,
    a_running_job,
    as_claimed,
    claim,
    edited,
    ended,
    history,
    jobs_of,
    opened,
    put,
    running,
)


@pytest.fixture
async def store(store: Store) -> Store:
    """A store in which a node lives."""
    await store.join(NodeBeat(NODE))
    return store


async def test_claimed_job_is_running(store: Store, clock: ManualClock) -> None:
    """A claim says who runs the job since when, under which number and as which try; all else stays as it was."""
    job = a_job(attempt=2, failures=1, version=5)
    await store.add([job])
    clock.advance(seconds=1)

    [claimed] = await claim(store)

    expected = as_claimed(job, run=claimed.job.run, node=NODE, at=START + SECOND)
    assert Claim(expected, START + SECOND) == claimed
    assert (3, 6, State.RUNNING) == (claimed.job.attempt, claimed.job.version, claimed.job.state)
    assert isinstance(claimed.job.run, int)
    assert expected == await store.get(job.id)


async def test_claim_is_never_early(store: Store, clock: ManualClock) -> None:
    """A microsecond before it is due a job cannot be had; when it is due it can."""
    job = a_job(fire_at=START + SECOND)
    await store.add([job])

    clock.set(START + SECOND - MICROSECOND)
    assert [] == await claim(store)

    clock.set(START + SECOND)
    assert [job.id] == [claimed.job.id for claimed in await claim(store)]


async def test_claim_goes_by_due_time_where_it_differs_from_the_fire_time(store: Store, clock: ManualClock) -> None:
    """A retry that was put off waits, though its fire time is over."""
    await store.add([a_job(due_at=START + SECOND)])

    assert [] == await claim(store)
    clock.advance(seconds=1)
    assert len(await claim(store)) == 1


async def test_only_scheduled_jobs_are_claimed(store: Store) -> None:
    """What is paused, runs or is done stays so, though it is due."""
    jobs = [a_job(state=State.PAUSED, paused=True), a_running_job(), a_done_job()]
    await put(store, *jobs)

    assert [] == await claim(store)

    assert jobs == [await store.get(job.id) for job in jobs]


async def test_earliest_due_comes_first(store: Store) -> None:
    """With fewer places than jobs, those that have waited longest get them, and come in that order."""
    jobs = [a_job(fire_at=START - n * SECOND) for n in (2, 5, 1, 4, 3)]
    await store.add(jobs)

    claimed = [await claim(store, limit=2), await claim(store, limit=2), await claim(store, limit=2)]

    assert [[5, 4], [3, 2], [1]] == [[(START - c.job.due_at) // SECOND for c in claims] for claims in claimed]


async def demanded(store: Store, demand: dict[JobKey, int], limit: int) -> dict[JobKey, int]:
    """Claim, and count what came by group."""
    return Counter(claimed.job.key for claimed in (await store.claim(NODE, demand, limit)).claims)


async def test_demand_bounds_each_group(store: Store) -> None:
    """A group gives no more jobs than were demanded of it, and one that was not named gives none."""
    keys = [JobKey("p", str(n)) for n in range(4)]
    await store.add([a_job(key=key) for key in keys for _ in range(3)])

    claimed = await demanded(store, {keys[0]: 1, keys[1]: 2, keys[2]: 0}, ALL)

    assert {keys[0]: 1, keys[1]: 2} == claimed


async def test_limit_bounds_the_claim(store: Store) -> None:
    """All groups together give no more than the limit; a group without jobs leaves room for others."""
    await store.add([a_job(key=key) for key in (BACKUPS, SNAPSHOTS) for _ in range(3)])

    empty = JobKey("nobody", "home")
    counts = [await demanded(store, {empty: 3, BACKUPS: 3, SNAPSHOTS: 3}, limit) for limit in (0, 4, 4)]

    assert [0, 4, 2] == [sum(count.values()) for count in counts]


async def test_claim_ahead_brings_what_will_soon_be_due(store: Store) -> None:
    """What is due within that time is running, but begins when it is due; the next due time comes with it."""
    times = [START, START + SECOND, START + 2 * SECOND, START + 3 * SECOND]
    await store.add([a_job(fire_at=time) for time in times])

    claims, as_of, next_due = await store.claim(NODE, {BACKUPS: ALL}, ALL, 2 * SECOND)

    assert times[:3] == [claimed.job.due_at for claimed in claims]
    assert {(START, State.RUNNING)} == {(claimed.at, claimed.job.state) for claimed in claims}
    assert times[:3] == [claimed.job.begins_at for claimed in claims]
    assert (START, Due(START + 3 * SECOND, 3 * SECOND)) == (as_of, next_due)


async def test_claim_tells_the_next_due_time_of_its_groups_only(store: Store) -> None:
    """Of groups that were not asked for nothing is told; where there is nothing more, or nothing came, neither."""
    await store.add([a_job(), a_job(fire_at=START + 3 * SECOND), a_job(key=SNAPSHOTS, fire_at=START + SECOND)])
    both = {BACKUPS: ALL, SNAPSHOTS: ALL}

    assert Due(START + 3 * SECOND, 3 * SECOND) == (await store.claim(NODE, {BACKUPS: ALL}, ALL)).next_due
    assert ([], None, None) == await store.claim(NODE, both, ALL)
    assert None is (await store.claim(NODE, both, ALL, 3 * SECOND)).next_due


async def test_unclaimed_job_waits_as_before(store: Store, clock: ManualClock) -> None:
    """A claim that is undone took no attempt and leaves no history; its version and its run number are used up."""
    job = a_job(attempt=2, failures=1, version=5)
    await store.add([job])
    [claimed] = await claim(store)
    clock.advance(seconds=1)

    await store.unclaim([claimed.job])

    assert job._replace(version=7, updated_at=START + SECOND) == await store.get(job.id)
    assert [] == await history(store)
    [again] = await claim(store)
    assert again.job.run != claimed.job.run
    assert again.job.attempt == claimed.job.attempt


async def test_unclaimed_job_keeps_what_was_edited_meanwhile(store: Store) -> None:
    """One that was paused while it was claimed is paused; other edits stay as well."""
    [job] = await running(store, a_job())
    paused = edited(job, paused=True, options=Options(max_attempts=9))
    assert await store.update(paused)

    await store.unclaim([job])

    found = await store.get(job.id)
    assert found is not None
    assert (State.PAUSED, True, paused.options, 0) == (found.state, found.paused, found.options, found.attempt)


async def test_unclaim_leaves_other_runs_alone(store: Store) -> None:
    """What has ended, was deleted or was claimed again is no longer that claim's."""
    jobs = await running(store, a_job(), a_job(), a_job())
    await store.finish([ended(jobs[0])])
    await store.delete(jobs[1], None)
    await store.unclaim([jobs[2]])
    [again] = await claim(store)
    before = await jobs_of(store)

    await store.unclaim(jobs)

    assert before == await jobs_of(store)
    assert again.job.id in before


async def test_watchers_hear_of_an_unclaimed_job(store: Store) -> None:
    """Somebody else may have a slot for it."""
    [job] = await running(store, a_job())
    heard: list[datetime] = []
    store.watch(heard.append)

    await store.unclaim([job])

    assert [job.due_at] == heard


async def test_claim_without_demand_is_empty(store: Store) -> None:
    """A node without plugins asks for nothing and gets it."""
    await store.add([a_job()])

    assert ([], None, None) == await store.claim(NODE, {}, ALL)


async def test_claim_keeps_pairs_apart(store: Store) -> None:
    """Groups whose names join to the same text are served apart."""
    mine, other = a_job(key=JobKey("a-b", "c")), a_job(key=JobKey("a", "b-c"))
    await store.add([mine, other])

    assert [mine.id] == [claimed.job.id for claimed in await claim(store, key=mine.key)]

    assert other == await store.get(other.id)


async def test_node_that_has_not_joined_gets_nothing(store: Store) -> None:
    """Nobody works without a row that others can see."""
    await store.add([a_job()])

    assert [] == await claim(store, node="stranger")


async def test_node_that_left_or_was_buried_gets_nothing(store: Store) -> None:
    """Whoever was taken for dead takes no more work under that name."""
    await store.add([a_job()])
    await store.join(NodeBeat("other"))
    await store.bury(NodeBeat(NODE, 0))
    await store.leave("other")

    assert [[], []] == [await claim(store, node=node) for node in (NODE, "other")]


async def test_run_numbers_rise_for_ever(place: Place) -> None:
    """Each claim has a number above all earlier ones: in one call, from call to call, and after a restart."""
    seen: list[int] = []
    for life in ("first", "second"):
        async with opened(place()) as store:
            if not store.durable:
                seen.clear()  # with the jobs all memory of their numbers is gone
            for turn in range(3):
                jobs = await running(store, *(a_job() for _ in range(4)), node=life)
                numbers = sorted(job.run or 0 for job in jobs)
                assert len(set(numbers)) == 4, turn
                assert not seen or numbers[0] > seen[-1]
                seen += numbers


async def test_number_is_not_drawn_again_when_its_job_is_gone(store: Store) -> None:
    """The number of a deleted job's run belongs to that run."""
    [job] = await running(store, a_job())
    await store.delete(job, None)

    [other] = await running(store, a_job())

    assert (other.run or 0) > (job.run or 0)


async def test_next_try_has_a_number_and_an_attempt_of_its_own(store: Store, clock: ManualClock) -> None:
    """The tries of one fire time count on from 1, under rising numbers."""
    await store.add([a_job()])
    tries: list[Job] = []
    for _ in range(3):
        [claimed] = await claim(store)
        tries.append(claimed.job)
        [change] = [ended(claimed.job, at=clock.now(), delay=timedelta())]
        await store.finish([change._replace(job=change.job._replace(state=State.SCHEDULED))])

    assert [1, 2, 3] == [job.attempt for job in tries]
    assert sorted({job.run or 0 for job in tries}) == [job.run for job in tries]


async def test_claims_at_once_share_no_job(store: Store) -> None:
    """However many claim at the same time, each job goes to one of them."""
    jobs = [a_job() for _ in range(200)]
    await store.add(jobs)
    await store.join(NodeBeat("node-2"))

    claims = await asyncio.gather(*(claim(store, node=f"node-{1 + n % 2}", limit=15) for n in range(20)))

    claimed = [one.job for batch in claims for one in batch]
    assert sorted(job.id for job in jobs) == sorted(job.id for job in claimed)
    assert len(jobs) == len({job.run for job in claimed})
