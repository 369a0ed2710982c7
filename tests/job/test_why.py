"""Why a job has not run: each cause, staged, with its code first and when it clears."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from mainspring.job import (
    CODES,
    Cap,
    Fact,
    Held,
    Hold,
    Job,
    JobKey,
    Limit,
    Limits,
    Options,
    Outcome,
    Pause,
    Place,
    Pressure,
    Rate,
    Run,
    Scope,
    Situation,
    State,
    Strain,
    why,
)
from mainspring.schedule import Every, Period, Recurring
from mainspring.schedule.trigger import Blackout, CalendarUse
from tests.contract.build import BACKUPS, START, a_job, a_run

NOW = START + timedelta(minutes=10)
LATER, SOON = NOW + timedelta(hours=1), NOW + timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
NODE = Place("node-1", frozenset({BACKUPS}), 2)
GROUP, PRODUCT = Scope(*BACKUPS), Scope(BACKUPS.product)
PATCH = JobKey(BACKUPS.product, "patch")
HOLD = Hold(START, "it burns", "ann")
DAILY = Recurring(Every(Period(days=1)), START - timedelta(days=3))
WINDOW = Recurring(Every(Period(days=1)), START, window=timedelta(hours=3))
A, B, C = uuid4(), uuid4(), uuid4()
FIRST = a_job(id=A, waits_for=(C,))
SECOND = a_job(id=B, state=State.DONE, outcome=Outcome.CANCELLED)
BUSY = Pressure(2, START, START, START)
NIGHTS = CalendarUse("nights", blackout=Blackout.POSTPONE)


def ready(**changes: Any) -> Job:
    """Return a job that is due."""
    return a_job(fire_at=START, **changes)


def held(key: JobKey = BACKUPS, concurrency_key: str | None = None, node: str = "node-1") -> Held:
    """Return a run under way."""
    return Held(key, concurrency_key, uuid4(), 7, node, START)


def after_a_run(outcome: Outcome, reason: str | None = None, **changes: Any) -> Job:
    """Return a job that had a run of its fire time and waits."""
    job = ready(attempt=1, outcome=outcome, due_at=LATER, **changes)
    return job._replace(last_run=a_run(job, outcome=outcome, reason=reason))


def done(outcome: Outcome, reason: str | None = None) -> Job:
    """Return a job that is over."""
    job = ready(state=State.DONE, outcome=outcome, attempt=3)
    return job._replace(last_run=a_run(job, outcome=outcome, reason=reason, attempt=3))


def running(**changes: Any) -> Job:
    """Return a job that runs."""
    changes = {"due_at": START, "claimed_at": START, **changes}
    return ready(state=State.RUNNING, run=7, node="node-1", attempt=2, **changes)


def cap(*limits: Limit | Rate, scope: Scope = GROUP) -> list[Cap]:
    """Return limits of a scope."""
    return [Cap(scope, Limits.of(limits))]


def situation(**facts: Any) -> Situation:
    """Return a situation in which nothing holds a job back, but for these facts."""
    return Situation(**{"now": NOW, "places": [NODE], **facts})


CASES: dict[str, tuple[Job, Situation, str, Any]] = {
    "succeeded": (done(Outcome.SUCCEEDED), situation(), "DONE", None),
    "vetoed": (done(Outcome.VETOED, "not today"), situation(), "DONE", None),
    "gave up": (done(Outcome.FAILED, "boom"), situation(), "DEAD", None),
    "lost for good": (done(Outcome.LOST), situation(), "DEAD", None),
    "job paused": (ready(state=State.PAUSED, paused=True, hold=HOLD), situation(), "PAUSED", None),
    "job paused until": (
        ready(state=State.PAUSED, paused=True, hold=HOLD, resume_at=LATER),
        situation(),
        "PAUSED",
        LATER,
    ),
    "group paused": (ready(), situation(pauses=[Pause(GROUP, HOLD, LATER)]), "PAUSED", LATER),
    "product paused": (ready(), situation(pauses=[Pause(PRODUCT, HOLD)]), "PAUSED", None),
    "everything paused": (ready(), situation(pauses=[Pause(Scope(), HOLD)]), "PAUSED", None),
    "not due": (a_job(fire_at=LATER), situation(), "NOT_DUE", LATER),
    "expired": (ready(options=Options(expires_after=MINUTE)), situation(), "EXPIRED", None),
    "window": (ready(trigger=WINDOW, due_at=LATER, fire_time=START), situation(), "WINDOW", LATER),
    "blackout": (
        ready(trigger=Recurring(Every(Period(days=1)), START, calendar=NIGHTS), due_at=LATER, fire_time=START),
        situation(),
        "BLACKOUT",
        LATER,
    ),
    "backoff": (after_a_run(Outcome.FAILED, "boom"), situation(), "BACKOFF", LATER),
    "backoff after a time limit": (after_a_run(Outcome.TIMED_OUT), situation(), "BACKOFF", LATER),
    "postponed by veto": (after_a_run(Outcome.POSTPONED, "the owner sleeps"), situation(), "POSTPONED", LATER),
    "put off by a node that stopped": (after_a_run(Outcome.INTERRUPTED, "drain"), situation(), "POSTPONED", LATER),
    "no node": (ready(), situation(places=[]), "NO_NODE", None),
    "no plugin": (ready(), situation(places=[Place("node-2", frozenset({PATCH}), 9)]), "NO_PLUGIN", None),
    "quarantined": (ready(losses=2), situation(), "QUARANTINED", None),
    "group limit": (ready(), situation(caps=cap(Limit(1)), running=[held()]), "LIMIT", None),
    "product limit": (
        ready(),
        situation(caps=cap(Limit(1), scope=PRODUCT), running=[held(PATCH)]),
        "LIMIT",
        None,
    ),
    "key limit": (
        ready(concurrency_key="ams"),
        situation(caps=cap(Limit(1, by="key")), running=[held(PATCH, "ams")]),
        "LIMIT",
        None,
    ),
    "rate": (
        ready(),
        situation(caps=cap(Rate(1, MINUTE)), rates={"backups PT1M": SOON}),
        "RATE",
        SOON,
    ),
    "rate of a key": (
        ready(concurrency_key="ams"),
        situation(caps=cap(Rate(1, MINUTE, by="key")), rates={"key PT1M ams": SOON}),
        "RATE",
        SOON,
    ),
    "waits for others": (ready(waits_for=(A, B, C)), situation(awaited=[FIRST, SECOND]), "WAITS_FOR_JOBS", None),
    "left alone": (
        ready(concurrency_key="ams"),
        situation(pressures={"ams": Strain(BUSY._replace(until=SOON), 0)}),
        "BUSY_KEY",
        SOON,
    ),
    "one goes ahead": (
        ready(concurrency_key="ams"),
        situation(pressures={"ams": Strain(BUSY, 1)}, running=[held(PATCH, "ams")]),
        "BUSY_KEY",
        None,
    ),
    "borne no more": (
        ready(concurrency_key="ams"),
        situation(pressures={"ams": Strain(BUSY._replace(probes=False), 2)}, running=[held(PATCH, "ams")]),
        "BUSY_KEY",
        None,
    ),
    "slots full": (ready(), situation(running=[held(), held()]), "SLOTS_FULL", None),
    "not its turn": (ready(), situation(running=[held(), held()], ahead=3), "SHARE", None),
    "others have slots": (ready(), situation(running=[held(), held(PATCH)], weights=(1, 3)), "SHARE", None),
    "threads stuck": (ready(), situation(places=[NODE._replace(stuck=frozenset({BACKUPS}))]), "THREADS_FULL", None),
    "node in trouble": (ready(), situation(obstacle="jobs do not run: claims fail"), "STORE", None),
    "claimed ahead": (running(due_at=SOON), situation(), "CLAIMED", SOON),
    "running": (running(), situation(), "RUNNING", None),
    "being cancelled": (running(cancelling=True), situation(), "RUNNING", None),
    "running, and the next has come": (
        running(trigger=DAILY, fire_time=START - timedelta(days=1)),
        situation(),
        "OVERLAP",
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_cause_has_its_code_first(name: str) -> None:
    """And the time at which it clears; every sentence ends, and tells who and why where that is known."""
    job, staged, code, clears = CASES[name]

    first, *others = why(job, staged)

    assert (code, clears) == (first.code, first.clears)
    assert first.text.endswith(".")
    codes = [CODES.index(fact.code) for fact in (first, *others)]
    assert sorted(codes) == codes


def test_there_are_enough_cases() -> None:
    """Each code is staged but for the one that only follows another."""
    assert {*CODES} - {"LEASE_SILENT"} == {code for _, _, code, _ in CASES.values()}


def test_nothing_holds_back_what_begins_within_moments() -> None:
    """Though others run, and there are limits."""
    free = situation(caps=cap(Limit(2), Limit(1, by="key"), Rate(9, MINUTE)), running=[held(concurrency_key="ams")])

    assert [] == why(ready(concurrency_key="fra"), free)
    assert [] == why(ready(), free)


def test_several_facts_come_in_order() -> None:
    """Whoever clears one knows what is left."""
    staged = situation(
        pauses=[Pause(GROUP, HOLD), Pause(Scope(), HOLD)], caps=cap(Limit(1)), running=[held(), held()], places=[NODE]
    )
    found = why(ready(state=State.PAUSED, paused=True, hold=HOLD), staged)

    assert ["PAUSED", "PAUSED", "PAUSED", "LIMIT", "SLOTS_FULL"] == [fact.code for fact in found]
    assert [None, GROUP, Scope()] == [fact.scope for fact in found[:3]]
    assert [("ann", START)] * 3 == [(fact.by, fact.since) for fact in found[:3]]
    assert 2 == len(found[3].runs)


@pytest.mark.parametrize(
    ("places", "words"),
    [([], "is dead"), ([Place("node-2", frozenset(), 1)], "is dead"), ([NODE._replace(is_connected=False)], "session")],
)
def test_silent_node_is_told_of(places: list[Place], words: str) -> None:
    """After the run that is on it."""
    first, second = why(running(), situation(places=places))

    assert ("RUNNING", "LEASE_SILENT") == (first.code, second.code)
    assert words in second.text


SENTENCES: list[tuple[Callable[[], Fact], str]] = [
    (lambda: why(done(Outcome.FAILED, "boom"), situation())[0], "attempt 3 failed: boom"),
    (lambda: why(done(Outcome.VETOED, "not today"), situation())[0], "it was vetoed: not today"),
    (lambda: why(done(Outcome.TIMED_OUT), situation())[0], "attempt 3 took longer than it may"),
    (lambda: why(ready(), situation(pauses=[Pause(GROUP, HOLD)]))[0], "The group vps4/backups is paused"),
    (
        lambda: why(ready(), situation(pauses=[Pause(Scope(), HOLD, LATER)]))[0],
        "Everything is paused until 2026-01-01T",
    ),
    (lambda: why(running(cancelling=True), situation())[0], "is being cancelled"),
    (lambda: why(ready(), situation(places=[Place("n", frozenset(), 1)]))[0], "alive are n."),
]


@pytest.mark.parametrize("number", range(len(SENTENCES)))
def test_sentences_say_what_there_is_to_say(number: int) -> None:
    """Reasons are shown as they were given."""
    stage, words = SENTENCES[number]
    assert words in stage().text


def test_run_of_another_fire_time_explains_nothing() -> None:
    """A series that failed yesterday is not in its backoff."""
    job = a_job(fire_at=LATER, trigger=DAILY, due_at=LATER, fire_time=LATER, outcome=Outcome.FAILED)
    yesterday: Run = a_run(job, outcome=Outcome.FAILED)._replace(fire_time=START - timedelta(days=1))

    assert ["NOT_DUE"] == [fact.code for fact in why(job._replace(last_run=yesterday), situation())]
