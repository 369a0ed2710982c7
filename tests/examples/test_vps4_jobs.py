from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from mainspring_vps4.jobs import (
    ON_DEMAND,
    Postponement,
    Rhythm,
    VmJob,
    Vps4BackupJob,
    Vps4CancelAccountJob,
    Vps4DestroyVmJob,
    Vps4PatchJob,
    Vps4RemoveSupportUserJob,
    Vps4SupportUserJob,
    Vps4ZombieCleanupJob,
)
from mainspring_vps4.vms import Backup, DataCenterFullError, RefusedError, VmService, VmServiceError

from mainspring import Binder, Busy, Cancel, Every, Outcome, Recurring, SchedulerJob, SchedulerPluginModule
from mainspring.job import Ending, Job, JobFilter, JobKey, State
from mainspring.schedule import Period
from mainspring.testing import TestScheduler
from tests.examples.conftest import NOON, FakeTeller, MakeContext

pytestmark = pytest.mark.anyio

VM = UUID("79bfd10c-1529-42de-bd68-1a6e084ee13d")
KEY = uuid5(UUID(int=1), "2026-01-01T12:00:00+00:00")  # the occurrence of `a_context`
WEEK = timedelta(days=7)
Make = Callable[[VmService], SchedulerJob]


@dataclass
class FakeVms:
    """Notes what is asked for, and raises `error` if it has one. It has all VMs in `data_center`."""

    error: Exception | None = None
    data_center: str | None = "ams3"
    asked: list[tuple[object, ...]] = field(default_factory=list)

    def _note(self, *call: object) -> None:
        self.asked.append(call)
        if self.error:
            raise self.error

    async def create_backup(
        self,
        vm_id: UUID,
        *,
        key: UUID,
        name: str | None = None,
        shopper_id: str | None = None,
        scheduled_job_type: str | None = None,
    ) -> Backup:
        self._note("backup", vm_id, key, name, shopper_id, scheduled_job_type)
        return Backup("backup-1", self.data_center)

    async def clean_up_zombie(self, vm_id: UUID, *, key: UUID) -> None:
        self._note("zombie", vm_id, key)

    async def patch(self, vm_id: UUID, *, key: UUID) -> None:
        self._note("patch", vm_id, key)

    async def cancel_account(self, vm_id: UUID, *, key: UUID) -> None:
        self._note("cancel", vm_id, key)

    async def destroy(self, vm_id: UUID, *, key: UUID) -> None:
        self._note("destroy", vm_id, key)

    async def remove_support_user(self, vm_id: UUID, name: str | None, *, key: UUID) -> None:
        self._note("supportUser", vm_id, name, key)


def postponement(chance: float) -> Postponement:
    """Return the postponement of the defaults, with a chance that is known."""
    return Postponement(timedelta(minutes=10), timedelta(minutes=30), lambda: chance)


def a_backup(vms: VmService, chance: float = 0.5, interval: timedelta | None = WEEK, **fields: Any) -> Vps4BackupJob:
    """Build a job as the scheduler would."""
    job = Vps4BackupJob(vms, postponement(chance), Rhythm(interval))
    known = {"backup_name": "nightly", "shopper_id": "4711", "scheduled_job_type": "BACKUPS_AUTOMATIC"}
    job.request = Vps4BackupJob.Request(**{"vm_id": VM, **known, **fields})
    return job


def about_a_vm(request: VmJob.Request, job_class: type[VmJob]) -> Make:
    """Return how to build a job about a VM as the scheduler would."""

    def make(vms: VmService) -> VmJob:
        job = job_class(vms)
        job.request = request
        return job

    return make


def a_vm(job_class: type[VmJob]) -> Make:
    """Return how to build a job that is told no more than a VM."""
    return about_a_vm(job_class.Request(vm_id=VM), job_class)


named = about_a_vm(Vps4RemoveSupportUserJob.Request(vm_id=VM, username="support-7"), Vps4RemoveSupportUserJob)
older = about_a_vm(Vps4SupportUserJob.Request(vm_id=VM, support_user_name="support-7"), Vps4SupportUserJob)
ASKED = {
    "backups": (a_backup, ("backup", VM, KEY, "nightly", "4711", "BACKUPS_AUTOMATIC")),
    "zombie": (a_vm(Vps4ZombieCleanupJob), ("zombie", VM, KEY)),
    "patch": (a_vm(Vps4PatchJob), ("patch", VM, KEY)),
    "cancelAccount": (a_vm(Vps4CancelAccountJob), ("cancel", VM, KEY)),
    "destroyVm": (a_vm(Vps4DestroyVmJob), ("destroy", VM, KEY)),
    "removeSupportUser": (a_vm(Vps4RemoveSupportUserJob), ("supportUser", VM, None, KEY)),
    "removeSupportUser, named": (named, ("supportUser", VM, "support-7", KEY)),
    "supportUser": (older, ("supportUser", VM, "support-7", KEY)),
}
"""How a job of each group is built, and what it asks the product for."""


async def run(job: SchedulerJob, a_context: MakeContext, **told: Any) -> Any:
    """Execute a job, and return what it returns."""
    running = job.execute(a_context(job.request, **told))
    assert running is not None
    return await running


@pytest.mark.parametrize(("make", "expected"), ASKED.values(), ids=ASKED)
async def test_job_asks_the_product_once(make: Make, expected: tuple[object, ...], a_context: MakeContext) -> None:
    """A job passes on what it was created with, under the key of its occurrence."""
    vms = FakeVms()
    await run(make(vms), a_context)
    assert [expected] == vms.asked


@pytest.mark.parametrize(("chance", "minutes"), [(0.0, 10), (0.5, 20), (0.75, 25)])
async def test_backup_is_postponed_while_the_data_centre_is_full(
    chance: float, minutes: int, a_context: MakeContext
) -> None:
    """The same job comes back, by chance within the two bounds."""
    with pytest.raises(Busy) as busy:
        await run(a_backup(FakeVms(DataCenterFullError("ams3")), chance), a_context)
    expected = Ending(Outcome.POSTPONED, "busy: dc:ams3", timedelta(minutes=minutes), busy="dc:ams3")
    assert expected == busy.value.ending


async def test_product_that_does_not_say_where_it_is_full(a_context: MakeContext) -> None:
    """All that is known then is the job's own key."""
    with pytest.raises(Busy) as busy:
        await run(a_backup(FakeVms(DataCenterFullError(None))), a_context)
    assert (None, timedelta(minutes=20)) == (busy.value.scope, busy.value.ending.delay)


# --- the next backup --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "weeks"), [(timedelta(), 1), (timedelta(days=6), 1), (WEEK, 2), (timedelta(days=20), 3)]
)
async def test_next_backup_is_at_the_same_time_of_the_week(late: timedelta, weeks: int, a_context: MakeContext) -> None:
    """However late this one is; times that are over are left out."""
    teller = FakeTeller()
    result = await run(a_backup(FakeVms()), a_context, fire_time=NOON + late, teller=teller)
    expected = {
        "when": NOON + weeks * WEEK,
        "options": {"key": f"next:{VM}"},
        "vm_id": VM,
        "data_center": "ams3",
        "backup_name": "nightly",
        "shopper_id": "4711",
        "scheduled_job_type": "BACKUPS_AUTOMATIC",
    }
    assert [("backups", expected)] == teller.follow_ups
    assert {"backup": "backup-1"} == result


@pytest.mark.parametrize(
    ("sent", "answered", "expected"),
    [(None, "ams3", "ams3"), ("fra1", "ams3", "ams3"), ("fra1", None, "fra1"), (None, None, None)],
)
async def test_next_backup_knows_its_data_centre(
    sent: str | None, answered: str | None, expected: str | None, a_context: MakeContext
) -> None:
    """From the product, which knows it better than the request; what is not known is not sent."""
    teller = FakeTeller()
    job = a_backup(FakeVms(data_center=answered), data_center=sent, backup_name=None)
    await run(job, a_context, teller=teller)
    ((_, body),) = teller.follow_ups
    assert expected == body.get("data_center")
    assert None not in body.values()


async def test_backup_on_demand_has_no_next_one(a_context: MakeContext) -> None:
    """Who wanted a backup once gets one."""
    teller = FakeTeller()
    await run(a_backup(FakeVms(), scheduled_job_type=ON_DEMAND), a_context, teller=teller)
    assert [] == teller.follow_ups


async def test_product_may_schedule_the_next_one_itself(a_context: MakeContext) -> None:
    """Then the job leaves it to the product."""
    teller = FakeTeller()
    await run(a_backup(FakeVms(), interval=None), a_context, teller=teller)
    assert [] == teller.follow_ups


async def test_job_with_a_schedule_has_no_next_one(a_context: MakeContext) -> None:
    """It comes again by itself."""
    teller = FakeTeller()
    await run(a_backup(FakeVms()), a_context, trigger=Recurring(Every(Period(days=1)), NOON), teller=teller)
    assert [] == teller.follow_ups


# --- with a scheduler -------------------------------------------------------------------------------------------------


@dataclass
class BackupModule(SchedulerPluginModule):
    """The backups of the plugin, with another product behind them."""

    vms: FakeVms

    def configure(self, binder: Binder) -> None:
        binder.bind_job(Vps4BackupJob)
        binder.bind_service(lambda: self.vms, provides=VmService)
        binder.bind_service(lambda: postponement(0.5), provides=Postponement)
        binder.bind_service(lambda: Rhythm(WEEK), provides=Rhythm)


@asynccontextmanager
async def a_scheduler(vms: FakeVms) -> AsyncIterator[TestScheduler]:
    """A scheduler at noon."""
    async with TestScheduler(BackupModule(vms), start=NOON) as scheduler:
        yield scheduler


def a_body(number: int, **fields: str) -> dict[str, str]:
    """Return the body of a request for a backup of some VM, at noon."""
    return {"vmId": str(UUID(int=number)), "when": "2026-01-01T12:00:00Z", **fields}


async def outcomes(scheduler: TestScheduler, job: Job) -> list[Outcome]:
    """Return how the runs of a job ended."""
    return [run.outcome for run in await scheduler.runs(job)]


async def test_backups_follow_each_other() -> None:
    """One a week, and always one that is yet to come, though the request named no data centre."""
    async with a_scheduler(vms := FakeVms()) as scheduler:
        await scheduler.create("vps4", "backups", a_body(1, backupName="nightly"))
        await scheduler.advance(days=20)
        yet_to_come = JobFilter(frozenset({State.SCHEDULED}))
        (following,) = await scheduler.service.list_jobs(JobKey("vps4", "backups"), yet_to_come, after=None, limit=9)

    assert 3 == len(vms.asked) == len({key for _, _, key, *_ in vms.asked})
    assert (datetime(2026, 1, 22, 12, tzinfo=UTC), "dc:ams3") == (following.next_run, following.concurrency_key)
    assert "nightly" == following.request["backupName"]


async def test_vm_has_one_next_backup() -> None:
    """However many backups somebody asks for, they do not become more every week."""
    async with a_scheduler(vms := FakeVms()) as scheduler:
        for minute in (0, 1, 2):
            when = (NOON + timedelta(minutes=minute)).isoformat()
            await scheduler.create("vps4", "backups", a_body(1, when=when))
        await scheduler.advance(days=22)
    assert 3 + 3 == len(vms.asked)


async def test_failed_backup_leaves_no_job() -> None:
    """The next one is there with the success, and not before."""
    async with a_scheduler(vms := FakeVms(VmServiceError("not now"))) as scheduler:
        job = await scheduler.create("vps4", "backups", a_body(1))
        await scheduler.advance(seconds=0)
        open_jobs = JobFilter(frozenset({State.SCHEDULED}))
        before = await scheduler.service.list_jobs(job.key, open_jobs, after=None, limit=9)
        vms.error = None
        await scheduler.advance(minutes=1)
        after = await scheduler.service.list_jobs(job.key, open_jobs, after=None, limit=9)

    assert [job.id] == [each.id for each in before]
    assert [NOON + WEEK] == [each.next_run for each in after]


async def test_full_data_centre_holds_all_its_backups() -> None:
    """It is asked once, and again by one when the wait is over; other data centres go on."""
    async with a_scheduler(vms := FakeVms(DataCenterFullError("ams3"))) as scheduler:
        jobs = [await scheduler.create("vps4", "backups", a_body(n, dataCenter="ams3")) for n in range(9)]
        await scheduler.advance(minutes=19)
        assert [Outcome.POSTPONED] == [end for job in jobs for end in await outcomes(scheduler, job)]
        await scheduler.advance(minutes=2)
        assert 2 == len(vms.asked)
        vms.error = None
        elsewhere = await scheduler.create("vps4", "backups", a_body(10, dataCenter="fra1"))
        await scheduler.advance(seconds=1)
        assert [Outcome.SUCCEEDED] == await outcomes(scheduler, elsewhere)
        assert 3 == len(vms.asked)
        await scheduler.advance(minutes=20)
        ends = [(await outcomes(scheduler, job))[-1] for job in jobs]
        assert [Outcome.SUCCEEDED] * 9 == ends
        assert 2 + 1 + 9 == len(vms.asked)


async def test_full_data_centre_is_known_to_who_does_not_name_it() -> None:
    """A client of old does not say where its VM is: the others wait all the same."""
    async with a_scheduler(vms := FakeVms(DataCenterFullError("ams3"))) as scheduler:
        await scheduler.create("vps4", "backups", a_body(1))
        await scheduler.advance(seconds=0)
        other = await scheduler.create("vps4", "backups", a_body(2, dataCenter="ams3"))
        await scheduler.advance(minutes=19)
        assert [] == await scheduler.runs(other)
    assert 1 == len(vms.asked)


# --- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [make for make, _ in ASKED.values()], ids=ASKED)
async def test_refused_job_is_cancelled(make: Make, a_context: MakeContext) -> None:
    """What the product refuses for good is not tried again."""
    with pytest.raises(Cancel) as cancel:
        await run(make(FakeVms(RefusedError("there is no such VM"))), a_context)
    assert Ending(Outcome.CANCELLED, "vps4 refuses: there is no such VM") == cancel.value.ending


@pytest.mark.parametrize("make", [make for make, _ in ASKED.values()], ids=ASKED)
async def test_other_trouble_is_an_ordinary_failure(make: Make, a_context: MakeContext) -> None:
    """What may pass is left to the scheduler's retries."""
    trouble = VmServiceError("POST /api/vms answered 503: Service Unavailable")
    with pytest.raises(VmServiceError) as failure:
        await run(make(FakeVms(trouble)), a_context)
    assert trouble is failure.value
