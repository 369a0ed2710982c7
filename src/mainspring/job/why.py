"""Why a job has not run, or ended as it did: every fact that holds it back, in order. Pure.

The codes, and their order, are those of docs/api.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mainspring.job.job import Job, State
from mainspring.job.key import JobKey
from mainspring.job.limits import Candidate, Cap, Gate, Limits, Load
from mainspring.job.pause import Hold, Level, Pause, Scope, pauses_of
from mainspring.job.pressure import Strain
from mainspring.job.retry import is_quarantined
from mainspring.job.run import DEADLY, Outcome
from mainspring.schedule import Once, format_duration, format_time

CODES = (
    "DONE",
    "DEAD",
    "PAUSED",
    "NOT_DUE",
    "EXPIRED",
    "WAITS_FOR_JOBS",
    "BLACKOUT",
    "WINDOW",
    "OVERLAP",
    "BACKOFF",
    "POSTPONED",
    "NO_PLUGIN",
    "NO_NODE",
    "QUARANTINED",
    "LIMIT",
    "RATE",
    "BUSY_KEY",
    "SHARE",
    "SLOTS_FULL",
    "THREADS_FULL",
    "CLAIMED",
    "RUNNING",
    "LEASE_SILENT",
    "STORE",
)
"""All codes, in order."""
MOST_AHEAD = 1000
"""How many jobs are counted that go before one."""
MOST_NAMED = 5
"""How many nodes, or jobs, a sentence names."""
_AGAIN = frozenset({Outcome.POSTPONED, Outcome.INTERRUPTED})


class Held(NamedTuple):
    """A run under way, and what it holds: a place of its group and of its key, and a slot of its node."""

    key: JobKey
    concurrency_key: str | None
    job_id: UUID
    run: int
    node: str
    since: datetime


class Place(NamedTuple):
    """A node that has a row: which groups it runs, how many jobs at once, and whether its session is there.

    Of the groups that are `stuck` it has no thread left. One that is drained begins no more jobs.
    """

    name: str
    groups: frozenset[JobKey]
    slots: int
    is_connected: bool = True
    stuck: frozenset[JobKey] = frozenset()
    is_drained: bool = False


class Situation(NamedTuple):
    """All that decides whether a job may begin, as it is by the store's time `now`.

    `ahead` is how many jobs of its group go before it, `weights` are those of its product and its group, and `obstacle`
    is what keeps the node that is asked from running jobs.
    """

    now: datetime
    pauses: Sequence[Pause] = ()
    caps: Sequence[Cap] = ()
    running: Sequence[Held] = ()
    rates: Mapping[str, datetime] = {}
    pressures: Mapping[str, Strain] = {}
    awaited: Sequence[Job] = ()
    places: Sequence[Place] = ()
    ahead: int = 0
    weights: tuple[int, int] = (1, 1)
    obstacle: str | None = None


class Fact(NamedTuple):
    """Something that holds a job back: since when, when it clears, as far as that is known, and who brought it about.

    `scope` is the group or product whose pause or limits it is, `runs` are those that are in the way, and `jobs` those
    that it waits for.
    """

    code: str
    text: str
    since: datetime | None = None
    clears: datetime | None = None
    by: str | None = None
    scope: Scope | None = None
    runs: Sequence[Held] = ()
    jobs: Sequence[Job] = ()


def why(job: Job, situation: Situation) -> list[Fact]:
    """Return every fact that holds a job back, in order; none if it begins within moments.

    A job that runs tells of its run, and one that is done of its end.
    """
    if job.state is State.DONE:
        return [_end(job)]
    facts = [*_pauses(job, situation)]
    trouble = [Fact("STORE", f"The node that was asked says: {situation.obstacle}.")] if situation.obstacle else []
    if job.state is State.RUNNING:
        return [*facts, *_overlap(job, situation), *_run(job, situation), *trouble]
    due = sorted([*_not_yet(job, situation.now), *_waits(job, situation)], key=lambda fact: CODES.index(fact.code))
    return [*facts, *due, *_nobody(job, situation), *([] if due else _no_room(job, situation)), *trouble]


def _end(job: Job) -> Fact:
    run = job.last_run
    if run is None:
        return Fact("DONE", "The job is done.", since=job.updated_at)
    reason = f": {run.reason}" if run.reason else ""
    if job.is_dead:
        text = f"The job gave up: attempt {run.attempt} {_words(run.outcome)}{reason}. It can be retried."
        return Fact("DEAD", text, since=run.finished_at)
    return Fact("DONE", f"The job is done: it {_words(run.outcome)}{reason}.", since=run.finished_at)


def _words(outcome: Outcome) -> str:
    return {Outcome.TIMED_OUT: "took longer than it may", Outcome.LOST: "was lost with its node"}.get(
        outcome, f"was {outcome.value}" if outcome in _PASSIVE else outcome.value
    )


_PASSIVE = frozenset({Outcome.VETOED, Outcome.POSTPONED, Outcome.SKIPPED, Outcome.CANCELLED, Outcome.INTERRUPTED})


# --- before it is due -------------------------------------------------------------------------------------------------


def _pauses(job: Job, situation: Situation) -> Iterator[Fact]:
    if job.damage is not None:
        yield Fact("PAUSED", f"{job.damage.reason}. PATCH the job with what it should be, or delete it.")
    elif job.paused:
        yield _paused("The job", job.hold, job.resume_at)
    for pause in pauses_of(situation.pauses, job.key):
        level = pause.scope.level
        name = "Everything" if level is Level.EVERYTHING else f"The {level.value} {pause.scope}"
        yield _paused(name, pause.hold, pause.until)._replace(scope=pause.scope)


def _paused(what: str, hold: Hold | None, until: datetime | None) -> Fact:
    reason = f": {hold.reason}" if hold and hold.reason else ""
    ends = f" until {format_time(until)}" if until else "; it has to be resumed"
    return Fact("PAUSED", f"{what} is paused{ends}{reason}.", hold and hold.at, until, hold and hold.by)


def _not_yet(job: Job, now: datetime) -> Iterator[Fact]:
    """Say why a job is not due, or that it comes too late."""
    if job.due_at <= now:
        latest = job.options.expires_after
        if latest is not None and job.fire_time + latest < now:
            text = f"It should have begun within {format_duration(latest)} of its fire time; it will be skipped."
            yield Fact("EXPIRED", text, since=job.fire_time + latest)
        return
    when = format_time(job.due_at)
    run = job.last_run if job.last_run and job.last_run.fire_time == job.fire_time else None
    if run is not None and run.outcome in _AGAIN:
        reason = f": {run.reason}" if run.reason else ""
        yield Fact("POSTPONED", f"It was put off until {when}{reason}.", run.finished_at, job.due_at)
    elif run is not None and run.outcome in DEADLY:
        text = f"Attempt {run.attempt} {_words(run.outcome)}; the next one begins at {when}."
        yield Fact("BACKOFF", text, run.finished_at, job.due_at)
    elif job.fire_time <= now or job.due_at > job.fire_time:
        yield _later(job, when)
    else:
        yield Fact("NOT_DUE", f"It is due at {when}.", job.updated_at, job.due_at)


def _waits(job: Job, situation: Situation) -> Iterator[Fact]:
    """Name the jobs that it waits for."""
    if not job.waits_for:
        return
    there = {each.id: each for each in situation.awaited}
    states = []
    for awaited in job.waits_for[:MOST_NAMED]:
        other = there.get(awaited)
        if other is None:
            states.append(f"{awaited}, which is gone")
        elif other.state is State.DONE:
            states.append(f"{awaited}, which is done and did not succeed")
        else:
            states.append(f"{awaited} ({'waits too' if other.waits_for else other.state.value})")
    more = len(job.waits_for) - len(states)
    text = f"It waits for the end of {', '.join(states)}{f' and {more} more' if more > 0 else ''}."
    yield Fact("WAITS_FOR_JOBS", text, since=job.updated_at, jobs=[*there.values()])


def _later(job: Job, when: str) -> Fact:
    """Say why a job is due later than its fire time."""
    trigger = job.trigger
    if not isinstance(trigger, Once) and trigger.calendar is not None and trigger.calendar.postpones:
        latest = job.fire_time + trigger.window + trigger.jitter
        if job.due_at > latest:
            text = f"The calendar {trigger.calendar.name} rules its fire time out; it begins at {when}."
            return Fact("BLACKOUT", text, job.fire_time, job.due_at)
    if not isinstance(trigger, Once) and (trigger.window or trigger.jitter):
        text = f"Its place in the window of the schedule is {when}."
        return Fact("WINDOW", text, job.fire_time, job.due_at)
    return Fact("NOT_DUE", f"It is due at {when}.", job.updated_at, job.due_at)


# --- who could run it -------------------------------------------------------------------------------------------------


def _nobody(job: Job, situation: Situation) -> Iterator[Fact]:
    if not situation.places:
        yield Fact("NO_NODE", "No node is alive.")
    elif not _able(job, situation):
        names = ", ".join(place.name for place in situation.places[:MOST_NAMED])
        yield Fact("NO_PLUGIN", f"No node that is alive has a plugin for {job.key}; alive are {names}.")
    elif all(place.is_drained for place in _able(job, situation)):
        names = ", ".join(place.name for place in _able(job, situation)[:MOST_NAMED])
        yield Fact("NO_NODE", f"Every node that has a plugin for {job.key} is drained: {names}. Resume one of them.")
    if is_quarantined(job):
        text = f"{job.losses} nodes died under it: it runs in a worker process of its own, when one is free."
        yield Fact("QUARANTINED", text)


def _able(job: Job, situation: Situation) -> list[Place]:
    return [place for place in situation.places if job.key in place.groups]


def _no_room(job: Job, situation: Situation) -> Iterator[Fact]:
    """Say what else keeps a job that is due from beginning."""
    yield from _limits(job, situation)
    yield from _rates(job, situation)
    yield from _busy(job, situation)
    able = _able(job, situation)
    slots = sum(place.slots for place in able)
    names = {place.name for place in able}
    busy = [held for held in situation.running if held.node in names]
    is_full = bool(able) and len(busy) >= slots
    if is_full and (situation.ahead or any(held.key != job.key for held in busy)):
        yield _share(job, situation, busy)
    if is_full:
        text = f"All {slots} slots of the nodes that have its plugin are taken."
        yield Fact("SLOTS_FULL", text, runs=busy)
    if able and all(job.key in place.stuck for place in able):
        text = "All threads that could run it go on with runs whose time was over; the node's log says where."
        yield Fact("THREADS_FULL", text)


def _share(job: Job, situation: Situation, busy: Sequence[Held]) -> Fact:
    """Say which place a job has among those that wait for a slot."""
    own = sum(held.key == job.key for held in busy)
    ahead = f"{situation.ahead}{'' if situation.ahead < MOST_AHEAD else ' or more'}"
    of_product, of_group = situation.weights
    weights = f"weight {of_group}, of its product {of_product}"
    text = f"{ahead} jobs of {job.key} go before it; the group has {own} of {len(busy)} slots ({weights})."
    return Fact("SHARE", text)


def _limits(job: Job, situation: Situation) -> Iterator[Fact]:
    for scope, limits in situation.caps:
        for limit in limits.concurrency:
            if limit.by and job.concurrency_key is None:
                continue
            runs = [held for held in situation.running if _counts(held, job, scope, by_key=bool(limit.by))]
            if len(runs) >= limit.limit:
                of = f"the concurrency key {job.concurrency_key!r}" if limit.by else str(scope)
                text = f"{len(runs)} jobs of {of} run, and the limit of {scope} is {limit.limit}."
                yield Fact("LIMIT", text, scope=scope, runs=runs)


def _counts(held: Held, job: Job, scope: Scope, *, by_key: bool) -> bool:
    if by_key:
        return held.key.product == job.key.product and held.concurrency_key == job.concurrency_key
    return scope.has(held.key)


def _rates(job: Job, situation: Situation) -> Iterator[Fact]:
    load = Load({}, {}, situation.rates)
    for scope, limits in situation.caps:
        for rate in limits.rates:
            gate = Gate([Cap(scope, Limits(rates=(rate,)))], load, situation.now)
            gate.let_through([Candidate(job.id, job.concurrency_key, job.due_at)], 1)
            if gate.again is not None:
                of = f"the concurrency key {job.concurrency_key!r}" if rate.by else str(scope)
                text = f"{rate.limit} jobs of {of} begin in {format_duration(rate.per)} at most; others went first."
                yield Fact("RATE", text, clears=gate.again, scope=scope)


def _busy(job: Job, situation: Situation) -> Iterator[Fact]:
    """Say that the service behind the job's key bears no more."""
    strain = situation.pressures.get(job.concurrency_key or "")
    pressure = strain and strain.pressure
    if strain is None or pressure is None:
        return
    runs = [held for held in situation.running if _counts(held, job, Scope(), by_key=True)]
    last_began = max((held.since for held in runs), default=None)
    if pressure.allows(strain.running, last_began, situation.now):
        return
    of = f"The service behind the concurrency key {job.concurrency_key!r}"
    if situation.now < pressure.until:
        text = f"{of} is busy: it is left alone until {format_time(pressure.until)}, and then one job goes ahead."
        yield Fact("BUSY_KEY", text, pressure.busy_at, pressure.until)
    elif pressure.probes:
        text = f"{of} was busy: one job goes ahead, and when it succeeds others follow."
        yield Fact("BUSY_KEY", text, pressure.busy_at, runs=runs)
    else:
        text = f"{of} was busy: it bears {pressure.limit} jobs at once, as far as is known, and so many run."
        yield Fact("BUSY_KEY", text, pressure.busy_at, runs=runs)


# --- while it runs ----------------------------------------------------------------------------------------------------


def _overlap(job: Job, situation: Situation) -> Iterator[Fact]:
    following = job.next_run
    if following is not None and following <= situation.now:
        text = f"The occurrence of {format_time(following)} came while this one runs."
        yield Fact("OVERLAP", text, since=following)


def _run(job: Job, situation: Situation) -> Iterator[Fact]:
    begins = job.begins_at or job.updated_at
    what = "is being cancelled" if job.cancelling else "is under way"
    if begins > situation.now:
        text = f"Node {job.node} has taken it and begins it at {format_time(begins)}."
        yield Fact("CLAIMED", text, job.claimed_at, begins)
    else:
        yield Fact("RUNNING", f"Run {job.run} (attempt {job.attempt}) {what} on node {job.node}.", since=begins)
    place = next((place for place in situation.places if place.name == job.node), None)
    if place is None:
        yield Fact("LEASE_SILENT", f"Node {job.node} is dead; the others take its jobs over within moments.")
    elif not place.is_connected:
        text = f"Node {job.node} has lost its session with the store; if it stays silent others take its jobs over."
        yield Fact("LEASE_SILENT", text)
