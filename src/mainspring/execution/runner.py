"""Runs one claimed job: veto, build, inject, execute, classify. One claim in, one ending out; it never raises.

Everything here happens on the job loop, which user code may block without harm to the engine or the API.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from mainspring.clock import Clock
from mainspring.errors import InvalidRequestError
from mainspring.execution.assignment import Assignment
from mainspring.execution.endings import (
    SUCCEEDED,
    asked_for,
    cut_short,
    describe,
    seconds_of,
    text,
    timed_out,
    verdict_of,
)
from mainspring.execution.limits import TimeLimit, TimeLimits
from mainspring.failpoint import fp
from mainspring.job import Ending, Outcome, parse
from mainspring.plugins import (
    JobExecutionContext,
    Registry,
    SchedulerTriggerListener,
    Signal,
)

VETO_SECONDS = 5.0
"""How long a trigger listener may take to answer."""
log = structlog.get_logger("mainspring.execution")


class Runner:
    """Runs assignments with the classes and services of a registry; plain functions in at most `threads` threads."""

    def __init__(self, registry: Registry, clock: Clock, threads: int) -> None:
        self._registry = registry
        self._clock = clock
        self._threads = asyncio.Semaphore(threads)
        self._limits = TimeLimits(clock)

    async def run(self, assignment: Assignment) -> Ending:
        """See `Executor.run`."""
        assignment.started_at = assignment.store_time(self._clock.monotonic())
        assignment.task = assignment.task or asyncio.current_task()
        limit = TimeLimit(self._limits, assignment)
        try:
            fp("run.begin")
            return assignment.refusal() or await self._run(assignment, limit)
        except asyncio.CancelledError:
            return self._cut_short(assignment, limit)
        except Signal as signal:
            return asked_for(getattr(signal, "ending", signal))
        except BaseException as error:  # noqa: BLE001 - user code
            job = assignment.job
            facts = {"job": str(job.series), "group": str(job.key), "run": job.run, "attempt": job.attempt}
            _report("run failed", **facts, exc_info=error)
            return Ending(Outcome.FAILED, describe(error))
        finally:
            limit.end()

    async def _run(self, assignment: Assignment, limit: TimeLimit) -> Ending:
        job = assignment.job
        group = self._registry.bound[job.key]
        job_class = group.binding.job_class
        try:
            request = parse(job_class.Request, job.request)
        except InvalidRequestError as error:
            return Ending(Outcome.FAILED, text(f"the stored request is refused by the job group: {error}"))
        assert assignment.started_at is not None, "set first thing"  # noqa: S101 - for the type checker
        context = JobExecutionContext(job, request, assignment.started_at, assignment.stopping)
        for listener, is_async in group.listeners:
            if (veto := await self._ask(listener, is_async, context, limit)) is not None:
                return veto
        instance = group.make_job()
        instance.request = request
        fp("run.execute")
        if (refusal := assignment.refusal()) is not None:
            return refusal  # a trigger listener may have been asked for long
        if not group.is_async:
            await self._threads.acquire()  # waiting for a thread takes nothing from the job's time
        limit.begin(seconds_of(job, job_class))
        work: Any = instance.execute(context) if group.is_async else self._in_thread(instance.execute, context)
        if (answer := await work) is not None:
            await _awaited(answer)
        fp("run.end")
        return timed_out(seconds_of(job, job_class)) if limit.overdue else SUCCEEDED  # it may have swallowed that

    async def _ask(
        self,
        listener: SchedulerTriggerListener,
        is_async: bool,  # noqa: FBT001 - it stands beside the listener in `BoundGroup`
        context: JobExecutionContext,
        limit: TimeLimit,
    ) -> Ending | None:
        """Ask a listener; `None` lets the job through. One that fails, fails the attempt."""
        name = type(listener).__name__
        if not is_async:
            await self._threads.acquire()
        limit.begin(VETO_SECONDS)
        try:
            ask = listener.veto_job_execution
            asking: Any = ask(context.trigger, context) if is_async else self._in_thread(ask, context.trigger, context)
            if (answer := await asking) is not False:
                answer = await _awaited(answer)
        except Signal as signal:
            return asked_for(getattr(signal, "ending", signal))
        except asyncio.CancelledError:
            if limit.overdue:
                return _veto_too_slow(name)
            raise
        except Exception as error:  # noqa: BLE001 - user code
            _report("veto check failed", job=str(context.job_id), listener=name, exc_info=error)
            return Ending(Outcome.FAILED, f"the veto check {name} raised {describe(error)}")
        if limit.overdue:
            return _veto_too_slow(name)
        limit.end()  # what comes between, such as the wait for a thread, is not limited
        return None if answer is False else verdict_of(answer, name)

    def _cut_short(self, assignment: Assignment, limit: TimeLimit) -> Ending:
        """Say how a run ended that was cancelled: by its time limit, by the node, or by itself."""
        job_class = self._registry.bindings[assignment.job.key].job_class
        if limit.overdue:
            return timed_out(seconds_of(assignment.job, job_class))
        if assignment.stopping.why is None:
            return Ending(Outcome.FAILED, "the job raised CancelledError")
        return cut_short(assignment.stopping.why, job_class)

    async def _in_thread(self, function: Callable[..., Any], *arguments: object) -> object:
        """Call `function` in a daemon thread.

        One that never returns keeps its slot, but does not keep the process from ending.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[object, BaseException | None]] = loop.create_future()
        context = contextvars.copy_context()

        def deliver(result: object, error: BaseException | None) -> None:
            self._threads.release()
            if not ended.done():
                ended.set_result((result, error))

        def work() -> None:
            result, error = None, None
            try:
                result = context.run(function, *arguments)
            except BaseException as raised:  # noqa: BLE001 - user code; it is raised again where it is awaited
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(deliver, result, error)

        thread = threading.Thread(target=work, name=f"job-{getattr(function, '__qualname__', '')}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine has no thread left, so nothing will give the slot back
            self._threads.release()
            raise
        result, error = await ended
        if error is not None:
            raise error
        return result


async def _awaited(answer: object) -> object:
    """Return what user code answers: a plain ``def`` may hand out a coroutine."""
    return await answer if inspect.isawaitable(answer) else answer


def _veto_too_slow(listener: str) -> Ending:
    return Ending(Outcome.FAILED, f"the veto check {listener} took longer than {VETO_SECONDS:g} s")


def _report(event: str, **facts: object) -> None:
    """Log what user code did; a log that cannot be written must not keep the run from its end."""
    with suppress(Exception):
        log.warning(event, **facts)
