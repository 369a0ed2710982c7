"""Jobs that call their scheduler, in a process of their own; what they find goes into the file that they name."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from inspect import isawaitable
from pathlib import Path
from typing import Any, ClassVar, Literal

from mainspring import (
    Binder,
    JobExecutionContext,
    JobRequest,
    Scheduler,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    Trigger,
    job_group,
    product,
)
from mainspring.errors import MainspringError

CALLERS = "tests.callers:CallersModule"


class Caller(SchedulerJob):
    """Does what its request says."""

    class Request(JobRequest):
        deed: str
        path: Path = Path(os.devnull)

    request: Request
    isolation: ClassVar[Literal["none", "process"]] = "process"
    timeout = timedelta(minutes=1)
    max_attempts = 1

    def __init__(self, scheduler: Scheduler) -> None:
        self._jobs = scheduler

    def note(self, words: object) -> None:
        """Write a line to the file, for whoever watches from outside."""
        with self.request.path.open("a") as file:
            file.write(f"{words}\n")

    @property
    def deed(self) -> Callable[[JobExecutionContext], Any]:
        """What is to be done."""
        deed: Callable[[JobExecutionContext], Any] = getattr(self, self.request.deed)
        return deed

    # --- in an async def

    async def asks(self, context: JobExecutionContext) -> Any:
        return await self._jobs.get("letters", context.job_id)

    async def asks_and_goes(self, context: JobExecutionContext) -> None:
        asking = asyncio.ensure_future(self._jobs.get("letters", context.job_id))
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
        asking.cancel()

    async def asks_for_what_is_wrong(self, _: JobExecutionContext) -> Any:
        try:
            await self._jobs.create("letters", to="bob")
        except MainspringError as error:
            other = getattr(error, "other", None)
            return [type(error).__name__, str(error), [problem.code for problem in error.problems], str(other)]

    async def makes_another(self, _: JobExecutionContext) -> None:
        made = await self._jobs.create("letters", when="now", deed="writes", path=str(self.request.path))
        self.note(f"made {made['state']}")

    async def cancels_itself(self, context: JobExecutionContext) -> None:
        self.note((await self._jobs.cancel(context.job_group, context.job_id))["state"])
        await asyncio.Event().wait()

    # --- in a plain def

    def asks_in_threads(self, _: JobExecutionContext) -> Any:
        def ask(number: int) -> Any:
            return self._jobs.get("letters", str(number)).result()["id"]

        with ThreadPoolExecutor(20) as threads:
            return [*threads.map(ask, range(20))]

    def asks_and_is_killed(self, context: JobExecutionContext) -> None:
        asking = self._jobs.get("letters", context.job_id)
        threading.Event().wait(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
        asking.result()

    def leaves_a_thread_that_asks(self, context: JobExecutionContext) -> None:
        asking = self._jobs.get("letters", context.job_id)

        def wait() -> None:
            try:
                asking.result()
            except MainspringError as error:
                self.note(error)

        threading.Thread(target=wait, daemon=True).start()

    def makes_a_letter(self, _: JobExecutionContext) -> None:
        made = self._jobs.create("letters", when="now", deed="writes", path=str(self.request.path)).result()
        self.note(f"made {made['state']}")

    def writes(self, context: JobExecutionContext) -> None:
        self.note(f"{context.job_group} written")


@product("zoo")
@job_group("async")
class AsyncCaller(Caller):
    async def execute(self, context: JobExecutionContext) -> Any:
        done = self.deed(context)
        return await done if isawaitable(done) else done


@product("zoo")
@job_group("sync")
class SyncCaller(Caller):
    def execute(self, context: JobExecutionContext) -> Any:
        return self.deed(context)


@product("zoo")
@job_group("letters")
class LetterWriter(SyncCaller):
    """What they name. It runs in the node itself."""

    isolation: ClassVar[Literal["none", "process"]] = "none"


@product("zoo")
@job_group("near")
class NearCaller(AsyncCaller):
    """Calls from the node itself, on a job loop."""

    isolation: ClassVar[Literal["none", "process"]] = "none"


@product("zoo")
@job_group("async")
class Porter(SchedulerTriggerListener):
    """Asks too, if it is to."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._jobs = scheduler

    async def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> bool:  # noqa: ARG002
        return context.request.deed == "is_asked_for" and bool(await self._jobs.list("letters"))


class CallersModule(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        for job in (AsyncCaller, SyncCaller, LetterWriter, NearCaller):
            binder.bind_job(job)
        binder.bind_trigger_listener(Porter)
