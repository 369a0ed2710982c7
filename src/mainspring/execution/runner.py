"""Runs one claimed job: veto, build, inject, execute, classify. One claim in, one ending out; it never raises.

Everything here happens on the job loop, which user code may block without harm to the engine or the API.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from mainspring.clock import Alarm, Clock
from mainspring.errors import InvalidRequestError
from mainspring.failpoint import fp
from mainspring.job import Ending, Job, Outcome, parse
from mainspring.plugins import (
    JobExecutionContext,
    Registry,
    SchedulerJob,
    SchedulerTriggerListener,
    Signal,
    Stopping,
    Verdict,
)

VETO_SECONDS = 5.0
"""How long a trigger listener may take to answer."""
REASON_LENGTH = 500
OUT_OF_TOUCH = "the node lost touch with the store"

_moment = datetime.fromtimestamp

log = structlog.get_logger("mainspring.execution")


class Assignment:
    """A claim that this node is running.

    `ahead` is how many seconds the store's time, since 1970, is ahead of the node's monotonic one. `stopping` tells the
    job to come to an end; `interrupt` says why, once the node stops waiting for that and cancels `task`.

    Its time limit is armed by `watch`, once what was begun together has had its first turn: most jobs are over by then,
    and an alarm costs as much as all else that is done for them.
    """

    __slots__ = (
        "_alarm", "_arm", "_trusted", "ahead", "asking", "interrupt", "job", "lane", "limit", "overdue", "run",
        "started_at", "stopping", "task",
    )  # fmt: skip

    def __init__(self, job: Job, ahead: float, trusted: Callable[[], bool] = lambda: True) -> None:
        assert job.run is not None, "a claimed job has a run"  # noqa: S101 - for the type checker
        self._trusted = trusted
        self.lane: Any = None
        """Where the node has it run."""
        self.job = job
        self.run = job.run
        self.ahead = ahead
        self.stopping = Stopping()
        self.interrupt: str | None = None
        self.started_at: datetime | None = None
        self.task: asyncio.Task[Any] | None = None
        self.asking: str | None = None
        """The trigger listener that is being asked."""
        self.limit: float | None = None
        """How many seconds what runs at the moment may take; none before it begins and after it has ended."""
        self.overdue = False
        self._arm: Callable[[], Alarm] | None = None
        self._alarm: Alarm | None = None

    def store_time(self, clock: Clock) -> datetime:
        """Return the store's time, as far as this node can know it without asking."""
        # Exact to the microsecond until 2038, and in half the time that a timedelta takes.
        return _moment(self.ahead + clock.monotonic(), UTC)

    def refusal(self) -> Ending | None:
        """Say why the run must not begin, if it must not.

        A process that was frozen, or cut off, starts nothing before its node has beaten again.
        """
        if self.interrupt is None and not self._trusted():
            self.interrupt = OUT_OF_TOUCH
        return None if self.interrupt is None else Ending(Outcome.INTERRUPTED, self.interrupt)

    def begin(self, limit: float | None) -> None:
        """Give what runs from here on a time limit of its own; none ends the last one."""
        self.limit = limit
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._arm is not None and limit is not None:
            self._alarm = self._arm()

    def watch(self, clock: Clock) -> None:
        """Arm the time limit, and those that are to come. On the loop of the run."""
        self._arm = lambda: clock.alarm(self.limit or 0, self._ring)
        if self.limit is not None:
            self._alarm = self._arm()

    def _ring(self) -> None:
        self.overdue = True
        self.stopping.set()
        if self.task is not None:
            self.task.cancel()


def watch(assignments: Iterable[Assignment], clock: Clock) -> None:
    """Arm the time limits of what is still running of that which was begun before."""
    for assignment in assignments:
        if assignment.limit is not None:
            assignment.watch(clock)


class Runner:
    """Runs assignments with the classes and services of a registry; plain functions in at most `threads` threads."""

    def __init__(self, registry: Registry, clock: Clock, threads: int) -> None:
        self._registry = registry
        self._clock = clock
        self._threads = asyncio.Semaphore(threads)

    async def run(self, assignment: Assignment) -> Ending:
        """Run an assignment to its end, whatever that is. Somebody must `watch` it once it has begun."""
        assignment.started_at = assignment.store_time(self._clock)
        assignment.task = assignment.task or asyncio.current_task()
        try:
            fp("run.begin")
            return assignment.refusal() or await self._run(assignment)
        except asyncio.CancelledError:
            return self._cut_short(assignment)
        except Signal as signal:
            return _asked_for(getattr(signal, "ending", signal))
        except BaseException as error:  # noqa: BLE001 - user code
            job = assignment.job
            facts = {"job": str(job.series), "group": str(job.key), "run": job.run, "attempt": job.attempt}
            _report("run failed", **facts, exc_info=error)
            return Ending(Outcome.FAILED, describe(error))
        finally:
            assignment.begin(None)

    async def _run(self, assignment: Assignment) -> Ending:
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
            if (veto := await self._ask(listener, context, assignment, is_async=is_async)) is not None:
                return veto
        instance = group.make_job()
        instance.request = request
        fp("run.execute")
        if (refusal := assignment.refusal()) is not None:
            return refusal  # a trigger listener may have been asked for long
        if not group.is_async:
            await self._threads.acquire()  # waiting for a thread takes nothing from the job's time
        assignment.begin(_limit_of(assignment, job_class))
        work: Any = instance.execute(context) if group.is_async else self._in_thread(instance.execute, context)
        if (answer := await work) is not None:
            await _awaited(answer)
        fp("run.end")
        return self._cut_short(assignment) if assignment.overdue else _SUCCEEDED  # it may have swallowed that

    async def _ask(
        self,
        listener: SchedulerTriggerListener,
        context: JobExecutionContext,
        assignment: Assignment,
        *,
        is_async: bool,
    ) -> Ending | None:
        """Ask a listener; `None` lets the job through. One that fails, fails the attempt."""
        assignment.asking = name = type(listener).__name__
        if not is_async:
            await self._threads.acquire()
        assignment.begin(VETO_SECONDS)
        try:
            ask = listener.veto_job_execution
            asking: Any = ask(context.trigger, context) if is_async else self._in_thread(ask, context.trigger, context)
            if (answer := await asking) is not False:
                answer = await _awaited(answer)
        except Signal as signal:
            return _asked_for(getattr(signal, "ending", signal))
        except Exception as error:  # noqa: BLE001 - user code
            _report("veto check failed", job=str(context.job_id), listener=name, exc_info=error)
            return Ending(Outcome.FAILED, f"the veto check {name} raised {describe(error)}")
        if assignment.overdue:
            return self._cut_short(assignment)
        assignment.asking = None
        return None if answer is False else _verdict(answer, name)

    def _cut_short(self, assignment: Assignment) -> Ending:
        """Say how a run ended that was cancelled: by its time limit, by the node, or by itself."""
        job_class = self._registry.bindings[assignment.job.key].job_class
        if assignment.overdue and assignment.asking is not None:
            return Ending(Outcome.FAILED, f"the veto check {assignment.asking} took longer than {VETO_SECONDS:g} s")
        if assignment.overdue:
            return Ending(Outcome.TIMED_OUT, f"took longer than its limit of {_limit_of(assignment, job_class):g} s")
        if assignment.interrupt is None:
            return Ending(Outcome.FAILED, "the job raised CancelledError")
        if job_class.at_most_once:
            return Ending(Outcome.LOST, f"{assignment.interrupt} while it ran")
        return Ending(Outcome.INTERRUPTED, assignment.interrupt)

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


_SUCCEEDED = Ending(Outcome.SUCCEEDED)


def _limit_of(assignment: Assignment, job_class: type[SchedulerJob]) -> float:
    return (assignment.job.options.timeout or job_class.timeout).total_seconds()


def _verdict(answer: object, listener: str) -> Ending | None:
    """Say what a listener's answer means for the run: `None` lets it through."""
    if isinstance(answer, bool):
        return Ending(Outcome.VETOED, f"vetoed by {listener}") if answer else None
    if isinstance(answer, Verdict):
        return None if answer.ending is None else _asked_for(answer.ending)
    kind = type(answer).__name__
    return Ending(Outcome.FAILED, f"the veto check {listener} answered {kind}, not True, False or a Verdict")


def describe(error: BaseException) -> str:
    """Say what was raised, in words that can be stored."""
    return text(f"{type(error).__name__}: {text(error)}")


def _asked_for(ending: object) -> Ending:
    """Take the ending that user code asks for, in words that can be stored; what is none fails the attempt."""
    match ending:
        case Ending(Outcome() as outcome, reason, (timedelta() | None) as delay):
            return Ending(outcome, None if reason is None else text(reason), delay)
        case _:
            return Ending(Outcome.FAILED, text(f"asked for an ending that makes no sense: {text(ending)}"))


def text(value: object) -> str:
    """Put anything into words that can be stored.

    Bounded, no NUL, no lone surrogates, even if its ``__str__`` fails.
    """
    try:
        words = f"{value}"
    except BaseException:  # noqa: BLE001 - user code
        words = f"a {type(value).__name__} that has no words"
    return words[:REASON_LENGTH].replace("\0", "\\0").encode(errors="replace").decode()


def _report(event: str, **facts: object) -> None:
    """Log what user code did; a log that cannot be written must not keep the run from its end."""
    with suppress(Exception):
        log.warning(event, **facts)
