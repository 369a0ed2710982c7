"""The long forms of what `tests/schedule` samples: `make test ARGS=tests/long` runs them, half an hour of one core."""

from datetime import UTC, datetime, timedelta
from itertools import product
from time import thread_time
from zoneinfo import ZoneInfo, available_timezones

import pytest

from mainspring.schedule import Recurring
from mainspring.schedule.rules import Cron
from mainspring.schedule.zones import DstGap, DstOverlap
from tests.lives import live
from tests.schedule.test_occurrence import check_downtime, check_previews
from tests.schedules import check_cron, check_rrule, check_transition, cron_expressions, rules, transitions

ZONES = sorted(available_timezones() - {"localtime"})
START = datetime(2026, 1, 1, tzinfo=UTC)
ALL = 10**9


@pytest.mark.parametrize("part", range(20))
def test_all_zones(part: int) -> None:
    """Every zone, both its changes of each year from 2025 to 2030, under every policy: none early, none twice."""
    for name in ZONES[part::20]:
        for moment in transitions(ZoneInfo(name), 2025, 2030):
            for gap, overlap in product(DstGap, DstOverlap):
                check_transition(name, moment, "*/30 * * * *", gap, overlap)


@pytest.mark.parametrize("part", range(10))
def test_cron_over_two_years(part: int) -> None:
    """A hundred drawn expressions have all fire times of two years that croniter and cronsim have."""
    end = START + timedelta(days=731)
    assert sum(check_cron(expression, START, end, ALL) for expression in cron_expressions(100, 100)[part::10]) > 10_000


@pytest.mark.parametrize("part", range(10))
def test_rrule_over_six_years(part: int) -> None:
    """Three thousand drawn rules fire when dateutil says, up to 200 times each."""
    assert sum(check_rrule(text, start, 200) for text, start in rules(200 + part, 300)) > 20_000


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Australia/Lord_Howe"])
def test_a_year_of_minutes_is_lived_through(zone: str) -> None:
    """From occurrence to occurrence, twice the same, as many as there are minutes, and in under ten seconds."""
    minutes = Recurring(Cron("* * * * *"), START, time_zone=zone)
    end = datetime(2027, 1, 1, tzinfo=UTC)

    begun = thread_time()
    life = live(minutes, end)
    assert thread_time() - begun < 10
    assert (365 * 1440, 0) == (life.runs, life.disorderly)
    assert minutes.number(START, end - timedelta(microseconds=1)) == life.runs
    assert life == live(minutes, end)


def test_a_thousand_previews() -> None:
    """Each is what then happens."""
    check_previews(1000)


def test_downtime_of_ten_thousand_jobs() -> None:
    """For each misfire policy every single occurrence is accounted for."""
    check_downtime(10_000)
