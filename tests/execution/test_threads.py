"""Plain functions in threads: a run begins when it has one, and a thread that does not end is not counted on."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from mainspring.clock import ManualClock
from mainspring.execution import AHEAD_SECONDS, Assignment, Lane, Runner, Slots, Threads
from mainspring.execution.lane import PATIENCE_SECONDS
from mainspring.execution.runner import VETO_SECONDS
from mainspring.job import Ending, Outcome
from mainspring.plugins import SchedulerJob, SchedulerTriggerListener, build
from tests.execution.test_runner import (
    KEY,
    MINUTE,
    START,
    SUCCEEDED,
    Gate,
    Module,
    a_job,
    a_job_class,
    a_listener,
    answers,
    async_def,
    let_others_go_on,
    plain_def,
    reached,
    waits_async,
    waits_in_thread,
)

OVER = Ending(Outcome.TIMED_OUT, "took longer than its limit of 60 s")


class Bench:
    """A lane with its threads, on the test's loop, under a clock that the test moves."""

    def __init__(self, threads: int, job_class: type[SchedulerJob], *listeners: type[SchedulerTriggerListener]) -> None:
        self.clock = ManualClock(START)
        self.registry = build([("test", Module(job_class, listeners))], clock=self.clock)
        self.threads = Threads(threads)
        self.slots = Slots(100)
        runner = Runner(self.registry, self.clock, self.threads)
        places = self.threads if self.registry.bindings[KEY].uses_threads else None
        self.lane = Lane(asyncio.get_running_loop(), runner, self.clock, self.slots, places)
        self.ended: dict[int, Ending] = {}
        self.unbegun: list[int] = []
        self.lows = 0
        self.lane.on_end = lambda assignment, ending, *_: self.ended.update({assignment.run: ending})
        self.lane.on_unbegun = lambda them: self.unbegun.extend(each.run for each in them)
        self.lane.on_low = self._on_low

    def _on_low(self) -> None:
        self.lows += 1

    async def give(self, *runs: int) -> list[Assignment]:
        ahead = START.timestamp() - self.clock.monotonic()
        them = [Assignment(a_job(run=run), ahead, not_before=self.clock.monotonic()) for run in runs]
        self.lane.give(them)
        await let_others_go_on()
        return them

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)
        await let_others_go_on()

    @property
    def room(self) -> int:
        return self.lane.room(self.slots.free, 0, self.clock.monotonic())


async def until(holds: Callable[[], object]) -> None:
    """Wait for what a thread does."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - a thread tells nobody on this loop
            await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that lets everybody out at the end."""
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
async def benches() -> AsyncIterator[Callable[..., Any]]:
    """Make benches, and close their services in the end."""
    made: list[Bench] = []

    async def make(*arguments: Any) -> Bench:
        bench = Bench(*arguments)
        await bench.registry.open()
        made.append(bench)
        return bench

    yield make
    for bench in made:
        await bench.registry.close()


def job_threads() -> int:
    """Count the threads that run plain functions of jobs."""
    return sum(thread.name.startswith("job-") for thread in threading.enumerate())


async def test_threads_are_bounded(benches: Callable[..., Any], gate: Gate) -> None:
    """Only as many begin as there are threads; the others wait, and are not claimed."""
    bench = await benches(2, a_job_class(waits_in_thread(gate)))
    before = job_threads()
    assert 2 == bench.room
    await bench.give(1, 2, 3)
    assert (before + 2, 1, 0) == (job_threads(), bench.lane.waiting, bench.room)
    gate.opened.set()
    await until(lambda: len(bench.ended) == 3)
    assert {SUCCEEDED} == {*bench.ended.values()}
    await until(lambda: bench.threads.free == 2)


async def test_a_thread_that_outlives_its_run_is_not_counted_on(benches: Callable[..., Any], gate: Gate) -> None:
    """Nothing is claimed for it, until it ends; then the node hears that there is room."""
    bench = await benches(1, a_job_class(waits_in_thread(gate), timeout=MINUTE))
    await bench.give(1)
    await reached(gate)
    await bench.advance(60)
    assert ({1: OVER}, 0, 1) == (bench.ended, bench.room, len(bench.threads.stuck))
    lows = bench.lows
    gate.opened.set()
    await until(lambda: not bench.threads.stuck)
    assert (1, 1, lows + 1) == (bench.room, bench.threads.free, bench.lows)


async def test_a_thread_that_ends_when_its_run_is_cut_off_is_not_stuck(benches: Callable[..., Any]) -> None:
    """Even if both come at the same moment."""

    def execute(_self: object, context: Any) -> None:
        context.stopping.wait(60)

    bench = await benches(1, a_job_class(execute, timeout=MINUTE))
    for run in range(1, 20):
        await bench.give(run)
        await bench.advance(60)
        await until(partial(bench.ended.get, run))
        await until(lambda: bench.threads.free == 1)
    assert (1, frozenset()) == (bench.room, bench.threads.stuck)


@pytest.mark.parametrize("write", [plain_def, async_def])
async def test_waiting_for_a_thread_takes_nothing(
    benches: Callable[..., Any], gate: Gate, write: Callable[..., Any]
) -> None:
    """Behind a stuck thread a job with a listener is not begun, however long: it is handed back as it was."""

    def veto(_self: object, *_: object) -> bool:
        gate.wait_in_thread(None)
        return False

    bench = await benches(1, a_job_class(write(answers(None)), timeout=MINUTE), a_listener(veto))
    first, second = await bench.give(1, 2)
    await reached(gate)
    await bench.advance(PATIENCE_SECONDS)
    assert ([2], None) == (bench.unbegun, second.started_at)
    await bench.advance(VETO_SECONDS)
    assert Ending(Outcome.FAILED, "the veto check Listener took longer than 5 s") == bench.ended[1]
    assert first.started_at is not None
    await bench.advance(3600)
    assert ([1], 0) == ([*bench.ended], bench.room)


async def test_a_listener_needs_a_thread_only_while_it_is_asked(benches: Callable[..., Any], gate: Gate) -> None:
    """An ``async def`` job lets others have it then."""
    bench = await benches(1, a_job_class(waits_async(gate)), a_listener(plain_def(answers(False))))  # noqa: FBT003
    await bench.give(1, 2, 3)
    await until(lambda: bench.lane.executing == 3)
    await until(lambda: bench.threads.free == 1)


async def test_groups_that_share_a_loop_share_its_threads(benches: Callable[..., Any], gate: Gate) -> None:
    """A thread that is stuck is missing in all of them."""
    bench = await benches(1, a_job_class(waits_in_thread(gate), timeout=MINUTE))
    other = Lane(asyncio.get_running_loop(), bench.lane.executor, bench.clock, bench.slots, bench.threads)
    await bench.give(1)
    await reached(gate)
    await bench.advance(60)
    assert 0 == other.room(100, 0, bench.clock.monotonic() + AHEAD_SECONDS / 2)
    gate.opened.set()
    await until(lambda: not bench.threads.stuck)
    assert 1 == other.room(100, 0, bench.clock.monotonic() + AHEAD_SECONDS / 2)


async def test_a_group_without_plain_functions_needs_none(benches: Callable[..., Any], gate: Gate) -> None:
    """Its lane is bounded by slots alone."""
    bench = await benches(1, a_job_class(waits_async(gate), timeout=timedelta(hours=1)))
    assert 100 == bench.room
    await bench.give(1, 2, 3)
    assert (3, 1) == (bench.lane.executing, bench.threads.free)
