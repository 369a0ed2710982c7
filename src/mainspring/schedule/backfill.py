"""Backfill: a past range of a schedule run afterwards, at a pace. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from mainspring.errors import InvalidRequestError, Problem
from mainspring.problems import problems_of, sentence
from mainspring.schedule.civil import from_datetime, to_datetime
from mainspring.schedule.text import UpToAWeek, When, format_time, range_problems
from mainspring.schedule.trigger import Once, Recurring, Trigger

CAP = 1000
"""How many occurrences one backfill has where its caller does not say."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """An occurrence of a past fire time that is to be run at `due_at`, and marked as what it is."""

    fire_time: datetime
    due_at: datetime


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class _Wanted:
    """A backfill as it is asked for on the wire."""

    begin: Annotated[When, Field(alias="from")]
    end: Annotated[When, Field(alias="to")]
    cap: Annotated[int, Field(ge=1, le=10_000, strict=True)] = CAP
    spacing: UpToAWeek = timedelta(seconds=1)


_WANTED = TypeAdapter(_Wanted)
WANTED_SCHEMA = _WANTED.json_schema()
"""What is asked for, as JSON Schema."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """The fire times of a trigger from `begin` to `end`, both included: the first `cap` of them, `spacing` apart."""

    trigger: Trigger
    begin: datetime
    end: datetime
    cap: int = CAP
    spacing: timedelta = timedelta(seconds=1)

    @classmethod
    def read(cls, trigger: Trigger, body: Mapping[str, object], now: datetime) -> Backfill:
        """Read what is asked for on the wire. Raises `InvalidRequestError` with every problem."""
        try:
            wanted = _WANTED.validate_python(body)
        except ValidationError as error:
            problems = problems_of(error, body, owner="a backfill")
        else:
            problems = [*_problems(wanted, now)]
            if not problems:
                return cls(trigger, wanted.begin, wanted.end, wanted.cap, wanted.spacing)
        raise InvalidRequestError(sentence(problems), problems=problems)

    def occurrences(self, now: datetime) -> Iterator[Backfilled]:
        """Yield the occurrences, the first due at `now`; calendars, window and jitter have no say in them."""
        return (self.occurrence(number, moment, now) for number, moment in enumerate(self.fire_times()))

    def fire_times(self) -> array[int]:
        """Return the fire times of the occurrences as microseconds: of 10,000 that is a twentieth of what they take."""
        return array("q", map(from_datetime, islice(self._fire_times(), self.cap)))

    def occurrence(self, number: int, fire_time: int, now: datetime) -> Backfilled:
        """Return an occurrence by its number, from 0, and its fire time as microseconds."""
        return Backfilled(to_datetime(fire_time), self.due_at(number, now))

    def due_at(self, number: int, now: datetime) -> datetime:
        """Return when an occurrence is due."""
        return now + number * self.spacing

    @property
    def left(self) -> int:
        """How many fire times of the range are beyond the cap."""
        if isinstance(self.trigger, Once):
            return 0
        return max(0, self.trigger.number(self.begin, self.end) - self.cap)

    def _fire_times(self) -> Iterator[datetime]:
        if isinstance(self.trigger, Recurring):
            yield from self.trigger.fire_times(self.begin, self.end)
        elif self.begin <= self.trigger.at <= self.end:
            yield self.trigger.at


def _problems(wanted: _Wanted, now: datetime) -> Iterator[Problem]:
    yield from range_problems("/from", wanted.begin)
    if out_of_range := [*range_problems("/to", wanted.end)]:
        yield from out_of_range
    elif wanted.begin > wanted.end:
        yield Problem("/to", "RANGE_REVERSED", "is before from")
    elif wanted.end > now:
        yield Problem("/to", "RANGE_IN_FUTURE", f"is in the future (it is {format_time(now)})")
