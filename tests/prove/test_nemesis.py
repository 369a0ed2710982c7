"""Plans are drawn from a seed: the same seed gives the same plan, and a long one leaves no failpoint out."""

from random import Random

from mainspring.failpoint import NAMES, armed
from prove.nemesis import fates


def test_same_seed_same_plan() -> None:
    """A trial that failed can be repeated."""
    assert fates(Random(7), 60, 5.0) == fates(Random(7), 60, 5.0)
    assert fates(Random(7), 60, 5.0) != fates(Random(8), 60, 5.0)


def test_each_failpoint_has_its_turn() -> None:
    """Of as many deaths as there are failpoints none is spared, and the rest come at random moments."""
    plan = fates(Random(1), 60, 5.0)
    assert set(NAMES) == {fate.failpoint for fate in plan if fate.failpoint}
    assert 60 - len(NAMES) == sum(fate.arm == "" for fate in plan)


def test_arms_can_be_read() -> None:
    """Each plan is one that a process accepts."""
    assert all(armed(fate.arm) for fate in fates(Random(1), 60, 5.0))
