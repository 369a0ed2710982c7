"""What a schedule will do: its next occurrences, what an outage would do to them, and what it says in English. Pure.

A preview goes from occurrence to occurrence by the same functions as a job's life, so that it shows what will happen;
only that runs take no time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mainspring.schedule.calendars import Calendars
from mainspring.schedule.misfire import Unrun
from mainspring.schedule.occurrence import Planned, following, opening, overdue
from mainspring.schedule.trigger import Once, Recurring, Trigger
from mainspring.schedule.zones import local_time

MOST_PASSED = 1000
"""How many rows a forecast has of what is passed over."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time, from `begin` to before `end`, in which nothing starts."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Start:
    """An occurrence that starts at `at`; `local` is what the clocks of the schedule's zone show at its fire time."""

    fire_time: datetime
    at: datetime
    local: datetime
    note: str | None = None


def preview(
    trigger: Trigger,
    *,
    now: datetime,
    job_id: UUID,
    calendars: Calendars,
    outage: Outage | None = None,
    pending: Planned | None = None,
) -> Iterator[Start | Unrun]:
    """Yield what becomes of a trigger's occurrences in turn from `now` on: what starts, and what is passed over.

    It begins with `pending`, by default the first.
    """
    planned = opening(trigger, job_id=job_id, calendars=calendars) if pending is None else pending
    while True:
        yield from planned.unrun
        fire_time, due_at = planned.fire_time, planned.due_at
        if fire_time is None or due_at is None:
            return
        now = max(now, due_at)
        if outage is not None and outage.begin <= now < outage.end:
            now = outage.end
        checked = overdue(trigger, fire_time, due_at=due_at, now=now, job_id=job_id, calendars=calendars)
        if checked.fire_time != fire_time:
            planned = checked
            continue
        zone = trigger.time_zone if isinstance(trigger, Recurring) else "UTC"
        notes = [planned.reason, _dst_note(trigger, fire_time), "late" if now > due_at else None]
        yield Start(fire_time, now, local_time(fire_time, zone), "; ".join(filter(None, notes)) or None)
        planned = following(trigger, fire_time, started_at=now, now=now, job_id=job_id, calendars=calendars)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The next occurrences that start, and those that are passed over before the last of them.

    `cut` says that there may be more, but time or room was up.
    """

    starts: tuple[Start, ...]
    unrun: tuple[Unrun, ...]
    cut: bool = False


def forecast(lines: Iterator[Start | Unrun], number: int, time_is_up: Callable[[], bool]) -> Forecast:
    """Follow a preview to the start with that number, but not beyond `MOST_PASSED` rows of what is passed over."""
    starts: list[Start] = []
    unrun: list[Unrun] = []
    for line in lines:
        if isinstance(line, Start):
            starts.append(line)
        else:
            unrun.append(line)
        if len(starts) == number:
            break
        if len(unrun) == MOST_PASSED or time_is_up():
            return Forecast(tuple(starts), tuple(unrun), cut=True)
    return Forecast(tuple(starts), tuple(unrun))


def _dst_note(trigger: Trigger, fire_time: datetime) -> str | None:
    return None if isinstance(trigger, Once) else trigger.dst_note(fire_time)
