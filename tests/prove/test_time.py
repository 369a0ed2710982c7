"""Time in short form: what `make prove` shows of thousands of schedules in virtual time, shown here of some."""

import asyncio
from datetime import UTC, datetime, timedelta

from mainspring.clock import ManualClock
from mainspring.job import Outcome
from mainspring.store.sqlite.store import SqliteStore
from prove.result import Result
from prove.scenarios import downtime, preview
from prove.virtual import KEY, VirtualScheduler

SEED = 20261124


def tried(result: Result, *, least: int) -> None:
    """Assert that nothing was violated, and that enough was tried."""
    assert [] == result.violations[:5]
    assert all(finding.trials >= least for finding in result.findings)


def test_previews_show_what_then_happens() -> None:
    """Of a hundred drawn schedules, a third of them with an outage."""
    tried(asyncio.run(preview.previews(None, SEED, preview.QUICK)), least=100)


def test_six_hours_of_downtime_are_accounted_for() -> None:
    """Each occurrence of two hundred jobs is in history once, and catch-up keeps its pace."""
    tried(asyncio.run(downtime.downtime(None, SEED, downtime.QUICK)), least=100)


async def test_two_days_of_minutes_across_a_change_of_the_clocks() -> None:
    """The real node runs each minute once, at its time, and history has them all."""
    change = datetime(2026, 11, 1, 6, tzinfo=UTC)
    clock = ManualClock(change - timedelta(days=1))
    store = SqliteStore(None, clock)
    await store.open()
    world = VirtualScheduler(store, clock)
    job = await world.service.create_job(KEY, {"schedule": {"cron": "* * * * *", "timeZone": "America/New_York"}})
    async with world.node() as node:
        await world.run_until(node, change + timedelta(days=1), including=False)
    rows = await world.history(job)
    await store.close()

    assert 2 * 1440 == len(rows) == len({row.fire_time for row in rows})
    assert {Outcome.SUCCEEDED} == {row.outcome for row in rows}
    assert all(row.started_at == row.fire_time for row in rows)
