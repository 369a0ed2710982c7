"""Which failures of duties are worth a line."""

import pytest

from mainspring.clock import ManualClock
from mainspring.errors import SchemaChangedError, StoreUnavailableError
from mainspring.job import Events, StoreFailed, StoreRecovered, TurnFailed
from mainspring.node.outage import Outage

AWAY = StoreUnavailableError("connection refused")
Told = list[StoreFailed | StoreRecovered | TurnFailed]


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock()


@pytest.fixture
def told() -> Told:
    """What was announced."""
    return []


@pytest.fixture
def outage(clock: ManualClock, told: Told) -> Outage:
    """One whose events are kept."""
    events = Events()
    events.subscribe(StoreFailed, told.append)
    events.subscribe(StoreRecovered, told.append)
    events.subscribe(TurnFailed, told.append)
    return Outage(clock, events)


def test_long_outage_is_told_at_its_start_then_rarely(outage: Outage, clock: ManualClock, told: Told) -> None:
    """At once, after a minute, then every ten minutes, with how long it has lasted and which duties it hits."""
    for _ in range(30 * 60):
        outage.failed("claim", AWAY)
        outage.failed("beat", AWAY)
        clock.advance(seconds=1)
    assert told == [
        StoreFailed(("claim",), AWAY, 0),
        *(StoreFailed(("claim", "beat"), AWAY, seconds) for seconds in (60, 660, 1260)),
    ]


def test_end_is_told_once_all_duties_work(outage: Outage, clock: ManualClock, told: Told) -> None:
    """With how long it was until the last of them worked; the next outage is told anew."""
    outage.failed("claim", AWAY)
    outage.failed("beat", AWAY)
    clock.advance(seconds=40)
    outage.worked("claim")
    clock.advance(seconds=2)
    outage.worked("sweep")
    assert told[1:] == []
    outage.worked("beat")
    clock.advance(seconds=5)
    outage.worked("claim")
    outage.worked("claim")
    outage.failed("finish", AWAY)
    assert told[1:] == [StoreRecovered(("claim", "beat"), 42), StoreFailed(("finish",), AWAY, 0)]


def test_store_that_answers_every_other_call_is_one_outage(outage: Outage, clock: ManualClock, told: Told) -> None:
    """A start and an end for each failure would be more lines than a line for each failure."""
    for _ in range(20):
        outage.failed("claim", AWAY)
        clock.advance(seconds=1)
        outage.worked("claim")
        clock.advance(seconds=1)
    clock.advance(seconds=4)
    outage.worked("claim")
    assert told == [StoreFailed(("claim",), AWAY, 0), StoreRecovered(("claim",), 39)]


def test_other_kind_of_failure_of_the_store_is_told(outage: Outage, clock: ManualClock, told: Told) -> None:
    """It may be something that does not pass by itself."""
    changed = SchemaChangedError("restart it")
    for error in (AWAY, changed, AWAY, changed):
        outage.failed("claim", error)
        clock.advance(seconds=1)
    assert told == [StoreFailed(("claim",), AWAY, 0), StoreFailed(("claim",), changed, 1)]


def test_bug_is_told_each_time_even_during_an_outage(outage: Outage, told: Told) -> None:
    """It is no outage: nothing says that it passes, and nothing is said when it does."""
    bug = ZeroDivisionError()
    outage.failed("claim", AWAY)
    outage.failed("prune", bug)
    outage.failed("prune", bug)
    assert told[1:] == [TurnFailed("prune", bug), TurnFailed("prune", bug)]


def test_duty_fails_since_its_last_good_turn(outage: Outage, clock: ManualClock) -> None:
    """Whatever it is that fails."""
    outage.failed("claim", AWAY)
    clock.advance(seconds=2)
    outage.failed("claim", ZeroDivisionError())
    outage.failed("beat", AWAY)
    clock.advance(seconds=2)
    assert [outage.lasts(duty) for duty in ("claim", "beat", "finish")] == [4, 2, 0]
    outage.worked("claim")
    assert outage.lasts("claim") == 0


def test_silence_of_a_duty_is_counted_from_its_last_good_turn(outage: Outage, clock: ManualClock) -> None:
    """Also where it neither fails nor ends."""
    assert outage.silence("beat") == 0
    outage.worked("beat")
    clock.advance(seconds=2)
    outage.worked("claim")
    outage.failed("beat", AWAY)
    clock.advance(seconds=2)
    assert [outage.silence(duty) for duty in ("beat", "claim", "finish")] == [4, 2, 0]
    outage.worked("beat")
    assert outage.silence("beat") == 0
