"""What becomes of civil times when the clocks change: each policy, each kind of rule, against the standard library."""

import gc
import random  # noqa: TID251 - drawn from a seed, always the same
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import islice, pairwise, product
from pkgutil import walk_packages
from time import thread_time
from types import FunctionType, ModuleType
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring import schedule
from mainspring.schedule import Every, Period, Recurring
from mainspring.schedule.civil import ClockTimes
from mainspring.schedule.rules import AnyOf, AnyRule, Cron, RRule
from mainspring.schedule.zones import DstGap, DstOverlap, local_time
from tests.schedules import check_transition, cron_expressions, rules, transitions, walk

BERLIN = "Europe/Berlin"
GAP_DAY, OVERLAP_DAY = "2026-03-29", "2026-10-25"
"""In Berlin 02:00 became 03:00, and 03:00 became 02:00."""
MICROSECOND, MINUTE, HOUR, DAY = timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SPECIAL = [
    "Africa/Casablanca",  # its clocks go back for Ramadan
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",  # midnight is what is skipped
    "Antarctica/Troll",  # two hours
    "Asia/Gaza",
    "Australia/Lord_Howe",  # half an hour
    "Europe/Berlin",
    "Europe/Dublin",  # winter time is the exception
    "Pacific/Apia",
]


def on(day: str, trigger: Recurring) -> list[str]:
    """Write the fire times of a day in Berlin, with their offsets."""
    zone = ZoneInfo(BERLIN)
    midnight = datetime.fromisoformat(day).replace(tzinfo=zone)
    low, high = midnight.astimezone(UTC), (midnight + DAY).astimezone(UTC) - MICROSECOND
    return [f"{moment.astimezone(zone):%H:%M%z}"[:8] for moment in trigger.fire_times(low, high)]


def a_cron(expression: str, gap: DstGap | None = None, overlap: DstOverlap | None = None) -> Recurring:
    """Build a trigger in Berlin that has begun long ago."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return Recurring(Cron(expression), start, time_zone=BERLIN, dst_gap=gap, dst_overlap=overlap)


@pytest.mark.parametrize(
    ("expression", "gap", "expected"),
    [
        ("30 2 * * *", None, ["03:00+02"]),
        ("30 2 * * *", DstGap.NEXT_VALID, ["03:00+02"]),
        ("30 2 * * *", DstGap.SKIP, []),
        ("30 2 * * *", DstGap.SHIFT, ["03:30+02"]),
        ("0 2 * * *", DstGap.SHIFT, ["03:00+02"]),
        ("0 2,3 * * *", DstGap.SHIFT, ["03:00+02"]),
        ("0,30 2,3 * * *", DstGap.SHIFT, ["03:00+02", "03:30+02"]),
        ("*/20 2 * * *", DstGap.NEXT_VALID, ["03:00+02"]),
        ("*/20 2 * * *", DstGap.SHIFT, ["03:00+02", "03:20+02", "03:40+02"]),
        ("10 1,2,3 * * *", None, ["01:10+01", "03:00+02", "03:10+02"]),
        ("0 3 * * *", None, ["03:00+02"]),
        ("59 1 * * *", None, ["01:59+01"]),
    ],
)
def test_gap(expression: str, gap: DstGap | None, expected: list[str]) -> None:
    """A time that the clocks skip is the first moment after the gap, is left out, or is an hour later; never twice."""
    assert expected == on(GAP_DAY, a_cron(expression, gap))


@pytest.mark.parametrize(
    ("expression", "overlap", "expected"),
    [
        ("30 2 * * *", None, ["02:30+02"]),
        ("30 2 * * *", DstOverlap.FIRST, ["02:30+02"]),
        ("30 2 * * *", DstOverlap.SECOND, ["02:30+01"]),
        ("30 2 * * *", DstOverlap.BOTH, ["02:30+02", "02:30+01"]),
        ("0,30 2 * * *", DstOverlap.BOTH, ["02:00+02", "02:30+02", "02:00+01", "02:30+01"]),
        ("0 1-3 * * *", DstOverlap.FIRST, ["01:00+02", "02:00+02", "03:00+01"]),
        ("0 1-3 * * *", DstOverlap.SECOND, ["01:00+02", "02:00+01", "03:00+01"]),
        ("0 1-3 * * *", DstOverlap.BOTH, ["01:00+02", "02:00+02", "02:00+01", "03:00+01"]),
    ],
)
def test_overlap(expression: str, overlap: DstOverlap | None, expected: list[str]) -> None:
    """A time that comes twice is taken the first time, the second time, or both times, in the order of time."""
    assert expected == on(OVERLAP_DAY, a_cron(expression, overlap=overlap))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (RRule("FREQ=DAILY"), ["25 02:30+0100", "26 02:30+0100"]),
        (RRule("FREQ=DAILY;BYHOUR=2;BYMINUTE=45"), ["25 02:45+0100", "26 02:45+0100"]),
        (Cron("30 2 * * *"), ["25 02:30+0100", "26 02:30+0100"]),
        (Cron("*/20 2 * * *"), ["25 02:40+0100", "26 02:00+0100"]),
        (Cron("15 2 * * *"), ["26 02:15+0100", "27 02:15+0100"]),  # at 02:30 the clocks have shown it twice
        (AnyOf((Cron("30 2 * * *"), Cron("45 2 * * *"))), ["25 02:30+0100", "25 02:45+0100"]),
    ],
)
@pytest.mark.parametrize("policy", [None, DstOverlap.FIRST, DstOverlap.SECOND, DstOverlap.BOTH])
def test_start_in_the_second_half_of_a_repeated_hour(
    rule: Cron | RRule | AnyOf, expected: list[str], policy: DstOverlap | None
) -> None:
    """Of a time that comes twice, the first that is not before the start is taken: no day is lost."""
    zone = ZoneInfo(BERLIN)
    start = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zone).astimezone(UTC)
    trigger = Recurring(rule, start, time_zone=BERLIN, dst_overlap=policy)
    found = walk(trigger, start, start + timedelta(days=9))
    assert expected == [f"{moment.astimezone(zone):%d %H:%M%z}" for moment in found[:2]]
    assert len(found) == trigger.number(start, start + timedelta(days=9))


@pytest.mark.parametrize("minute", [29, 0])
def test_start_in_the_first_half_of_a_repeated_hour(minute: int) -> None:
    """The first pass is still to come, so the second is not taken."""
    start = datetime(2026, 10, 25, 2, minute, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
    found = walk(Recurring(Cron("30 2 * * *"), start, time_zone=BERLIN), start, start + timedelta(days=1, hours=6))
    assert [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)] == found


@pytest.mark.parametrize(("day", "hours"), [(GAP_DAY, 23), (OVERLAP_DAY, 25), ("2026-06-01", 24)])
@pytest.mark.parametrize("rule", [Cron("17 * * * *"), RRule("FREQ=HOURLY;BYMINUTE=17;BYSECOND=0")])
def test_rule_that_names_no_hours_goes_on_in_real_time(rule: Cron | RRule, day: str, hours: int) -> None:
    """A job of every hour runs once in each hour that there is; unless the schedule says otherwise."""
    hourly = Recurring(rule, datetime(2026, 1, 1, tzinfo=UTC), time_zone=BERLIN)
    assert hours == len(on(day, hourly))


def test_chosen_policies_hold_for_rules_that_name_no_hours() -> None:
    """What a schedule says is done, also where it is not the default."""
    hourly = a_cron("17 * * * *", DstGap.NEXT_VALID, DstOverlap.FIRST)
    assert ["01:17+01", "03:00+02", "03:17+02"] == on(GAP_DAY, hourly)[1:4]
    assert ["02:17+02", "03:17+01"] == on(OVERLAP_DAY, hourly)[2:4]


KINDS: dict[str, Every | Cron | RRule | AnyOf] = {
    "every": Every(Period(days=1)),
    "cron": Cron("30 2 * * *"),
    "rrule": RRule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0"),
    "chosen": RRule("FREQ=DAILY;BYHOUR=2,3;BYMINUTE=30;BYSECOND=0;BYSETPOS=1"),
    "any": AnyOf((Cron("30 2 * * *"), RRule("FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30;BYSECOND=0"))),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("gap", "overlap"), [*product(DstGap, DstOverlap)])
def test_every_kind_of_rule_obeys_the_same_policies(kind: str, gap: DstGap, overlap: DstOverlap) -> None:
    """Whatever names 02:30, the same becomes of it."""
    start = datetime(2026, 1, 1, 1, 30, tzinfo=UTC)
    trigger = Recurring(KINDS[kind], start, time_zone=BERLIN, dst_gap=gap, dst_overlap=overlap)
    expected = a_cron("30 2 * * *", gap, overlap)
    for day in (GAP_DAY, OVERLAP_DAY, "2026-06-01"):
        assert on(day, expected) == on(day, trigger)


def test_a_day_that_a_zone_skipped() -> None:
    """Samoa had no 30 December 2011: its jobs ran as the 31st began, were left out, or came a day later."""
    start, end = datetime(2011, 12, 30, 9, 30, tzinfo=UTC), datetime(2011, 12, 31, 9, tzinfo=UTC)
    expected = {
        DstGap.NEXT_VALID: ["12-31 00:00", "12-31 12:00"],
        DstGap.SKIP: ["12-31 12:00"],
        DstGap.SHIFT: ["12-31 12:00"],
    }
    for gap, times in expected.items():
        trigger = Recurring(Cron("0 12 * * *"), start, time_zone="Pacific/Apia", dst_gap=gap)
        found = [f"{local_time(moment, 'Pacific/Apia'):%m-%d %H:%M}" for moment in trigger.fire_times(start, end)]
        assert times == found
        assert len(times) == trigger.number(start, end)


def test_a_rule_that_only_fires_in_gaps_that_are_skipped_ends() -> None:
    """If each of its times is one that the clocks skip, there is none, and that is known at once."""
    trigger = Recurring(
        RRule("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;BYHOUR=2;BYMINUTE=30;BYSECOND=0"),
        datetime(2026, 1, 1, tzinfo=UTC),
        time_zone=BERLIN,
        dst_gap=DstGap.SKIP,
    )
    begun = thread_time()
    assert trigger.next_fire_time(trigger.start) is None
    assert thread_time() - begun < 0.05


@pytest.mark.parametrize("expression", ["*/30 * * * *", "15 0,2,23 * * *"])
def test_zones_around_their_changes(expression: str) -> None:
    """In drawn zones and in those with peculiar changes every policy does what it says, once, and counts right."""
    chance = random.Random(5)  # noqa: S311 - repeatable on purpose
    for name in [*SPECIAL, *chance.sample(sorted(available_timezones() - {"localtime"}), 15)]:
        for moment in transitions(ZoneInfo(name), 2025, 2026):
            check_transition(name, moment, expression, chance.choice([*DstGap]), chance.choice([*DstOverlap]))


# --- properties

moments = st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware by `timezones`
zones = st.one_of(st.sampled_from(SPECIAL), st.sampled_from(sorted(available_timezones() - {"localtime"})))
single_rules = st.one_of(
    st.builds(Cron, st.sampled_from(cron_expressions(1, 200))),
    st.builds(RRule, st.sampled_from([text for text, _ in rules(2, 200)])),
    st.builds(
        Every,
        st.one_of(
            st.builds(Period, days=st.integers(1, 40)),
            st.builds(Period, months=st.integers(1, 14), days=st.integers(0, 50)),
            st.builds(Period, exact=st.timedeltas(timedelta(minutes=1), timedelta(days=400))),
            st.builds(Period, days=st.integers(1, 5), exact=st.timedeltas(timedelta(minutes=1), timedelta(days=3))),
        ),
    ),
)
triggers = st.builds(
    Recurring,
    st.one_of(single_rules, st.builds(AnyOf, st.lists(single_rules, min_size=1, max_size=3).map(tuple))),
    moments,
    end=st.none() | moments,
    time_zone=zones,
    start_fires=st.booleans(),
    dst_gap=st.none() | st.sampled_from(DstGap),
    dst_overlap=st.none() | st.sampled_from(DstOverlap),
)


@settings(deadline=None, max_examples=150)
@given(triggers, moments)
def test_fire_times_rise(trigger: Recurring, after: datetime) -> None:
    """Each fire time is later than the one before, none is early, none beyond the end, and walking ends."""
    found = list(islice(trigger.fire_times(after, datetime(2035, 1, 1, tzinfo=UTC)), 40))
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(moment >= max(after, trigger.start) for moment in found)
    assert trigger.end is None or all(moment <= max(trigger.end, trigger.start) for moment in found)


@settings(deadline=None, max_examples=150)
@given(triggers, moments, st.integers(0, 30))
def test_any_moment_finds_the_same_fire_times(trigger: Recurring, after: datetime, shift: int) -> None:
    """Whoever asks, from whatever moment, hears of the same series: it does not depend on who asked before."""
    found = list(islice(trigger.fire_times(after, datetime(2035, 1, 1, tzinfo=UTC)), 5))
    for earlier, later in pairwise(found):
        between = earlier + (later - earlier) * shift / 31
        assert later == trigger.next_fire_time(between)


@settings(deadline=None, max_examples=80)
@given(triggers, moments, st.integers(1, 60))
def test_counting_is_walking(trigger: Recurring, after: datetime, number: int) -> None:
    """Fire times are counted, and found by their number, without a walk, and rightly."""
    found = list(islice(trigger.fire_times(after, datetime(2035, 1, 1, tzinfo=UTC)), number))
    if found:
        assert len(found) == trigger.number(after, found[-1])
        assert len(found) - 1 == trigger.number(after, found[-1] - MICROSECOND)
        assert found[-1] == trigger.nth(after, len(found) - 1) == trigger.last(after, found[-1])
        assert (found[-2] if len(found) > 1 else None) == trigger.last(after, found[-1] - MICROSECOND)


@settings(deadline=None, max_examples=100)
@given(triggers, st.integers(1, 20))
def test_count(trigger: Recurring, count: int) -> None:
    """With a count there are the first so many fire times, and no more."""
    if not trigger.is_countable:
        return
    far = datetime(2035, 1, 1, tzinfo=UTC)
    counted = Recurring(
        trigger.rule, trigger.start, count, trigger.end, trigger.time_zone, trigger.start_fires,
        trigger.dst_gap, trigger.dst_overlap,
    )  # fmt: skip
    expected = list(islice(trigger.fire_times(trigger.start, far), count))
    assert expected == list(islice(counted.fire_times(trigger.start, far), count + 1))
    assert len(expected) == counted.number(trigger.start, far) or len(expected) == count


@given(
    st.frozensets(st.integers(0, 23), min_size=1),
    st.frozensets(st.integers(0, 59), min_size=1),
    st.frozensets(st.integers(0, 59), min_size=1),
    st.integers(0, 86_400_000_000),
)
def test_clock_times(hours: frozenset[int], minutes: frozenset[int], seconds: frozenset[int], time: int) -> None:
    """Times that are not listed are found and counted as if they were."""
    clock = ClockTimes(sorted(hours), sorted(minutes), sorted(seconds))
    place = clock.before(time)
    assert place == 0 or clock[place - 1] < time
    assert place == len(clock) or clock[place] >= time
    assert len(clock) == len(hours) * len(minutes) * len(seconds)


@pytest.mark.parametrize("days", [1, 30, 3650])
def test_rules_that_are_combined_are_counted_and_found_alike(days: int) -> None:
    """The last of so many fire times is the last there is; also of more than can be gone through one by one."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    every = (Every(Period(exact=timedelta(minutes=1))), Every(Period(exact=timedelta(seconds=90))))
    trigger = Recurring(AnyOf((*every, Cron("*/7 * * * *"))), start)
    end = start + timedelta(days=days)

    begun = thread_time()
    number = trigger.number(start, end)
    last = trigger.nth(start, number - 1)

    beyond = trigger.nth(start, number)
    assert last is not None
    assert beyond is not None
    assert last <= end < beyond
    assert thread_time() - begun < 1


@pytest.mark.parametrize(
    "rule",
    [
        Cron("0 3 * * MON-FRI"),
        RRule("FREQ=DAILY;BYDAY=MO,TU"),
        RRule("FREQ=HOURLY;INTERVAL=7"),
        RRule("FREQ=DAILY;BYHOUR=1,2,3;BYSETPOS=1,-1"),
        AnyOf((Cron("0 3 * * *"), RRule("FREQ=DAILY;BYDAY=MO;BYHOUR=3,4"))),
        Every(Period(days=2)),
    ],
    ids=str,
)
def test_a_rule_keeps_nothing_of_the_years_that_it_was_asked_for(rule: AnyRule) -> None:
    """Days of three hundred years were counted; what was kept of them is in caches that have a size."""
    trigger = Recurring(rule, datetime(2026, 1, 1, tzinfo=UTC))
    trigger.number(trigger.start, datetime(2027, 1, 1, tzinfo=UTC))
    before = reachable(trigger)
    assert trigger.number(trigger.start, datetime(2326, 1, 1, tzinfo=UTC)) > 10_000
    assert reachable(trigger) - before < 100


def reachable(value: object) -> int:
    """Count the objects that a value holds, directly or by others."""
    seen: dict[int, object] = {}
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType | FunctionType):
            seen[id(each)] = each
            waiting += gc.get_referents(each)
    return len(seen)


def test_each_cache_of_this_room_has_a_size() -> None:
    """Else whoever asks for more and more distinct schedules fills the memory."""
    names = [name for _, name, _ in walk_packages(schedule.__path__, f"{schedule.__name__}.")]
    caches = {
        f"{name}.{inner}": each.cache_parameters()["maxsize"]
        for name in names
        for inner, each in vars(import_module(name)).items()
        if hasattr(each, "cache_parameters") and each.__module__ == name
    }
    endless = {name for name, most in caches.items() if most is None}
    assert len(caches) > 15
    assert {"_zones", "_zone_names", "zone_rules"} == {name.rpartition(".")[2] for name in endless}


def test_combined_rules_do_not_fire_beyond_the_calendar() -> None:
    """What would come after the last of all times is not there, and is not looked for without end."""
    hourly = Recurring(
        AnyOf((Cron("0 3 * * *"), Every(Period(exact=timedelta(hours=1))))), datetime(9890, 1, 1, tzinfo=UTC)
    )

    begun = thread_time()
    assert hourly.nth(hourly.start, 10**6) is None
    assert thread_time() - begun < 1
