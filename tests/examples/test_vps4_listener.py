from datetime import timedelta
from uuid import UUID

import pytest
from mainspring_vps4.jobs import Vps4BackupJob
from mainspring_vps4.listeners import BackupRateLimiter, Vps4BackupTriggerListener

from mainspring import Verdict
from mainspring.clock import ManualClock
from tests.examples.conftest import MakeContext

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> ManualClock:
    """Time that is moved by hand."""
    return ManualClock()


@pytest.fixture
def limiter(clock: ManualClock) -> BackupRateLimiter:
    """Two starts in a minute."""
    return BackupRateLimiter(2, MINUTE, clock.monotonic)


def test_places_are_there_up_to_the_limit(limiter: BackupRateLimiter) -> None:
    """The limit itself is allowed, one more is not."""
    assert [limiter.take() for _ in range(3)] == [None, None, MINUTE]


def test_place_falls_free_when_its_start_leaves_the_window(limiter: BackupRateLimiter, clock: ManualClock) -> None:
    """The window slides: each start blocks its own place for one window, and not until a minute is full."""
    limiter.take()
    clock.advance(seconds=40)
    limiter.take()
    assert timedelta(seconds=20) == limiter.take()
    clock.advance(seconds=20)
    assert [None, timedelta(seconds=40)] == [limiter.take(), limiter.take()]


def test_asking_in_vain_takes_no_place(limiter: BackupRateLimiter, clock: ManualClock) -> None:
    """Those turned away do not keep each other out."""
    for _ in range(10):
        limiter.take()
    clock.advance(seconds=60)
    assert [limiter.take() for _ in range(3)] == [None, None, MINUTE]


def test_wait_is_never_too_short(limiter: BackupRateLimiter, clock: ManualClock) -> None:
    """Who waits as long as was said finds a place."""
    limiter.take()
    limiter.take()
    clock.advance(seconds=59, microseconds=999_999)
    wait = limiter.take()
    assert wait
    clock.advance(seconds=wait.total_seconds())
    assert limiter.take() is None


async def test_listener_postpones_what_is_over_the_limit(limiter: BackupRateLimiter, a_context: MakeContext) -> None:
    """A backup over the limit stays the same job and says why it waits."""
    listener = Vps4BackupTriggerListener(limiter)
    context = a_context(Vps4BackupJob.Request(vm_id=UUID(int=3)))
    verdicts = [await listener.veto_job_execution(context.trigger, context) for _ in range(3)]
    turned_away = Verdict.postpone(MINUTE, reason="backup rate limit: 2 in 60 s on each node")
    assert [Verdict.allow(), Verdict.allow(), turned_away] == verdicts
