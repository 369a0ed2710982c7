"""What blocks the loop of a lane is named while it does, and when it is over."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator

import pytest

from mainspring.clock import ManualClock
from mainspring.execution import Assignment, Lane, LoopWatch, Slots, job_loop
from mainspring.execution.lane import STUCK_SECONDS
from mainspring.job import JobKey, LoopBlocked
from mainspring.plugins import Binder, build
from tests.execution.test_lane import Held
from tests.execution.test_workers import a_job
from tests.plugins.conftest import Module, a_job_class

KEY, OTHER = JobKey("vps4", "backups"), JobKey("vps4", "patch")
PATIENCE = 10.0
PULSE = STUCK_SECONDS / 2


class Place:
    """A loop in a thread with the lanes of two groups, one of which has a run, and a watch over them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        def configure(binder: Binder) -> None:
            binder.bind_job(a_job_class())
            binder.bind_job(a_job_class(key=OTHER))

        self.loop = loop
        self.clock = ManualClock()
        self.lanes = {key: Lane(loop, Held(), self.clock, Slots(100)) for key in (KEY, OTHER)}
        self.watch = LoopWatch(build([("test", Module(configure))]), self.lanes, self.clock)
        self.run = Assignment(a_job("blocks", key=KEY), 0)
        self.run.lane = self.lanes[KEY]
        self.executing = self.lanes[KEY]._executing  # noqa: SLF001 - as if it had a run
        self.executing[self.run.run] = 0
        self.gate, self.begun = threading.Event(), threading.Event()
        self.jobs: list[asyncio.Task[None]] = []
        self.turns()

    def turns(self) -> None:
        """See that the loop has done all that it was given."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(PATIENCE)  # noqa: TID251 - no time

    def block(self) -> None:
        """Keep the loop until the gate opens."""
        self.begun.set()
        self.gate.wait(PATIENCE)

    def start_job(self) -> None:
        self.jobs.append(self.loop.create_task(self.job()))

    def start_job_with_a_child(self) -> None:
        self.jobs.append(self.loop.create_task(self.job_with_a_child()))

    async def job(self) -> None:
        self.run.task = asyncio.current_task()
        self.block()

    async def job_with_a_child(self) -> None:
        self.run.task = asyncio.current_task()
        await asyncio.create_task(self.job_of_another())

    async def job_of_another(self) -> None:
        self.block()

    def pulse(self) -> list[LoopBlocked]:
        """Look, and let the time between two pulses pass."""
        events = list(self.watch.look([self.run]))
        self.clock.advance(seconds=PULSE)
        return events

    def pulses(self, number: int) -> list[LoopBlocked]:
        """Look several times."""
        return [event for _ in range(number) for event in self.pulse()]

    def start(self, blocking: Callable[[], object]) -> None:
        """Have something block the loop after the first pulse."""
        assert [] == self.pulse()
        self.turns()
        self.loop.call_soon_threadsafe(blocking)
        assert self.begun.wait(PATIENCE)


@pytest.fixture
def place() -> Iterator[Place]:
    """A place whose loop is given back in the end."""
    with job_loop(asyncio.new_event_loop(), "jobs") as loop:
        place = Place(loop)
        yield place
        place.gate.set()


def test_a_job_that_blocks_its_loop_is_named(place: Place) -> None:
    """With the place in its own code, once; and once more when it is over, with the time that it took."""
    place.start(place.start_job)
    [event] = place.pulses(6)
    assert (place.run.job, (KEY,), STUCK_SECONDS, False) == (event.job, event.groups, event.seconds, event.over)
    ours, *_ = event.where.split(" > ")
    assert re.fullmatch(rf"{__file__}:\d+ \(Place\.block\)", ours)
    place.gate.set()
    place.turns()
    place.clock.advance(seconds=100)
    [over] = place.pulse()
    assert event._replace(seconds=6 * PULSE, over=True) == over


def test_each_block_is_named(place: Place) -> None:
    """Not only the first."""
    for _ in range(2):
        place.start(place.start_job)
        assert [False] == [event.over for event in place.pulses(4)]
        place.gate.set()
        place.turns()
        assert [True] == [event.over for event in place.pulse()]
        place.turns()
        place.gate.clear()
        place.begun.clear()


@pytest.mark.parametrize("blocking", ["child", "callback"])
def test_what_is_no_run_itself_is_named_by_its_place(place: Place, blocking: str) -> None:
    """A task that a job started, or a callback of a library: the groups that share the loop are named."""
    place.start(place.start_job_with_a_child if blocking == "child" else place.block)
    [event] = place.pulses(5)
    assert (None, (KEY, OTHER)) == (event.job, event.groups)
    assert "(Place.block)" in event.where


def test_nothing_is_said_of_a_loop_that_answers(place: Place) -> None:
    """However long its jobs take, as long as they wait for what they wait for."""
    for _ in range(5):
        assert [] == place.pulse()
        place.turns()


def test_nothing_is_said_of_a_loop_that_was_only_frozen(place: Place) -> None:
    """A process that was stopped for a while finds its loops late at its next look, and in order at the one after."""
    place.start(place.start_job)
    assert [] == place.pulse()
    place.clock.advance(seconds=100)
    assert [] == place.pulse()
    place.gate.set()
    for _ in range(3):
        place.turns()
        assert [] == place.pulse()


def test_a_crowd_of_jobs_is_not_one_that_blocks(place: Place) -> None:
    """Where each has the loop for a while, none of them is accused."""
    gates, begun = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]

    async def job(number: int) -> None:
        place.run.task = asyncio.current_task()
        begun[number].set()
        gates[number].wait(PATIENCE)

    def crowd() -> None:
        place.jobs = [place.loop.create_task(job(number)) for number in (0, 1)]
        place.begun.set()

    place.start(crowd)
    assert begun[0].wait(PATIENCE)
    assert [] == place.pulses(2)
    gates[0].set()
    assert begun[1].wait(PATIENCE)
    [event] = place.pulse()
    gates[1].set()
    assert (None, (KEY, OTHER)) == (event.job, event.groups)


def test_an_idle_lane_is_not_asked(place: Place) -> None:
    """A node without runs wakes no loop."""
    place.executing.clear()
    place.start(place.block)
    assert [] == place.pulses(5)
