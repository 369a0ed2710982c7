from collections.abc import Callable
from dataclasses import replace

import pytest

from mainspring.node.failure_detector import Evidence, FailureDetector
from mainspring.store import NodeBeat

OTHER = NodeBeat("other", beat=5)
CUT = replace(OTHER, connected=False)


@pytest.fixture
def graves() -> set[str]:
    """Names of nodes whose death can be proven."""
    return set()


@pytest.fixture
def observer(graves: set[str]) -> FailureDetector:
    """One who beats each second and has a lease of ten."""
    return FailureDetector(lease=10, beat=1, died=lambda node: node.name in graves)


def watch(observer: FailureDetector, seconds: range, state: Callable[[int], NodeBeat]) -> tuple[int, Evidence] | None:
    """Look each second; return when and by what the node was found dead."""
    for second in seconds:
        for _, evidence in observer.look([state(second)], float(second)):
            return second, evidence
    return None


def test_node_that_beats_lives(observer: FailureDetector) -> None:
    """For as long as its beat moves, whatever else is the matter with it."""
    assert watch(observer, range(100), lambda n: replace(CUT, beat=n // 2)) is None


def test_silent_node_is_dead_after_a_lease(observer: FailureDetector) -> None:
    """Not before, if its session is still there."""
    assert (10, Evidence.SILENT) == watch(observer, range(100), lambda _: OTHER)


def test_node_without_session_is_dead_after_three_beats(observer: FailureDetector) -> None:
    """A session that is gone makes a silent node suspect."""
    assert (3, Evidence.SUSPECTED) == watch(observer, range(100), lambda _: CUT)


def test_session_that_is_gone_alone_proves_nothing(observer: FailureDetector) -> None:
    """A node whose sessions are cut each five seconds goes on beating, and lives."""
    assert watch(observer, range(60), lambda n: replace(OTHER, beat=n // 2, connected=bool(n % 5))) is None


def test_patient_node_has_its_whole_lease(observer: FailureDetector) -> None:
    """What must not overlap is not given away before its node has stopped it."""
    assert (10, Evidence.SILENT) == watch(observer, range(100), lambda _: replace(CUT, patient=True))


def test_proven_death_needs_no_waiting(observer: FailureDetector, graves: set[str]) -> None:
    """It counts at the first look, for patient nodes too."""
    graves.add("other")

    assert (0, Evidence.PROVEN) == watch(observer, range(100), lambda _: replace(OTHER, patient=True))


def test_beat_that_moved_starts_the_watch_anew(observer: FailureDetector) -> None:
    """Late is not dead."""
    assert watch(observer, range(9), lambda _: OTHER) is None
    assert watch(observer, range(9, 18), lambda _: replace(OTHER, beat=6)) is None
    assert (19, Evidence.SILENT) == watch(observer, range(18, 100), lambda _: replace(OTHER, beat=6))


def test_who_was_away_watches_anew(observer: FailureDetector) -> None:
    """After an outage nobody is dead for a beat that nobody could have made, or seen."""
    assert watch(observer, range(3), lambda _: CUT) is None
    observer.forget()
    assert (63, Evidence.SUSPECTED) == watch(observer, range(60, 100), lambda _: CUT)


def test_new_life_under_an_old_name_is_watched_from_its_beginning(observer: FailureDetector) -> None:
    """A name that was away from the list is no longer what it was."""
    assert watch(observer, range(9), lambda _: OTHER) is None
    assert [] == list(observer.look([], 9.0))
    assert (20, Evidence.SILENT) == watch(observer, range(10, 100), lambda _: OTHER)
