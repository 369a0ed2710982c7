"""The judge of races finds an order where there is one, and none where an answer or a run does not fit."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest

from prove.linear import has_order
from prove.race import Begun, Call, Deed, Ended, Facts, Shown, step
from prove.record import Mark
from prove.scenarios.races import BY_DELETION, deeds_of_nodes, too_late

JOB = UUID(int=7)
DUE = datetime(2026, 1, 1, tzinfo=UTC)
MOVED = DUE + timedelta(hours=1)
START = Facts(JOB, DUE, DUE)
RUN = 5


def shown(state: str, version: int, due: datetime | None = None, **more: Any) -> Shown:
    """Return what an answer shows."""
    return Shown(state, version, more.get("paused", False), more.get("attempt", 0), more.get("run"), due)


def call(what: str, since: float, until: float, told: Shown | int | tuple[int, str], **sent: Any) -> Call:
    """Return a call with its answer: a job, a status, or a status and a code."""
    if isinstance(told, Shown):
        return Call(what, since, until, 200, None, told, **sent)
    status, code = told if isinstance(told, tuple) else (told, None)
    return Call(what, since, until, status, code, **sent)


def begun(until: float, fire: datetime = DUE, *, late: float = 0.0, attempt: int = 1, run: int = RUN) -> Begun:
    """Return a claim, and its run that began then, so many seconds after its fire time."""
    return Begun(run, 0.0, until, fire + timedelta(seconds=late), attempt, uuid5(JOB, fire.isoformat()))


def ended(since: float, outcome: str = "succeeded", run: int = RUN) -> Ended:
    """Return the end of a run."""
    return Ended(run, since, 100.0, outcome)


def fits(*deeds: Deed) -> bool:
    """Tell whether there is an order."""
    return has_order(deeds, START, step)


RUNNING: dict[str, Any] = {"attempt": 1, "run": RUN}
GONE = (404, "NOT_FOUND")
LEGAL: dict[str, Sequence[Deed]] = {
    "held, let go, run": [
        call("pause", 0, 1, shown("paused", 2, DUE, paused=True)),
        call("resume", 2, 3, shown("scheduled", 3, DUE)),
        begun(4),
        call("get", 5, 6, shown("running", 4, **RUNNING)),
        ended(7),
        call("get", 101, 102, shown("done", 5, attempt=1)),
    ],
    "moved, and run at its new time": [
        call("patch", 0, 1, shown("scheduled", 2, MOVED), when=MOVED),
        begun(4, MOVED),
        ended(5),
        call("get", 101, 102, shown("done", 4, attempt=1)),
    ],
    "moved too late": [
        call("patch", 0, 1, (409, "JOB_RUNNING"), when=MOVED),
        begun(4),
        ended(5),
        call("patch", 101, 102, (409, "JOB_FINISHED"), when=MOVED),
    ],
    "deleted": [call("delete", 0, 1, 204), call("get", 2, 3, GONE)],
    "deleted after it was claimed": [call("delete", 1, 2, 204), begun(3)],
    "deleted by one of two": [call("delete", 0, 3, 204), call("delete", 1, 2, GONE)],
    "cancelled while it ran": [
        begun(1),
        call("cancel", 2, 3, shown("running", 3, **RUNNING)),
        ended(4, "cancelled"),
        call("get", 101, 102, shown("done", 4, attempt=1)),
    ],
    "cancelled before": [
        call("cancel", 0, 1, shown("done", 2)),
        call("fire", 2, 3, (409, "JOB_FINISHED")),
        call("retry", 4, 5, (409, "JOB_NOT_DEAD")),
    ],
    "fired ahead": [
        call("fire", 0, 1, shown("scheduled", 2, DUE - timedelta(1))),
        begun(2, DUE - timedelta(1)),
        ended(3),
    ],
    "failed and retried": [
        begun(1),
        ended(1, "failed"),
        call("retry", 2, 3, shown("scheduled", 4, MOVED, attempt=1)),
        begun(4, late=3600, attempt=2, run=6),
        ended(5, run=6),
        call("get", 101, 102, shown("done", 6, attempt=2)),
    ],
    "not of this version": [call("patch", 0, 1, (412, "PRECONDITION_FAILED"), when=MOVED, match=3)],
    "not known, and done": [call("pause", 0, 100, 503), call("get", 2, 3, shown("paused", 2, DUE, paused=True))],
    "not known, and not done": [call("pause", 0, 100, 503), call("get", 2, 3, shown("scheduled", 1, DUE))],
    "not known, and done later": [
        call("fire", 0, 100, 0),
        call("get", 2, 3, shown("scheduled", 1, DUE)),
        begun(4, MOVED),
        call("get", 5, 6, shown("running", 3, **RUNNING)),
    ],
    "read while it is written": [
        call("pause", 0, 5, shown("paused", 2, DUE, paused=True)),
        call("get", 1, 2, shown("paused", 2, DUE, paused=True)),
        call("get", 3, 4, shown("paused", 2, DUE, paused=True)),
    ],
}
ILLEGAL: dict[str, Sequence[Deed]] = {
    "deleted, and succeeded later": [call("delete", 0, 1, 204), begun(3), ended(4)],
    "moved, and run at the old time": [
        call("patch", 0, 1, shown("scheduled", 2, MOVED), when=MOVED),
        begun(4),
        ended(5),
    ],
    "moved, and run before its new time": [
        call("patch", 0, 1, shown("scheduled", 2, MOVED), when=MOVED),
        begun(4, MOVED, late=-0.001),
        ended(5),
    ],
    "moved, and run at both times": [
        begun(1),
        ended(1),
        call("patch", 0, 2, shown("scheduled", 2, MOVED), when=MOVED),
        begun(4, MOVED, run=6),
        ended(5, run=6),
    ],
    "refused to be moved for a run that there is not": [call("patch", 0, 1, (409, "JOB_RUNNING"), when=MOVED)],
    "refused as done, and run afterwards": [call("fire", 0, 1, (409, "JOB_FINISHED")), begun(4), ended(4)],
    "deleted twice": [call("delete", 0, 2, 204), call("delete", 1, 3, 204)],
    "there after it was deleted": [call("delete", 0, 1, 204), call("get", 2, 3, shown("scheduled", 1, DUE))],
    "gone without a deletion": [call("get", 2, 3, GONE)],
    "run while it was held": [
        call("pause", 0, 1, shown("paused", 2, DUE, paused=True)),
        begun(2),
        ended(3),
        call("resume", 101, 102, shown("scheduled", 3, DUE)),
    ],
    "cancelled before, and run": [call("cancel", 0, 1, shown("done", 2)), begun(2)],
    "cancelled while it ran, and succeeded": [
        begun(1),
        call("cancel", 2, 3, shown("running", 3, **RUNNING)),
        ended(4),
    ],
    "cancelled by nobody": [begun(1), ended(2, "cancelled")],
    "run twice": [begun(1), ended(2), begun(4, run=6, attempt=2), ended(5, run=6)],
    "ended twice": [begun(1), ended(2), ended(3)],
    "begun and never ended": [begun(1), call("get", 101, 102, shown("done", 3, attempt=1))],
    "neither moved nor run": [
        call("patch", 0, 1, (409, "JOB_RUNNING"), when=MOVED),
        call("get", 101, 102, shown("scheduled", 1, DUE)),
    ],
    "retried by two": [
        begun(1),
        ended(1, "failed"),
        call("retry", 101, 103, shown("scheduled", 4, MOVED, attempt=1)),
        call("retry", 102, 104, shown("scheduled", 5, MOVED, attempt=1)),
    ],
    "held by two with one version": [
        call("pause", 0, 2, shown("paused", 2, DUE, paused=True)),
        call("resume", 1, 3, shown("scheduled", 2, DUE)),
    ],
    "an older read after a newer one": [
        call("pause", 0, 5, shown("paused", 2, DUE, paused=True)),
        call("get", 1, 2, shown("paused", 2, DUE, paused=True)),
        call("get", 3, 4, shown("scheduled", 1, DUE)),
    ],
    "the version was right": [call("patch", 0, 1, (412, "PRECONDITION_FAILED"), when=MOVED, match=1)],
    "the version was not right": [call("delete", 0, 1, 204, match=2)],
    "refused for nothing": [call("cancel", 0, 1, (409, "CONFLICT"))],
    "not known, and done twice": [call("resume", 0, 100, 503), call("get", 2, 3, shown("scheduled", 2, DUE))],
    "not known, and done halfway": [
        call("pause", 0, 100, 503),
        call("get", 2, 3, shown("paused", 2, DUE, paused=True)),
        call("get", 4, 5, shown("scheduled", 1, DUE)),
    ],
}


@pytest.mark.parametrize("name", LEGAL)
def test_legal(name: str) -> None:
    """What may happen has an order, in whichever order it is told."""
    deeds = LEGAL[name]
    assert fits(*deeds)
    assert fits(*deeds[::-1])


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal(name: str) -> None:
    """What must not happen has none."""
    assert not fits(*ILLEGAL[name])


def _changed(deed: Deed) -> list[Deed]:
    """Return a deed with each thing changed that was told of it."""
    if isinstance(deed, Begun):
        return [deed._replace(attempt=9), deed._replace(occurrence=UUID(int=1)), deed._replace(run=99)]
    if isinstance(deed, Ended):
        return [deed._replace(run=99), deed._replace(outcome="lost" if deed.outcome == "cancelled" else "cancelled")]
    if deed.shown is None:
        return [deed._replace(status=418), deed._replace(status=409, code="CONFLICT")]
    other = [
        deed.shown._replace(version=deed.shown.version + 1),
        deed.shown._replace(version=deed.shown.version - 1),
        deed.shown._replace(state="running" if deed.shown.state != "running" else "scheduled"),
        deed.shown._replace(paused=not deed.shown.paused),
        deed.shown._replace(attempt=deed.shown.attempt + 1),
        deed.shown._replace(run=98),
    ]
    return [deed._replace(status=404, code="NOT_FOUND", shown=None), *(deed._replace(shown=each) for each in other)]


@pytest.mark.parametrize("name", [name for name in LEGAL if not name.startswith("not known")])
def test_each_thing_that_is_told_matters(name: str) -> None:
    """No answer, no claim and no end of a legal story can be another one."""
    deeds = LEGAL[name]
    for number, deed in enumerate(deeds):
        for changed in _changed(deed):
            told = [*deeds[:number], changed, *deeds[number + 1 :]]
            assert not fits(*told) or _is_free(name, deed, changed), changed


def _is_free(name: str, deed: Deed, changed: Deed) -> bool:
    """Tell whether nothing else bears witness: a run that no end and no reader names may have any number."""
    if isinstance(deed, Begun) and isinstance(changed, Begun):
        return name == "deleted after it was claimed" and deed.run != changed.run
    return False


def a_mark(what: str, run: int, at: float) -> Mark:
    """Return a line of a job about itself."""
    return Mark(what, str(JOB), str(uuid5(JOB, DUE.isoformat())), 1, run, 1, at, DUE.timestamp() + at)


def a_row(run: int, outcome: str = "succeeded", attempt: int = 1, reason: str | None = None) -> dict[str, Any]:
    """Return a row of history."""
    return {"run": run, "outcome": outcome, "attempt": attempt, "reason": reason}


def test_what_is_known_of_nodes() -> None:
    """Each run that began or ended was claimed; it was ended by its node if history says so and no deletion did it."""
    marks = [a_mark("start", 1, 5.0), a_mark("end", 1, 6.0), a_mark("start", 2, 7.0)]
    rows = [
        a_row(1),
        a_row(2, "cancelled", reason=BY_DELETION),
        a_row(3, "cancelled"),
        a_row(4, "cancelled", attempt=0),
    ]

    found = deeds_of_nodes(rows, marks, 50.0)

    assert {(1, 5.0), (2, 7.0), (3, 50.0)} == {(deed.run, deed.until) for deed in found if isinstance(deed, Begun)}
    assert {(1, 6.0), (3, 0.0)} == {(deed.run, deed.since) for deed in found if isinstance(deed, Ended)}


def test_what_began_too_late() -> None:
    """That is told of jobs that were deleted, and of no others."""
    marks = [a_mark("start", 1, 5.0), a_mark("end", 1, 9.0)]

    assert [3.0] == too_late([call("delete", 1, 2, 204)], marks)
    assert [] == too_late([call("delete", 1, 2, GONE)], marks)
    assert [] == too_late([call("delete", 5, 6, 204)], marks)
