"""Claims give way to requests: `mainspring.node.yielding`."""

import asyncio

from mainspring.clock import ManualClock
from mainspring.node.yielding import BATCH, CROWD, MEMORY, MODEST_BATCH, PATIENCE, Yielding


async def turns() -> None:
    """Let the loop do what it was given."""
    for _ in range(5):
        await asyncio.sleep(0)  # noqa: TID251 - turns of the loop, no time


async def test_much_is_claimed_at_once_while_there_are_few_requests() -> None:
    """A few requests at a time do not make the engine slower."""
    yielding = Yielding(ManualClock())
    assert BATCH == yielding.batch()
    yielding.requests = lambda: CROWD - 1
    assert BATCH == yielding.batch()


async def test_many_requests_are_remembered_for_a_moment() -> None:
    """A look between two of them does not mean that they are over."""
    clock = ManualClock()
    yielding = Yielding(clock)
    yielding.requests = lambda: CROWD
    assert MODEST_BATCH == yielding.batch()
    yielding.requests = lambda: 0
    clock.advance(seconds=MEMORY / 2)
    assert MODEST_BATCH == yielding.batch()
    clock.advance(seconds=MEMORY / 2)
    assert BATCH == yielding.batch()


async def test_without_requests_nobody_waits() -> None:
    """Nor does a batch that is not over hold up the next."""
    await Yielding(ManualClock()).yield_to_requests(lambda: False)


async def test_jobs_wait_for_their_own_and_for_the_requests_that_piled_up() -> None:
    """When the batch is over and the requests have been answered, the next may come."""
    clock, over, waiting = ManualClock(), [False], [CROWD]
    yielding = Yielding(clock)
    yielding.requests = lambda: waiting[0]
    giving = asyncio.create_task(yielding.yield_to_requests(lambda: over[0]))
    for is_over, requests, is_done in [(True, CROWD, False), (False, 0, False), (True, CROWD - 1, True)]:
        over[0], waiting[0] = is_over, requests
        clock.advance(seconds=PATIENCE / 10)
        await turns()
        assert is_done == giving.done()


async def test_jobs_do_not_wait_for_long() -> None:
    """They are due, however many requests there are."""
    clock = ManualClock()
    yielding = Yielding(clock)
    yielding.requests = lambda: CROWD
    giving = asyncio.create_task(yielding.yield_to_requests(lambda: False))
    for _ in range(10):
        await turns()
        assert not giving.done()
        clock.advance(seconds=PATIENCE / 10)
    await turns()
    assert giving.done()
