"""What a plugin author writes, for the type checker: all of the public surface, as an author sees it.

Nothing in here is run but its definitions. What must not be accepted is marked as an error, and a mark without an error
is one.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any, Protocol, assert_type
from uuid import UUID

import psycopg
from asyncpg import Connection as Asyncpg
from pydantic import BaseModel, SecretStr
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from mainspring import (
    AnyOf,
    At,
    Backoff,
    Binder,
    Busy,
    Cancel,
    Clock,
    ConfigError,
    Cron,
    Duration,
    Every,
    JobExecutionContext,
    JobRequest,
    Limit,
    Once,
    Outcome,
    Quota,
    Rate,
    Recurring,
    Retry,
    RRule,
    Scheduler,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    Trigger,
    Verdict,
    When,
    enqueue,
    enqueue_many,
    job_group,
    product,
)
from mainspring.testing import TestScheduler, run_job

MINUTE = timedelta(minutes=1)


class Vps4Settings(BaseModel):
    """What the operator decides."""

    token: SecretStr = SecretStr("")
    patience: Duration = MINUTE


class VmService(Protocol):
    """What the jobs need of the product."""

    async def create_backup(self, vm_id: UUID, *, key: UUID) -> None:
        """Start a backup."""


class HttpVmService:
    """The product over HTTP."""

    async def create_backup(self, vm_id: UUID, *, key: UUID) -> None:
        """Start a backup."""

    async def aclose(self) -> None:
        """Close the connection."""


# --- jobs


@product("vps4")
@job_group("backups")
class Vps4BackupJob(SchedulerJob):
    """An asynchronous job, with a request, a service and rules of its own."""

    class Request(JobRequest):
        """Which VM."""

        vm_id: UUID
        keep_until: When | None = None
        patience: Duration = MINUTE

    request: Request
    timeout = 5 * MINUTE
    isolation = "process"
    memory_limit = 1 << 30
    max_attempts = 3
    backoff = Backoff(initial=timedelta(seconds=30), factor=2, longest=timedelta(minutes=10))
    concurrency_key = "vm:{vm_id}"
    limits = (
        Limit(50),
        Limit(1, by="key"),
        Rate(100, per=MINUTE),
        Rate(limit=10, per=MINUTE, by="key"),
        Quota(pending=1000, creates_per_minute=600, bytes=1 << 30),
    )

    def __init__(self, vms: VmService, clock: Clock) -> None:
        self.vms = vms
        self.clock = clock

    async def execute(self, context: JobExecutionContext) -> None:
        """Use all that a job is told."""
        assert_type(self.request.vm_id, UUID)
        assert_type(self.request.keep_until, datetime | None)
        assert_type(self.request.patience, timedelta)
        assert_type(self.request.when, datetime | None)
        assert_type(context.job_id, UUID)
        assert_type(context.product, str)
        assert_type(context.job_group, str)
        assert_type(context.scheduled_fire_time, datetime)
        assert_type(context.fire_time, datetime)
        assert_type(context.attempt, int)
        assert_type(context.run, int)
        assert_type(context.occurrence_id, UUID)
        assert_type(context.trigger, Once | Recurring)
        assert_type(context.stopping.is_set(), bool)
        assert_type(self.clock.now(), datetime)
        context.log.info("backing up", vm=str(self.request.vm_id))
        if self.request.keep_until is None:
            raise Cancel("nobody wants it")
        if context.attempt > 1:
            raise Busy(scope="dc:ams3", retry_after=MINUTE)
        try:
            await self.vms.create_backup(self.request.vm_id, key=context.occurrence_id)
        except ConnectionError as error:
            raise Retry(after=MINUTE, reason="the product is away") from error
        raise Retry


assert_type(Vps4BackupJob, type[Vps4BackupJob])
assert_type(Vps4BackupJob.timeout, timedelta)
assert_type(Vps4BackupJob.max_attempts, int)
assert_type(Vps4BackupJob.memory_limit, int)
assert_type(Vps4BackupJob.backoff, Backoff)
assert_type(Vps4BackupJob.product, str)


@product("vps4")
@job_group("patch")
class PlainJob(SchedulerJob):
    """A job that blocks, in a plain function, and wants nothing of its own."""

    def execute(self, context: JobExecutionContext) -> None:
        """Wait until it is enough."""
        assert_type(context.stopping.wait(60.0), bool)


# --- listeners


@product("vps4")
@job_group("backups")
class Vps4BackupTriggerListener(SchedulerTriggerListener):
    """An asynchronous listener that answers either way."""

    async def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> bool | Verdict:
        """Use every answer there is."""
        match trigger:
            case Once(at):
                assert_type(at, datetime)
            case Recurring(rule, start, count):
                assert_type(rule, Every | Cron | RRule | At | AnyOf)
                assert_type(start, datetime)
                assert_type(count, int | None)
        assert_type(trigger.next_fire_time(context.fire_time), datetime | None)
        answers = [Verdict.allow(), Verdict.skip("why"), Verdict.fail("why")]
        answers += [Verdict.postpone(MINUTE), Verdict.postpone(MINUTE, reason="why")]
        return answers[context.attempt] if context.attempt < len(answers) else False


@product("vps4")
@job_group("patch")
class PlainListener(SchedulerTriggerListener):
    """A listener in a plain function that answers one way."""

    def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> bool:
        """Let first attempts through."""
        return context.attempt > 1 and trigger.first < context.fire_time


# --- the module


def a_setting(value: str) -> str:
    """Refuse what a service must not start with."""
    if not value:
        raise ConfigError("VPS4_API_URL is not set")
    return value


def returned(vms: VmService, settings: Vps4Settings) -> HttpVmService:
    """Make a service of another, and of settings."""
    assert_type(vms, VmService)
    assert_type(settings.patience, timedelta)
    return HttpVmService()


def yielded() -> Iterator[set[str]]:
    """Make a service and clean up after it."""
    yield set()


async def async_yielded() -> AsyncIterator[list[str]]:
    """Make a service and clean up after it, asynchronously."""
    yield []


class Vps4SchedulerPluginModule(SchedulerPluginModule):
    """The entry to the plugin."""

    def configure(self, binder: Binder) -> None:
        """Bind everything, in each way there is."""
        binder.bind_job(Vps4BackupJob)
        binder.bind_job(PlainJob)
        binder.bind_trigger_listener(Vps4BackupTriggerListener)
        binder.bind_trigger_listener(PlainListener)
        binder.bind_service(HttpVmService, provides=VmService)
        binder.bind_service(returned)
        binder.bind_service(yielded)
        binder.bind_service(async_yielded)
        binder.bind_service(lambda: MINUTE, provides=timedelta)
        binder.bind_settings("vps4", Vps4Settings)


# --- the tests that an author writes


async def a_test_of_one_job(vms: VmService, vm_id: UUID) -> None:
    """Run a job at once."""
    run = await run_job(Vps4BackupJob, {"vmId": str(vm_id)}, services={VmService: vms})
    assert_type(run.outcome, Outcome)
    assert_type(run.reason, str | None)
    request = Vps4BackupJob.Request(vm_id=vm_id)
    assert_type(request.vm_id, UUID)


async def a_test_of_a_schedule(when: datetime) -> None:
    """Let time pass."""
    settings = {"vps4": {"token": "s3cret"}}
    async with TestScheduler(Vps4SchedulerPluginModule(), start=when, settings=settings) as scheduler:
        job = await scheduler.create("vps4", "patch", {"when": when.isoformat()})
        await scheduler.advance(hours=3)
        assert_type([run.outcome for run in await scheduler.runs(job)], list[Outcome])
        assert_type((await scheduler.get(job)).next_run, datetime | None)


class ResultJob(SchedulerJob):
    """Work that answers something."""

    async def execute(self, context: JobExecutionContext) -> int:
        """Answer the attempt, and look at what the last one answered."""
        if (last := context.last_success) is not None:
            assert_type(last.finished_at, datetime)
        return context.attempt


class CareJob(SchedulerJob):
    """Work on other jobs of the product."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.jobs = scheduler

    async def execute(self, context: JobExecutionContext) -> None:
        """Make all calls that there are, and wait for each."""
        made = await self.jobs.create("patch", when=context.fire_time + MINUTE, options={"priority": 9}, vm_id="1")
        assert_type(made, dict[str, Any])
        assert_type(await self.jobs.get("patch", made["id"]), dict[str, Any])
        assert_type(await self.jobs.list("patch", state=["paused"], tag="a", limit=9), list[dict[str, Any]])
        assert_type(await self.jobs.change("patch", context.job_id, when=context.fire_time), dict[str, Any])
        for job in (
            await self.jobs.pause("patch", made["id"], reason="why", until=context.fire_time),
            await self.jobs.resume("patch", made["id"]),
            await self.jobs.fire("patch", made["id"]),
            await self.jobs.cancel("patch", made["id"]),
        ):
            assert_type(job, dict[str, Any])
        await self.jobs.delete("patch", made["id"])


class PlainCareJob(SchedulerJob):
    """The same in a thread."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.jobs = scheduler

    def execute(self, context: JobExecutionContext) -> None:
        """Ask for results."""
        assert_type(self.jobs.get("patch", context.job_id).result(), dict[str, Any])
        assert_type(self.jobs.list("patch").result(timeout=5), list[dict[str, Any]])


# --- programs that create jobs in their own transaction


def in_threads(given: psycopg.Connection[Any], connection: Connection, session: Session, when: datetime) -> None:
    """Have the id at once."""
    assert_type(enqueue(given, "vps4", "backups", when="now", vm_id="1"), UUID)
    assert_type(enqueue(connection, "vps4", "backups", schedule={"every": "P1D"}, checks_later=True), UUID)
    assert_type(enqueue(session, "vps4", "backups", when=when, options={"key": "k"}), UUID)
    assert_type(enqueue_many(session, "vps4", "backups", [{"when": when}]), list[UUID])


async def on_loops(
    given: psycopg.AsyncConnection[Any], other: Asyncpg, connection: AsyncConnection, session: AsyncSession
) -> None:
    """Wait for the id."""
    assert_type(await enqueue(given, "vps4", "backups", when="now"), UUID)
    made: UUID = await enqueue(other, "vps4", "backups", when="now")  # asyncpg itself says nothing of its types
    assert_type(made, UUID)
    assert_type(await enqueue(connection, "vps4", "backups", when="now"), UUID)
    assert_type(await enqueue_many(session, "vps4", "backups", [{"when": "now"}]), list[UUID])


# --- what the type checker must not accept


def wrong_programs(given: psycopg.Connection[Any], session: AsyncSession) -> UUID:
    """Give no connection, no group, numbers for times; and forget to wait."""
    enqueue("postgresql://", "vps4", "backups")  # type: ignore[call-overload]
    enqueue(given, "vps4")  # type: ignore[call-overload]
    enqueue(given, "vps4", "backups", when=5)  # type: ignore[call-overload]
    return enqueue(session, "vps4", "backups", when="now")  # type: ignore[return-value]


class WrongArguments(SchedulerJob):
    """Work that is not told its context."""

    async def execute(self) -> None:  # type: ignore[override]
        """Do nothing."""


class WrongRules(SchedulerJob):
    """Rules of the wrong kind."""

    timeout = 30  # type: ignore[assignment]
    max_attempts = "3"  # type: ignore[assignment]
    backoff = MINUTE  # type: ignore[assignment]
    limits = (50,)  # type: ignore[assignment]
    Request = dict  # type: ignore[assignment]

    def execute(self, context: JobExecutionContext) -> None:
        """Do nothing."""


class WrongVerdict(SchedulerTriggerListener):
    """A listener that answers in words."""

    def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> str:  # type: ignore[override]
        """Answer yes."""
        return f"yes, {context.job_id} may run by {trigger}"


async def wrong_calls(scheduler: Scheduler, context: JobExecutionContext) -> None:
    """Name no group, and use an answer that nobody waited for."""
    await scheduler.get(context.job_id)  # type: ignore[call-arg, arg-type]
    await scheduler.list("patch", limit="9")  # type: ignore[arg-type]
    scheduler.get("patch", context.job_id)["state"]  # type: ignore[index]


def wrong_words(binder: Binder, context: JobExecutionContext, listener: type[SchedulerTriggerListener]) -> Any:
    """Use numbers for durations, and things for other things."""
    binder.bind_job(listener)  # type: ignore[arg-type]
    binder.bind_trigger_listener(Vps4BackupJob)  # type: ignore[arg-type]
    binder.bind_job(PlainJob())  # type: ignore[arg-type]
    binder.bind_settings("vps4", PlainJob)  # type: ignore[arg-type]
    binder.bind_settings(Vps4Settings)  # type: ignore[call-arg, arg-type]
    context.attempt = 5  # type: ignore[misc]
    Vps4BackupJob.Request(vm_id="no UUID")  # type: ignore[arg-type]
    return [
        Retry(30),  # type: ignore[arg-type]
        Busy("dc:ams3", 30),  # type: ignore[arg-type]
        Busy(5),  # type: ignore[arg-type]
        Cancel(),  # type: ignore[call-arg]
        Limit(5, by="vm"),  # type: ignore[arg-type]
        Rate(5, per=60),  # type: ignore[arg-type]
        Rate(5),  # type: ignore[call-arg]
        Verdict.postpone(5),  # type: ignore[arg-type]
        Verdict.skip(),  # type: ignore[call-arg]
    ]
