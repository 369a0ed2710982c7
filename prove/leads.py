"""The plugin of jobs that have others made: how many follows from the occurrence, so that nobody has to note it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field

from mainspring import (
    Backoff,
    Binder,
    JobExecutionContext,
    JobRequest,
    SchedulerJob,
    SchedulerPluginModule,
    job_group,
    product,
)
from prove.plugin import mark

NAME = f"{__name__}:LeadModule"
LEADS, FOLLOWS = ("lead", "leadThread"), "follow"
"""The groups of jobs that clients ask for, and the one of those that follow."""
FAILS = 5
"""One of so many occurrences of leads fails once, after it had others made."""


def number_of_follow_ups(group: str, occurrence: UUID) -> int:
    """Return how many jobs follow an occurrence: 1 to 3 a lead, and each second time one more another follow-up."""
    return occurrence.int % 2 if group == FOLLOWS else 1 + occurrence.int % 3


def _lead(context: JobExecutionContext) -> dict[str, Any]:
    """Have the jobs made that follow, and return the result."""
    number = number_of_follow_ups(context.job_group, context.occurrence_id)
    made = []
    for done in range(number):
        made.append(str(context.schedule(FOLLOWS, when=context.fire_time)))
        context.progress(done + 1, number)
    if context.attempt == 1 and context.job_group != FOLLOWS and context.occurrence_id.int // 3 % FAILS == 0:
        mark(context, "broke")
        raise RuntimeError("fails once, though jobs were to follow")
    return {"run": context.run, "made": made}


@product("prove")
@job_group(LEADS[0])
class LeadJob(SchedulerJob):
    """Has others made, and takes as long as it is told."""

    backoff: ClassVar[Backoff] = Backoff(initial=timedelta(seconds=0.2))

    class Request(JobRequest):
        """How long, in seconds."""

        seconds: Annotated[float, Field(ge=0, le=600)] = 0.0

    request: Request

    async def execute(self, context: JobExecutionContext) -> dict[str, Any]:
        """Sleep in between of beginning and end."""
        mark(context, "start")
        result = _lead(context)
        await asyncio.sleep(self.request.seconds)
        mark(context, "end")
        return result


@product("prove")
@job_group(LEADS[1])
class LeadThreadJob(SchedulerJob):
    """The same in a thread."""

    backoff: ClassVar[Backoff] = LeadJob.backoff
    Request = LeadJob.Request
    request: LeadJob.Request

    def execute(self, context: JobExecutionContext) -> dict[str, Any]:
        """Sleep in between of beginning and end."""
        mark(context, "start")
        result = _lead(context)
        time.sleep(self.request.seconds)
        mark(context, "end")
        return result


@product("prove")
@job_group(FOLLOWS)
class FollowJob(LeadJob):
    """Follows, and may have another one made."""


class LeadModule(SchedulerPluginModule):
    """Binds them."""

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`."""
        for job_class in (LeadJob, LeadThreadJob, FollowJob):
            binder.bind_job(job_class)
