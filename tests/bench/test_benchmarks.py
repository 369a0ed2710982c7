import pytest

from bench.figures import Figure, Goal, lines, table
from bench.load import percentile


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (Goal("≥", 20), True),
        (Goal("≤", 19), False),
        (Goal("≤", 29, "worst"), False),
        (Goal("≤", 30, "worst"), True),
        (Goal("≥", 0.5, "ratio"), True),
        (Goal("≥", 0.6, "ratio"), False),
        (Goal("≤", -20, "excess"), True),
        (Goal("≤", -21, "excess"), False),
    ],
)
def test_a_goal_is_judged_by_what_it_speaks_of(goal: Goal, *, reached: bool) -> None:
    """Median, worst value, ratio to the limit and excess over it: each goal looks at its own, bounds included."""
    assert reached == goal.reached([10, 30, 20], limit=40)


def test_a_goal_without_its_limit_is_not_judged() -> None:
    """A limit that was not measured leaves a relative goal open, not missed."""
    assert Goal("≥", 0.5, "ratio").reached([1, 2, 3], limit=None) is None


def test_the_table_has_what_was_measured() -> None:
    """A figure without values has no line; one with values stands beside the median of its limit."""
    figures = [Figure("t1.limit", "loop", "1/s"), Figure("t1.one", "burst", "1/s", "t1.limit"), Figure("t2", "", "")]
    rows = list(lines(figures, {"t1.limit": [100, 300, 200], "t1.one": [50, 150, 100]}))
    assert [("T1  loop", None, None), ("T1  burst", 200, 0.5)] == [(row.figure, row.limit, row.ratio) for row in rows]
    assert "T1  burst  1/s   50.0     100  150    200   0.50" == table(rows).splitlines()[2]


def test_percentiles_are_values_that_were_measured() -> None:
    """The least value that so many do not exceed: no value in between is made up."""
    values = [float(value) for value in range(1, 201)]
    assert (1.0, 100.0, 198.0, 200.0) == tuple(percentile(values, percent) for percent in (0, 50, 99, 100))
