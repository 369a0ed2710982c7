"""What a plugin made is gone when its run has ended, without the garbage collector, which a node seldom lets collect.

A cycle would keep it: an exception holds its traceback, that holds frames, and these hold what stands in their
variables, up to the caller's. So no frame of ours may hold an exception that went through it.
"""

import asyncio
import gc
import sys
import threading
import traceback
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from mainspring.clock import ManualClock
from mainspring.errors import InvalidRequestError
from mainspring.execution import Assignment, Lane, Runner, Slots, Threads, runner
from mainspring.job import JobRequest, Outcome, read
from mainspring.plugins import Retry, SchedulerJob, SchedulerTriggerListener, build
from tests.execution.test_runner import (
    START,
    Module,
    a_job,
    a_job_class,
    a_listener,
    answers,
    async_def,
    let_others_go_on,
    plain_def,
)
from tests.execution.test_threads import job_threads, until

MINUTE = timedelta(minutes=1)
alive: weakref.WeakSet["Weight"] = weakref.WeakSet()


class Weight:
    """What a plugin makes."""

    def __init__(self) -> None:
        alive.add(self)


class WeightyError(Exception):
    """What it raises, with what it made."""

    def __init__(self) -> None:
        super().__init__("too heavy")
        self.weight = Weight()


@pytest.fixture(autouse=True)
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The collector is off; lines of the log are written, and forgotten."""
    written = SimpleNamespace(warning=lambda _event, **facts: traceback.format_exception(facts["exc_info"]))
    monkeypatch.setattr(runner, "log", written)
    gc.collect()
    alive.clear()
    gc.disable()
    yield
    gc.enable()


def raises(_context: object) -> NoReturn:
    """Raise, with something in a variable."""
    weight = Weight()
    raise WeightyError from ValueError(weight)


def retries(_context: object) -> NoReturn:
    """Ask for a retry in the midst of something."""
    weight = Weight()
    raise Retry(MINUTE, f"{type(weight)}")


def exits(_context: object) -> NoReturn:
    """End the process, if it were up to a job."""
    weight = Weight()
    sys.exit(f"{type(weight)}")


def is_cancelled(_context: object) -> NoReturn:
    """Raise what the event loop raises."""
    weight = Weight()
    raise asyncio.CancelledError(f"{type(weight)}")


def stops_iterating(_context: object) -> NoReturn:
    """Raise what a coroutine may not."""
    weight = Weight()
    raise StopIteration(weight)


WAYS = [raises, retries, exits, is_cancelled, stops_iterating]
KINDS = [async_def, plain_def]


class Run(Assignment):
    """A run of which can be told whether it is still there."""

    __slots__ = ("__weakref__",)


class Bench:
    """A lane whose runs end as they do in a node."""

    def __init__(self, job_class: type[SchedulerJob], *listeners: type[SchedulerTriggerListener]) -> None:
        self.clock = ManualClock(START)
        self.registry = build([("test", Module(job_class, listeners))], clock=self.clock)
        threads = Threads(3)
        self.runner = Runner(self.registry, self.clock, threads)
        self.lane = Lane(asyncio.get_running_loop(), self.runner, self.clock, Slots(9), threads)
        self.outcomes: list[Outcome] = []
        self.lane.on_end = lambda _assignment, ending, *_: self.outcomes.append(ending.outcome)

    def give(self, **facts: Any) -> "weakref.ref[Assignment]":
        """Give the lane a run, and keep nothing of it."""
        assignment = Run(a_job(**facts), START.timestamp())
        self.lane.give([assignment])
        return weakref.ref(assignment)

    async def ended(self) -> None:
        """Wait for the end of the run, and let everybody forget it."""
        await until(lambda: self.outcomes)
        await let_others_go_on()


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Any]]:
    """Make benches."""
    made: list[Bench] = []

    async def bench(*classes: Any) -> Bench:
        made.append(Bench(*classes))
        await made[-1].registry.open()
        return made[-1]

    yield bench
    for each in made:
        await each.registry.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_that_fails_leaves_nothing(make: Callable[..., Any], kind: Callable[..., Any], way: Any) -> None:
    """However it does, on the loop or in a thread."""
    bench = await make(a_job_class(kind(way)))
    run = bench.give()
    await bench.ended()
    assert ([Outcome.FAILED], []) == (bench.outcomes, [*alive])
    assert run() is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_veto_check_that_fails_leaves_nothing(
    make: Callable[..., Any], kind: Callable[..., Any], way: Any
) -> None:
    """However it does, on the loop or in a thread."""
    bench = await make(a_job_class(async_def(answers(None))), a_listener(kind(way)))
    run = bench.give()
    await bench.ended()
    assert ([Outcome.FAILED], []) == (bench.outcomes, [*alive])
    assert run() is None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_constructor_that_fails_leaves_nothing(make: Callable[..., Any], kind: Callable[..., Any]) -> None:
    """The job was not even made."""

    def __init__(self: object) -> None:  # noqa: N807 - it becomes one
        raises(self)

    bench = await make(a_job_class(kind(answers(None)), __init__=__init__))
    run = bench.give()
    await bench.ended()
    assert ([Outcome.FAILED], []) == (bench.outcomes, [*alive])
    assert run() is None


def waits_on_the_loop(begun: threading.Event, _gate: threading.Event) -> Callable[..., Any]:
    """Write a job that waits in a coroutine."""

    async def execute(_self: object, _context: object) -> None:
        weight = Weight()
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError(weight)

    return execute


def waits_in_a_thread(begun: threading.Event, gate: threading.Event) -> Callable[..., Any]:
    """Write a job that waits in a thread, and raises when it is let go."""

    def execute(_self: object, _context: object) -> NoReturn:
        weight = Weight()
        begun.set()
        gate.wait(60)
        raise ValueError(weight)

    return execute


@pytest.mark.parametrize("ending", [Outcome.TIMED_OUT, Outcome.INTERRUPTED])
@pytest.mark.parametrize("waits", [waits_on_the_loop, waits_in_a_thread])
async def test_a_run_that_is_cut_off_leaves_nothing(
    make: Callable[..., Any], waits: Callable[..., Any], ending: Outcome
) -> None:
    """By its limit or by its node; a thread that goes on keeps what it has until it ends."""
    begun, gate = threading.Event(), threading.Event()
    bench = await make(a_job_class(waits(begun, gate), timeout=MINUTE))
    run = bench.give()
    await until(begun.is_set)
    await let_others_go_on()
    if ending is Outcome.TIMED_OUT:
        bench.clock.advance(minutes=1)
    else:
        cancel(run)
    await bench.ended()
    gate.set()
    await until(lambda: not alive and not job_threads())
    await let_others_go_on()
    assert [ending] == bench.outcomes
    assert run() is None


def cancel(run: "weakref.ref[Assignment]") -> None:
    """Cancel a run as its node does."""
    assignment = run()
    assert assignment is not None
    assert assignment.task is not None
    assignment.stopping.why = "the node stopped"
    assignment.task.cancel()


# --- requests


class Request(JobRequest):
    """A request whose checks fail as it says."""

    how: str

    @field_validator("how")
    @classmethod
    def check(cls, how: str) -> str:
        """Check the field."""
        fail(how, "field")
        return how

    @model_validator(mode="after")
    def check_all(self) -> "Request":
        """Check the whole."""
        fail(self.how, "whole")
        return self


def fail(how: str, place: str) -> None:
    """Raise what a request asks for, if it asks for it here."""
    weight = Weight()
    if how == f"{place} value":
        raise ValueError("no") from WeightyError()
    if how == f"{place} custom":
        raise PydanticCustomError("NO", "no {weight}", {"weight": weight})
    if how == f"{place} bug":
        raise KeyError(weight)
    if how == f"{place} exit":
        sys.exit(str(weight))


HOWS = [f"{place} {what}" for place in ("field", "whole") for what in ("value", "custom", "bug", "exit")]


@pytest.mark.parametrize("how", HOWS)
def test_a_request_that_is_refused_leaves_nothing(how: str) -> None:
    """Neither what its checks made, nor the error."""
    with pytest.raises(InvalidRequestError) as refused:
        read(Request, {"how": how, "when": "2026-12-01T10:00:00Z"}, now=datetime(2026, 1, 1, tzinfo=UTC))
    del refused
    assert [] == [*alive]


@pytest.mark.parametrize("how", HOWS)
async def test_a_stored_request_that_is_refused_leaves_nothing(make: Callable[..., Any], how: str) -> None:
    """Nor when it is read before a run."""
    bench = await make(a_job_class(async_def(answers(None)), Request=Request))
    run = bench.give(request={"how": how, "when": "2026-12-01T10:00:00Z"})
    await bench.ended()
    assert ([Outcome.FAILED], []) == (bench.outcomes, [*alive])
    assert run() is None


def test_the_test_can_fail() -> None:
    """A cycle keeps what is in it."""

    def keep() -> None:
        try:
            raises(None)
        except WeightyError as error:
            kept = error
        assert kept is not None

    keep()
    assert 2 == len(alive)
