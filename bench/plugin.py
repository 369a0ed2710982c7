"""The plugins that benchmarks run: a job that does nothing, behind a trigger listener that lets it through."""

import json
import os
import time
from pathlib import Path

from mainspring import (
    Binder,
    JobExecutionContext,
    JobRequest,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    Trigger,
    job_group,
    product,
)

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
