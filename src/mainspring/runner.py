"""Runs one claimed job: veto, build, inject, execute, classify. One claim in, one ending out; it never raises.

Everything here happens on the job loop, which user code may block without harm to the engine or the API.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from mainspring.clock import Clock
from mainspring.errors import InvalidRequestError
from mainspring.model import Claim, Ending, Outcome
from mainspring.plugin import JobExecutionContext, SchedulerTriggerListener, Signal, Stopping, Verdict
from mainspring.registry import Registry
from mainspring.request import parse

VETO_SECONDS = 5.0
"""How long a trigger listener may take to answer."""
REASON_LENGTH = 500

log = structlog.get_logger("mainspring.runner")


class Assignment:
    """A claim that this node is running.

    `sent` is the node's monotonic time when it asked for the claim: store time goes on from there. `stopping` tells the
    job to come to an end; `interrupt` says why, once the node stops waiting for that and cancels `task`.
    """

    __slots__ = ("_at", "_sent", "interrupt", "job", "run", "started_at", "stopping", "task")

    def __init__(self, claim: Claim, sent: float) -> None:
        assert claim.job.run is not None, "a claimed job has a run"  # noqa: S101 - for the type checker
        self.job = claim.job
        self.run = claim.job.run
        self._at = claim.at
        self._sent = sent
        self.stopping = Stopping()
        self.interrupt: str | None = None
        self.started_at: datetime | None = None
        self.task: asyncio.Task[None] | None = None

    def store_time(self, clock: Clock) -> datetime:
        """Return the store's time, as far as this node can know it without asking."""
        return self._at + timedelta(seconds=clock.monotonic() - self._sent)


class Runner:
    """Runs assignments with the classes and services of a registry; plain functions in at most `threads` threads."""

    def __init__(self, registry: Registry, clock: Clock, threads: int) -> None:
        self._registry = registry
        self._clock = clock
        self._threads = asyncio.Semaphore(threads)

    async def run(self, assignment: Assignment) -> Ending:
        """Run an assignment to its end, whatever that is."""
        assignment.started_at = assignment.store_time(self._clock)
        try:
            if assignment.interrupt is not None:
                return Ending(Outcome.INTERRUPTED, assignment.interrupt)
            return await self._run(assignment)
        except asyncio.CancelledError:
            return self._cancelled(assignment)
        except Signal as signal:
            return _asked_for(getattr(signal, "ending", signal))
        except BaseException as error:  # noqa: BLE001 - user code
            job = assignment.job
            facts = {"job": str(job.id), "group": str(job.key), "run": job.run, "attempt": job.attempt}
            _report("run failed", **facts, exc_info=error)
            return Ending(Outcome.FAILED, describe(error))

    def _cancelled(self, assignment: Assignment) -> Ending:
        """Say how a run ended that was cut short, by the node or by itself."""
        if assignment.interrupt is None:
            return Ending(Outcome.FAILED, "the job raised CancelledError")
        if self._registry.bindings[assignment.job.key].job_class.at_most_once:
            return Ending(Outcome.LOST, f"{assignment.interrupt} while it ran")
        return Ending(Outcome.INTERRUPTED, assignment.interrupt)

    async def _run(self, assignment: Assignment) -> Ending:
        job = assignment.job
        crew = self._registry.crews[job.key]
        job_class = crew.binding.job_class
        try:
            request = parse(job_class.Request, job.request)
        except InvalidRequestError as error:
            return Ending(Outcome.FAILED, _text(f"the stored request is refused by the job group: {error}"))
        assert assignment.started_at is not None, "set first thing"  # noqa: S101 - for the type checker
        context = JobExecutionContext(job, request, assignment.started_at, assignment.stopping)
        for listener in crew.listeners:
            if (veto := await self._ask(listener, context)) is not None:
                return veto
        instance = crew.make_job()
        instance.request = request
        timeout = job.options.timeout or job_class.timeout
        if await self._within(timeout.total_seconds(), instance.execute, context) is _TIMED_OUT:
            assignment.stopping.set()
            return Ending(Outcome.TIMED_OUT, f"took longer than its limit of {timeout.total_seconds():g} s")
        return _SUCCEEDED

    async def _ask(self, listener: SchedulerTriggerListener, context: JobExecutionContext) -> Ending | None:
        """Ask a listener; `None` lets the job through. One that fails, fails the attempt."""
        name = type(listener).__name__
        try:
            answer = await self._within(VETO_SECONDS, listener.veto_job_execution, context.trigger, context)
        except Signal as signal:
            return _asked_for(getattr(signal, "ending", signal))
        except Exception as error:  # noqa: BLE001 - user code
            _report("veto check failed", job=str(context.job_id), listener=name, exc_info=error)
            return Ending(Outcome.FAILED, f"the veto check {name} raised {describe(error)}")
        return None if answer is False else _verdict(answer, name)

    async def _within(self, seconds: float, function: Callable[..., Any], *arguments: object) -> object:
        """Call user code, ``async def`` here and plain ``def`` in a thread; answer what it returns, or `_TIMED_OUT`."""
        if inspect.iscoroutinefunction(function):
            work = function(*arguments)
        else:
            await self._threads.acquire()
            work = self._in_thread(function, *arguments)
        # A coroutine that never waits needs no timer: the two timers of a run cost 7 us, as much as all else in here.
        try:
            first = work.send(None)
        except StopIteration as ended:
            answer = ended.value
            if not inspect.isawaitable(answer):
                return answer
            return await self._within(seconds, _awaited, answer)
        limit = self._clock.limit(seconds)
        try:
            async with limit:
                answer = await _Rest(work, first)
                answer = await answer if inspect.isawaitable(answer) else answer
        except TimeoutError:
            if limit.expired():
                return _TIMED_OUT
            raise
        return _TIMED_OUT if limit.expired() else answer  # it may have swallowed its cancellation

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


_TIMED_OUT = object()
_SUCCEEDED = Ending(Outcome.SUCCEEDED)


class _Rest:
    """What is left of a coroutine that was begun by hand and waits for `first`."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], first: Any) -> None:
        self._coroutine = coroutine
        self._first = first

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._first
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - whatever the loop throws in is the coroutine's
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, sent)
            try:
                waits_for = step()
            except StopIteration as ended:
                return ended.value


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _verdict(answer: object, listener: str) -> Ending | None:
    """Say what a listener's answer means for the run: `None` lets it through."""
    if answer is _TIMED_OUT:
        return Ending(Outcome.FAILED, f"the veto check {listener} took longer than {VETO_SECONDS:g} s")
    if isinstance(answer, bool):
        return Ending(Outcome.VETOED, f"vetoed by {listener}") if answer else None
    if isinstance(answer, Verdict):
        return None if answer.ending is None else _asked_for(answer.ending)
    kind = type(answer).__name__
    return Ending(Outcome.FAILED, f"the veto check {listener} answered {kind}, not True, False or a Verdict")


def describe(error: BaseException) -> str:
    """Say what was raised, in words that can be stored."""
    return _text(f"{type(error).__name__}: {_text(error)}")


def _asked_for(ending: object) -> Ending:
    """Take the ending that user code asks for, in words that can be stored; what is none fails the attempt."""
    match ending:
        case Ending(Outcome() as outcome, reason, (timedelta() | None) as delay):
            return Ending(outcome, None if reason is None else _text(reason), delay)
        case _:
            return Ending(Outcome.FAILED, _text(f"asked for an ending that makes no sense: {_text(ending)}"))


def _text(value: object) -> str:
    """Put anything into words that can be stored.

    Bounded, no NUL, no lone surrogates, even if its ``__str__`` fails.
    """
    try:
        text = f"{value}"
    except BaseException:  # noqa: BLE001 - user code
        text = f"a {type(value).__name__} that has no words"
    return text[:REASON_LENGTH].replace("\0", "\\0").encode(errors="replace").decode()


def _report(event: str, **facts: object) -> None:
    """Log what user code did; a log that cannot be written must not keep the run from its end."""
    with suppress(Exception):
        log.warning(event, **facts)
