"""Jobs that tell the truth: each run appends a line to a file outside the store when it starts and when it ends."""

import asyncio
import os
from pathlib import Path

from mainspring import Binder, JobExecutionContext, JobRequest, SchedulerJob, SchedulerPluginModule, job_group, product


@product("test")
@job_group("records")
class RecorderJob(SchedulerJob):
    class Request(JobRequest):
        path: Path
        hold: bool = False
        """Never return on the first attempt."""
        seconds: float = 0.0
        """How long it takes."""

    request: Request

    async def execute(self, context: JobExecutionContext) -> None:
        self.record("start", context)
        if self.request.hold and context.attempt == 1:
            await asyncio.Event().wait()
        if self.request.seconds:
            await asyncio.sleep(self.request.seconds)  # noqa: TID251 - the node under test lives by the real clock
        self.record("end", context)

    def record(self, what: str, context: JobExecutionContext) -> None:
        line = f"{what} {context.job_id} {context.attempt} {context.run} {os.getpid()}\n"
        file = os.open(self.request.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.write(file, line.encode())
        os.close(file)


class RecorderModule(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        binder.bind_job(RecorderJob)
