"""The jobs of vps4: a class for each of its job groups.

Each asks the product to do something and ends when the product has taken it on. The occurrence id is the key of the
call, so a run that is repeated (its node died after the call) asks for the same thing and not for a second one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from mainspring import Busy, Cancel, JobExecutionContext, JobRequest, Limit, Once, SchedulerJob, job_group, product
from mainspring_vps4.vms import DataCenterFullError, RefusedError, VmService

ON_DEMAND = "BACKUPS_MANUAL"
"""The `scheduled_job_type` of a backup that somebody wants once: it is not followed by another."""

VmId = Annotated[UUID, Field(examples=["79bfd10c-1529-42de-bd68-1a6e084ee13d"])]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
UserName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=32), Field(examples=["support"])
]


@dataclass(frozen=True, slots=True)
class Postponement:
    """How long a backup waits for a full data centre: any time between two bounds, so that those who wait spread out.

    `chance` answers a random number in [0, 1).
    """

    minimum: timedelta
    maximum: timedelta
    chance: Callable[[], float]

    def draw(self) -> timedelta:
        """Choose a time to wait, uniformly."""
        return self.minimum + (self.maximum - self.minimum) * self.chance()


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How far the automatic backups of a VM are apart; `None` if they do not schedule each other."""

    interval: timedelta | None

    def following(self, fire_time: datetime, now: datetime) -> datetime | None:
        """Return the first moment after `now` that is whole intervals after a fire time.

        So backups keep their time of day when one is late, and those that were missed are not made up for.
        """
        if self.interval is None:
            return None
        passed = max(now - fire_time, timedelta()) // self.interval
        return fire_time + (passed + 1) * self.interval


@contextmanager
def refusal_cancels() -> Iterator[None]:
    """Cancel the job when the product refuses for good: to try again would be pointless."""
    try:
        yield
    except RefusedError as error:
        raise Cancel(f"vps4 refuses: {error}") from error


@product("vps4")
@job_group("backups")
class Vps4BackupJob(SchedulerJob):
    """Starts a backup of a VM, and has the next one scheduled.

    While the data centre is full the job is postponed, as the same job, and all others of the data centre wait with it.
    """

    class Request(JobRequest):
        """Which VM and where it is, and what the product is to note about the backup."""

        vm_id: VmId
        data_center: Annotated[Text | None, Field(examples=["ams3"])] = None
        backup_name: Annotated[Text | None, Field(examples=["nightly"])] = None
        shopper_id: Annotated[Text | None, Field(examples=["4711"])] = None
        scheduled_job_type: Annotated[Text | None, Field(examples=["BACKUPS_MANUAL"])] = None

    request: Request
    timeout = timedelta(minutes=1)
    concurrency_key = "dc:{data_center}"
    # To ask takes a moment, so one job at a time asks a data centre: if that is full, it has to say so only once.
    limits = (Limit(1, by="key"),)

    def __init__(self, vms: VmService, postponement: Postponement, rhythm: Rhythm) -> None:
        self._vms = vms
        self._postponement = postponement
        self._rhythm = rhythm

    async def execute(self, context: JobExecutionContext) -> dict[str, str | None]:
        """Ask for the backup, and return the id that the product gave it."""
        try:
            with refusal_cancels():
                backup = await self._vms.create_backup(
                    self.request.vm_id,
                    key=context.occurrence_id,
                    name=self.request.backup_name,
                    shopper_id=self.request.shopper_id,
                    scheduled_job_type=self.request.scheduled_job_type,
                )
        except DataCenterFullError as error:
            # The product knows best where the VM is. The request need not say it, and then the job has no key itself.
            scope = error.data_center and f"dc:{error.data_center}"
            raise Busy(scope, retry_after=self._postponement.draw()) from error
        self._schedule_next(context, backup.data_center or self.request.data_center)
        return {"backup": backup.id}

    def _schedule_next(self, context: JobExecutionContext, data_center: str | None) -> None:
        """Have the VM's next backup scheduled, unless nobody wants one or the job comes again by itself."""
        when = self._rhythm.following(context.scheduled_fire_time, context.fire_time)
        if when is None or self.request.scheduled_job_type == ON_DEMAND or not isinstance(context.trigger, Once):
            return
        fields = {
            "vm_id": self.request.vm_id,
            "data_center": data_center,
            "backup_name": self.request.backup_name,
            "shopper_id": self.request.shopper_id,
            "scheduled_job_type": self.request.scheduled_job_type,
        }
        sent = {name: value for name, value in fields.items() if value is not None}
        # The key is the VM's: it has one next backup, also if somebody asks for one more in between.
        context.schedule("backups", when=when, options={"key": f"next:{self.request.vm_id}"}, **sent)


class VmJob(SchedulerJob):
    """What the other jobs share: they are about one VM."""

    class Request(JobRequest):
        """Which VM."""

        vm_id: VmId

    request: Request
    timeout = timedelta(minutes=1)

    def __init__(self, vms: VmService) -> None:
        self._vms = vms


@product("vps4")
@job_group("zombie")
class Vps4ZombieCleanupJob(VmJob):
    """Removes what is left of a VM whose account has ended."""

    async def execute(self, context: JobExecutionContext) -> None:
        """Ask for the clean-up."""
        with refusal_cancels():
            await self._vms.clean_up_zombie(self.request.vm_id, key=context.occurrence_id)


@product("vps4")
@job_group("patch")
class Vps4PatchJob(VmJob):
    """Installs the outstanding patches of a VM."""

    async def execute(self, context: JobExecutionContext) -> None:
        """Ask for the patches."""
        with refusal_cancels():
            await self._vms.patch(self.request.vm_id, key=context.occurrence_id)


@product("vps4")
@job_group("cancelAccount")
class Vps4CancelAccountJob(VmJob):
    """Ends the account of a VM, which leaves a zombie."""

    async def execute(self, context: JobExecutionContext) -> None:
        """Ask for the end of the account."""
        with refusal_cancels():
            await self._vms.cancel_account(self.request.vm_id, key=context.occurrence_id)


@product("vps4")
@job_group("destroyVm")
class Vps4DestroyVmJob(VmJob):
    """Destroys a VM."""

    async def execute(self, context: JobExecutionContext) -> None:
        """Ask for the destruction."""
        with refusal_cancels():
            await self._vms.destroy(self.request.vm_id, key=context.occurrence_id)


@product("vps4")
@job_group("removeSupportUser")
class Vps4RemoveSupportUserJob(VmJob):
    """Takes the access of support users to a VM away."""

    class Request(VmJob.Request):
        """Which user of which VM; without a name all of them."""

        username: Annotated[UserName | None, Field(examples=["support"])] = None

    request: Request

    async def execute(self, context: JobExecutionContext) -> None:
        """Ask for the removal."""
        with refusal_cancels():
            await self._vms.remove_support_user(self.request.vm_id, self.request.username, key=context.occurrence_id)


@product("vps4")
@job_group("supportUser")
class Vps4SupportUserJob(VmJob):
    """Does the same for clients that know the older group."""

    class Request(VmJob.Request):
        """Which user of which VM."""

        support_user_name: UserName

    request: Request

    async def execute(self, context: JobExecutionContext) -> None:
        """Ask for the removal."""
        with refusal_cancels():
            await self._vms.remove_support_user(
                self.request.vm_id, self.request.support_user_name, key=context.occurrence_id
            )
