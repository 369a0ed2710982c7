"""The scheduler that plugin authors test with: limits and rates in virtual time."""

import json
from datetime import datetime, timedelta
from uuid import UUID

import pytest
import structlog

from mainspring import (
    Binder,
    Busy,
    JobExecutionContext,
    JobRequest,
    Limit,
    Outcome,
    Rate,
    SchedulerJob,
    SchedulerPluginModule,
    job_group,
    product,
)
from mainspring.job import Job, Scope
from mainspring.testing import START, TestScheduler, run_job


class Noted(SchedulerPluginModule):
    """A job group with limits, which notes what begins: which key, and how many seconds after the start."""

    def __init__(self, *limits: Limit | Rate) -> None:
        self.begun: list[tuple[str, float]] = []
        self._limits = limits

    def configure(self, binder: Binder) -> None:
        begun, limited = self.begun, self._limits

        @product("shop")
        @job_group("stock")
        class StockJob(SchedulerJob):
            class Request(JobRequest):
                warehouse: str

            request: Request
            concurrency_key = "{warehouse}"
            limits = limited

            async def execute(self, context: JobExecutionContext) -> None:
                begun.append((self.request.warehouse, round((context.fire_time - START).total_seconds(), 1)))

        binder.bind_job(StockJob)


async def create(scheduler: TestScheduler, warehouse: str, at: datetime) -> None:
    """Create a job."""
    await scheduler.create("shop", "stock", {"warehouse": warehouse, "when": at.isoformat()})


async def test_limits_take_no_time() -> None:
    """Jobs take none, so a place is free at once."""
    noted = Noted(Limit(2), Limit(1, by="key"))
    async with TestScheduler(noted) as scheduler:
        for warehouse in ("north", "north", "south", "south", "south"):
            await create(scheduler, warehouse, START)
        await scheduler.advance(seconds=0)

    assert [*[("north", 0.0)] * 2, *[("south", 0.0)] * 3] == sorted(noted.begun)


async def test_rates_spread_starts_over_virtual_time() -> None:
    """A year of it takes no longer than its jobs; a key that is held back holds back no other."""
    noted = Noted(Rate(1, per=timedelta(days=10), by="key"))
    async with TestScheduler(noted) as scheduler:
        for _ in range(3):
            await create(scheduler, "north", START)
        await create(scheduler, "south", START + timedelta(hours=1))
        await scheduler.advance(days=2)
        assert [("north", 0.0), ("south", 3600.0)] == noted.begun
        await create(scheduler, "west", scheduler.clock.now())
        await scheduler.advance(seconds=0)
        assert ("west", 172_800.0) == noted.begun[-1]
        await scheduler.advance(days=365)

    assert ["north", "south", "west", "north", "north"] == [warehouse for warehouse, _ in noted.begun]
    days = [round(seconds / 86400, 1) for _, seconds in noted.begun]
    assert [5.1, 15.2] == days[-2:]


class Crowded(SchedulerPluginModule):
    """Backups of data centres that say when they are busy again."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, float]] = []
        self.is_busy = True

    def configure(self, binder: Binder) -> None:
        crowded = self

        @product("vps4")
        @job_group("backups")
        class BackupJob(SchedulerJob):
            class Request(JobRequest):
                data_center: str | None = None
                scope: str | None = None

            request: Request
            concurrency_key = "dc:{data_center}"

            async def execute(self, context: JobExecutionContext) -> None:
                seconds = round((context.fire_time - START).total_seconds(), 1)
                crowded.begun.append((self.request.data_center or "", seconds))
                if crowded.is_busy and self.request.data_center == "ams3":
                    raise Busy(self.request.scope, retry_after=timedelta(minutes=20))

        binder.bind_job(BackupJob)


async def backups(scheduler: TestScheduler, *centres: str, at: datetime, **more: str) -> list[Job]:
    """Create backups, one a second."""
    return [
        await scheduler.create(
            "vps4", "backups", {"dataCenter": each, "when": (at + timedelta(seconds=n)).isoformat(), **more}
        )
        for n, each in enumerate(centres)
    ]


async def test_a_busy_service_holds_the_jobs_of_its_key() -> None:
    """They wait without being started; then one goes ahead, and when it succeeds the others follow."""
    crowded = Crowded()
    async with TestScheduler(crowded) as scheduler:
        first, *_ = await backups(scheduler, "ams3", "ams3", "fra1", "ams3", at=START)
        await scheduler.advance(minutes=19)
        assert [("ams3", 0.0), ("fra1", 2.0)] == crowded.begun
        [fact] = await scheduler.service.explaining.why(first.key, first.id)
        assert "POSTPONED" == fact.code
        crowded.is_busy = False
        await scheduler.advance(minutes=2)
        assert [("ams3", 1200.0)] * 3 == crowded.begun[2:]
        assert [Outcome.POSTPONED, Outcome.SUCCEEDED] == [run.outcome for run in await scheduler.runs(first)]


async def test_one_goes_ahead_after_each_wait() -> None:
    """As long as it is refused, the others are not even asked for."""
    crowded = Crowded()
    async with TestScheduler(crowded) as scheduler:
        _, second = await backups(scheduler, "ams3", "ams3", at=START)
        await scheduler.advance(minutes=10)
        [fact] = await scheduler.service.explaining.why(second.key, second.id)
        assert ("BUSY_KEY", START + timedelta(minutes=20)) == (fact.code, fact.clears)
        limited = await scheduler.service.limiting.get(Scope("vps4"))
        assert [("dc:ams3", 1)] == [(key, each.limit) for key, each in limited.learned.items()]
        await scheduler.advance(minutes=55)
    assert [0.0, 1200.0, 2400.0, 3600.0] == [seconds for _, seconds in crowded.begun]


async def test_another_key_may_be_named() -> None:
    """Then the job that found it busy is put off alone, with all jobs of that key."""
    crowded = Crowded()
    async with TestScheduler(crowded) as scheduler:
        await backups(scheduler, "ams3", at=START, scope="dc:fra1")
        await backups(scheduler, "fra1", "nyc1", at=START + timedelta(minutes=1))
        await scheduler.advance(minutes=10)
    assert [("ams3", 0.0), ("nyc1", 61.0)] == crowded.begun


@product("shop")
@job_group("chains")
class ChainJob(SchedulerJob):
    """Has another of its kind run at once, and says how far it is."""

    async def execute(self, context: JobExecutionContext) -> dict[str, str]:
        context.log.info("one more")
        return {"next": str(context.schedule("chains", when="now"))}


class Chains(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        binder.bind_job(ChainJob)


async def test_run_job_runs_one_job() -> None:
    """And not what follows it, which may be without end; what it returned and logged is there."""
    run = await run_job(ChainJob, {})
    assert Outcome.SUCCEEDED is run.outcome
    assert '{"next":' in (run.result or "")
    assert "one more" in (run.log or "")


async def test_what_follows_now_is_due_when_the_run_succeeds() -> None:
    """Its request says when that was."""
    async with TestScheduler(Chains()) as scheduler:
        job = await scheduler.create("shop", "chains", {"when": (START + timedelta(minutes=1)).isoformat()})
        scheduler.clock.advance(minutes=2)
        await scheduler.run_once()
        [run] = await scheduler.runs(job)
        following = await scheduler.service.get_job(job.key, UUID(json.loads(run.result or "{}")["next"]))
        assert run.finished_at == following.due_at == following.fire_time
        assert "2026-01-01T00:02:00Z" == following.request["when"]


class Failing(SchedulerPluginModule):
    """A job that fails while it holds a secret."""

    def configure(self, binder: Binder) -> None:
        @product("shop")
        @job_group("fails")
        class FailingJob(SchedulerJob):
            class Request(JobRequest):
                pass

            async def execute(self, context: JobExecutionContext) -> None:
                password = "hunter" + "2"
                context.log.info("about to fail", length=len(password))
                raise RuntimeError("no stock")

        binder.bind_job(FailingJob)


async def test_a_traceback_shows_no_values(capfd: pytest.CaptureFixture[str]) -> None:
    """What is printed of a job that fails may end in the log of somebody's CI."""
    structlog.reset_defaults()
    async with TestScheduler(Failing()) as scheduler:
        await scheduler.create("shop", "fails", {"when": START.isoformat(), "options": {"maxAttempts": 1}})
        await scheduler.advance(seconds=1)
        structlog.get_logger("plugin").info("here is what happened", exc_info=RuntimeError("no stock"))

    said = "".join(capfd.readouterr())
    assert "no stock" in said
    assert "hunter2" not in said
