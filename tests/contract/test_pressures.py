"""What is known of services that were busy: shared by all nodes, and what claims go by."""

from datetime import timedelta

from mainspring.clock import ManualClock
from mainspring.job import Cap, Limits, Pressure, Scope
from mainspring.store import NodeBeat, Store
from tests.contract.build import BACKUPS, NODE, SECOND, SNAPSHOTS, START, a_job, running

AMS, FRA = "dc:ams3", "dc:fra1"
BUSY = Pressure(1, START, START + 10 * SECOND, START)
NO_CAPS = [Cap(Scope(*BACKUPS), Limits())]


async def known(store: Store, key: str = AMS) -> Pressure | None:
    """Return what is known of a key."""
    return (await store.pressures("vps4", [key]))[key].pressure


async def test_it_is_written_if_it_is_as_was_believed(store: Store) -> None:
    """Of two that write at once one is told so."""
    other = BUSY._replace(limit=2, held=1, until=START + timedelta(microseconds=1))

    assert await store.swap_pressure("vps4", AMS, None, BUSY)
    assert not await store.swap_pressure("vps4", AMS, None, other)
    assert not await store.swap_pressure("vps4", AMS, other, None)
    assert BUSY == await known(store)
    assert await store.swap_pressure("vps4", AMS, BUSY, other)
    assert other == await known(store)
    assert await store.swap_pressure("vps4", AMS, other, None)
    assert not await store.swap_pressure("vps4", AMS, other, None)
    assert await known(store) is None


async def test_it_comes_with_how_many_run(store: Store) -> None:
    """Of any group of the product; of all keys only those of which anything is known."""
    await running(store, a_job(concurrency_key=AMS), a_job(concurrency_key=AMS, key=SNAPSHOTS), a_job())
    await store.swap_pressure("vps4", FRA, None, BUSY)

    assert {AMS: (None, 2), FRA: (BUSY, 0)} == await store.pressures("vps4", [AMS, FRA])
    assert {FRA: (BUSY, 0)} == await store.pressures("vps4")
    assert {} == await store.pressures("other")


async def test_claims_go_by_it(store: Store, clock: ManualClock) -> None:
    """Nothing of the key begins before its time, then one, then as many as its limit says; others are free."""
    await store.join(NodeBeat(NODE))
    await store.add([a_job(concurrency_key=AMS) for _ in range(5)] + [a_job(concurrency_key=FRA), a_job()])
    await store.swap_pressure("vps4", AMS, None, BUSY)

    async def take() -> tuple[int, timedelta | None]:
        capped = await store.claim_capped(NODE, BACKUPS, 10, NO_CAPS)
        return len(capped.claimed.claims), capped.again

    assert (2, 10 * SECOND) == await take()
    clock.advance(seconds=10)
    assert (1, None) == await take()
    assert (0, None) == await take()
    await store.swap_pressure("vps4", AMS, BUSY, BUSY._replace(probes=False, limit=3))
    assert (2, None) == await take()
    await store.swap_pressure("vps4", AMS, BUSY._replace(probes=False, limit=3), None)
    assert (2, None) == await take()
