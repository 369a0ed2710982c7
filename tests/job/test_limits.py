"""Who may begin where limits and rates hold: a decision without a store."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mainspring.job import (
    Candidate,
    Cap,
    Gate,
    JobKey,
    Limit,
    Limits,
    Load,
    Quota,
    Rate,
    Scope,
    Spending,
    caps_of,
    limits_from_json,
    limits_to_json,
    quotas_of,
    weight_of,
)
from tests.contract.build import START

GROUP, PRODUCT = Scope("vps4", "backups"), Scope("vps4")
IDLE = Load({}, {}, {})
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def cap(*limits: Limit | Rate, scope: Scope = GROUP) -> Cap:
    """Return limits of a scope."""
    return Cap(scope, Limits.of(limits))


def candidates(*keys: str | None) -> list[Candidate]:
    """Return a job for each key, numbered from 0."""
    return [Candidate(number, key, START) for number, key in enumerate(keys)]


def passed(caps: Sequence[Cap], jobs: Sequence[Candidate], load: Load = IDLE, most: int = 100) -> Gate:
    """Return the gate through which these were let."""
    gate = Gate(caps, load, START)
    gate.let_through(jobs, most)
    return gate


@pytest.mark.parametrize(
    ("caps", "load", "expected"),
    [
        ([cap(Limit(3))], IDLE, [0, 1, 2]),
        ([cap(Limit(3))], Load({"backups": 1, "patch": 7}, {}, {}), [0, 1]),
        ([cap(Limit(3))], Load({"backups": 9}, {}, {}), []),
        ([cap(Limit(3)), cap(Limit(4), scope=PRODUCT)], Load({"backups": 1, "patch": 2}, {}, {}), [0]),
        ([cap(Limit(2, by="key"))], IDLE, [0, 1, 3, 5]),
        ([cap(Limit(2, by="key"))], Load({}, {"a": 1}, {}), [0, 3, 5]),
        ([cap(Limit(2, by="key")), cap(Limit(1, by="key"), scope=PRODUCT)], IDLE, [0, 3, 5]),
        ([cap(Limit(2, by="key"), Limit(3))], IDLE, [0, 1, 3]),
    ],
)
def test_limits_let_through_what_is_left_of_them(caps: list[Cap], load: Load, expected: list[int]) -> None:
    """A key counts in all groups of the product; of several limits the smallest wins; jobs without a key have none."""
    assert expected == passed(caps, candidates("a", "a", "a", "b", "a", None), load).ids


def test_gate_says_what_held_jobs_back() -> None:
    """So the claim can look for others, and the node knows when to come again."""
    by_key = passed([cap(Limit(1, by="key"))], candidates("a", "a", "b"))
    full = passed([cap(Limit(1))], candidates("a", "b"))
    rated = passed([cap(Rate(60, MINUTE))], candidates("a", "b"))
    free = passed([cap(Limit(9))], candidates("a", "b"))

    assert ({"a"}, True, None, True) == (by_key.full, by_key.is_cut, by_key.wait, by_key.is_open_to_others(9))
    assert (set(), True, None, False) == (full.full, full.is_cut, full.wait, full.is_open_to_others(9))
    assert not rated.is_cut
    rated_by_key = passed([cap(Rate(60, MINUTE, by="key"))], candidates("a", "a", "b"))
    assert ({"a"}, True, rated.wait) == (rated_by_key.full, rated_by_key.is_cut, rated_by_key.wait)
    both = passed([cap(Rate(60, MINUTE), Rate(30, MINUTE, by="key"))], candidates("a", "b"))
    assert (False, rated.wait) == (both.is_cut, both.wait)
    assert rated.wait is not None
    assert timedelta(seconds=0.5) < rated.wait < timedelta(seconds=0.52)
    assert (False, None, 2) == (free.is_cut, free.wait, len(free.ids))


def test_rates_by_key_hold_back_only_their_key() -> None:
    """Others go on, also in a second look."""
    gate = Gate([cap(Rate(1, SECOND, by="key"))], IDLE, START)
    gate.let_through(candidates("a", "a", "b"), 9)
    gate.let_through([Candidate(2, "b", START), Candidate(7, "c", START), Candidate(8, "b", START)], 9)

    assert ([0, 2, 7], {"a", "b"}) == (gate.ids, gate.full)


def starts(rate: Rate, seconds: float, looks: Iterator[float], ahead: timedelta) -> list[datetime]:
    """Return when jobs begin of which there are always enough, where somebody looks after each pause of `looks`."""
    moment, begun = START, list[datetime]()
    rates: dict[str, datetime] = {}
    while moment < START + timedelta(seconds=seconds):
        gate = Gate([cap(rate)], Load({}, {}, rates), moment, ahead)
        gate.let_through([Candidate(number, None, START) for number in range(40)], 40)
        begun += [gate.begins.get(number, moment) for number in gate.ids]
        rates = rates | {name: next_at for name, (next_at, _) in gate.rates.items()}
        moment = max(moment, (gate.again or moment) - ahead / 2) + timedelta(seconds=next(looks))
    return begun


def most_within(begun: Sequence[datetime], per: timedelta) -> int:
    """Return how many began at most within a window, wherever it begins."""
    first, most = 0, 0
    for last, moment in enumerate(begun):
        while begun[first] <= moment - per:
            first += 1
        most = max(most, last - first + 1)
    return most


@settings(max_examples=30, deadline=None)
@given(
    number=st.sampled_from([1, 2, 3, 5, 10, 60, 500]),
    per=st.sampled_from([SECOND, timedelta(seconds=10), MINUTE]),
    late=st.lists(st.floats(0.0001, 0.004), min_size=1, max_size=9),
    ahead=st.sampled_from([timedelta(), timedelta(milliseconds=25)]),
)
def test_rate_is_never_exceeded_and_nearly_used(
    number: int, per: timedelta, late: list[float], ahead: timedelta
) -> None:
    """In no window begin more than the rate and one, though claims come late; and 98 % of it is used."""
    rate = Rate(number, per)

    begun = starts(rate, per.total_seconds() * 3 + 1, cycle(late), ahead)

    assert most_within(begun, per) <= number + 1
    if max(late) < max(rate.lag, ahead).total_seconds() / 2:
        assert len([moment for moment in begun if moment < START + 3 * per]) >= 0.98 * 3 * number


def test_rate_that_was_not_used_is_not_made_up_for() -> None:
    """After a rest jobs begin one after the other again."""
    rate = Rate(10, SECOND)
    gate = passed([cap(rate)], candidates(*[None] * 5), Load({}, {}, {"backups PT1S": START - MINUTE}))

    assert 1 == len(gate.ids)


@pytest.mark.parametrize(
    "caps",
    [
        [cap(Rate(10, SECOND), Rate(2, SECOND))],
        [cap(Rate(2, SECOND), Rate(10, SECOND))],
        [cap(Rate(2, SECOND, by="key")), cap(Rate(10, SECOND, by="key"), scope=PRODUCT)],
    ],
)
def test_of_rates_with_the_same_time_the_slowest_holds(caps: list[Cap]) -> None:
    """They are no sum: each counts every start once."""
    ((next_at, _),) = passed(caps, candidates("a")).rates.values()
    ((expected, _),) = passed([cap(Rate(2, SECOND))], candidates("a")).rates.values()
    assert expected == next_at


@settings(max_examples=200, deadline=None)
@given(
    keys=st.lists(st.sampled_from(["a", "b", "c", None]), max_size=30),
    running=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 4)),
    in_all=st.integers(1, 9) | st.none(),
    by_key=st.integers(1, 4) | st.none(),
    most=st.integers(1, 20),
)
def test_no_limit_is_exceeded_and_nobody_waits_without_need(
    keys: list[str | None], running: dict[str, int], in_all: int | None, by_key: int | None, most: int
) -> None:
    """Against counting by hand."""
    limits = [*([Limit(in_all)] if in_all else []), *([Limit(by_key, by="key")] if by_key else [])]
    load = Load({"backups": sum(running.values())}, running, {})
    gate = passed([cap(*limits)], candidates(*keys), load, most)

    begun = Counter([keys[number] for number in gate.ids])
    assert len(gate.ids) <= most
    if in_all:
        assert load.groups["backups"] + len(gate.ids) <= max(in_all, load.groups["backups"])
    for key in {key for key in keys if key}:
        if by_key:
            assert running.get(key, 0) + begun[key] <= max(by_key, running.get(key, 0))
    if len(gate.ids) < most and not (in_all and load.groups["backups"] + len(gate.ids) >= in_all):
        for number in set(range(len(keys))) - set(gate.ids):
            held = keys[number]
            assert held
            assert by_key
            assert running.get(held, 0) + begun[held] >= by_key


def test_what_was_written_goes_before_what_is_declared() -> None:
    """For the group and the product, each by itself; who has no limits costs nothing."""
    one, two = Limits.of([Limit(1)]), Limits.of([Limit(2)])
    key = JobKey("vps4", "backups")

    assert (Cap(PRODUCT, two), Cap(GROUP, one)) == caps_of(key, {GROUP: one}, {GROUP: two, PRODUCT: two})
    assert () == caps_of(key, {GROUP: Limits()}, {GROUP: two, Scope("vps4", "patch"): one})


def test_limits_come_back_as_they_were_written() -> None:
    """As notes, and on the wire."""
    limits = Limits.of([Limit(50), Limit(5, by="key"), Rate(100, MINUTE), Rate(10, SECOND, by="key")])

    assert limits == limits_from_json(limits_to_json(limits))
    assert {
        "concurrency": [{"limit": 50}, {"limit": 5, "by": "key"}],
        "rates": [{"limit": 100, "per": "PT1M"}, {"limit": 10, "per": "PT1S", "by": "key"}],
    } == limits_to_json(limits)


@pytest.mark.parametrize(
    "bad",
    [
        {"concurrency": [{"limit": 0}]},
        {"concurrency": [{"limit": "5"}]},
        {"concurrency": [{"limit": 5, "by": "data_center"}]},
        {"concurrency": [{"limit": 5}] * 21},
        {"rates": [{"limit": 5}]},
        {"rates": [{"limit": 5, "per": "PT0.1S"}]},
        {"rates": [{"limit": 5, "per": "P32D"}]},
        {"weights": 3},
        {"quota": {"pending": 0}},
        {"quota": {"creates_per_minute": 5}},
        {"quota": {"createsPerMinute": 1_000_001}},
        {"quota": 5},
        {"weight": 1001},
        {"weight": 1.5},
        [],
    ],
)
def test_what_are_no_limits(bad: object) -> None:
    """They are refused as a whole."""
    with pytest.raises(ValidationError):
        limits_from_json(bad)


def test_weights_are_those_of_the_first_who_says_something() -> None:
    """What limits only by its weight is no cap: its claims need no turn."""
    heavy, light = Limits(weight=3), Limits(weight=1)

    assert 3 == weight_of(GROUP, {GROUP: heavy}, {GROUP: light})
    assert 1 == weight_of(GROUP, {GROUP: Limits.of([Limit(9)])}, {GROUP: heavy})
    assert 1 == weight_of(GROUP)
    assert () == caps_of(JobKey("vps4", "backups"), {GROUP: heavy, PRODUCT: heavy})


def test_quotas_are_read_as_they_were_written() -> None:
    """Each of them may be absent."""
    quota = Quota(pending=1000, creates_per_minute=600, bytes=1 << 30)
    written = {"pending": 1000, "createsPerMinute": 600, "bytes": 1 << 30}

    assert written == limits_to_json(Limits.of([Limit(5), quota]))["quota"]
    assert quota == limits_from_json({"quota": written}).quota
    assert Quota(pending=7) == limits_from_json({"quota": {"pending": 7}}).quota
    assert "quota" not in limits_to_json(Limits.of([Limit(5)]))


def test_quotas_are_those_of_the_first_who_says_something() -> None:
    """Of the group and of its product; what has only a quota is no cap: its claims need no turn."""
    small, large = Limits(quota=Quota(pending=1)), Limits(quota=Quota(pending=9))
    key = JobKey("vps4", "backups")

    assert ((PRODUCT, Quota(pending=9)), (GROUP, Quota(pending=1))) == quotas_of(key, {GROUP: small}, {PRODUCT: large})
    assert () == quotas_of(key, {GROUP: Limits()}, {GROUP: small})
    assert () == quotas_of(key, {GROUP: Limits(quota=Quota())})
    assert () == caps_of(key, {GROUP: small})


@pytest.mark.parametrize("number", [1, 7, 60, 999_983, 1_000_000])
def test_all_creates_of_a_minute_may_come_at_once_and_no_more_in_the_long_run(number: int) -> None:
    """The times of single creates are rounded, and add up to a minute at least."""
    spending = Spending(number)

    assert spending.cost(number) <= spending.most < spending.cost(number + 1)
    assert spending.cost(number) >= MINUTE
    assert (0, 1, number) == (spending.used(-SECOND), spending.used(spending.each), spending.used(spending.most))
    assert "+backups" == spending.name(GROUP) != spending.name(PRODUCT)
