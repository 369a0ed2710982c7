import os
import signal
import sys

import anyio
import pytest
from mainspring_vps4.processes import Children

from mainspring.clock import SystemClock

pytestmark = pytest.mark.anyio

WAIT = "import signal; signal.pause()"


async def test_child_that_ends_by_itself_ends_the_others() -> None:
    """Its exit code is told, and no other child outlives it."""
    async with Children(SystemClock()) as children:
        other = await children.start("other", sys.executable, "-c", WAIT)
        await children.start("child", sys.executable, "-c", "raise SystemExit(7)")
        with anyio.fail_after(30):
            assert await children.ended() == ("child", 7)
    assert other.returncode == -signal.SIGTERM


async def test_child_that_was_killed_is_told_as_a_shell_tells_it() -> None:
    """An exit code is a number from 0; a signal is 128 and its number."""
    async with Children(SystemClock()) as children:
        child = await children.start("child", sys.executable, "-c", WAIT)
        child.kill()
        with anyio.fail_after(30):
            assert await children.ended() == ("child", 128 + signal.SIGKILL)


async def test_child_that_just_stops_is_noticed() -> None:
    """A child is there to stay: that it ended without a word is news too."""
    async with Children(SystemClock()) as children:
        await children.start("child", sys.executable, "-c", "")
        with anyio.fail_after(30):
            assert await children.ended() == ("child", 0)


@pytest.mark.parametrize(
    ("number", "passed_on"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGHUP, signal.SIGTERM)],
)
async def test_signal_is_passed_on_to_every_child(number: signal.Signals, passed_on: signal.Signals) -> None:
    """A signal that ends the demo ends its children, and all is well; a closed terminal stops them in order."""
    async with Children(SystemClock()) as children:
        processes = [
            await children.start(name, "sleep", "60") for name in ("one", "two")
        ]  # dies of any signal at any time
        os.kill(os.getpid(), number)
        with anyio.fail_after(30):
            assert await children.ended() is None
    assert [-passed_on, -passed_on] == [process.returncode for process in processes]


async def test_child_that_starts_after_the_signal_is_stopped_too() -> None:
    """No moment of the start is one in which a signal leaves a child behind."""
    async with Children(SystemClock()) as children:
        os.kill(os.getpid(), signal.SIGTERM)
        with anyio.fail_after(30):
            assert await children.ended() is None
        child = await children.start("child", sys.executable, "-c", WAIT)
    assert child.returncode == -signal.SIGTERM
