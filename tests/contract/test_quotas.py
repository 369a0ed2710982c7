"""What quotas ask of a store: how large the requests of pending jobs are, and a moment that creates move on."""

import asyncio
from datetime import timedelta

import pytest

from mainspring.clock import ManualClock
from mainspring.job import Cap, JobKey, Limits, Rate, Scope, State
from mainspring.store import NodeBeat, Store
from tests.contract.build import BACKUPS, NODE, SNAPSHOTS, START, a_done_job, a_job, a_running_job, put

OTHERS = JobKey("other", BACKUPS.job_group)
GROUP, PRODUCT = Scope(*BACKUPS), Scope(BACKUPS.product)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NAME = "+backups"


async def test_bytes_are_those_of_the_requests_that_are_stored(store: Store) -> None:
    """Of jobs in every state but done, of a group or of all groups of a product, in UTF-8."""
    assert 0 == await store.request_bytes(GROUP)
    jobs = [
        a_job(request={"a": "0123456789"}),
        a_job(request={"a": "é"}, priority=9),
        a_running_job(request={}),
        a_job(request={"a": 1}, state=State.PAUSED, paused=True),
    ]
    await put(store, *jobs, a_done_job(request={"a": "done"}))
    await store.add([a_job(key=SNAPSHOTS, request={"b": 1}), a_job(key=OTHERS, request={"c": 1})])

    sizes = len('{"a":"0123456789"}') + len('{"a":"é"}'.encode()) + len("{}") + len('{"a":1}')
    assert sizes == await store.request_bytes(GROUP)
    assert sizes + len('{"b":1}') == await store.request_bytes(PRODUCT)
    assert 0 == await store.request_bytes(Scope("nobody"))


async def test_moment_moves_on_as_far_as_it_may(store: Store, clock: ManualClock) -> None:
    """Beyond that nothing moves, and it is told how long to wait; each name and product has its own."""
    for _ in range(3):
        assert await store.spend("vps4", NAME, 20 * SECOND, MINUTE) is None
    assert 20 * SECOND == await store.spend("vps4", NAME, 20 * SECOND, MINUTE)
    assert 5 * SECOND == await store.spend("vps4", NAME, 5 * SECOND, MINUTE)
    assert {NAME: START + MINUTE} == await store.rates("vps4")

    assert await store.spend("vps4", "+*", 20 * SECOND, MINUTE) is None
    assert await store.spend("other", NAME, 20 * SECOND, MINUTE) is None

    clock.advance(seconds=20)
    assert await store.spend("vps4", NAME, 20 * SECOND, MINUTE) is None
    assert 20 * SECOND == await store.spend("vps4", NAME, 20 * SECOND, MINUTE)


async def test_moment_that_is_past_counts_from_the_present(store: Store, clock: ManualClock) -> None:
    """What was not spent is not saved."""
    assert await store.spend("vps4", NAME, MINUTE, MINUTE) is None
    clock.advance(hours=1)

    assert await store.spend("vps4", NAME, MINUTE, MINUTE) is None
    assert MINUTE == await store.spend("vps4", NAME, MINUTE, MINUTE)


async def test_cost_beyond_the_most_is_never_spent(store: Store) -> None:
    """Neither where there is a moment, nor where there is none."""
    assert SECOND == await store.spend("vps4", NAME, MINUTE + SECOND, MINUTE)
    assert {} == await store.rates("vps4")
    assert await store.spend("vps4", NAME, SECOND, MINUTE) is None
    assert 2 * SECOND == await store.spend("vps4", NAME, MINUTE + SECOND, MINUTE)


async def test_what_was_spent_can_be_given_back(store: Store) -> None:
    """By a cost below zero."""
    assert await store.spend("vps4", NAME, MINUTE, MINUTE) is None
    assert await store.spend("vps4", NAME, -20 * SECOND, MINUTE) is None
    assert await store.spend("vps4", NAME, 20 * SECOND, MINUTE) is None
    assert SECOND == await store.spend("vps4", NAME, SECOND, MINUTE)


async def test_many_at_once_spend_no_more_than_there_is(store: Store) -> None:
    """Each moves what the one before has left."""
    waits = await asyncio.gather(*(store.spend("vps4", NAME, SECOND, 10 * SECOND) for _ in range(40)))

    assert 10 == sum(wait is None for wait in waits)
    assert all(wait >= timedelta(microseconds=1) for wait in waits if wait is not None)
    assert {NAME: START + 10 * SECOND} == await store.rates("vps4")


async def test_moments_are_forgotten_once_they_are_past(store: Store, clock: ManualClock) -> None:
    """One that is ahead of the time stays."""
    assert await store.spend("vps4", NAME, MINUTE, MINUTE) is None
    await store.prune(timedelta(days=1))
    assert MINUTE == await store.spend("vps4", NAME, MINUTE, MINUTE)

    clock.advance(seconds=30)
    assert await store.spend("vps4", NAME, 30 * SECOND, MINUTE) is None
    clock.advance(seconds=59)
    await store.prune(timedelta(days=1))
    assert 59 * SECOND == await store.spend("vps4", NAME, MINUTE + 58 * SECOND, MINUTE)
    clock.advance(seconds=1)
    await store.prune(timedelta(days=1))
    assert {} == await store.rates("vps4")


@pytest.mark.parametrize("name", ["+backups", "+*"])
async def test_moments_hold_back_no_job(store: Store, name: str) -> None:
    """They stand among the rates, and are none."""
    await store.join(NodeBeat(NODE))
    await store.add([a_job()])
    assert await store.spend(BACKUPS.product, name, MINUTE, MINUTE) is None

    rates = Limits.of([Rate(1, MINUTE), Rate(1, MINUTE, by="key")])
    caps = [Cap(GROUP, rates), Cap(PRODUCT, rates)]

    assert 1 == len((await store.claim_capped(NODE, BACKUPS, 9, caps)).claimed.claims)
