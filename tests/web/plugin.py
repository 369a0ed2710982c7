"""The plugin of these tests: one job class for each way in which a request can be right or wrong."""

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from mainspring import Binder, JobExecutionContext, JobRequest, SchedulerJob, SchedulerPluginModule, job_group, product
from mainspring.job import JobKey

ORDERS = JobKey("shop", "orders")
NOTES = JobKey("shop", "notes")
BUGGY = JobKey("shop", "buggy")
BACKUPS = JobKey("vps4", "backups")
LEFT = JobKey("a-b", "c")
RIGHT = JobKey("a", "b-c")


class IdleJob(SchedulerJob):
    """No node runs in these tests."""

    def execute(self, _context: JobExecutionContext) -> None:
        """Do nothing."""


class Run(BaseModel):
    """A model of the plugin's own that has the name of one of ours."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    night: bool = False


class Schedule(BaseModel):
    """Another model that has the name of one of ours."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    weekdays: list[str] = []


def _no_tag(tag: str) -> str:
    raise ValueError(f"is a tag that nobody knows: {tag}")


Tag = Annotated[str, AfterValidator(_no_tag)]


class Cat(BaseModel):
    """One kind of pet."""

    kind: Literal["cat"]


class Dog(BaseModel):
    """Another kind of pet."""

    kind: Literal["dog"]


@product("shop")
@job_group("orders")
class OrderJob(IdleJob):
    """Takes required and optional fields and looks at the whole."""

    searchable = ("order_id", "amount")

    class Request(JobRequest):
        order_id: UUID
        amount: int = Field(1, ge=1, strict=True)
        price: float = 0
        gift_note: str | None = Field(None, max_length=300)
        channel: str = "web"
        run: Run | None = None
        delivery: Schedule | None = None
        pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
        tags: tuple[Tag, ...] = ()

        @field_validator("channel")
        @classmethod
        def known_channel(cls, channel: str) -> str:
            if channel not in {"web", "mail"}:
                raise ValueError(f"is no channel of ours: {channel}")
            return channel

        @model_validator(mode="after")
        def not_too_large(self) -> "OrderJob.Request":
            if self.amount > 1000:
                raise PydanticCustomError("order_too_large", "is larger than {most} pieces", {"most": 1000})
            return self

        @model_validator(mode="after")
        def no_gift_by_mail(self) -> "OrderJob.Request":
            if self.gift_note and self.channel == "mail":
                raise ValueError("a gift note needs the channel web")
            return self


@product("shop")
@job_group("notes")
class NoteJob(IdleJob):
    """Takes whatever is sent."""

    class Request(JobRequest):
        model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")


@product("shop")
@job_group("buggy")
class BuggyJob(IdleJob):
    """Has a validator with a bug."""

    class Request(JobRequest):
        colour: str = "red"
        size: Any = None

        @field_validator("colour")
        @classmethod
        def known_colour(cls, colour: str, _info: ValidationInfo) -> str:
            return {"red": "#f00"}[colour]


@product("vps4")
@job_group("backups")
class BackupJob(IdleJob):
    """What the seed schedules."""

    class Request(JobRequest):
        vm_id: UUID | None = None


@product("a-b")
@job_group("c")
class LeftJob(IdleJob):
    """Its product and group joined by a dash read like those of `RightJob`."""


@product("a")
@job_group("b-c")
class RightJob(IdleJob):
    """Its product and group joined by a dash read like those of `LeftJob`."""


class Module(SchedulerPluginModule):
    """Binds them all."""

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`."""
        for job_class in (OrderJob, NoteJob, BuggyJob, BackupJob, LeftJob, RightJob):
            binder.bind_job(job_class)


class BackupsModule(SchedulerPluginModule):
    """Binds what the seed schedules, and nothing else."""

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`."""
        binder.bind_job(BackupJob)
