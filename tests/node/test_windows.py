"""The level load of windows, through service and store: ten thousand jobs of "midnight, give or take half an hour"."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mainspring.clock import SystemClock
from mainspring.job import Events, Job, JobFilter
from mainspring.plugins import build
from mainspring.schedule import Recurring, following, opening
from mainspring.service import SchedulerService
from mainspring.store import Notes
from mainspring.store.sqlite.store import SqliteStore
from tests.node.conftest import KEY, Module, Script

JOBS = 10_000
WINDOW = timedelta(hours=1)
BODY = {
    "schedule": {"cron": "30 23 * * *", "window": "PT1H", "timeZone": "Europe/Berlin", "start": "2027-03-27T12:00:00Z"}
}
"""Around the night in which the clocks of Berlin go forward."""
FIRST = datetime(2027, 3, 27, 22, 30, tzinfo=UTC)


async def stored(path: Path, clock: SystemClock, create: int = 0) -> list[Job]:
    """Open a store as a service does when it starts, create jobs, and return all that it holds."""
    store = SqliteStore(path, clock)
    await store.open()
    known = build([("test", Module(Script()))], clock=clock)
    service = SchedulerService(store=store, notes=Notes(store, clock), registry=known, clock=clock, events=Events())
    if create:
        await service.batches.create(KEY, [BODY] * create)
    jobs = await service.list_jobs(KEY, JobFilter(), after=None, limit=JOBS)
    await store.close()
    return jobs


def assert_level(starts: list[datetime], fire_time: datetime) -> None:
    """Assert that each minute of the window has its share, and nothing lies outside."""
    minutes = Counter((start - fire_time) // timedelta(minutes=1) for start in starts)
    assert set(range(60)) == set(minutes)
    assert max(minutes.values()) <= 1.2 * JOBS / 60


async def test_window_is_a_level_load(tmp_path: Path) -> None:
    """No minute has 1.2 times the mean; so it stays after a restart, and on the next day, whose hours are others."""
    clock = SystemClock()
    before = await stored(tmp_path / "jobs.db", clock, create=JOBS)
    after = await stored(tmp_path / "jobs.db", clock)

    assert JOBS == len(before)
    assert_level([job.due_at for job in before], FIRST)
    assert {job.id: (job.fire_time, job.due_at) for job in before} == {
        job.id: opening(job.trigger, job_id=job.id, calendars={})[:2] for job in after
    }
    tomorrow = [
        following(job.trigger, FIRST, started_at=job.due_at, now=job.due_at, job_id=job.id, calendars={})
        for job in after
        if isinstance(job.trigger, Recurring)
    ]
    assert {FIRST + timedelta(hours=23)} == {planned.fire_time for planned in tomorrow}
    assert_level([planned.due_at for planned in tomorrow if planned.due_at], FIRST + timedelta(hours=23))
