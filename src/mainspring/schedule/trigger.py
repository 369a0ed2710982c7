"""Triggers: when a job fires, and on which terms. `Once` fires at one moment, `Recurring` as its rule says.

A trigger is a value. It knows its fire times by arithmetic alone (`first`, then `next_fire_time` after any moment), so
nothing has to be counted or remembered, and the same trigger gives the same times on every node. All moments are aware
datetimes in UTC; civil time (days and months in a time zone) exists only below this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Annotated, cast
from uuid import UUID

from pydantic import Field

from mainspring.schedule.civil import DAY, from_datetime, joined, to_datetime
from mainspring.schedule.rules import AnyRule, At
from mainspring.schedule.series import FOREVER, Series, Without
from mainspring.schedule.text import MICROSECOND, ON_THE_WIRE, UpToAWeek
from mainspring.schedule.zones import DstGap, DstOverlap, moment_of

GRACE = timedelta(minutes=1)
"""How late an occurrence may start under the misfire policy `SKIP` where the schedule does not say."""


# --- what to do when something is in the way --------------------------------------------------------------------------


class MisfirePolicy(StrEnum):
    """What becomes of occurrences that could not start in time."""

    FIRE_NOW = "fireNow"
    """The pending one starts late; those missed besides are covered by it."""
    SKIP = "skip"
    """What is later than the grace does not start."""
    FIRE_ALL = "fireAll"
    """Each starts late, one after the other: at most `Misfire.cap` of them, `Misfire.spacing` apart."""


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Misfire:
    """A misfire policy, and for `FIRE_ALL` how many to catch up with, and how far apart they start."""

    policy: MisfirePolicy = MisfirePolicy.FIRE_NOW
    cap: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 100
    spacing: UpToAWeek = timedelta(seconds=1)


class Overlap(StrEnum):
    """What becomes of occurrences that come while the job still runs."""

    QUEUE = "queue"
    """The first of them starts when the run ends; it covers those after it."""
    SKIP = "skip"
    ALLOW = "allow"
    CANCEL_PREVIOUS = "cancelPrevious"


class Days(StrEnum):
    """How a schedule uses the times that a calendar names."""

    EXCLUDE = "exclude"
    INCLUDE = "include"


class Blackout(StrEnum):
    """What becomes of an occurrence at a time that the calendar rules out."""

    SKIP = "skip"
    POSTPONE = "postpone"
    """It starts when the time that is ruled out ends, spread over `CalendarUse.spread`."""


CALENDAR_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What a calendar may be called."""
CalendarName = Annotated[str, Field(pattern=f"^{CALENDAR_NAME}$")]


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class CalendarUse:
    """Which calendar a schedule keeps to, and how."""

    name: CalendarName
    days: Days = Days.EXCLUDE
    blackout: Blackout = Blackout.SKIP
    spread: UpToAWeek = timedelta(minutes=5)

    @property
    def postpones(self) -> bool:
        """Whether occurrences wait for the end of a blackout."""
        return self.blackout is Blackout.POSTPONE


# --- triggers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Once:
    """Fires at one moment."""

    at: datetime

    @property
    def first(self) -> datetime:
        """The only fire time."""
        return self.at

    def next_fire_time(self, after: datetime) -> datetime | None:
        """Return the first fire time later than `after`."""
        return self.at if self.at > after else None

    def due_at(self, fire_time: datetime, _job_id: UUID) -> datetime:
        """Return when the occurrence of a fire time may start: then."""
        return fire_time

    def starting(self, moment: datetime, _gone: datetime) -> Once:
        """Return this trigger moved to `moment`."""
        return Once(moment)

    def for_job(self, _job_id: UUID) -> Once:
        """Return this trigger as a job has it."""
        return self

    @property
    def depends_on_id(self) -> tuple[str, ...]:
        """What of this trigger is another for another job: nothing."""
        return ()


@dataclass(frozen=True, slots=True)
class Recurring:
    """Fires when its rule says, from `start` to `end` (both included), at most `count` times.

    It does not fire at what is `excluded`: moments, and whole days of `time_zone`.

    `start_fires` makes the start a fire time of its own, though the rule may not name it; with `Every` it always is
    one. Rules in days and times of day follow the clocks of `time_zone`. What becomes of civil times that a change of
    the clocks skips or repeats, `dst_gap` and `dst_overlap` decide. If left open, a rule that names the hours keeps to
    them (`NEXT_VALID`, `FIRST`), and one that fires in every hour goes on in real time (`SKIP`, `BOTH`). A period of
    days and hours takes the first valid moment of its days, whatever they say.

    An occurrence may start at its fire time, or as much later as `due_at` says: by a part of `window` that is the job's
    own, and by up to `jitter`, different each time.
    """

    rule: AnyRule
    start: datetime
    count: int | None = None
    end: datetime | None = None
    time_zone: str = "UTC"
    start_fires: bool = False
    dst_gap: DstGap | None = None
    dst_overlap: DstOverlap | None = None
    jitter: timedelta = timedelta()
    window: timedelta = timedelta()
    misfire: Misfire = Misfire()
    grace: timedelta | None = None
    overlap: Overlap = Overlap.QUEUE
    calendar: CalendarUse | None = None
    excluded: tuple[date, ...] = ()
    _made: Series | None = field(default=None, init=False, repr=False, compare=False)
    """The series, once it was asked for.

    It is kept although the value is frozen, for it follows from the other fields: making it anew with each call took a
    fifth of the time to the next fire time.
    """

    @property
    def first(self) -> datetime:
        """The first fire time. Raises `ValueError` for a schedule that has none: no job has such a one."""
        first = self.next_fire_time(self.start - MICROSECOND)
        if first is None:
            raise ValueError("the schedule never fires")
        return first

    def next_fire_time(self, after: datetime) -> datetime | None:
        """Return the first fire time later than `after`, or `None` when there is none (within forty years)."""
        if after < self.start and self._opens:
            return self.start
        start = from_datetime(self.start)
        moment = max(from_datetime(after), start - 1)
        if moment >= FOREVER:
            return None
        series = self._series()
        found = series.after(moment)
        if found is None or found > FOREVER or (self.count and self._between(series, start, found) > self.count):
            return None
        fire_time = to_datetime(found)
        return None if self.end is not None and fire_time > self.end else fire_time

    def fire_times(self, low: datetime, high: datetime) -> Iterator[datetime]:
        """Yield the fire times from `low` to `high`, both included."""
        fire_time = self.next_fire_time(low - MICROSECOND)
        while fire_time is not None and fire_time <= high:
            yield fire_time
            fire_time = self.next_fire_time(fire_time)

    def number(self, low: datetime, high: datetime) -> int:
        """Count the fire times from `low` to `high`, both included, without going through them."""
        series, first = self._series(), from_datetime(low)
        number = self._between(series, first, from_datetime(high))
        if self.count is None or not number:
            return number
        return min(number, max(0, self.count - self._between(series, from_datetime(self.start), first - 1)))

    def nth(self, low: datetime, number: int) -> datetime | None:
        """Return the fire time that has `number` others before it from `low` on."""
        moment, start = from_datetime(low), from_datetime(self.start)
        if self._opens and moment <= start:
            if number == 0:
                return self.start
            number -= 1
        found = self._series().nth(max(moment, start + self._opens), number)
        return None if found is None else self.next_fire_time(to_datetime(found - 1))

    def last(self, low: datetime, high: datetime) -> datetime | None:
        """Return the last fire time from `low` to `high`, both included."""
        if self.count is not None:
            number = self.number(low, high)
            return self.nth(low, number - 1) if number else None
        first, start, end = from_datetime(low), from_datetime(self.start), from_datetime(high)
        opens = self._opens and first <= start <= end
        end = min(end, self._last)
        found = self._series().last(max(first, start + self._opens), end + 1)
        return to_datetime(found) if found is not None else self.start if opens else None

    def due_at(self, fire_time: datetime, job_id: UUID) -> datetime:
        """Return when the occurrence of a fire time may start, for this job."""
        if not self.window and not self.jitter:
            return fire_time
        return fire_time + self.window * spread(job_id) + self.jitter * _chance(job_id, fire_time.isoformat())

    def starting(self, moment: datetime, gone: datetime) -> Recurring:
        """Return this trigger begun anew at `moment`, less the fire times up to and including `gone`."""
        count = self.count and max(1, self.count - self.number(self.start, gone))
        rule = self.rule.left(self, gone) or At(())
        return replace(self, rule=rule, start=moment, count=count, start_fires=not rule.start_is_fire_time)

    def for_job(self, job_id: UUID) -> Recurring:
        """Return this trigger as a job has it: with a number where its rule leaves one to the job, as ``H`` in cron."""
        rule = self.rule.for_job(lambda name: int.from_bytes(_hash(job_id, name)))
        return self if rule is self.rule else replace(self, rule=rule)

    @property
    def depends_on_id(self) -> tuple[str, ...]:
        """What of this trigger is another for another job. `for_job` replaces those of the rule by numbers."""
        use = self.calendar
        terms = {
            "window": bool(self.window),
            "jitter": bool(self.jitter),
            **dict.fromkeys(self.rule.depends_on_id, True),
            "spread": use is not None and use.postpones and bool(use.spread),
        }
        return tuple(name for name, is_so in terms.items() if is_so)

    def dst_note(self, fire_time: datetime) -> str | None:
        """Say what a change of the clocks has to do with a fire time, if it has."""
        return self._series().note(from_datetime(fire_time))

    @property
    def latest(self) -> timedelta | None:
        """How late an occurrence may start; `None` if it may start however late."""
        return GRACE if self.grace is None and self.misfire.policy is MisfirePolicy.SKIP else self.grace

    @property
    def may_miss(self) -> bool:
        """Whether an occurrence may come too late to start, or its calendar may have changed since it was planned."""
        return self.latest is not None or self.misfire.policy is MisfirePolicy.FIRE_ALL or self.calendar is not None

    @property
    def is_countable(self) -> bool:
        """Whether a `count` can be kept: not for rules that must be gone through one by one to see where they meet."""
        return self._series().is_countable

    @property
    def _opens(self) -> bool:
        if not (self.start_fires or self.rule.start_is_fire_time):
            return False
        return not self.excluded or self._without().end(from_datetime(self.start)) is None

    @property
    def _last(self) -> int:
        """The moment after which there is no fire time."""
        return FOREVER if self.end is None else min(from_datetime(self.end), FOREVER)

    def _between(self, series: Series, low: int, high: int) -> int:
        """Count the fire times from `low` to `high`, both included, as if there were no `count`."""
        start, opens = from_datetime(self.start), self._opens
        low = max(low, start)
        high = min(high, max(self._last, start) if opens else self._last)
        opening = opens and low == start <= high
        return opening + series.number(max(low, start + opens), high + 1)

    def _series(self) -> Series:
        if self._made is None:
            object.__setattr__(self, "_made", self._without() if self.excluded else self.rule.series(self))
        return cast("Series", self._made)

    def _without(self) -> Without:
        if isinstance(self._made, Without):
            return self._made
        return Without(self.rule.series(self), tuple(joined(stretch(each, self.time_zone) for each in self.excluded)))


def stretch(excluded: date, zone: str) -> tuple[int, int]:
    """Return from when to when a schedule leaves out what it excludes: a moment, or a day of its zone."""
    if isinstance(excluded, datetime):
        moment = from_datetime(excluded)
        return moment, moment + 1
    day = excluded.toordinal() * DAY
    return moment_of(day, zone), moment_of(day + DAY, zone)


Trigger = Once | Recurring
"""The closed union of all triggers."""


def spread(job_id: UUID) -> float:
    """Return the place of a job among all jobs, from 0 to below 1: the end of its id, which is dealt out evenly."""
    return (job_id.int & 0xFFFFFFFF) / 2**32


def _chance(job_id: UUID, of: str) -> float:
    """Return a number from 0 to below 1 that looks drawn by chance, and is always the same."""
    return int.from_bytes(_hash(job_id, of)[:6]) / 2**48


def _hash(job_id: UUID, of: str) -> bytes:
    return blake2b(of.encode(), key=job_id.bytes, digest_size=8).digest()


def realigned(trigger: Trigger, fire_time: datetime) -> datetime | None:
    """Return where a stored fire time is today, if a change of the zone's rules has moved it.

    That is the nearest fire time within a day and two hours; without one, the next. The fire time itself, if it still
    is one.
    """
    if isinstance(trigger, Once) or trigger.next_fire_time(fire_time - MICROSECOND) == fire_time:
        return fire_time
    near = timedelta(hours=26)
    following = trigger.next_fire_time(fire_time)
    earlier = None
    if number := trigger.number(fire_time - near, fire_time):
        earlier = trigger.nth(fire_time - near, number - 1)
    if earlier is None or (following is not None and following - fire_time < fire_time - earlier):
        return following
    return earlier
