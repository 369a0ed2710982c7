"""Misfires: what becomes of occurrences that could not start in time, and of those that came while the job ran. Pure.

`late` is asked before a run, `following` after it. Both answer which occurrence the job is to have next, and account
for each that will have no run of its own.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from mainspring.schedule.text import MICROSECOND, format_duration, format_time
from mainspring.schedule.trigger import MisfirePolicy, Once, Overlap, Recurring, Trigger, spread


class Fate(StrEnum):
    """What became of occurrences that have no run of their own."""

    SKIPPED = "skipped"
    COALESCED = "coalesced"
    """Another run covers them."""


class Unrun(NamedTuple):
    """Occurrences in a row that will have no run, from the fire time `first` to `last`, and why."""

    first: datetime
    last: datetime
    number: int
    fate: Fate
    reason: str


class Decision(NamedTuple):
    """Which occurrence a job is to have next (`None`: there is none), and which were passed over on the way to it.

    `not_before` holds it back, so that a job that catches up does so at its pace.
    """

    fire_time: datetime | None
    unrun: tuple[Unrun, ...] = ()
    not_before: datetime | None = None


def late(trigger: Trigger, pending: datetime, *, due_at: datetime, now: datetime, job_id: UUID) -> Decision:
    """Decide, at `now`, about the occurrence `pending` that was due at `due_at` and has not started.

    It starts if it is the answer's `fire_time`; else the job waits for that one.
    """
    if isinstance(trigger, Once):
        return Decision(pending)
    unrun: list[Unrun] = []
    chosen: datetime | None = pending
    latest, due = trigger.latest, _due_by(trigger, now, job_id)
    if latest is not None and now - due_at > latest:
        chosen = trigger.next_fire_time(max(due - latest - MICROSECOND, pending))
        reason = f"it could not start within its grace of {format_duration(latest)}"
        unrun += _between(trigger, pending, chosen, due, Fate.SKIPPED, reason)
    if chosen is not None and trigger.misfire.policy is MisfirePolicy.FIRE_ALL:
        over = trigger.number(chosen, due) - trigger.misfire.cap
        if over > 0:
            dropped, chosen = chosen, trigger.nth(chosen, over)
            reason = f"no more than {trigger.misfire.cap} missed occurrences are caught up with"
            unrun += _between(trigger, dropped, chosen, due, Fate.SKIPPED, reason)
    return Decision(chosen, tuple(unrun))


def following(trigger: Trigger, ran: datetime, *, started_at: datetime, now: datetime, job_id: UUID) -> Decision:
    """Decide, at `now`, what comes after the occurrence `ran`, whose run began at `started_at` and has just ended.

    What was missed before the run began goes by the misfire policy, what came while it ran by the overlap policy. Under
    `FIRE_ALL` all of it is caught up with.
    """
    pending = trigger.next_fire_time(ran)
    if isinstance(trigger, Once) or pending is None or trigger.due_at(pending, job_id) > now:
        return Decision(pending)
    if trigger.misfire.policy is MisfirePolicy.FIRE_ALL:
        decision = late(trigger, pending, due_at=trigger.due_at(pending, job_id), now=now, job_id=job_id)
        return decision._replace(not_before=started_at + trigger.misfire.spacing)
    before, meanwhile = _due_by(trigger, started_at, job_id), _due_by(trigger, now, job_id)
    unrun: list[Unrun] = []
    if pending <= before and trigger.misfire.policy is MisfirePolicy.FIRE_NOW:
        missed, pending = pending, trigger.next_fire_time(before)
        reason = f"the late run for {format_time(ran)} covers it"
        unrun += _between(trigger, missed, pending, before, Fate.COALESCED, reason)
    elif pending <= before:
        decision = late(trigger, pending, due_at=trigger.due_at(pending, job_id), now=now, job_id=job_id)
        unrun, pending = [*decision.unrun], decision.fire_time
        if pending is not None and pending <= before:
            return decision
    if pending is not None and pending <= meanwhile and trigger.overlap is Overlap.SKIP:
        overlapped, pending = pending, trigger.next_fire_time(meanwhile)
        reason = f"the run for {format_time(ran)} was under way"
        unrun += _between(trigger, overlapped, pending, meanwhile, Fate.SKIPPED, reason)
    if pending is None:
        return Decision(None, tuple(unrun))
    decision = late(trigger, pending, due_at=trigger.due_at(pending, job_id), now=now, job_id=job_id)
    return Decision(decision.fire_time, (*unrun, *decision.unrun))


def _due_by(trigger: Recurring, moment: datetime, job_id: UUID) -> datetime:
    """Return the last moment of which a fire time is sure to be due at `moment`, for this job."""
    return moment - trigger.window * spread(job_id) - trigger.jitter


def _between(
    trigger: Recurring, first: datetime, chosen: datetime | None, due: datetime, fate: Fate, reason: str
) -> list[Unrun]:
    """Account for the occurrences from `first` to before `chosen`; if none was chosen, for those up to `due`."""
    until = max(due, first) if chosen is None else chosen - MICROSECOND
    number = trigger.number(first, until)
    last = trigger.last(first, until) if number > 1 else first
    return [Unrun(first, last or first, number, fate, reason)] if number else []
