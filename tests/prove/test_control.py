"""The judges of pauses, shares and busy services find each thing that must not be, and nothing in a good story."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from prove.checker import Story
from prove.ledger import Ledger, Occurrences, Pending, RunRow
from prove.record import Mark
from prove.result import Result
from prove.scenarios import busy, pause, shares
from prove.service import CONFLICT, OK, Call

ONCE = frozenset({"a"})
RECURRING = {"r": [1000, 2000, 3000, 4000]}
RAN = Occurrences("a", "succeeded", 0.5, 0.5, 1)
GOOD = (RAN, Occurrences("r", "succeeded", 1, 1, 1), Occurrences("r", "skipped", 2, 4, 3))


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (GOOD, 0),
        (GOOD[1:], 1),
        ((*GOOD, RAN), 1),
        ((RAN._replace(outcome="failed"), *GOOD[1:]), 1),
        (GOOD[:2], 1),
        ((*GOOD, GOOD[1]), 1),
        ((*GOOD, Occurrences("r", "succeeded", 5, 5, 1)), 1),
        ((*GOOD[:2], Occurrences("r", "skipped", 2, 4, 2)), 1),
        ((*GOOD[:2], Occurrences("r", "failed", 2, 4, 3)), 1),
    ],
)
def test_each_fire_time_is_accounted_for(told: Sequence[Occurrences], found: int) -> None:
    """Lost, twice, made up, miscounted or failed: each is told of the job that it is of."""
    result = Result("pause", 1, "")
    pause.account(result, told, ONCE, RECURRING)
    assert found == len(result.violations)


def starts(*moments: float, job: str = "a") -> tuple[Mark, ...]:
    """Return marks of runs that began then, in the process 1."""
    return tuple(
        Mark("start", f"{job}{at}", f"{job}{at}", attempt=1, run=0, pid=1, boot=at, wall=0.0) for at in moments
    )


def a_story(marks: tuple[Mark, ...], *waiting: str) -> Story:
    """Return a story in which these jobs wait."""
    pending = tuple(Pending(job, "scheduled", 0, None, None, job, 0.0) for job in waiting)
    return Story(marks=marks, ledger=Ledger((), pending, frozenset()))


@pytest.mark.parametrize(
    ("moments", "found"), [((9.9, 10.5, 20.1), 0), ((9.9, 11.5, 20.1), 1), ((19.9,), 1), ((10.0, 20.0), 0)]
)
def test_starts_in_a_pause(moments: Sequence[float], found: int) -> None:
    """From a second after the answer on until the end of the pause there are none."""
    result = Result("pause", 1, "")
    pause.judge(result, a_story(starts(*moments)), [pause.Stop(9.8, 10.0, 20.0, by_itself=False)], pause.FULL)
    assert found == len(result.violations)


@pytest.mark.parametrize(
    ("heavy", "light", "waiting", "found"),
    [
        (300, 100, ("a", "b"), 0),
        (314, 100, ("a", "b"), 0),
        (316, 100, ("a", "b"), 1),
        (284, 100, ("a", "b"), 1),
        (300, 0, ("a", "b"), 1),
        (300, 100, ("a",), 1),
    ],
)
def test_starts_by_weights(heavy: int, light: int, waiting: Sequence[str], found: int) -> None:
    """Three to one, within a twentieth, and only as long as both have more to do."""
    result = Result("shares", 1, "")
    marks = starts(*(1 + n / 10 for n in range(heavy)), job="a") + starts(*(1 + n / 10 for n in range(light)), job="b")
    of_sides = [frozenset({side, *(mark.job for mark in marks if mark.job[0] == side)}) for side in "ab"]
    shares.judge_weights(result, a_story(marks, *waiting), shares.FULL, shares.PRODUCTS, of_sides, since=0.5, nodes=1)
    assert found == len(result.violations)


def calls(*moments: float, status: int = OK) -> list[Call]:
    """Return calls of one data centre that came then, and took a second each if they were served."""
    return [Call("dc0", at, at + (status == OK), status) for at in moments]


TWO = replace(busy.FULL, limit=2, changes=())


@pytest.mark.parametrize(
    ("told", "changes", "did", "could"),
    [
        (calls(0, 0, 1, 1, 2), (), 4, 4),
        (calls(1, 1, 2, 2), (), 2, 4),
        (calls(0, 1, 2), (), 2, 4),
        (calls(0, 0, 1, 2), ((1, 1),), 3, 3),
        (calls(0, 0, 1, 2), ((0.5, 1),), 2.5, 2.5),
    ],
)
def test_what_a_service_could_do(
    told: Sequence[Call], changes: tuple[tuple[float, int], ...], did: float, could: float
) -> None:
    """As long as jobs wait, and no more than its limit, whatever goes on when that falls."""
    assert (did, could) == busy.used(told, replace(TWO, changes=changes), 0)


@pytest.mark.parametrize(
    ("outcomes", "refused", "found"),
    [
        (["succeeded"], 0, 0),
        (["postponed", "succeeded"], 1, 1),
        (["failed", "succeeded"], 0, 1),
        (["postponed"], 0, 1),
        (["succeeded", "succeeded"], 0, 1),
    ],
)
def test_jobs_of_a_busy_service(outcomes: Sequence[str], refused: int, found: int) -> None:
    """Each is done once and uses up no attempt, and few are refused."""
    result = Result("busy", 1, "")
    rows = tuple(RunRow(n, "a", "o", 0, n, "life-1", 0, 0, outcome, None) for n, outcome in enumerate(outcomes, 1))
    story = Story(marks=(), ledger=Ledger(rows, (), frozenset()), acked=frozenset("a"))
    told = calls(0, 0, 1, 1, 2) + calls(*[0.5] * refused, status=CONFLICT)
    busy.judge(result, story, told, TWO, busy.Goal(0.1, 0.95), 0)
    assert found == len(result.violations)
