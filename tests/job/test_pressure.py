"""How much a service bears is learned from who is refused: few are, and it is used well."""

import heapq
import random  # noqa: TID251 - a seeded one
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from mainspring.job import Heard, Pressure, learned, pressure_from_json, pressure_to_json

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return a moment after the start."""
    return START + timedelta(seconds=seconds)


def refused(*began: float, running: int = 0, wait: float = 10) -> Heard:
    """Runs that began then were told that the service is busy."""
    return Heard((), tuple(map(at, began)), timedelta(seconds=wait), running)


def succeeded(*began: float, running: int = 0) -> Heard:
    """Runs that began then have succeeded."""
    return Heard(tuple(map(at, began)), (), timedelta(), running)


def heard(before: Pressure | None, *heard: Heard, now: float = 0, stated: int | None = None) -> Pressure:
    """Return what is known after one thing after the other was heard."""
    for each in heard:
        before = learned(before, each, stated=stated, now=at(now))
    assert before is not None
    return before


def test_the_first_refusal_holds_all_and_halves() -> None:
    """Nothing begins before the time is over; then one goes ahead, and nobody else before that has succeeded."""
    known = heard(None, refused(0, running=7), now=1)

    assert (4, True, at(11)) == (known.limit, known.probes, known.until)
    assert not known.allows(0, None, at(10.9))
    assert known.allows(0, at(0), at(11))
    assert known.allows(3, at(0), at(11))
    assert not known.allows(4, at(0), at(11))
    assert not known.allows(1, at(11), at(12))
    known = heard(known, succeeded(11), now=12)
    assert (4, False) == (known.limit, known.probes)
    assert known.allows(3, at(11), at(12))


def test_those_refused_at_the_same_time_count_once() -> None:
    """They had begun before the limit was lowered; but the longest wait holds."""
    known = heard(None, refused(0, running=7), now=1)
    known = heard(known, refused(0.5, running=6), refused(0.9, 0.9, running=4, wait=20), now=2)
    assert (4, at(22)) == (known.limit, known.until)


def test_one_that_was_claimed_while_the_limit_was_lowered_counts_with_those_before() -> None:
    """It is no probe: none begins before the time is over."""
    known = heard(None, refused(0, running=7), now=1)
    known = heard(known, refused(1.01, running=6), now=2)
    assert (4, at(12)) == (known.limit, known.until)
    assert 2 == heard(known, refused(12), now=13).limit


@pytest.mark.parametrize(("limit", "needed"), [(1, 8), (2, 16), (3, 27), (4, 64), (5, 125), (9, 225)])
def test_the_lower_the_limit_the_sooner_one_more_is_tried(limit: int, needed: int) -> None:
    """There one more is worth more."""
    known = Pressure(limit, at(0), at(0), at(0), probes=False, held=limit, refused=limit + 1)
    known = heard(known, *(succeeded(1, running=limit - 1) for _ in range(needed - 1)))
    assert limit == known.limit
    assert limit + 1 == heard(known, succeeded(1, running=limit - 1)).limit


def at_five() -> Pressure:
    """A service that is known to bear five, not six."""
    known = heard(None, refused(0, running=9, wait=1), now=0)
    known = heard(known, succeeded(1), now=2)
    return heard(known, *(succeeded(2, running=4) for _ in range(3)), refused(2, running=5), now=2)


def test_one_more_that_is_refused_puts_the_limit_back() -> None:
    """To the level that held; nobody is held, and it is tried again only after a long stretch."""
    known = at_five()
    assert (5, False, 5, 6) == (known.limit, known.probes, known.held, known.refused)
    assert known.allows(4, at(2), at(2))

    known = heard(known, *(succeeded(3, running=4) for _ in range(124)), now=3)
    assert 5 == known.limit
    known = heard(known, succeeded(3, running=4), now=4)
    assert 6 == known.limit
    assert 5 == heard(known, refused(4, running=5), now=5).limit


def test_one_more_that_succeeds_opens_the_way() -> None:
    """What was refused once is borne by now, so the limit grows by a half."""
    known = heard(at_five(), *(succeeded(3, running=4) for _ in range(125)), now=4)
    known = heard(known, *(succeeded(5, running=5) for _ in range(3)), now=5)
    assert (9, None) == (known.limit, known.refused)


def test_a_refusal_at_a_level_that_held_halves_again() -> None:
    """The service bears less than before."""
    known = heard(at_five(), *(succeeded(3, running=4) for _ in range(5)), refused(3, running=4), now=4)
    assert (2, True, at(14), None) == (known.limit, known.probes, known.until, known.held)
    assert 1 == heard(heard(known, refused(15, running=1), now=15), refused(26), now=26).limit


def test_a_refusal_below_the_level_that_held_is_none_of_one_more() -> None:
    """While one more is tried fewer run than held: then the service bears less, and all are held."""
    known = heard(at_five(), *(succeeded(3, running=4) for _ in range(125)), now=4)
    assert 6 == known.limit
    assert (5, False) == (heard(known, refused(5, running=4), now=5).limit, heard(known, refused(5, running=4)).probes)
    known = heard(known, refused(5, running=2), now=5)
    assert (3, True, at(15)) == (known.limit, known.probes, known.until)
    one = Pressure(2, at(0), at(0), at(0), probes=False, held=1)
    assert (1, True) == (heard(one, refused(1), now=1).limit, heard(one, refused(1), now=1).probes)


def test_fewer_than_may_run_say_nothing() -> None:
    """A service that nobody asks for much has not shown what it bears."""
    known = heard(at_five(), *(succeeded(3, running=1) for _ in range(500)), now=4)
    assert 5 == known.limit


def test_it_grows_up_to_the_stated_limit_and_is_forgotten() -> None:
    """Where that holds, nothing else is needed."""
    known = heard(
        None, refused(0, running=5, wait=0), succeeded(0), *(succeeded(1, running=2) for _ in range(2)), now=0
    )
    assert 4 == known.limit
    assert learned(heard(known, succeeded(1, running=3), now=1), succeeded(1, running=3), stated=4, now=at(1)) is None


def test_it_is_forgotten_after_an_hour_without_refusal() -> None:
    """A note for each tenant that was ever busy would be many."""
    assert learned(at_five(), succeeded(3, running=1), stated=None, now=at(3700)) is None


def test_what_is_written_is_read() -> None:
    """Each moment to the microsecond."""
    known = at_five()._replace(until=at(1.000001))
    assert known == pressure_from_json(pressure_to_json(known))


# --- a service, and nodes that learn


def used(  # noqa: C901, PLR0912 - a simulation, event by event
    bears: Callable[[float], int], stated: int, seed: int, jobs: int = 500
) -> tuple[float, float]:
    """Run jobs of about a second, which are all due, against a service that bears so many at a moment.

    Return which part of all calls was refused, and which part of what the service bears was used.
    """
    chance, order, known = random.Random(seed), count(), None  # noqa: S311 - the same each time
    due = [0.0] * jobs
    running: dict[int, float] = {}
    events: list[tuple[float, int, str, int]] = [(0.0, next(order), "claim", 0)]
    inside = calls = busy = done = 0
    last_began: datetime | None = None
    moment = 0.0
    while done < jobs:
        moment, _, what, run = heapq.heappop(events)
        if what == "claim":
            while due and due[0] <= moment and len(running) < stated:
                if known is not None and not known.allows(len(running), last_began, at(moment)):
                    break
                heapq.heappop(due)
                last_began = at(moment)
                running[number := next(order)] = moment
                heapq.heappush(events, (moment + 0.02 * chance.random(), number, "call", number))
            if run == 0:
                heapq.heappush(events, (moment + 0.05, next(order), "claim", 0))
        elif what == "call":
            calls += 1
            if inside < bears(moment):
                inside += 1
                heapq.heappush(events, (moment + 0.8 + 0.4 * chance.random(), next(order), "leave", run))
            else:
                heapq.heappush(events, (moment + 0.02 * chance.random(), next(order), "refused", run))
        elif what == "leave":
            inside -= 1
            heapq.heappush(events, (moment + 0.03, next(order), "ended", run))
        else:
            began = running.pop(run)
            if what == "refused":
                busy += 1
                heapq.heappush(due, moment + 1)
                told = refused(began, running=len(running), wait=1)
            else:
                done += 1
                told = succeeded(began, running=len(running))
            if known is not None or what == "refused":
                known = learned(known, told, stated=stated, now=at(moment))
            heapq.heappush(events, (moment + 0.005, next(order), "claim", 1))
    could = sum(bears(second / 100) / 100 for second in range(int(moment * 100)))
    return busy / calls, jobs / could


@pytest.mark.parametrize("seed", range(5))
def test_few_are_refused_and_much_is_used(seed: int) -> None:
    """Of what is not used, 4 of 100 are the time from one run to the next."""
    refused_part, used_part = used(lambda _: 5, 10, seed)
    assert refused_part <= 0.02
    assert used_part >= 0.93


@pytest.mark.parametrize("seed", range(10))
def test_a_service_that_bears_less_and_then_more_is_used(seed: int) -> None:
    """Whenever it begins to bear more: just before one more is tried, or just after."""
    refused_part, used_part = used(lambda moment: 5 if moment < 40 else 2 if moment < 80 + seed else 8, 10, seed)
    assert refused_part <= 0.035
    assert used_part >= 0.82
