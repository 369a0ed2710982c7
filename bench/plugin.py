"""The plugins that benchmarks run: a job that does nothing, behind a trigger listener that lets it through."""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from mainspring import (
    Binder,
    JobExecutionContext,
    JobRequest,
    Limit,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    Trigger,
    job_group,
    product,
)
from mainspring.job import JobKey

T = TypeVar("T")

STARTS = "BENCH_STARTS"
"""The variable that names the file into which `Recorder` writes."""


class Request(JobRequest):
    """A small request, as products send them."""

    a: int
    b: str


@product("bench")
@job_group("noop")
class NoopJob(SchedulerJob):
    """Does nothing."""

    Request = Request

    async def execute(self, context: JobExecutionContext) -> None:
        """Return."""


@product("bench")
@job_group("noop")
class NoopListener(SchedulerTriggerListener):
    """Lets everything through."""

    async def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> bool:  # noqa: ARG002
        """Return that nothing speaks against the run."""
        return False


class NoopModule(SchedulerPluginModule):
    """Binds both."""

    def configure(self, binder: Binder) -> None:
        """Bind."""
        binder.bind_job(NoopJob)
        binder.bind_trigger_listener(NoopListener)


SHARING = (JobKey("bench", "noop"), JobKey("other", "noop"))
"""The groups of two products that share a node by the weights of these."""
MANY = tuple(JobKey("bench", f"noop{number}") for number in range(20))
"""The groups of one product that do."""


def _in_group(key: JobKey, of: type[T]) -> type[T]:
    """Return the same class for another group."""
    made: type[T] = type(of.__name__, (of,), {})
    return product(key.product)(job_group(key.job_group)(made))


class SharingModule(SchedulerPluginModule):
    """Binds no-op jobs and their listeners in several groups."""

    groups: Sequence[JobKey] = SHARING

    def configure(self, binder: Binder) -> None:
        """Bind."""
        for key in self.groups:
            binder.bind_job(_in_group(key, NoopJob))
            binder.bind_trigger_listener(_in_group(key, NoopListener))


class ManyGroupsModule(SharingModule):
    """The same in very many."""

    groups = MANY


@product("bench")
@job_group("limited")
class LimitedJob(NoopJob):
    """Does nothing, in a group with a limit that never binds."""

    limits = (Limit(100_000),)


@product("bench")
@job_group("limited")
class LimitedListener(NoopListener):
    """Lets everything through."""


class LimitedModule(SchedulerPluginModule):
    """Binds both."""

    def configure(self, binder: Binder) -> None:
        """Bind."""
        binder.bind_job(LimitedJob)
        binder.bind_trigger_listener(LimitedListener)


@product("bench")
@job_group("keyed")
class KeyedJob(NoopJob):
    """The same with a limit of each key."""

    limits = (Limit(100_000, by="key"),)


@product("bench")
@job_group("keyed")
class KeyedListener(NoopListener):
    """Lets everything through."""


class LimitedByKeyModule(SchedulerPluginModule):
    """Binds both."""

    def configure(self, binder: Binder) -> None:
        """Bind."""
        binder.bind_job(KeyedJob)
        binder.bind_trigger_listener(KeyedListener)


async def _wait(self: SchedulerJob, context: JobExecutionContext) -> None:  # noqa: ARG001
    """Wait as long as the group's name says."""
    await asyncio.sleep(self.milliseconds / 1000)  # type: ignore[attr-defined]


def _waiting(milliseconds: int) -> type[SchedulerJob]:
    """Return the class of jobs that wait for something else, as most jobs do."""
    members = {"Request": Request, "milliseconds": milliseconds, "execute": _wait}
    made = type(f"Wait{milliseconds}Job", (SchedulerJob,), members)
    return product("bench")(job_group(f"wait{milliseconds}")(made))


class WaitModule(SchedulerPluginModule):
    """Binds jobs that wait; each group is measured alone, in a service of its own."""

    milliseconds = 0

    def configure(self, binder: Binder) -> None:
        """Bind."""
        binder.bind_job(_waiting(self.milliseconds))


class Wait1000Module(WaitModule):
    """Binds jobs that wait for a second."""

    milliseconds = 1000


class Wait100Module(WaitModule):
    """Binds jobs that wait for a tenth of that."""

    milliseconds = 100


class Wait10Module(WaitModule):
    """Binds jobs that wait for a hundredth of that."""

    milliseconds = 10


class Recorder:
    """Keeps when jobs were due and when they really began, by the wall clock; written as JSON when the node stops."""

    def __init__(self) -> None:
        self.starts: list[tuple[float, float]] = []

    def close(self) -> None:
        """Write."""
        Path(os.environ[STARTS]).write_text(json.dumps(self.starts), encoding="ascii")


@product("bench")
@job_group("timed")
class TimedJob(SchedulerJob):
    """Takes the time."""

    Request = Request

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def execute(self, context: JobExecutionContext) -> None:
        """Note the time before anything else."""
        began = time.time()
        self._recorder.starts.append((context.scheduled_fire_time.timestamp(), began))


@product("bench")
@job_group("timed")
class TimedListener(NoopListener):
    """Lets everything through."""


class TimedModule(SchedulerPluginModule):
    """Binds the job that takes the time."""

    def configure(self, binder: Binder) -> None:
        """Bind."""
        binder.bind_job(TimedJob)
        binder.bind_trigger_listener(TimedListener)
        binder.bind_service(Recorder)
