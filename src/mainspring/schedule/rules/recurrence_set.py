"""Recurrence sets (RFC 5545): what a calendar says of when an event repeats, read into the members of a schedule.

The text is either lines such as DTSTART, RRULE, RDATE and EXDATE, or a whole VEVENT or VCALENDAR with them. What would
change when the event takes place and cannot be kept is refused; what says nothing of it is ignored, and named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from mainspring.schedule.civil import from_civil, to_datetime
from mainspring.schedule.rules.any_of import MOST_RULES
from mainspring.schedule.rules.at import MOST_MOMENTS
from mainspring.schedule.rules.rrule_grammar import ParsedRule, digits, parse_rrule
from mainspring.schedule.text import TimeError, find_zone, format_time, shown
from mainspring.schedule.zones import moment_of

LONGEST_SET = 100_000
"""How many characters a recurrence set may have."""
MOST_SAID = 10
"""How many things of a kind are named."""
_EVENTS = frozenset({"VEVENT", "VTODO", "VJOURNAL"})
_LINE = re.compile(r'(?P<name>[A-Za-z0-9-]+)(?P<parameters>(?:;[A-Za-z0-9-]+=(?:"[^"]*"|[^;:"])*)*):(?P<value>.*)')
_PARAMETER = re.compile(r';([A-Za-z0-9-]+)=((?:"[^"]*"|[^;:"])*)')
_TIME = re.compile(r"(\d{8})(?:T(\d{6}))?(Z)?", re.ASCII)


@lru_cache(maxsize=64)
def read_rrule(text: str) -> ParsedRule | RecurrenceSet:
    """Read a rule, or a recurrence set. Raises `TimeError` with the code ``INVALID_RRULE`` if it cannot be read at all.

    What is wrong with the lines of a set, `RecurrenceSet.refused` says.
    """
    plain = text.strip()
    several = "\n" in plain or "\r" in plain
    if not several and (plain[:6].upper() == "RRULE:" or not _LINE.fullmatch(plain)):
        return parse_rrule(plain)
    if len(text) > LONGEST_SET:
        raise TimeError("INVALID_RRULE", f"is longer than {LONGEST_SET} characters")
    return _Reading(text).finish()


class Stamp(NamedTuple):
    """A day, or a time, as a calendar writes it: in a zone, or in whatever zone it is read."""

    civil: date
    zone: str | None

    @property
    def is_day(self) -> bool:
        """Whether it is a whole day."""
        return not isinstance(self.civil, datetime)

    def moment(self, zone: str) -> datetime:
        """Return the moment; `zone` is that of a stamp without one. A day begins at midnight."""
        time = self.civil if isinstance(self.civil, datetime) else datetime.combine(self.civil, datetime.min.time())
        return to_datetime(moment_of(from_civil(time), self.zone or zone))

    def __str__(self) -> str:
        return digits(self.civil)


class Warned(NamedTuple):
    """What is legal but perhaps not meant: its code, and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class RecurrenceSet:
    """A recurrence set that was read.

    `refused` says each thing that cannot be kept, and then nothing else is told; `warned` says each that was taken
    otherwise than it stands there.
    """

    text: str
    start: Stamp | None = None
    rules: tuple[str, ...] = ()
    at: tuple[Stamp, ...] = ()
    excluded: tuple[Stamp, ...] = ()
    refused: tuple[str, ...] = ()
    warned: tuple[Warned, ...] = ()

    def __str__(self) -> str:
        return self.text

    @property
    def zone(self) -> str | None:
        """The zone of the start, if it is in one."""
        return None if self.start is None or self.start.zone == "UTC" else self.start.zone

    @property
    def has_open_times(self) -> bool:
        """Whether a time in it is in no zone, and there is none to take it for."""
        stamps = (*self.at, *self.excluded) if self.start is None else (self.start, *self.at, *self.excluded)
        return self.zone is None and any(stamp.zone is None for stamp in stamps)

    def members(self, zone: str) -> Mapping[str, Any]:
        """Return the members of a schedule that say the same, as they would be sent; `zone` is its zone."""
        zone = self.zone or zone
        moments = [format_time(moment) for moment in sorted({stamp.moment(zone) for stamp in self.at})]
        if len(self.rules) == 1 and not moments:
            members: dict[str, Any] = {"rrule": self.rules[0]}
        else:
            rules: list[dict[str, Any]] = [{"rrule": text} for text in self.rules]
            members = {"anyOf": [*rules, *([{"at": moments}] if moments else [])]}
        if self.start is not None:
            members["start"] = format_time(self.start.moment(zone))
        if self.excluded:
            members["except"] = list(dict.fromkeys(self._excluded(zone)))
        return members | {"timeZone": zone}

    def _excluded(self, zone: str) -> Iterator[str]:
        for stamp in self.excluded:
            whole_day = stamp.is_day or (self.start is not None and self.start.is_day)
            yield stamp.civil.isoformat()[:10] if whole_day else format_time(stamp.moment(zone))


# --- reading ----------------------------------------------------------------------------------------------------------


class _Line(NamedTuple):
    """A line: its number, what it is called, its parameters, its value."""

    number: int
    name: str
    parameters: Mapping[str, str]
    value: str


class _Reading:
    """A text that is being read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: list[Stamp] = []
        self._rules: list[str] = []
        self._at: list[Stamp] = []
        self._excluded: list[Stamp] = []
        self._refused: list[str] = []
        self._ignored: dict[str, None] = {}
        self._zones: dict[str, str | None] = {}

    def finish(self) -> RecurrenceSet:
        """Read it to its end."""
        events: list[list[_Line]] = []
        for lines in self._events():
            if any(line.name == "RECURRENCE-ID" for line in lines):
                self._change(lines)
            else:
                events.append(lines)
        if len(events) > 1:
            self._refused.append(f"has {len(events)} events: send each of them as a job of its own")
        for line in events[0] if events else ():
            self._take(line)
        if not self._rules:
            self._at = [*self._starts, *self._at]
        self._check()
        if self._refused:
            return RecurrenceSet(self._text, refused=tuple(self._refusals()))
        return RecurrenceSet(
            self._text,
            self._starts[0] if self._starts else None,
            tuple(self._rules),
            tuple(self._at),
            tuple(self._excluded),
            warned=tuple(self._warned()),
        )

    def _take(self, line: _Line) -> None:
        """Take what a line of the event says."""
        match line.name:
            case "DTSTART":
                self._starts += self._stamps(line)
            case "RRULE":
                self._rules += self._rule(line)
            case "RDATE":
                self._at += self._stamps(line)
            case "EXDATE":
                self._excluded += self._stamps(line)
            case _:
                self._other(line)

    def _other(self, line: _Line) -> None:
        """Refuse or ignore a line that is no part of a set."""
        if line.name == "EXRULE":
            self._refuse(line, "an EXRULE, which RFC 5545 has no more: list what is left out as EXDATE")
        elif _is_cancelled(line):
            self._refuse(line, "the status CANCELLED: there is nothing to run")
        else:
            self._ignored[line.name] = None

    def _check(self) -> None:
        """Refuse what does not go together."""
        if not self._rules and not self._at and not self._refused:
            self._refused.append("has no RRULE, RDATE or DTSTART")
        if len(self._starts) > 1:
            self._refused.append("has more than one DTSTART")
        if len(self._rules) + bool(self._at) > MOST_RULES:
            self._refused.append(f"has more than {MOST_RULES - bool(self._at)} RRULEs")
        for name, stamps in (("RDATEs", self._at), ("EXDATEs", self._excluded)):
            if len(stamps) > MOST_MOMENTS:
                self._refused.append(f"has more than {MOST_MOMENTS} {name}")
        is_timed = self._rules and self._starts and not self._starts[0].is_day
        if is_timed and (days := [stamp for stamp in self._at if stamp.is_day]):
            self._refused.append(f"has RDATE {some_of(days)} without a time of day, which DTSTART has")

    def _events(self) -> list[list[_Line]]:
        """Return the lines of each event; lines in no event are one."""
        bare: list[_Line] = []
        found: list[list[_Line]] = []
        inside: list[str] = []
        for line in self._lines():
            if line.name == "BEGIN":
                inside.append(line.value.strip().upper())
                if inside[-1] in _EVENTS:
                    found.append([])
                elif inside[-1] != "VCALENDAR":
                    self._ignored[inside[-1]] = None
            elif line.name == "END":
                inside = inside[:-1]
            elif not inside:
                bare.append(line)
            elif inside[-1] in _EVENTS:
                found[-1].append(line)
            elif inside == ["VCALENDAR"]:
                self._ignored[line.name] = None
        if bare:
            found.append(bare)
        return found

    def _lines(self) -> Iterator[_Line]:
        """Yield the lines with those that are folded put together, each with the number of its first part."""
        folded: list[tuple[int, str]] = []
        for number, text in enumerate(re.split(r"\r\n|\n|\r", self._text), 1):
            if text[:1] in {" ", "\t"} and folded:
                folded[-1] = (folded[-1][0], folded[-1][1] + text[1:])
            elif text.strip():
                folded.append((number, text))
        for number, text in folded:
            match = _LINE.fullmatch(text.strip())
            if match is not None:
                pairs = _PARAMETER.findall(match["parameters"])
                parameters = {name.upper(): value.replace('"', "") for name, value in pairs}
                yield _Line(number, match["name"].upper(), parameters, match["value"])
            elif re.match("FREQ=", text, re.IGNORECASE):
                yield _Line(number, "RRULE", {}, text)
            else:
                self._refused.append(f"has in line {number} {shown(text)}, which is not NAME:value")

    def _rule(self, line: _Line) -> Iterator[str]:
        self._ignored |= {f"{line.name};{name}": None for name in line.parameters}
        try:
            yield str(parse_rrule(line.value.strip()))
        except TimeError as error:
            self._refused.append(f"has in line {line.number} an RRULE that {error}")

    def _stamps(self, line: _Line) -> Iterator[Stamp]:
        """Read the times of a line. Of a period the begin counts."""
        self._ignored |= {f"{line.name};{name}": None for name in line.parameters if name not in {"TZID", "VALUE"}}
        zone = self._zone(line)
        for text in line.value.split(","):
            begin, slash, _ = text.strip().partition("/")
            match = _TIME.fullmatch(begin.upper())
            stamp = None
            with suppress(ValueError):
                stamp = match and _stamp(match, zone)
            if stamp is None:
                self._refuse(line, f"{shown(text)}, which is no time such as 20270104T090000")
                continue
            if slash:
                self._ignored["the ends of periods"] = None
            yield stamp

    def _zone(self, line: _Line) -> str | None:
        """Return the IANA name of the zone of a line, if it has one."""
        name = line.parameters.get("TZID")
        if name is None:
            return None
        if name not in self._zones:
            self._zones[name] = zone = find_zone(name)
            if zone is None:
                self._refuse(line, f"the zone {shown(name)}, which is not an IANA time zone such as Europe/Berlin")
        return self._zones[name]

    def _change(self, lines: Sequence[_Line]) -> None:
        """Look at a change of one occurrence: it may be ignored if the occurrence stays where it is."""
        line = next(line for line in lines if line.name == "RECURRENCE-ID")
        cancelled = any(map(_is_cancelled, lines))
        begins = [stamp for each in lines if each.name == "DTSTART" for stamp in self._stamps(each)]
        ids = list(self._stamps(line))
        if "RANGE" in line.parameters:
            self._refuse(line, "a change of an occurrence and of all after it: send two jobs, one up to there")
        elif ids and cancelled:
            self._refuse(line, f"an event that cancels one occurrence: leave it out, and add EXDATE:{ids[0]}")
        elif ids and begins and begins[0].moment("UTC") != ids[0].moment("UTC"):
            detail = f"an event that moves one occurrence: leave it out, and add EXDATE:{ids[0]} and RDATE:{begins[0]}"
            self._refuse(line, detail)
        elif ids:
            self._ignored[f"the change of {ids[0]}"] = None

    def _refuse(self, line: _Line, what: str) -> None:
        self._refused.append(f"has in line {line.number} ({line.name}) {what}")

    def _refusals(self) -> Iterator[str]:
        """Name what cannot be kept one by one, or the first of very much."""
        yield from self._refused[:MOST_SAID]
        if more := len(self._refused[MOST_SAID:]):
            yield f"has {more} more lines that cannot be kept"

    def _warned(self) -> Iterator[Warned]:
        for name, zone in self._zones.items():
            if zone not in {None, name}:
                yield Warned("TIME_ZONE_READ_AS", f"the time zone {name[:100]!a} is read as {zone}")
        if self._ignored:
            detail = f"what does not say when it repeats is ignored: {some_of(self._ignored)}"
            yield Warned("RRULE_IGNORED", detail)


def _is_cancelled(line: _Line) -> bool:
    return line.name == "STATUS" and line.value.strip().upper() == "CANCELLED"


def _stamp(match: re.Match[str], zone: str | None) -> Stamp:
    """Return what a time says. Raises `ValueError` if there is no such day or time of day."""
    day, time, utc = match.groups()
    if not "0001" < day[:4] < "9999":
        raise ValueError("in some zones it is beyond the calendar")
    if time is None:
        return Stamp(datetime.strptime(day, "%Y%m%d").date(), zone)  # noqa: DTZ007 - a day has no zone
    civil = datetime.strptime(day + time, "%Y%m%d%H%M%S")  # noqa: DTZ007 - a stamp has its zone beside it
    return Stamp(civil, "UTC" if utc else zone)


def some_of(things: Collection[object]) -> str:
    """Name several things, or the first of very many."""
    said = ", ".join(map(str, islice(things, MOST_SAID)))
    return said if len(things) <= MOST_SAID else f"{said} and {len(things) - MOST_SAID} more"
