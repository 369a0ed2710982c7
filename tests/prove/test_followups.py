"""The judge of follow-ups finds each thing that must not be, and the plan leaves no failpoint out."""

import json
from collections import Counter
from random import Random
from uuid import UUID

import pytest

from prove.leads import FOLLOWS, LEADS, number_of_follow_ups
from prove.ledger import Told
from prove.result import Result
from prove.scenarios.followups import FULL, POINTS, ids_of, judge, plan

LEAD, OTHER = (str(UUID(int=number)) for number in (1, 0))
"""Occurrences that two jobs follow, and one."""


def a_row(number: int, occurrence: str, group: str = LEADS[0], outcome: str = "succeeded", job: str = "") -> Told:
    """Return a run that made all that it had to, and kept its result."""
    result = json.dumps({"run": number, "made": ids_of(group, occurrence)}) if outcome == "succeeded" else None
    return Told(number, job or occurrence, group, occurrence, outcome, result)


def followed(occurrence: str) -> list[Told]:
    """Return runs of the jobs that follow an occurrence of a lead, whose own occurrences nothing follows."""
    first = 10 + 10 * UUID(occurrence).int
    ids = ids_of(LEADS[0], occurrence)
    return [a_row(first + n, str(UUID(int=first + 2 * n)), FOLLOWS, job=job) for n, job in enumerate(ids)]


GOOD = [a_row(1, LEAD, outcome="lost"), a_row(2, LEAD), *followed(LEAD)]


def test_how_many_follow() -> None:
    """It is the occurrence that says so, and all numbers there are come about."""
    assert 2 == len(followed(LEAD))
    assert {1, 2, 3} == {number_of_follow_ups(LEADS[0], UUID(int=n)) for n in range(10)}
    assert {0, 1} == {number_of_follow_ups(FOLLOWS, UUID(int=n)) for n in range(10)}


@pytest.mark.parametrize(
    ("told", "living", "found"),
    [
        (GOOD, {}, ""),
        (GOOD[:-1], {}, "missing"),
        (GOOD[:-1], {GOOD[-1].job: FOLLOWS}, "missing: has not ended"),
        ([*GOOD, a_row(3, OTHER, outcome="failed"), *followed(OTHER)], {}, "made up"),
        ([*GOOD, a_row(5, str(UUID(int=100)), FOLLOWS, job="somebody")], {}, "made up"),
        ([*GOOD, a_row(4, LEAD)], {}, "doubled"),
        ([GOOD[0], GOOD[1]._replace(result=None), *GOOD[2:]], {}, "result"),
        ([GOOD[0]._replace(result="{}"), *GOOD[1:]], {}, "result"),
        ([GOOD[0], GOOD[1]._replace(result=a_row(1, LEAD).result), *GOOD[2:]], {}, "result"),
    ],
)
def test_what_follows(told: list[Told], living: dict[str, str], found: str) -> None:
    """All of a run that succeeded, nothing of another one, and each result is that of its run."""
    result = Result("followups", 1, "")
    judge(result, "a store", told, living)
    assert bool(found) == bool(result.violations)
    assert all(found in violation.detail for violation in result.violations)


def test_each_failpoint_is_planned() -> None:
    """A little more often than it must be reached."""
    planned = Counter(fate.failpoint for fate in plan(Random(1), FULL, FULL.kills))
    assert planned.total() >= 200
    assert all(planned[point] > FULL.least for point in POINTS)
