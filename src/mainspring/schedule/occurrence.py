"""The next occurrence of a job: trigger, misfire policy, calendar, window and jitter taken together. Pure.

This is what the lifecycle asks and what a preview shows, so that the one is as the other: `opening` when a job is
created or given another trigger, `overdue` before a run, `following` after it.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mainspring.schedule import misfire
from mainspring.schedule.calendars import Calendars, RuledOut, postponed, ruled_out
from mainspring.schedule.misfire import Decision, Fate, Unrun
from mainspring.schedule.text import HORIZON, MICROSECOND
from mainspring.schedule.trigger import Once, Recurring, Trigger

_STRETCHES = 400
"""How many stretches of a calendar are gone through, for ten years at most.

A schedule that is ruled out in all of them is at its end. A daily one is then followed for more than a year, in about
20 ms.
"""


class Planned(NamedTuple):
    """The occurrence that a job has next: its fire time (`None`: there is none), and when it may start.

    `unrun` accounts for the occurrences that were passed over on the way to it; `reason` says why it was postponed.
    """

    fire_time: datetime | None
    due_at: datetime | None
    unrun: tuple[Unrun, ...] = ()
    reason: str | None = None


def opening(trigger: Trigger, *, job_id: UUID, calendars: Calendars) -> Planned:
    """Return the first occurrence of a trigger."""
    first = trigger.at if isinstance(trigger, Once) else trigger.next_fire_time(trigger.start - MICROSECOND)
    return _planned(trigger, Decision(first), job_id, calendars)


def beginning(trigger: Trigger, after: datetime, *, job_id: UUID, calendars: Calendars) -> Planned:
    """Return the first occurrence whose fire time is later than `after`."""
    return _planned(trigger, Decision(trigger.next_fire_time(after)), job_id, calendars)


def overdue(
    trigger: Trigger,
    pending: datetime,
    *,
    due_at: datetime,
    now: datetime,
    job_id: UUID,
    calendars: Calendars,
) -> Planned:
    """Return the occurrence to start at `now` (if its `due_at` has come) in place of one that was due at `due_at`."""
    decision = misfire.late(trigger, pending, due_at=due_at, now=now, job_id=job_id)
    if decision.fire_time == pending and not _is_ruled_out(trigger, pending, calendars):
        return Planned(pending, due_at, decision.unrun)
    return _planned(trigger, decision, job_id, calendars)


def following(
    trigger: Trigger,
    ran: datetime,
    *,
    started_at: datetime,
    now: datetime,
    job_id: UUID,
    calendars: Calendars,
) -> Planned:
    """Return the occurrence after `ran`, whose run began at `started_at` and has ended at `now`."""
    decision = misfire.following(trigger, ran, started_at=started_at, now=now, job_id=job_id)
    return _planned(trigger, decision, job_id, calendars)


def _planned(trigger: Trigger, decision: Decision, job_id: UUID, calendars: Calendars) -> Planned:
    """Lead a decision past what the calendar rules out, and say when the occurrence may start."""
    fire_time, unrun = decision.fire_time, decision.unrun
    if isinstance(trigger, Once):
        return Planned(fire_time, fire_time)
    if fire_time is not None and (out := ruled_out(trigger.calendar, fire_time, calendars)) is not None:
        if trigger.calendar is not None and trigger.calendar.postpones and out.until is not None:
            due_at = _not_before(postponed(trigger.calendar, out.until, job_id), decision)
            return Planned(fire_time, due_at, unrun, out.reason)
        fire_time, skipped = _beyond(trigger, fire_time, out, calendars)
        unrun = (*unrun, skipped)
    if fire_time is None:
        return Planned(None, None, unrun)
    return Planned(fire_time, _not_before(trigger.due_at(fire_time, job_id), decision), unrun)


def _beyond(
    trigger: Recurring, first: datetime, out: RuledOut | None, calendars: Calendars
) -> tuple[datetime | None, Unrun]:
    """Return the first fire time that the calendar does not rule out, and account for those from `first` to it.

    If there is none, for those that were seen to be ruled out.
    """
    fire_time: datetime | None = first
    until, reason, limit = first, "", first + HORIZON
    for _ in range(_STRETCHES):
        if fire_time is None or out is None:
            break
        until, reason = (fire_time if out.until is None else out.until - MICROSECOND), out.reason
        fire_time = None if out.until is None or until > limit else trigger.next_fire_time(until)
        out = ruled_out(trigger.calendar, fire_time, calendars) if fire_time is not None else None
    else:
        fire_time = None
    until = min(until, limit)
    last = trigger.last(first, until) or first
    return fire_time, Unrun(first, last, trigger.number(first, until), Fate.SKIPPED, reason)


def _not_before(due_at: datetime, decision: Decision) -> datetime:
    return due_at if decision.not_before is None else max(due_at, decision.not_before)


def _is_ruled_out(trigger: Trigger, pending: datetime, calendars: Calendars) -> bool:
    """Tell whether the calendar, which may have changed since, lets this occurrence go."""
    use = None if isinstance(trigger, Once) else trigger.calendar
    out = ruled_out(use, pending, calendars)
    return use is not None and out is not None and not (use.postpones and out.until is not None)


def put_off(
    trigger: Recurring, pending: datetime, *, now: datetime, job_id: UUID, calendars: Calendars
) -> tuple[datetime, str] | None:
    """Return until when an occurrence that is due waits by its calendar, which may have changed since, and why."""
    use = trigger.calendar
    out = ruled_out(use, pending, calendars)
    if use is None or out is None or out.until is None or not use.postpones:
        return None
    until = postponed(use, out.until, job_id)
    return (until, out.reason) if until > now else None
