"""Where jobs run, which of them wait there, and how many more there is room for."""

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from mainspring.clock import ManualClock
from mainspring.execution import AHEAD_SECONDS, Assignment, Lane, Places, Slots, job_loop, run_steadily
from mainspring.execution.lane import CAUTION_SECONDS, PATIENCE_SECONDS, STUCK_SECONDS
from mainspring.job import Ending, Outcome
from tests.contract.build import a_running_job

MANY = 10**6


class Held:
    """Runs assignments until the test lets them end."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self._ends: dict[int, asyncio.Event] = {}

    async def run(self, assignment: Assignment) -> Ending:
        self.begun.append(assignment.run)
        await self._ends.setdefault(assignment.run, asyncio.Event()).wait()
        return Ending(Outcome.SUCCEEDED)

    def end(self, run: int) -> None:
        self._ends[run].set()


class Bench:
    """Lanes on the test's loop under a clock that it moves, with few slots between them."""

    def __init__(self, slots: int = 2) -> None:
        self.clock = ManualClock()
        self.slots = Slots(slots)
        self.jobs = Held()
        self.unbegun: list[int] = []
        self.ended: list[tuple[int, bool]] = []
        self.lows = 0

    def lane(self, places: Places | None = None) -> Lane:
        lane = Lane(asyncio.get_running_loop(), self.jobs, self.clock, self.slots, places)
        lane.on_unbegun = lambda them: self.unbegun.extend(each.run for each in them)
        lane.on_end = lambda assignment, _ending, _moment, more: self.ended.append((assignment.run, more))
        lane.on_low = self._on_low
        return lane

    def _on_low(self) -> None:
        self.lows += 1

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time

    async def give(self, lane: Lane, *runs: int, after: float = 0) -> list[Assignment]:
        """Give a lane runs that may begin some seconds from now."""
        begin = self.clock.monotonic() + after
        them = [Assignment(a_running_job(run=run), 0, not_before=begin) for run in runs]
        lane.give(them)
        await self.settle()
        return them

    async def end(self, *runs: int) -> None:
        for run in runs:
            self.jobs.end(run)
        await self.settle()

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)
        await self.settle()

    async def ran(self, lane: Lane, seconds: float) -> None:
        """Have a lane know how long its runs take."""
        await self.give(lane, MANY)
        await self.advance(seconds)
        await self.end(MANY)
        self.jobs.begun.clear()

    def room(self, lane: Lane, coming: int = 0) -> int:
        """Return what a node with this lane alone may claim."""
        moment = self.clock.monotonic()
        return lane.room(self.slots.free, lane.openings(moment) - lane.waiting - coming, moment, coming)


async def test_each_begins_at_its_time_if_there_is_a_slot() -> None:
    """What is due later waits, and so does what finds no slot: it begins as soon as one is free."""
    bench = Bench(slots=2)
    lane = bench.lane()
    await bench.give(lane, 3, after=0.02)
    await bench.give(lane, 1, 2)
    assert [1, 2] == bench.jobs.begun
    await bench.advance(0.02)
    assert [1, 2] == bench.jobs.begun
    await bench.end(1)
    assert ([1, 2, 3], [(1, True)]) == (bench.jobs.begun, bench.ended)


async def test_nothing_begins_before_its_time() -> None:
    """An alarm may ring a little early: the lane looks again."""
    bench = Bench()
    lane = bench.lane()
    await bench.give(lane, 1, after=0.02)
    lane._begin_waiting()  # noqa: SLF001 - as an early alarm does
    await bench.advance(0.019999)
    assert [] == bench.jobs.begun
    await bench.advance(0.000001)
    assert [1] == bench.jobs.begun


async def test_lanes_get_slots_in_turn() -> None:
    """A lane that has very much to do does not take each slot that comes free."""
    bench = Bench(slots=1)
    one, other = bench.lane(), bench.lane()
    await bench.give(one, 1, 2, 3)
    await bench.give(other, 4)
    for run in (1, 2, 4):
        await bench.end(run)
    assert [1, 2, 4, 3] == bench.jobs.begun


async def test_what_finds_no_slot_in_time_is_handed_back() -> None:
    """Then nothing is claimed ahead for a while."""
    bench = Bench(slots=1)
    lane = bench.lane()
    await bench.ran(lane, AHEAD_SECONDS / 10)
    await bench.give(lane, 1)
    await bench.give(lane, 2, 3)
    assert 10 - 2 == bench.room(lane)
    await bench.advance(PATIENCE_SECONDS)
    assert ([1], [2, 3], 0) == (bench.jobs.begun, bench.unbegun, lane.waiting)
    assert 0 == bench.room(lane)
    await bench.end(1)
    assert 1 == bench.room(lane)
    await bench.advance(CAUTION_SECONDS)
    assert 1 < bench.room(lane)


async def test_a_closed_lane_begins_nothing() -> None:
    """What waits in it, or comes later, is handed back."""
    bench = Bench(slots=1)
    lane = bench.lane()
    await bench.give(lane, 1, 2)
    lane.close()
    await bench.give(lane, 3)
    await bench.end(1)
    assert ([1], [2, 3], 1) == (bench.jobs.begun, bench.unbegun, bench.slots.free)


async def test_what_the_node_took_back_does_not_begin() -> None:
    """It is forgotten, and takes no slot."""
    bench = Bench(slots=1)
    lane = bench.lane()
    _, second = await bench.give(lane, 1, 2)
    second.is_handed_back = True
    await bench.end(1)
    assert ([1], [], 0, 1) == (bench.jobs.begun, bench.unbegun, lane.waiting, bench.slots.free)


async def test_a_slot_is_freed_once() -> None:
    """A run that lost its slot because it did not start does not give it back a second time."""
    bench = Bench(slots=1)
    lane = bench.lane()
    [run] = await bench.give(lane, 1)
    lane.abandon(run)
    lane.abandon(run)
    assert 1 == bench.slots.free
    await bench.end(1)
    assert 1 == bench.slots.free


async def test_the_node_hears_when_half_has_begun() -> None:
    """Then it is time to claim more."""
    bench = Bench(slots=1)
    lane = bench.lane()
    await bench.give(lane, *range(1, 9))
    for run in range(1, 4):
        assert 0 == bench.lows
        await bench.end(run)
    assert 1 == bench.lows


# --- how many may be claimed


@pytest.mark.parametrize(
    ("seconds", "rooms"),
    [
        (AHEAD_SECONDS / 10, (20, 20, 20)),
        (AHEAD_SECONDS, (2, 2, 2)),
        (10 * AHEAD_SECONDS, (2, 1, 0)),
    ],
)
async def test_room_is_what_will_begin_soon(seconds: float, rooms: tuple[int, int, int]) -> None:
    """By Little's law: slots over the mean duration, times the time for which a job may wait; busy slots count too."""
    bench = Bench(slots=2)
    lane = bench.lane()
    await bench.ran(lane, seconds)
    found = [bench.room(lane)]
    for run in (1, 2):
        await bench.give(lane, run)
        found.append(bench.room(lane))
    assert list(rooms) == found


async def test_room_before_a_run_has_ended_is_free_slots() -> None:
    """How long runs take is not known."""
    bench = Bench(slots=2)
    lane = bench.lane()
    await bench.give(lane, 1)
    assert 1 == bench.room(lane)


async def test_slots_are_claimed_ahead_when_their_runs_are_about_to_end() -> None:
    """As far as that can be known: a run that takes longer than others frees nothing."""
    bench = Bench(slots=1)
    lane = bench.lane()
    await bench.ran(lane, 1)
    await bench.give(lane, 1)
    rooms, waits = [], []
    for _ in range(3):
        rooms.append(bench.room(lane))
        waits.append(round(lane.next_opening(bench.clock.monotonic()), 6))
        await bench.advance(1 - AHEAD_SECONDS if len(rooms) == 1 else 3 * AHEAD_SECONDS)
    assert [0, 1, 0] == rooms
    assert 1 - AHEAD_SECONDS == waits[0]


async def test_what_waits_or_is_coming_takes_room() -> None:
    """It will have the slots first."""
    bench = Bench(slots=3)
    lane = bench.lane()
    await bench.give(lane, 1, after=0.02)
    assert [2, 1] == [bench.room(lane, coming) for coming in (0, 1)]


async def test_a_lane_has_room_for_as_many_as_there_are_places() -> None:
    """What has no thread or process to run in is not claimed, and does not begin."""
    bench = Bench(slots=100)
    lane = bench.lane(Places(2))
    assert [2, 1] == [bench.room(lane, coming) for coming in (0, 1)]
    await bench.give(lane, 1, 2, 3)
    assert ([1, 2], 0) == (bench.jobs.begun, bench.room(lane))
    await bench.end(1)
    assert [1, 2, 3] == bench.jobs.begun


async def test_a_lane_is_stuck_while_it_does_not_take_in_what_it_was_given() -> None:
    """Counted from when it was given; a lane that is late has no room at once, as a job that blocks it may go on."""
    bench = Bench()
    lane = bench.lane()
    lane.give([Assignment(a_running_job(run=1), 0)])
    moment = bench.clock.monotonic()
    assert not lane.is_stuck(moment + STUCK_SECONDS / 2)
    assert lane.is_stuck(moment + STUCK_SECONDS)
    assert [1, 0] == [lane.room(1, 0, moment + late) for late in (0, AHEAD_SECONDS)]
    await bench.settle()
    assert not lane.is_stuck(moment + STUCK_SECONDS)
    assert 1 == lane.room(1, 0, moment + STUCK_SECONDS)


async def test_lanes_that_share_places_have_them_in_turn() -> None:
    """Together they begin no more than there are places, and none takes each one that comes free."""
    bench, places = Bench(slots=100), Places(1)
    one, other = bench.lane(places), bench.lane(places)
    assert [1, 1] == [bench.room(one), bench.room(other)]
    await bench.give(one, 1, 2, 3)
    await bench.give(other, 4, 5)
    assert ([1], [0, 0]) == (bench.jobs.begun, [bench.room(one), bench.room(other)])
    for run in (1, 4, 2, 5):
        await bench.end(run)
    assert [1, 4, 2, 5, 3] == bench.jobs.begun


async def test_what_finds_no_place_in_time_is_handed_back() -> None:
    """Another node may have one; it did not begin, and has lost nothing."""
    bench = Bench(slots=100)
    lane = bench.lane(Places(1))
    _, second = await bench.give(lane, 1, 2)
    await bench.advance(PATIENCE_SECONDS)
    assert ([1], [2], None) == (bench.jobs.begun, bench.unbegun, second.started_at)


async def test_a_run_that_leaves_its_place_lets_another_begin() -> None:
    """It needs none any more, though it goes on; in the end it gives none back a second time."""
    bench, places = Bench(slots=100), Places(1)
    lane = bench.lane(places)
    first, _ = await bench.give(lane, 1, 2)
    first.leave_place()
    await bench.settle()
    assert [1, 2] == bench.jobs.begun
    await bench.end(1, 2)
    assert 1 == places.free


async def test_a_run_has_a_context_of_its_own() -> None:
    """What it sets in context variables is seen by no other, whatever made that begin."""
    seen: list[str] = []
    variable = contextvars.ContextVar("variable", default="nothing")

    class Sets(Held):
        async def run(self, assignment: Assignment) -> Ending:
            seen.append(variable.get())
            variable.set(f"by {assignment.run}")
            return await super().run(assignment)

    bench = Bench(slots=1)
    bench.jobs = Sets()
    lane = bench.lane()
    await bench.give(lane, 1, 2)
    await bench.end(1)  # which begins the second
    await bench.end(2)
    await bench.give(lane, 3)
    assert ["nothing"] * 3 == seen


async def test_a_run_ends_even_if_what_runs_it_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not stand as running for ever; its slot is free again."""

    async def fail(*_: object) -> Ending:
        raise SystemExit(3)

    bench = Bench(slots=1)
    monkeypatch.setattr(bench.jobs, "run", fail)
    await bench.give(bench.lane(), 1)
    assert ([(1, False)], 1) == (bench.ended, bench.slots.free)


async def test_a_job_cannot_change_how_runs_begin() -> None:
    """A task factory that it has set makes the tasks of its own loop, but not those of runs."""
    bench = Bench()
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda *_, **__: None)  # type: ignore[arg-type]
    try:
        await bench.give(bench.lane(), 1)
    finally:
        loop.set_task_factory(None)
    assert [1] == bench.jobs.begun


async def exits_in_task() -> None:
    """End the process, if it were up to a task."""

    async def exits() -> None:
        sys.exit(3)

    with suppress(SystemExit):
        await asyncio.create_task(exits())


async def exits_in_callback() -> None:
    """End the process, if it were up to a callback."""
    asyncio.get_running_loop().call_soon(sys.exit, 3)


async def stops() -> None:
    """End the loop, if it were up to a job."""
    asyncio.get_running_loop().stop()


async def stops_in_callback() -> None:
    """Do it later."""
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)


ATTEMPTS = ["code of a plugin tried to end its event loop"] * 2
ENDS_OF_LOOPS = [exits_in_task, exits_in_callback, stops, stops_in_callback]


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("ends", ENDS_OF_LOOPS)
def test_a_job_loop_cannot_be_ended_by_a_job(
    ends: Callable[[], Coroutine[Any, Any, None]], make: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Neither the loop nor its thread: what comes later is done."""
    with capture_logs() as lines, job_loop(make(), "jobs") as loop:
        for _ in range(2):
            asyncio.run_coroutine_threadsafe(ends(), loop).result(timeout=10)
            done = asyncio.sleep(0, "done")  # noqa: TID251 - no time
            assert "done" == asyncio.run_coroutine_threadsafe(done, loop).result(timeout=10)
    assert ATTEMPTS == [line["event"] for line in lines]
    assert loop.is_closed()


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("ends", ENDS_OF_LOOPS)
def test_the_main_loop_cannot_be_ended_by_code_on_it(
    ends: Callable[[], Coroutine[Any, Any, None]], make: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Such as a check of a request; it runs to the end of its work."""

    async def main(answer: str) -> str:
        await ends()
        for _ in range(3):
            await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
        return answer

    with capture_logs() as lines:
        assert "done" == run_steadily(make, main, "done")
    assert ATTEMPTS[:1] == [line["event"] for line in lines]


def test_nothing_begins_when_what_was_left_on_a_closed_loop_is_collected() -> None:
    """Else it would begin on whatever loop the thread has that collects it."""
    loop, bench = asyncio.new_event_loop(), Bench(slots=1)

    async def leave_a_run() -> Lane:
        lane = bench.lane()
        await bench.give(lane, 1, 2)
        return lane

    with suppress(RuntimeError):
        lane = loop.run_until_complete(leave_a_run())
    [task] = asyncio.all_tasks(loop)
    loop.close()
    task.get_coro().close()
    assert ([1], 1, []) == (bench.jobs.begun, lane.executing, bench.ended)
    vars_of: Any = task
    vars_of._log_destroy_pending = False  # noqa: SLF001 - the test means to leave it


def test_what_the_work_itself_raises_ends_the_loop() -> None:
    """Only what is done beside it is not heard."""

    async def main() -> None:
        raise RuntimeError("of its own")

    with pytest.raises(RuntimeError, match="of its own"):
        run_steadily(asyncio.new_event_loop, main)
