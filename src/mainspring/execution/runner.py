"""Runs one claimed job: veto, build, inject, execute, classify. One claim in, one ending out; it never raises.

Everything here happens on the job loop, which user code may block without harm to the engine or the API.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mainspring import logs
from mainspring.clock import Clock
from mainspring.errors import InvalidRequestError
from mainspring.execution.assignment import Assignment
from mainspring.execution.endings import (
    SUCCEEDED,
    asked_for,
    cut_short,
    describe,
    failed,
    seconds_of,
    succeeded,
    timed_out,
    verdict_of,
)
from mainspring.execution.limits import TimeLimit, TimeLimits
from mainspring.execution.telling import Telling
from mainspring.execution.threads import Threads
from mainspring.failpoint import fp
from mainspring.job import Ending, Outcome, parse
from mainspring.plugins import (
    JobExecutionContext,
    Registry,
    SchedulerTriggerListener,
    Signal,
)
from mainspring.problems import kind_of

VETO_SECONDS = 5.0
"""How long a trigger listener may take to answer."""
log = logs.logger("mainspring.execution")


class Runner:
    """Runs assignments with the classes and services of a registry; plain functions in `threads`.

    A run that needs a thread begins when it has a place for it: nothing in here waits for one.
    """

    def __init__(self, registry: Registry, clock: Clock, threads: Threads) -> None:
        self._registry = registry
        self._clock = clock
        self._threads = threads
        self._limits = TimeLimits(clock)

    async def run(self, assignment: Assignment) -> Ending:
        """See `Executor.run`."""
        assignment.started_at = assignment.store_time(self._clock.monotonic())
        assignment.task = assignment.task or asyncio.current_task()
        limit = TimeLimit(self._limits, assignment)
        try:
            fp("run.begin")
            ending = assignment.refusal() or await self._run(assignment, limit)
        except asyncio.CancelledError:
            ending = self._cut_short(assignment, limit)
        except Signal as signal:
            ending = asked_for(signal)
        except BaseException as error:  # noqa: BLE001 - user code
            job = assignment.job
            facts = {"job": str(job.series), "group": str(job.key), "run": job.run, "attempt": job.attempt}
            _report("run failed", **facts, exc_info=error)
            ending = Ending(Outcome.FAILED, describe(error), traceback=logs.traceback_of(error))
        finally:
            limit.end()
            logs.kept_by.set(None)  # what ran would be kept by its context
        return ending if assignment.log is None and not assignment.follow_ups else assignment.completed(ending)

    async def _run(self, assignment: Assignment, limit: TimeLimit) -> Ending:
        job = assignment.job
        group = self._registry.bound[job.key]
        job_class = group.binding.job_class
        try:
            request = parse(job_class.Request, job.request)
        except InvalidRequestError as error:
            return failed(f"the stored request is refused by the job group: {error}")
        assert assignment.started_at is not None, "set first thing"  # noqa: S101 - for the type checker
        telling = Telling(assignment, self._registry)
        context = JobExecutionContext(job, request, assignment.started_at, assignment.stopping, telling)
        logs.kept_by.set(telling.keep)
        for listener, is_async in group.listeners:
            if (veto := await self._ask(listener, is_async, context, limit)) is not None:
                return veto
        if group.is_async and assignment.places is self._threads:
            assignment.leave_place()  # only a listener may have needed a thread
        instance = group.make_job()
        instance.request = request
        fp("run.execute")
        if (refusal := assignment.refusal()) is not None:
            return refusal  # a trigger listener may have been asked for long
        limit.begin(seconds_of(job, job_class))
        work: Any = instance.execute(context) if group.is_async else self._in_thread(instance.execute, context)
        if (answer := await work) is not None:
            answer = await _awaited(answer)
        fp("run.end")
        if limit.overdue:  # it may have swallowed that
            return timed_out(seconds_of(job, job_class))
        return SUCCEEDED if answer is None else succeeded(answer)

    async def _ask(
        self,
        listener: SchedulerTriggerListener,
        is_async: bool,  # noqa: FBT001 - it stands beside the listener in `BoundGroup`
        context: JobExecutionContext,
        limit: TimeLimit,
    ) -> Ending | None:
        """Ask a listener; `None` lets the job through. One that fails, fails the attempt."""
        name = kind_of(listener)
        limit.begin(VETO_SECONDS)
        try:
            ask = listener.veto_job_execution
            asking: Any = ask(context.trigger, context) if is_async else self._in_thread(ask, context.trigger, context)
            if (answer := await asking) is not False:
                answer = await _awaited(answer)
        except Signal as signal:
            return asked_for(signal)
        except asyncio.CancelledError:
            if limit.overdue:
                return _veto_too_slow(name)
            raise
        except Exception as error:  # noqa: BLE001 - user code
            _report("veto check failed", job=str(context.job_id), listener=name, exc_info=error)
            reason = f"the veto check {name} raised {describe(error)}"
            return failed(reason)._replace(traceback=logs.traceback_of(error))
        if limit.overdue:
            return _veto_too_slow(name)
        limit.end()  # what comes between is not limited
        return None if answer is False else verdict_of(answer, name)

    def _cut_short(self, assignment: Assignment, limit: TimeLimit) -> Ending:
        """Say how a run ended that was cancelled: by its time limit, by the node, or by itself."""
        job_class = self._registry.bindings[assignment.job.key].job_class
        if limit.overdue:
            return timed_out(seconds_of(assignment.job, job_class))
        if assignment.stopping.why is None:
            return Ending(Outcome.FAILED, "the job raised CancelledError")
        return cut_short(assignment.stopping.why, job_class)

    async def _in_thread(self, function: Callable[..., object], *arguments: object) -> object:
        result, error = await self._threads.call(function, *arguments)
        try:
            if error is not None:
                raise error
            return result
        finally:
            del error  # this frame is part of its traceback: a cycle would keep what the plugin had made


async def _awaited(answer: object) -> object:
    """Return what user code answers: a plain ``def`` may hand out a coroutine."""
    return await answer if inspect.isawaitable(answer) else answer


def _veto_too_slow(listener: str) -> Ending:
    return failed(f"the veto check {listener} took longer than {VETO_SECONDS:g} s")


def _report(event: str, **facts: object) -> None:
    """Log what user code did; a log that cannot be written must not keep the run from its end."""
    with suppress(Exception):
        log.warning(event, **facts)
