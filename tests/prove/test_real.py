"""Expressions and rules of others: a sample of what `make prove` asks the service for, and the list of differences."""

import asyncio
import re
from pathlib import Path

import pytest

from prove.scenarios import real as scenario
from tests import real

SEED = 20261130
DOCS = " ".join((Path(__file__).parents[2] / "docs/schedules.md").read_text().split())


def test_a_sample_fires_when_others_say() -> None:
    """Sixty of each do what is documented."""
    result = asyncio.run(scenario.lines(None, SEED, scenario.QUICK))
    assert [] == result.violations
    assert [60, 60] == [finding.trials for finding in result.findings]


def test_all_of_them_are_there() -> None:
    """Nothing is left out silently."""
    assert (686, 541) == (len(real.crons()), len(real.rules()))
    assert all(cron.source for cron in real.crons())
    assert all(rule.source for rule in real.rules())


@pytest.mark.parametrize("phrase", [*real.REFUSED, *real.READ_OTHERWISE])
def test_each_difference_is_documented(phrase: str) -> None:
    """In the same words; and some rule has it."""
    assert phrase in DOCS
    assert any(rule.is_named({phrase: {**real.REFUSED, **real.READ_OTHERWISE}[phrase]}) for rule in real.rules())


def test_references_can_disagree() -> None:
    """A service that fires at other times would be found out."""
    daily = next(rule for rule in real.rules() if re.fullmatch("FREQ=DAILY;COUNT=10", rule.text))
    assert daily.fire_times(10) != daily._replace(text="FREQ=DAILY;COUNT=9", instances=None).fire_times(10)
    assert real.crons()[0].fire_times(3) != real.crons()[1].fire_times(3)
