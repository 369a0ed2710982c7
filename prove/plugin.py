"""The plugin that trials run: jobs that do nothing, sleep, fail or kill their process, and record what they did."""

from __future__ import annotations

import asyncio
import os
import time
from functools import cache
from typing import Annotated, ClassVar

from pydantic import Field

from mainspring import Binder, JobExecutionContext, JobRequest, SchedulerJob, SchedulerPluginModule, job_group, product
from prove.record import Recorder

NAME = f"{__name__}:ProveModule"
recorder = cache(Recorder)


def mark(context: JobExecutionContext, *whats: str) -> None:
    """Record what a run does."""
    recorder().mark(
        *whats, job=context.job_id, occurrence=context.occurrence_id, attempt=context.attempt, run=context.run
    )


@product("prove")
@job_group("noop")
class NoopJob(SchedulerJob):
    """Does nothing."""

    async def execute(self, context: JobExecutionContext) -> None:
        """Record beginning and end at once."""
        mark(context, "start", "end")


@product("prove")
@job_group("other")
class OtherJob(NoopJob):
    """Does nothing either; a neighbour of those that are many."""


@product("prove")
@job_group("sleep")
class SleepJob(SchedulerJob):
    """Takes as long as it is told."""

    class Request(JobRequest):
        """How long, in seconds."""

        seconds: Annotated[float, Field(ge=0, le=600)] = 0.0

    request: Request

    async def execute(self, context: JobExecutionContext) -> None:
        """Sleep in between of beginning and end."""
        mark(context, "start")
        try:
            await asyncio.sleep(self.request.seconds)
        except BaseException:
            mark(context, "broke")
            raise
        mark(context, "end")


@product("prove")
@job_group("nap")
class NapJob(SleepJob):
    """Sleeps too; another group of the same product."""


@product("rival")
@job_group("rival")
class RivalJob(SleepJob):
    """Sleeps too; of another product, which shares the nodes."""


@product("prove")
@job_group("thread")
class ThreadJob(SchedulerJob):
    """The same in a thread, where nothing can interrupt it."""

    Request = SleepJob.Request
    request: SleepJob.Request

    def execute(self, context: JobExecutionContext) -> None:
        """Sleep in between of beginning and end."""
        mark(context, "start")
        time.sleep(self.request.seconds)
        mark(context, "end")


@product("prove")
@job_group("once")
class OnceJob(SleepJob):
    """A job that must rather not run at all than twice."""

    at_most_once: ClassVar[bool] = True


@product("prove")
@job_group("poison")
class PoisonJob(SchedulerJob):
    """Ends the process that runs it."""

    async def execute(self, context: JobExecutionContext) -> None:
        """Record the beginning and leave, without a word to anybody."""
        mark(context, "start")
        os._exit(86)


@product("prove")
@job_group("flaky")
class FlakyJob(SchedulerJob):
    """Takes as long as it is told, and fails so many times before it succeeds."""

    class Request(SleepJob.Request):
        """How many times."""

        failures: Annotated[int, Field(ge=0, le=1000)] = 1

    request: Request

    async def execute(self, context: JobExecutionContext) -> None:
        """Fail as long as it is told."""
        mark(context, "start")
        try:
            await asyncio.sleep(self.request.seconds)
        except BaseException:
            mark(context, "broke")
            raise
        if context.attempt <= self.request.failures:
            mark(context, "broke")
            raise RuntimeError(f"told to fail {self.request.failures} times")
        mark(context, "end")


class ProveModule(SchedulerPluginModule):
    """Binds them all."""

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`."""
        for job_class in (NoopJob, OtherJob, SleepJob, NapJob, RivalJob, ThreadJob, OnceJob, PoisonJob, FlakyJob):
            binder.bind_job(job_class)
