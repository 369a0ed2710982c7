"""What a plugin author subclasses, receives and raises.

A plugin is a package with job classes, trigger listeners and the services they need, entered through one
`SchedulerPluginModule`. Nothing in here runs anything: `mainspring.plugins.checks` judges what a plugin binds and
`mainspring.execution.runner` calls it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from mainspring.job import PRIORITY, Backoff, Ending, JobRequest, Limit, Outcome, Quota, Rate
from mainspring.plugins.context import JobExecutionContext
from mainspring.schedule import Trigger

__all__ = [
    "Binder",
    "Busy",
    "Cancel",
    "JobExecutionContext",
    "JobRequest",
    "Limit",
    "Quota",
    "Rate",
    "Retry",
    "SchedulerJob",
    "SchedulerPluginModule",
    "SchedulerTriggerListener",
    "Verdict",
    "job_group",
    "product",
]

if TYPE_CHECKING:
    from pydantic import BaseModel

_Class = TypeVar("_Class", bound=type)


def product(name: str) -> Callable[[_Class], _Class]:
    """Say to which product a job class or trigger listener belongs: a segment of the path of its jobs."""
    return _marker("product", name)


def job_group(name: str) -> Callable[[_Class], _Class]:
    """Say to which job group of the product a job class or trigger listener belongs.

    A segment of the path of its jobs.
    """
    return _marker("job_group", name)


def _marker(attribute: str, name: str) -> Callable[[_Class], _Class]:
    def mark(cls: _Class) -> _Class:
        setattr(cls, attribute, name)
        return cls

    return mark


# --- what is subclassed -----------------------------------------------------------------------------------------------


class SchedulerJob(ABC):
    """The work of one job group.

    A fresh instance is built for each run, its services injected by the annotations of ``__init__``.

    Mark the class with `product` and `job_group`, and nest a ``class Request(JobRequest)`` with the fields the group
    takes. The class attributes are the group's rules; `timeout` and the retries give way to the options of a request.
    """

    product: ClassVar[str]
    job_group: ClassVar[str]
    Request: ClassVar[type[JobRequest]] = JobRequest
    priority: ClassVar[int] = PRIORITY
    """Which of the group's due jobs come first, where their requests say nothing: 0 (last) to 9 (first)."""
    concurrency_key: ClassVar[Any] = None
    """What jobs share that limits by key count together: a text with fields of the request in braces.

    As in ``"dc:{data_center}"``. Or a class method that takes the parsed request and returns the key, or `None`. One
    key is the same in all groups of a product.
    """
    limits: ClassVar[Sequence[Limit | Rate | Quota]] = ()
    """How many of the group's jobs run at once, and how many begin in a while, in all or of each key, on all nodes."""
    searchable: ClassVar[Sequence[str]] = ()
    """Fields of the request by which jobs can be found, as with ``GET …/jobs?request.vmId=…``; an index has them."""
    timeout: ClassVar[timedelta] = timedelta(hours=1)
    """How long one run may take; then it is cancelled and `timed_out`."""
    max_attempts: ClassVar[int] = 5
    """How many runs of one fire time may fail before the job gives up on it."""
    backoff: ClassVar[Backoff] = Backoff()
    """How long to wait between them."""
    at_most_once: ClassVar[bool] = False
    """Whether a run that failed, was cut short or was lost is never repeated: the job gives up on that fire time."""
    exclusive: ClassVar[bool] = False
    """Whether runs of one job must not overlap even when its node is cut off from the store.

    A node with such a group is not given up for dead before its lease is over, and by then it has cancelled them.
    """
    isolation: ClassVar[Literal["none", "process"]] = "none"
    """``"process"`` runs the group in worker processes of its own, listeners too, which may be killed or die alone."""
    memory_limit: ClassVar[int | None] = None
    """How many bytes a worker process may take beyond what it holds before its first job. Linux only."""

    request: Any
    """The parsed request, set before `execute`; annotate it with the group's own ``Request``."""

    @abstractmethod
    def execute(self, context: JobExecutionContext) -> Any:
        """Do the work. ``async def`` runs on a job loop, plain ``def`` in a thread.

        Returning is success. What is returned is kept with the run as its result, if it is JSON of at most 64 KiB.

        Any exception fails the attempt; `Retry`, `Cancel` and `Busy` say more precisely what is to happen.
        """


class SchedulerTriggerListener(ABC):
    """The last check before a job of its group runs.

    One instance serves all runs, its services injected like a job's.
    """

    product: ClassVar[str]
    job_group: ClassVar[str]

    @abstractmethod
    def veto_job_execution(
        self, trigger: Trigger, context: JobExecutionContext
    ) -> Awaitable[bool | Verdict] | bool | Verdict:
        """Return ``False`` to let the job run, ``True`` to veto this occurrence, or a `Verdict`. May be ``async def``.

        A listener that raises, answers anything else or takes longer than 5 seconds never lets the job through: the
        attempt fails.
        """


class SchedulerPluginModule(ABC):
    """The entry to a plugin.

    Named in the entry-point group ``mainspring.plugins`` or by ``--plugin package.module:ClassName``.
    """

    @abstractmethod
    def configure(self, binder: Binder) -> None:
        """Bind the plugin's job classes, trigger listeners and services."""


@dataclass(slots=True)
class ServiceBinding:
    """A service as it was bound: what makes it, and the type it is asked for by.

    Groups that share a service share a loop, unless it is a mere `value`.
    """

    source: Callable[..., Any]
    provides: Any
    is_value: bool = False


@dataclass(slots=True)
class SettingsBinding:
    """The settings of a plugin as they were bound: the name of their section, and the model that reads it."""

    section: str
    model: type[BaseModel]


@dataclass(slots=True)
class Binder:
    """Takes down what a plugin binds. Nothing is checked or built before all plugins have spoken."""

    jobs: list[type[SchedulerJob]] = field(default_factory=list)
    listeners: list[type[SchedulerTriggerListener]] = field(default_factory=list)
    services: list[ServiceBinding] = field(default_factory=list)
    settings: list[SettingsBinding] = field(default_factory=list)
    declared: list[tuple[str, type[SchedulerJob], Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]] = field(
        default_factory=list
    )

    def bind_job(self, job_class: type[SchedulerJob]) -> None:
        """Bind the job class of a job group; one for each (product, job group)."""
        self.jobs.append(job_class)

    def schedule(
        self,
        name: str,
        job_class: type[SchedulerJob],
        *,
        schedule: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """Declare a recurring job of a bound job class, under a `name` that is its own in its job group.

        `schedule` and `options` are those of a request (see docs/schedules.md), such as ``{"cron": "0 3 * * *",
        "timeZone": "Europe/Berlin"}``, and `fields` are fields of the class's own `Request`. When a service or node
        starts, the job is created if it is not there, and changed where the declaration was changed since; what people
        have changed of it stays. When it is declared no more, it is paused. The name is the job's `key`.
        """
        self.declared.append((name, job_class, schedule, options or {}, fields))

    def bind_trigger_listener(self, listener_class: type[SchedulerTriggerListener]) -> None:
        """Bind a trigger listener; a job group may have several, asked in the order of their binding."""
        self.listeners.append(listener_class)

    def bind_service(self, source: Callable[..., Any], *, provides: Any = None) -> None:
        """Bind a service that constructors may ask for by annotation. One instance lives as long as the node.

        `source` is a class, or a function whose parameters and return are annotated (a generator function may clean up
        after its ``yield``). `provides` is the type asked for; by default the class itself or the function's return
        type. An instance of a class is cleaned up at shutdown by its ``__aexit__``, ``aclose``, ``__exit__`` or
        ``close``, the first that it has.
        """
        self.services.append(ServiceBinding(source, provides))

    def bind_settings(self, section: str, model: type[BaseModel]) -> None:
        """Bind what the operator decides about the plugin, read into a pydantic model when the process starts.

        It is what stands below ``[plugins.SECTION]`` in ``mainspring.toml``, and in variables such as
        ``MAINSPRING_PLUGINS__SECTION__KEY``, which go before the file. Constructors ask for it by the type `model`. A
        key that the model does not have is a mistake, unless the model says ``extra="allow"``.
        """
        self.settings.append(SettingsBinding(section, model))


# --- what is answered and raised --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """A trigger listener's answer when ``True`` does not say enough."""

    ending: Ending | None

    @classmethod
    def allow(cls) -> Verdict:
        """Let the job run; the same as ``False``."""
        return cls(None)

    @classmethod
    def skip(cls, reason: str) -> Verdict:
        """Do not run this occurrence; a recurring job goes on with its next fire time."""
        return cls(Ending(Outcome.SKIPPED, reason))

    @classmethod
    def postpone(cls, delay: timedelta, reason: str | None = None) -> Verdict:
        """Ask again after `delay`; the job stays the same job, with the same fire time, and this is no failure."""
        return cls(Ending(Outcome.POSTPONED, reason, delay))

    @classmethod
    def fail(cls, reason: str) -> Verdict:
        """Fail this attempt; it is retried like any failure."""
        return cls(Ending(Outcome.FAILED, reason))


class Signal(Exception):
    """Base of what a job raises to say precisely how its run ends."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


class Retry(Signal):
    """The attempt failed; try again `after` that long (default: by the backoff), if the job may fail once more."""

    def __init__(self, after: timedelta | None = None, reason: str | None = None) -> None:
        super().__init__(Ending(Outcome.FAILED, reason or "the job asked for a retry", after))


class Cancel(Signal):
    """The job is pointless: it ends as cancelled, with all its fire times to come."""

    def __init__(self, reason: str) -> None:
        super().__init__(Ending(Outcome.CANCELLED, reason))


class Busy(Signal):
    """What the job needs is at its limit: the job is postponed by `retry_after`, and this counts as no failure.

    Until then no job begins that has the same concurrency key, or the one that `scope` names. After that one goes
    ahead, and how many may run at once is learned: see docs/plugins.md. A job without a key is postponed alone.
    """

    def __init__(self, scope: str | None = None, retry_after: timedelta = timedelta(seconds=10)) -> None:
        reason = f"busy: {scope}" if scope else "busy"
        super().__init__(Ending(Outcome.POSTPONED, reason, retry_after, busy=scope or ""))
        self.scope = scope
