"""The scheduler that plugin authors test with: limits and rates in virtual time."""

from datetime import datetime, timedelta

from mainspring import (
    Binder,
    JobExecutionContext,
    JobRequest,
    Limit,
    Rate,
    SchedulerJob,
    SchedulerPluginModule,
    job_group,
    product,
)
from mainspring.testing import START, TestScheduler


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
