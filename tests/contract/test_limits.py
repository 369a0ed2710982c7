"""Claims that go by limits and rates."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from mainspring.clock import ManualClock
from mainspring.job import Cap, Job, JobKey, Limit, Limits, Rate, Scope
from mainspring.store import Capped, NodeBeat, Store
from mainspring.store.postgres import store as postgres_store
from mainspring.store.sqlite import store as sqlite_store
from tests.contract.build import BACKUPS, NODE, START, a_job, a_running_job, jobs_of

PATCH = JobKey(BACKUPS.product, "patch")
OTHERS = JobKey("other", BACKUPS.job_group)
GROUP = Scope(*BACKUPS)


def cap(*limits: Limit | Rate, scope: Scope = GROUP) -> Sequence[Cap]:
    """Return the limits of a scope."""
    return [Cap(scope, Limits.of(limits))]


async def claim(store: Store, caps: Sequence[Cap], most: int = 100, *, key: JobKey = BACKUPS) -> Capped:
    """Claim by limits, for a node that has joined."""
    return await store.claim_capped(NODE, key, most, caps)


def jobs(capped: Capped) -> list[Job]:
    """Return what was claimed."""
    return [each.job for each in capped.claimed.claims]


@pytest.fixture
async def joined(store: Store) -> Store:
    """A store with a node."""
    await store.join(NodeBeat(NODE))
    return store


async def test_no_more_run_at_once_than_the_limit(joined: Store) -> None:
    """What runs counts until its end is written, whoever runs it, and no other group's or product's does."""
    await joined.add([a_job() for _ in range(5)])
    await joined.add([a_running_job(), a_running_job(key=PATCH), a_running_job(key=OTHERS)])

    first = await claim(joined, cap(Limit(3)))
    second = await claim(joined, cap(Limit(3)))

    assert (2, True) == (len(jobs(first)), first.is_cut)
    assert (0, True, None) == (len(jobs(second)), second.is_cut, second.again)
    await joined.delete(jobs(first)[0], None)
    assert 1 == len(jobs(await claim(joined, cap(Limit(3)))))


async def test_limits_of_a_product_count_all_its_groups(joined: Store) -> None:
    """And no others."""
    await joined.add([a_job(), a_job(), a_running_job(key=PATCH), a_running_job(key=OTHERS)])

    capped = await claim(joined, cap(Limit(2), scope=Scope(BACKUPS.product)))

    assert 1 == len(jobs(capped))


async def test_key_is_one_in_all_groups_of_a_product(joined: Store) -> None:
    """A data centre that patches takes fewer backups; that of another product is another."""
    await joined.add([a_job(concurrency_key="ams") for _ in range(3)])
    await joined.add([a_job(concurrency_key="fra"), a_job()])
    await joined.add(
        [a_running_job(key=PATCH, concurrency_key="ams"), a_running_job(key=OTHERS, concurrency_key="fra")]
    )

    capped = await claim(joined, cap(Limit(2, by="key")))

    assert {None, "ams", "fra"} == {job.concurrency_key for job in jobs(capped)}
    assert (3, True) == (len(jobs(capped)), capped.is_cut)


async def test_keys_that_are_full_hide_no_others(joined: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of their jobs are due before: others are looked for by their keys, each by priority."""
    for module in (postgres_store, sqlite_store):
        monkeypatch.setattr(module, "CANDIDATES", 5)
    early, late = START - timedelta(hours=1), START
    await joined.add([a_job(concurrency_key="full", fire_at=early) for _ in range(30)])
    await joined.add([a_running_job(concurrency_key="full")])
    others = [a_job(concurrency_key=f"k{number}", fire_at=late, priority=number % 3 + 4) for number in range(3)]
    usual, urgent = (a_job(concurrency_key="k9", fire_at=late, priority=priority) for priority in (5, 9))
    not_due = a_job(concurrency_key="k8", fire_at=late + timedelta(days=1))
    await joined.add([*others, usual, urgent, not_due])

    capped = await claim(joined, cap(Limit(1, by="key")), most=10)

    assert {urgent.id, *(other.id for other in others)} == {job.id for job in jobs(capped)}


async def test_keys_are_looked_at_in_turn(joined: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are very many, a claim goes on where the one before ended, and begins anew at the end."""
    for module in (postgres_store, sqlite_store):
        monkeypatch.setattr(module, "CANDIDATES", 1)
        monkeypatch.setattr(module, "MOST_KEYS", 3)
    await joined.add([a_job(concurrency_key="a", fire_at=START - timedelta(hours=1)) for _ in range(30)])
    await joined.add([a_running_job(concurrency_key="a")])
    await joined.add([a_job(concurrency_key=f"k{number:02}") for number in range(10)])

    found = [len(jobs(await claim(joined, cap(Limit(1, by="key")), most=9))) for _ in range(9)]

    assert 10 == sum(found)
    assert 0 == found[-1]


async def test_due_jobs_come_by_priority_and_due_time(joined: Store) -> None:
    """As they do without limits."""
    late = a_job(fire_at=START - timedelta(seconds=1))
    usual, urgent, last = a_job(fire_at=START - timedelta(seconds=2)), a_job(priority=9), a_job(priority=0)
    await joined.add([last, late, usual, urgent])

    found = [jobs(await claim(joined, cap(Limit(9)), most=1))[0].id for _ in range(4)]

    assert [urgent.id, usual.id, late.id, last.id] == found


async def test_rate_lets_one_begin_after_the_other(joined: Store, clock: ManualClock) -> None:
    """Also over several claims and nodes; the store says when the next one may."""
    await joined.add([a_job() for _ in range(9)])
    rate = cap(Rate(60, timedelta(minutes=1)))

    first, second = await claim(joined, rate), await claim(joined, rate)

    assert (1, 0) == (len(jobs(first)), len(jobs(second)))
    assert first.again == second.again is not None
    clock.advance(seconds=second.again.total_seconds() if second.again else 0)
    assert 1 == len(jobs(await claim(joined, rate)))


async def test_rates_by_key_are_shared_by_groups(joined: Store, clock: ManualClock) -> None:
    """As limits are."""
    await joined.add([a_job(concurrency_key="a"), a_job(concurrency_key="b")])
    await joined.add([a_job(key=PATCH, concurrency_key="a")])
    rate = Rate(1, timedelta(seconds=10), by="key")

    assert 2 == len(jobs(await claim(joined, cap(rate))))
    other = await claim(joined, cap(rate, scope=Scope(*PATCH)), key=PATCH)
    assert [] == jobs(other)
    assert other.again
    clock.advance(seconds=other.again.total_seconds())
    assert 1 == len(jobs(await claim(joined, cap(rate, scope=Scope(*PATCH)), key=PATCH)))


async def test_rates_are_forgotten_when_they_hold_nobody_back(joined: Store, clock: ManualClock) -> None:
    """One of each key would else stay for ever; one that still counts stays."""
    await joined.add([a_job(concurrency_key="a"), a_job(concurrency_key="a")])
    rate = cap(Rate(1, timedelta(hours=1), by="key"))
    assert 1 == len(jobs(await claim(joined, rate)))

    await joined.prune(timedelta(days=1))
    assert [] == jobs(await claim(joined, rate))
    clock.advance(hours=3)
    await joined.prune(timedelta(days=1))
    assert 1 == len(jobs(await claim(joined, rate)))


async def test_claims_take_turns(joined: Store) -> None:
    """Of many at the same moment none counts what another has not counted yet."""
    await joined.add([a_job(concurrency_key=f"k{number % 2}") for number in range(40)])
    caps = cap(Limit(7), Limit(4, by="key"))

    found = await asyncio.gather(*(claim(joined, caps, most=3) for _ in range(8)))
    for _ in range(3):
        found.append(await claim(joined, caps))  # one that could not have its turn comes again

    assert 7 == sum(len(jobs(capped)) for capped in found)
    running = [job for job in (await jobs_of(joined)).values() if job.run]
    assert max(sum(job.concurrency_key == key for job in running) for key in ("k0", "k1")) <= 4


async def test_who_may_not_claim_gets_nothing(joined: Store) -> None:
    """A node without a row, or one that does not know the last pause or limits."""
    await joined.add([a_job(), a_job()])
    before = await joined.noted()
    await joined.note("limits", "vps4", {})

    assert [] == jobs(await joined.claim_capped("nobody", BACKUPS, 9, cap(Limit(9))))
    assert [] == jobs(await joined.claim_capped(NODE, BACKUPS, 9, cap(Limit(9)), notes=before))
    assert [] == (await joined.claim(NODE, {BACKUPS: 9}, 9, notes=before)).claims
    after = await joined.noted()
    assert 2 == len(jobs(await joined.claim_capped(NODE, BACKUPS, 9, cap(Limit(9)), notes=after)))


async def test_claimed_jobs_are_as_those_of_other_claims(joined: Store) -> None:
    """In all that a claim tells."""
    await joined.add([one := a_job(concurrency_key="a"), two := a_job(concurrency_key="a")])

    (capped,) = (await claim(joined, cap(Limit(1)))).claimed.claims
    await joined.unclaim([capped.job])
    plain = {each.job.id: each for each in (await joined.claim(NODE, {BACKUPS: 2}, 2)).claims}

    assert capped.job.id in {one.id, two.id}
    same = plain[capped.job.id]
    assert capped.job._replace(run=None, version=0) == same.job._replace(run=None, version=0)
    assert capped.at == same.at


async def test_notes_are_swapped_only_if_they_are_as_was_believed(store: Store) -> None:
    """So that of two who write limits at the same moment one hears that they are others by now."""
    one, two = {"a": [1, 2]}, {"a": [2]}

    assert not await store.swap_note("limits", "x", one, two)
    assert await store.swap_note("limits", "x", None, one)
    assert not await store.swap_note("limits", "x", None, two)
    assert not await store.swap_note("limits", "x", two, two)
    assert {"x": one} == await store.notes("limits")
    before = await store.noted()
    assert await store.swap_note("limits", "x", one, None)
    assert {} == await store.notes("limits")
    assert await store.swap_note("limits", "x", None, two)
    assert before < await store.noted()
    assert [True, False, False] == sorted(
        await asyncio.gather(*(store.swap_note("limits", "x", two, {"a": number}) for number in range(3))), reverse=True
    )


async def test_what_runs_is_told(joined: Store) -> None:
    """Of all groups, with what each run holds; an occurrence that was taken out of a job is that job's."""
    parent = a_job()
    runs = [a_running_job(concurrency_key="a"), a_running_job(key=PATCH), a_running_job(parent=parent.id)]
    await joined.add([parent, *runs])

    told = await joined.running()

    expected = {(job.key, job.concurrency_key, job.parent or job.id, job.run, job.node) for job in runs}
    assert expected == {each[:5] for each in told}
    assert {job.run: job.claimed_at for job in runs} == {each.run: each.since for each in told}


async def test_rates_are_told(joined: Store, clock: ManualClock) -> None:
    """Those of one product."""
    await joined.add([a_job(concurrency_key="a")])
    assert {} == await joined.rates(BACKUPS.product)
    await claim(joined, cap(Rate(1, timedelta(seconds=10)), Rate(1, timedelta(minutes=1), by="key")))

    rates = await joined.rates(BACKUPS.product)
    assert {"backups PT10S", "key PT1M a"} == rates.keys()
    assert all(moment > clock.now() for moment in rates.values())
    assert {} == await joined.rates("other")
