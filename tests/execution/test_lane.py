"""Where jobs run, and how full it is."""

import asyncio
import sys

from mainspring.execution import Assignment, Lane, job_loop
from mainspring.execution.lane import STUCK_SECONDS
from mainspring.job import Ending, Outcome


class Nothing:
    """Runs nothing."""

    async def run(self, _: Assignment) -> Ending:
        return Ending(Outcome.SUCCEEDED)


async def a_turn() -> None:
    """Let the loop do what it was given."""
    await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time


async def test_a_lane_has_as_much_room_as_is_free() -> None:
    """Where nothing bounds it, the node's free slots do."""
    lane = Lane(asyncio.get_running_loop(), Nothing())
    assert [0, 7] == [lane.room(free, 0) for free in (0, 7)]


async def test_a_lane_with_a_capacity_has_room_for_the_rest_of_it() -> None:
    """What has no thread or process to run in is not claimed."""
    lane = Lane(asyncio.get_running_loop(), Nothing(), capacity=4)
    assert [2, 4] == [lane.room(free, 0) for free in (2, 7)]
    lane.busy = 3
    assert [0, 1] == [lane.room(free, 0) for free in (0, 7)]
    assert 0 == lane.room(7, 0, coming=1)


async def test_a_lane_is_stuck_while_what_it_was_given_does_not_begin() -> None:
    """Counted from when it was given, or when something else began last; then there is no room in it."""
    lane = Lane(asyncio.get_running_loop(), Nothing())
    lane.give(lambda: lane.note_begun(101), 100)
    lane.give(lambda: None, 100.5)
    assert not lane.is_stuck(100 + STUCK_SECONDS / 2)
    assert lane.is_stuck(100 + STUCK_SECONDS)
    assert 0 == lane.room(7, 100 + STUCK_SECONDS)
    await a_turn()
    assert not lane.is_stuck(100 + STUCK_SECONDS)
    assert lane.is_stuck(101 + STUCK_SECONDS)
    lane.note_begun(110)
    assert not lane.is_stuck(1000)
    lane.give(lambda: None, 1000)
    assert not lane.is_stuck(1000)


def test_job_loop_outlives_a_task_that_exits() -> None:
    """A job whose task calls `sys.exit` ends neither the loop nor its thread."""

    async def exits() -> None:
        sys.exit(3)

    async def job() -> str:
        try:
            await asyncio.create_task(exits())
        except SystemExit as error:
            return f"exit {error.code}"
        return "went on"

    with job_loop(asyncio.new_event_loop(), "jobs") as loop:
        for _ in range(2):
            assert asyncio.run_coroutine_threadsafe(job(), loop).result(timeout=10) == "exit 3"
