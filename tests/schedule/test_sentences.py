"""No two different schedules share a sentence."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mainspring.schedule import Cron, Every, Recurring, RRule, TimeError, describe
from mainspring.schedule.rules.cron import compile_cron
from mainspring.schedule.rules.rrule_grammar import parse_rrule
from mainspring.schedule.trigger import MisfirePolicy
from tests import real
from tests.schedule.drawn import everies, recurrings
from tests.schedules import cron_expressions, rules

START = datetime(2026, 10, 24, 7, 30, 15, tzinfo=UTC)
"""The day before the clocks are put back in Berlin."""
LATER = [START + timedelta(days=days) for days in (0, 1, 70, 400, 1500, 4000)]
"""From when fire times are compared, some each."""


def a_schedule(rule: Cron | RRule) -> Recurring:
    """Make a schedule in a zone whose clocks are changed."""
    return Recurring(rule, START, time_zone="Europe/Berlin")


def meaning(trigger: Recurring) -> list[datetime]:
    """List fire times of some stretches of eleven years."""
    return [moment for low in LATER for moment in islice(trigger.fire_times(low, START + timedelta(days=14_000)), 25)]


def check(triggers: Iterable[Recurring]) -> int:
    """Assert that those with the same sentence mean the same; count the sentences."""
    told = sorted(((describe(trigger), trigger) for trigger in triggers), key=lambda pair: pair[0])
    number = 0
    for sentence, group in groupby(told, key=lambda pair: pair[0]):
        first, *others = [trigger for _, trigger in group]
        for other in others:
            assert first.rule == other.rule or meaning(first) == meaning(other), (sentence, first.rule, other.rule)
        number += 1
    return number


def test_what_people_use() -> None:
    """All real expressions and rules that are taken, from one start."""
    taken: list[Cron | RRule] = []
    for cron in real.crons():
        with suppress(TimeError):
            compile_cron(cron.expression)
            taken.append(Cron(cron.expression))
    for rule in real.rules():
        with suppress(TimeError):
            taken.append(RRule(parse_rrule(rule.text).text))
    assert check(map(a_schedule, taken)) > 450


def test_what_is_drawn() -> None:
    """Three hundred drawn expressions and rules."""
    drawn: list[Cron | RRule] = [*map(Cron, cron_expressions(51, 300)), *(RRule(text) for text, _ in rules(52, 300))]
    assert check(map(a_schedule, drawn)) > 400


FIELDS = (
    ["0", "*/10", "*/45", "30", "0,30", "0-5", "*/60"],
    ["*", "*/5", "*/15", "0", "7", "30-35", "1/2", "0,9,13", "0,30", "*/17", "*/60", "1-59"],
    ["*", "*/2", "*/3", "3", "9-17", "0", "22,23", "0-4,6-8", "1/2", "3,15", "*/24", "1,3,5,7", "8,10,13,14,17"],
    ["*", "?", "1", "13", "1-7", "*/2", "*/10", "L", "L-2", "1,15", "1-31", "1,L", "*/31"],
    ["*", "1", "1-3", "6,9", "*/3", "1-5,9-12", "*/12", "*/2", "3,4"],
    ["*", "?", "1", "1-5", "5", "5L", "FRI#2", "1,5L", "*/2", "0-6", "6,0", "*/7", "1-7"],
)


@given(st.tuples(*map(st.sampled_from, FIELDS)), st.data())
@settings(max_examples=400)
def test_cron(texts: tuple[str, ...], data: st.DataObject) -> None:
    """A field more, and another sentence."""
    index = data.draw(st.integers(0, 5))
    other = data.draw(st.sampled_from(FIELDS[index]))
    changed = [*texts[:index], other, *texts[index + 1 :]]
    check(a_schedule(Cron(" ".join(each))) for each in (texts, changed))


PARTS: dict[str, list[str]] = {
    "FREQ": ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"],
    "INTERVAL": ["1", "2", "3", "5"],
    "BYMONTH": ["1", "1,2,3", "6,9", "11,12"],
    "BYMONTHDAY": ["1", "13,14", "-1", "1,-1", "1,2,3,4,5,6,7", "-3,-2,-1"],
    "BYDAY": ["MO", "MO,TU", "SU", "MO,TU,WE,TH,FR", "1MO", "-1FR", "MO,2TU", "MO,TU,WE,TH,FR,SA,SU"],
    "BYYEARDAY": ["1", "100,200", "-1", "1,-1"],
    "BYWEEKNO": ["1", "20", "1,-1"],
    "WKST": ["MO", "SU", "WE"],
    "BYHOUR": ["3", "9,17", "0,1,2,3,4,5,6", "8,12,16,20"],
    "BYMINUTE": ["0", "30", "0,30", "5,25,50"],
    "BYSECOND": ["0", "15", "30", "0,30"],
    "BYSETPOS": ["1", "-1", "1,-1", "2,3"],
}
members = st.fixed_dictionaries(
    {"FREQ": st.sampled_from(PARTS["FREQ"])},
    optional={name: st.sampled_from(values) for name, values in PARTS.items() if name != "FREQ"},
)


@given(members, st.data())
@settings(max_examples=400)
def test_rrule(parts: dict[str, str], data: st.DataObject) -> None:
    """A part more, less or otherwise, and another sentence."""
    name = data.draw(st.sampled_from([*PARTS]))
    value = data.draw(st.none() | st.sampled_from(PARTS[name]))
    assume(name != "FREQ" or value)
    changed = {**parts, name: value}
    check(a_schedule(RRule(text)) for each in (parts, changed) if (text := _taken(each)))


def _taken(parts: dict[str, Any]) -> str | None:
    with suppress(TimeError):
        return parse_rrule(";".join(f"{name}={value}" for name, value in parts.items() if value)).text
    return None


@given(everies, everies)
@settings(max_examples=300)
def test_every(one: Recurring, other: Recurring) -> None:
    """A period of the same length in words is the same period."""
    other = replace(one, rule=other.rule)
    assert describe(one) != describe(other) or one.rule == other.rule


TERMS = [
    "start", "count", "end", "time_zone", "start_fires", "dst_gap", "dst_overlap", "jitter", "window", "misfire",
    "grace", "overlap", "calendar",
]  # fmt: skip


@pytest.mark.parametrize("name", TERMS)
@given(recurrings, recurrings, st.data())
@settings(max_examples=100)
def test_terms(name: str, one: Recurring, other: Recurring, data: st.DataObject) -> None:
    """Whatever has a say in what a schedule does is said, and so is each part of it."""
    mine, value = getattr(one, name), getattr(other, name)
    if is_dataclass(mine) and is_dataclass(value) and not isinstance(mine, type):
        part = data.draw(st.sampled_from([field.name for field in fields(mine)]))
        value = replace(mine, **{part: getattr(value, part)})
    changed = replace(one, **{name: value})
    assert describe(one) != describe(changed) or _say(one) == _say(changed)


def _say(trigger: Recurring) -> dict[str, Any]:
    """Return the terms of a trigger, without those that have no say beside the others."""
    said = {name: getattr(trigger, name) for name in TERMS}
    said["grace"] = trigger.latest
    said["start_fires"] = trigger.start_fires or isinstance(trigger.rule, Every)
    if trigger.misfire.policy is not MisfirePolicy.FIRE_ALL:
        said["misfire"] = trigger.misfire.policy
    if trigger.calendar and not trigger.calendar.postpones:
        said["calendar"] = trigger.calendar.name, trigger.calendar.days
    return said
