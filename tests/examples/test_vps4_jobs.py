from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid5

import pytest
from mainspring_vps4.jobs import (
    Postponement,
    VmJob,
    Vps4BackupJob,
    Vps4CancelAccountJob,
    Vps4DestroyVmJob,
    Vps4PatchJob,
    Vps4RemoveSupportUserJob,
    Vps4SupportUserJob,
    Vps4ZombieCleanupJob,
)
from mainspring_vps4.vms import DataCenterFullError, RefusedError, VmService, VmServiceError

from mainspring import Busy, Cancel, JobExecutionContext, JobRequest, Outcome, SchedulerJob
from mainspring.job import Ending

pytestmark = pytest.mark.anyio

VM = UUID("79bfd10c-1529-42de-bd68-1a6e084ee13d")
KEY = uuid5(UUID(int=1), "2026-01-01T12:00:00+00:00")  # the occurrence of `a_context`
Context = Callable[[JobRequest], JobExecutionContext]
Make = Callable[[VmService], SchedulerJob]


@dataclass
class FakeVms:
    """Notes what is asked for, and raises `error` if it has one."""

    error: Exception | None = None
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
    ) -> None:
        self._note("backup", vm_id, key, name, shopper_id, scheduled_job_type)

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


def a_backup(vms: VmService, chance: float = 0.5) -> Vps4BackupJob:
    """Build a job as the scheduler would."""
    job = Vps4BackupJob(vms, Postponement(timedelta(minutes=10), timedelta(minutes=30), lambda: chance))
    job.request = Vps4BackupJob.Request(
        vm_id=VM, backup_name="nightly", shopper_id="4711", scheduled_job_type="BACKUPS_AUTOMATIC"
    )
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


async def run(job: SchedulerJob, context: Context) -> None:
    """Execute a job."""
    running = job.execute(context(job.request))
    assert running is not None
    await running


@pytest.mark.parametrize(("make", "expected"), ASKED.values(), ids=ASKED)
async def test_job_asks_the_product_once(make: Make, expected: tuple[object, ...], a_context: Context) -> None:
    """A job passes on what it was created with, under the key of its occurrence."""
    vms = FakeVms()
    await run(make(vms), a_context)
    assert [expected] == vms.asked


@pytest.mark.parametrize(("chance", "minutes"), [(0.0, 10), (0.5, 20), (0.75, 25)])
async def test_backup_is_postponed_while_the_data_centre_is_full(
    chance: float, minutes: int, a_context: Context
) -> None:
    """The same job comes back, by chance within the two bounds."""
    with pytest.raises(Busy) as busy:
        await run(a_backup(FakeVms(DataCenterFullError("ams3")), chance), a_context)
    expected = Ending(Outcome.POSTPONED, "busy: dc:ams3", timedelta(minutes=minutes), busy="dc:ams3")
    assert expected == busy.value.ending


@pytest.mark.parametrize("make", [make for make, _ in ASKED.values()], ids=ASKED)
async def test_refused_job_is_cancelled(make: Make, a_context: Context) -> None:
    """What the product refuses for good is not tried again."""
    with pytest.raises(Cancel) as cancel:
        await run(make(FakeVms(RefusedError("there is no such VM"))), a_context)
    assert Ending(Outcome.CANCELLED, "vps4 refuses: there is no such VM") == cancel.value.ending


@pytest.mark.parametrize("make", [make for make, _ in ASKED.values()], ids=ASKED)
async def test_other_trouble_is_an_ordinary_failure(make: Make, a_context: Context) -> None:
    """What may pass is left to the scheduler's retries."""
    trouble = VmServiceError("POST /api/vms answered 503: Service Unavailable")
    with pytest.raises(VmServiceError) as failure:
        await run(make(FakeVms(trouble)), a_context)
    assert trouble is failure.value
