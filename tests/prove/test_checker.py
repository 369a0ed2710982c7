"""The checker finds each thing that must not be in a history that was made by hand, and nothing in a good one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from prove.checker import Recovery, Story, check, excused_overlaps, ownerless_too_long, recoveries
from prove.figures import bound, histogram, percentile, summary
from prove.ledger import Ledger, Pending, RunRow
from prove.record import Mark

WALL = 1_000_000.0
"""What the wall clock of these histories is ahead of their boot time."""
PID_A, PID_B = 11, 12


def a_mark(what: str = "start", **changes: Any) -> Mark:
    """Return a mark of the first attempt of the job j."""
    mark = Mark(what, "j", "j@1", attempt=1, run=100, pid=PID_A, boot=10.0, wall=WALL + 10.0)
    return mark._replace(**changes)


def a_row(**changes: Any) -> RunRow:
    """Return the row of the first attempt of the job j."""
    row = RunRow(100, "j", "j@1", WALL + 9.9, 1, "a:1", WALL + 10.0, WALL + 11.0, "succeeded", None)
    return row._replace(**changes)


def a_job(**changes: Any) -> Pending:
    """Return the job j as it waits."""
    return Pending("j", "scheduled", 0, None, None, "j@1", WALL + 9.9)._replace(**changes)


def a_story(marks: tuple[Mark, ...], rows: tuple[RunRow, ...], *pending: Pending, **changes: Any) -> Story:
    """Return a story of the job j, which was accepted, on the nodes a and b."""
    story = Story(
        marks=marks,
        ledger=Ledger(rows, pending, frozenset({"a:1", "b:1"})),
        acked=frozenset({"j"}),
        places={"a": PID_A, "b": PID_B},
        wall_offset=WALL,
    )
    return replace(story, **changes)


def good() -> Story:
    """The job ran once."""
    return a_story((a_mark(), a_mark("end", boot=11.0)), (a_row(),))


def recovered() -> Story:
    """Process a died at 10.5 while it ran the job, and b ran it again at 12.3."""
    again: dict[str, Any] = {"attempt": 2, "run": 101, "pid": PID_B}
    marks = (a_mark(), a_mark(**again, boot=12.3), a_mark("end", **again, boot=13.0))
    rows = (a_row(outcome="lost"), a_row(number=101, attempt=2, node="b:1", due=WALL + 12))
    return a_story(marks, rows, deaths={PID_A: 10.5})


def paused() -> Story:
    """Process a was stopped from 10.5 to 15 while it ran the job, and b ran it again at 13."""
    again: dict[str, Any] = {"attempt": 2, "run": 101, "pid": PID_B}
    marks = (
        a_mark(),
        a_mark(**again, boot=13.0),
        a_mark("end", **again, boot=13.5),
        a_mark("end", boot=15.5),
    )
    rows = (a_row(outcome="lost"), a_row(number=101, attempt=2, node="b:1"))
    return a_story(marks, rows, pauses={PID_A: ((10.5, 15.0),)})


def skipped() -> Story:
    """The job came too late to run at all."""
    return a_story((), (a_row(attempt=0, outcome="skipped"),))


@pytest.mark.parametrize("story", [good, recovered, paused, skipped])
def test_good_histories_pass(story: Callable[[], Story]) -> None:
    """A job that ran once, one that was recovered, one whose node slept, and one that was skipped, are right."""
    assert [] == check(story())


def the_lost() -> Story:
    """The job was accepted, and the store knows nothing of it."""
    return a_story((), ())


def the_undead() -> Story:
    """The job was deleted and waits."""
    return a_story((), (), a_job(), deleted=frozenset({"j"}))


def the_stuck() -> Story:
    """Everything is quiet, and the job still runs on a node that lives."""
    return a_story((), (), a_job(state="running", attempt=1, run=100, node="a:1"))


def the_doubled() -> Story:
    """The same attempt began in two processes."""
    return a_story((a_mark(), a_mark(pid=PID_B, boot=10.1), a_mark("end", boot=11.0)), (a_row(),))


def the_unexplained() -> Story:
    """A second attempt began although history has no row for the first."""
    return a_story((a_mark(attempt=2), a_mark("end", attempt=2, boot=11.0)), (a_row(attempt=2),))


def the_twice_final() -> Story:
    """Two runs of one occurrence succeeded: the result of a zombie was taken."""
    again: dict[str, Any] = {"attempt": 2, "run": 101, "boot": 12.0}
    marks = (a_mark(), a_mark("end", boot=11.0), a_mark(**again), a_mark("end", **again))
    return a_story(marks, (a_row(), a_row(number=101, attempt=2)))


def the_reused_fence() -> Story:
    """Two attempts have one number."""
    marks = (a_mark(), a_mark("broke", boot=10.5), a_mark(attempt=2, boot=12.0), a_mark("end", attempt=2, boot=13.0))
    return a_story(marks, (a_row(attempt=2),))


def the_falling_fence() -> Story:
    """The second attempt has a lower number than the first."""
    again: dict[str, Any] = {"attempt": 2, "run": 99, "boot": 12.0}
    marks = (a_mark(), a_mark("broke", boot=10.5), a_mark(**again), a_mark("end", **again))
    return a_story(marks, (a_row(outcome="failed"), a_row(number=99, attempt=2)))


def the_gap() -> Story:
    """History has attempts 1 and 3."""
    marks = (a_mark(run=102, attempt=3), a_mark("end", run=102, attempt=3, boot=11.0))
    return a_story(marks, (a_row(outcome="lost"), a_row(number=102, attempt=3)))


def the_twin_rows() -> Story:
    """One attempt has two rows."""
    return a_story((), (a_row(outcome="lost"), a_row(number=101, outcome="lost")))


def the_ownerless() -> Story:
    """The job runs on a node that nobody knows."""
    return a_story((), (), a_job(state="running", attempt=1, run=100, node="c:1"))


def the_owned() -> Story:
    """The job waits and has an owner."""
    return a_story((), (), a_job(run=100, node="a:1"))


def the_unwritten() -> Story:
    """A run began of which history knows nothing."""
    return a_story((a_mark(), a_mark("end", boot=11.0)), (), a_job())


def the_boast() -> Story:
    """History says succeeded, and the job never came to its end."""
    return a_story((a_mark(),), (a_row(),))


def the_overlap() -> Story:
    """The second attempt began while the first went on, on a node that nobody had paused."""
    return replace(paused(), pauses={})


def the_unflagged_overlap() -> Story:
    """The node slept, but history calls its run failed, not lost."""
    story = paused()
    rows = (story.ledger.runs[0]._replace(outcome="failed"), *story.ledger.runs[1:])
    return replace(story, ledger=story.ledger._replace(runs=rows))


def the_early() -> Story:
    """The run began half a second before it was due."""
    return a_story((a_mark(), a_mark("end", boot=11.0)), (a_row(due=WALL + 10.5),))


def the_once_too_often() -> Story:
    """A job that may run at most once was run again."""
    return replace(recovered(), at_most_once=frozenset({"j"}))


@pytest.mark.parametrize(
    ("story", "rules"),
    [
        (the_lost, {"I-8"}),
        (the_undead, {"I-8"}),
        (the_stuck, {"P8"}),
        (the_doubled, {"P3"}),
        (the_unexplained, {"P3", "I-3"}),
        (the_twice_final, {"I-1", "P3"}),
        (the_reused_fence, {"I-2", "P3", "I-3", "P4"}),
        (the_falling_fence, {"I-2", "I-1"}),
        (the_gap, {"I-3", "P3"}),
        (the_twin_rows, {"I-7"}),
        (the_ownerless, {"I-4", "P8"}),
        (the_owned, {"I-5", "P8"}),
        (the_unwritten, {"I-10", "P8"}),
        (the_boast, {"I-10"}),
        (the_overlap, {"P4"}),
        (the_unflagged_overlap, {"P4"}),
        (the_early, {"P9"}),
        (the_once_too_often, {"P4"}),
    ],
)
def test_each_violation_is_found(story: Callable[[], Story], rules: set[str]) -> None:
    """What must not be is named by its rule, and nothing else is."""
    assert rules == {violation.rule for violation in check(story())}


def test_ownerless_for_too_long() -> None:
    """A run may be without an owner for the lease and 5 s, not longer."""
    seen = {1: (10.0, 16.9), 2: (10.0, 17.5)}
    assert ["run 2"] == [violation.subject for violation in ownerless_too_long(seen, lease=2.0)]


def test_recovery_counts_from_death_to_the_next_start() -> None:
    """It does not matter how long the run had gone on before."""
    (recovery,) = recoveries(recovered())
    assert pytest.approx(1.8) == recovery.seconds
    assert not recovery.paused


def test_recovery_waits_for_a_survivor() -> None:
    """Where all had died, the time counts from when the first one is back."""
    story = replace(recovered(), births={PID_A: 1.0, PID_B: 11.3})
    assert [pytest.approx(1.0)] == [recovery.seconds for recovery in recoveries(story)]


def test_recovery_goes_on_while_the_run_is_handed_back() -> None:
    """An attempt that was given back before it began is a part of the wait, not the end of it."""
    again: dict[str, Any] = {"attempt": 3, "run": 102, "pid": PID_B}
    rows = (a_row(outcome="lost"), a_row(number=101, attempt=2, outcome="interrupted"), a_row(number=102, attempt=3))
    story = a_story((a_mark(), a_mark(**again, boot=14.0)), rows, deaths={PID_A: 10.5})
    assert [pytest.approx(3.5)] == [recovery.seconds for recovery in recoveries(story)]


def test_recovery_of_a_paused_process_counts_from_its_pause() -> None:
    """And is told apart, because it takes a lease."""
    assert [Recovery(2.5, paused=True)] == recoveries(paused())


def test_excused_overlaps_are_counted() -> None:
    """What is allowed is not hidden."""
    assert (1, 0) == (excused_overlaps(paused()), excused_overlaps(recovered()))


def test_figures() -> None:
    """Percentiles are of the values themselves; N trials without failure bound the rate by 3/N, failures by nothing."""
    seconds = [n / 100 for n in range(1, 101)]
    assert (0.5, 0.99, 1.0) == (percentile(seconds, 0.5), percentile(seconds, 0.99), max(seconds))
    assert "p50 0.50 s, p99 0.99 s, max 1.00 s" == summary(seconds)
    assert "≤ 0.1 s: 10, ≤ 0.25 s: 15, ≤ 0.5 s: 25, ≤ 1 s: 50" == histogram(seconds)
    assert ("3.0e-03", "none", "none") == (bound(1000, 0), bound(1000, 1), bound(0, 0))
