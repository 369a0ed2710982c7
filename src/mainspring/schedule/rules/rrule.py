"""Recurrence rules of RFC 5545. `rrule_grammar` reads their text, `rrule_times` computes their days and times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import PlainSerializer, WithJsonSchema

from mainspring.errors import Problem
from mainspring.schedule import words
from mainspring.schedule.civil import ClockTimes
from mainspring.schedule.rules.rrule_grammar import UNITS, Frequency, ParsedRule, Parts, explicit, parse_rrule
from mainspring.schedule.rules.rrule_times import compile_rrule
from mainspring.schedule.rules.rule import CROWDED, NEVER, Bounds, Frame, Rule, Rules, Terms, on_calendar
from mainspring.schedule.series import Series
from mainspring.schedule.text import text_reader
from mainspring.schedule.zones import local_time

_UNIT_WORDS = {
    Frequency.YEARLY: "year",
    Frequency.MONTHLY: "month",
    Frequency.WEEKLY: "week",
    Frequency.DAILY: "day",
    Frequency.HOURLY: "hour",
    Frequency.MINUTELY: "minute",
}


@dataclass(frozen=True, slots=True)
class RRule(Rule):
    """Fires at the civil times that a rule of RFC 5545 names, counted from the start; without its COUNT and UNTIL."""

    kind: ClassVar[str] = "rrule"
    phrase: ClassVar[str] = "by an `rrule` (RFC 5545)"

    text: str

    @classmethod
    def from_json(cls, value: str, _rules: Rules) -> RRule:
        """See `Rule.from_json`."""
        return cls(value)

    def to_json(self) -> str:
        """See `Rule.to_json`."""
        return self.text

    @classmethod
    def wire_type(cls, _rules: Rules) -> Any:
        """See `Rule.wire_type`."""
        return Annotated[
            ParsedRule,
            text_reader(parse_rrule, ParsedRule, "INVALID_RRULE"),
            PlainSerializer(lambda parsed: parsed.text, when_used="json"),
            WithJsonSchema({"type": "string", "examples": ["FREQ=MONTHLY;BYDAY=-1FR"]}),
        ]

    @classmethod
    def from_wire(cls, sent: ParsedRule, _rules: Rules) -> RRule:
        """See `Rule.from_wire`."""
        return cls(sent.text)

    @classmethod
    def bounds(cls, sent: ParsedRule) -> Bounds:
        """See `Rule.bounds`: its COUNT and UNTIL."""
        return Bounds(sent.count, sent.until)

    def series(self, frame: Frame) -> Series:
        """See `Rule.series`."""
        return on_calendar(compile_rrule(self.text, local_time(frame.start, frame.time_zone)), frame)

    def clock(self, frame: Frame) -> ClockTimes:
        """See `Rule.clock`."""
        return compile_rrule(self.text, frame.start.replace(tzinfo=None)).clock

    @property
    def has_whole_seconds(self) -> bool:
        """See `Rule.has_whole_seconds`."""
        return True

    def problems(
        self, sent: ParsedRule, frame: Frame, pointer: str, _rules: Rules, *, combined: bool = False
    ) -> Iterator[Problem]:
        """See `Rule.problems`."""
        if self.clock(frame).crowded:
            yield Problem(pointer, "SCHEDULE_TOO_FREQUENT", CROWDED)
        if combined and (sent.count or sent.until):
            detail = "has a COUNT or UNTIL of its own; the schedule's count and end hold for all rules"
            yield Problem(pointer, "SCHEDULE_CONFLICT", detail)

    def conflicts(self, sent: ParsedRule, terms: Terms) -> Iterator[tuple[str, str]]:
        """See `Rule.conflicts`."""
        if sent.count and terms.count:
            yield "count", "is also said by the COUNT of the rrule; send one of them"
        if sent.until and terms.end:
            yield "end", "is also said by the UNTIL of the rrule; send one of them"

    @property
    def never(self) -> Problem:
        """See `Rule.never`."""
        return Problem("/schedule/rrule", "RRULE_NEVER", NEVER)

    def words(self, start: datetime) -> str:
        """See `Rule.words`."""
        parts = explicit(parse_rrule(self.text).parts, start)
        unit = _UNIT_WORDS[parts.frequency]
        said = f"every {unit}" if parts.interval == 1 else f"every {words.many(parts.interval, unit)}"
        days = [
            words.weekdays(parts.weekdays, parts.nth_weekdays, "month" if parts.months else unit),
            words.numbered("day", parts.month_days, "month"),
            words.numbered("day", parts.year_days, "year"),
            words.numbered("week", parts.weeks, "year"),
        ]
        said = words.joined(
            said, " that is also ".join(filter(None, days)), words.months(parts.months), _times_in_words(parts)
        )
        if parts.positions:
            places = words.listed([words.ordinal(place) for place in parts.positions])
            said += f", and of these times in each {unit} only the {places}"
        return said


def _times_in_words(parts: Parts) -> str:
    """Say the times of day; nothing, if the frequency alone says them."""
    said = words.times_of_day(ClockTimes(parts.hours, parts.minutes, parts.seconds))
    if parts.frequency in UNITS and len(parts.hours) * len(parts.seconds) == 24:
        each_minute = parts.frequency is Frequency.MINUTELY and len(parts.minutes) == 60
        return "" if each_minute or said == "every hour" else said
    return said
