"""Cron expressions and rules that people use, from `tests/data`, and when they fire by independent references.

What others read otherwise, or take and we refuse, is listed here; docs/schedules.md says each of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim
from dateutil.rrule import rrulestr

from mainspring.schedule.zones import DstGap, DstOverlap
from tests.schedules import moments_of

DATA = Path(__file__).parent / "data"
CRON_START = datetime(2027, 1, 1, tzinfo=UTC)
"""After which the fire times of expressions are compared."""


REFUSED = {
    "`FREQ=SECONDLY`": "FREQ=SECONDLY",
    "`BYSETPOS` with `FREQ=HOURLY` or `FREQ=MINUTELY`": "(?=.*FREQ=(HOURLY|MINUTELY)).*BYSETPOS",
    "fire times one second apart": ".*BYSECOND=6,5",
    "an `INTERVAL` of more than ten years": r".*INTERVAL=\d{5,}",
    "more than 1440 times a day together with `BYSETPOS`": ".*BYSECOND=1,2,3,4.*BYSETPOS",
    "a zone that does not exist": "(?=.*2016).*COUNT=15;BYDAY=SA|(?=.*2017).*BYDAY=-2MO;COUNT=5",
    "more than ten years ahead": r".* 99\d\d$",
    "a numbered day such as `1MO` with another frequency than `YEARLY` or `MONTHLY`, or with `BYWEEKNO`":
        r"(?=.*(DAILY|WEEKLY|BYWEEKNO)).*BYDAY=-?\d",
    "`0MO`": r".*\b0(MO|SA)",
    "`BYWEEKNO` without `FREQ=YEARLY`": "(?!.*YEARLY).*BYWEEKNO",
    "`BYYEARDAY` with `FREQ=MONTHLY`, `WEEKLY` or `DAILY`": "(?=.*MONTHLY).*BYYEARDAY",
    "`BYMONTHDAY` with `FREQ=WEEKLY`": "(?=.*WEEKLY).*BYMONTHDAY",
    "`BYSETPOS` with nothing to choose from": "FREQ=YEARLY;BYSETPOS=1,-1;COUNT=2",
    "`COUNT` together with `UNTIL`, or below 1": ".*COUNT=-1",
    "parts that it does not know": ".*UNTL=|^ ",
}  # fmt: skip
"""What is refused of rules, as docs/schedules.md says it, with the pattern of the rules and years that are so."""
READ_OTHERWISE = {
    "libical and ical.net take the start's month alone": "(?!.*BYMONTH=)FREQ=YEARLY.*BYMONTHDAY",
    "libical counts the years of weeks from the calendar year of the start": ".*BYWEEKNO=53;INTERVAL=[56];BYDAY=TH",
    "RFC 5545 ignores them beside a `DTSTART` that is a date": "FREQ=DAILY;BYMINUTE=1,2,3,4;INTERVAL=2",
}
"""What others read otherwise, as there, and the rules that are so."""
_MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip


class RealCron(NamedTuple):
    """An expression, what is to be expected of it, and where it comes from."""

    expression: str
    expected: str
    source: str

    @property
    def code(self) -> str | None:
        """The code with which it is to be refused."""
        refused = re.match(r"refuse: (CRON_\w+)?", self.expected)
        return refused and (refused[1] or "INVALID_CRON")

    def fire_times(self, number: int) -> list[datetime]:
        """List the first fire times in UTC: by cronsim, or those of the file where cronsim cannot read it."""
        if re.search(r"L-\d", self.expression):
            written = self.source.split(" | ")[0].removeprefix("next ").split()
            return [datetime.fromisoformat(time).replace(tzinfo=UTC) for time in written]
        fields = _MACROS.get(self.expression, self.expression).upper().replace("?", "*")
        fields = fields.replace("-SUN", "-7")
        for day, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]):
            fields = fields.replace(name, str(day))
        *others, weekday = fields.split()  # in which cronsim goes on to 7
        weekday = re.sub(r"(?<![-\d])([0-7])/", lambda first: f"{int(first[1]) % 7}-6/", weekday)
        fields = " ".join([*others, weekday])
        return list(islice(CronSim(fields, CRON_START), number))


@cache
def crons() -> tuple[RealCron, ...]:
    """Read all expressions."""
    lines = [line.split("\t# ") for line in _lines("crons.txt")]
    return tuple(RealCron(expression, *rest.split(" | ", 1)) for expression, rest in lines)


class RealRule(NamedTuple):
    """A rule with what stands beside it in its calendar.

    `instances` are civil times, `None` if they are not given; `is_whole` says that there are no others.
    """

    text: str
    dtstart: str
    start: datetime
    time_zone: str
    exceptions: str
    additions: str
    instances: tuple[datetime, ...] | None
    is_whole: bool
    source: str

    @property
    def needs_set(self) -> bool:
        """Whether it is a recurrence set: one rule alone does not say it."""
        return bool(self.exceptions or self.additions)

    @property
    def calendar_text(self) -> str:
        """The lines of its calendar."""
        start = self.dtstart if ":" in self.dtstart else f":{self.dtstart}"
        lines = [f"DTSTART{';' * (start[0] != ':')}{start}", f"RRULE:{self.text}"]
        return "\n".join([*lines, *f"{self.exceptions};;{self.additions}".strip(";").split(";;")])

    def is_named(self, differences: Mapping[str, str]) -> bool:
        """Say whether a difference of the rule is among those that are named."""
        said = f"{self.text} {self.start.year}"
        return any(re.match(pattern, said) for pattern in differences.values())

    @property
    def zone(self) -> str:
        """The zone in which it is compared: its own, or UTC if that is none."""
        known = available_timezones()
        if self.needs_set:
            return _WINDOWS.get(self.time_zone) or {zone.lower(): zone for zone in known}.get(
                self.time_zone.lower(), "UTC"
            )
        return self.time_zone if self.time_zone in known else "UTC"

    def fire_times(self, number: int) -> list[datetime]:
        """List the first fire times: those of the file, or by dateutil if it gives none."""
        civils = islice(self._civil_times(), number * 2)
        zone = ZoneInfo(self.zone)
        moments = [
            moment for civil in civils for moment in moments_of(civil, zone, DstGap.NEXT_VALID, DstOverlap.FIRST)
        ]
        for each in self._beside(self.additions):
            midnight = datetime.combine(each, datetime.min.time(), zone).astimezone(UTC)
            moments.append(each if isinstance(each, datetime) else midnight)
        excluded = set(self._beside(self.exceptions))
        start = self.start.replace(tzinfo=zone).astimezone(UTC)
        kept = {moment for moment in moments if excluded.isdisjoint({moment, moment.astimezone(zone).date()})}
        return sorted(moment for moment in kept if moment >= start)[:number]

    def _beside(self, text: str) -> Iterator[datetime | date]:
        """Read lines of exceptions or additions: moments, and days that are left out whole."""
        for line in filter(None, text.split(";;")):
            _, _, values = line.rpartition(":")
            for value in values.split(","):
                time = civil(value.partition("/")[0])
                zone = UTC if value.endswith("Z") else ZoneInfo(self.zone)
                is_day = "VALUE=DATE:" in self.dtstart or "T" not in value
                yield time.date() if is_day else time.replace(tzinfo=zone).astimezone(UTC)

    def _civil_times(self) -> Iterator[datetime]:
        if self.instances is not None:
            yield from self.instances
            return
        parts = dict(part.split("=") for part in self.text.upper().removesuffix(";").split(";"))
        count, until = int(parts.pop("COUNT", 10**9)), parts.pop("UNTIL", None)
        civils = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=self.start)
        for civil in islice(civils, count):
            if until and civil > _until(until, self.zone):
                return
            yield civil


_WINDOWS = {
    "W. Europe Standard Time": "Europe/Berlin",
    "Eastern Standard Time": "America/New_York",
    "Pacific Standard Time": "America/Los_Angeles",
}


def _until(text: str, zone: str) -> datetime:
    """Return the last civil time of a rule; a date is meant with its whole day."""
    until = civil(text if "T" in text else f"{text}T235959")
    return until.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) if text.endswith("Z") else until


def civil(text: str) -> datetime:
    """Read a date, or a time without its zone."""
    digits = text.rstrip("Z")
    if "T" not in digits:
        return datetime.combine(date.fromisoformat(digits), datetime.min.time())
    return datetime.strptime(digits, "%Y%m%dT%H%M%S")  # noqa: DTZ007 - it has none


@cache
def rules() -> tuple[RealRule, ...]:
    """Read all rules."""
    return tuple(map(_rule, _lines("rrules.txt")))


def _rule(line: str) -> RealRule:
    text, start, exceptions, additions, instances, source = line.split("\t")
    name, colon, value = start.rpartition(":")
    zone = re.search(r'TZID="?([^":;]+(?::[^":;]+)*)', name)
    instances = "" if instances.startswith("***") else instances  # the library does not support it
    given = [each for each in instances.split(",") if each not in {"", "-", "..."}]
    return RealRule(
        text="" if text == "(empty)" else text,
        dtstart=start,
        start=civil(value if colon else start),
        time_zone=zone[1] if zone else "UTC",
        exceptions=exceptions,
        additions=additions,
        instances=tuple(map(civil, given)) if instances and "the library refuses" not in source else None,
        is_whole=not given
        or ("..." not in instances and re.search("icalrecur_test|RecurrenceTestCases", source) is not None),
        source=source.removeprefix("# "),
    )


def _lines(name: str) -> list[str]:
    return [line for line in (DATA / name).read_text().splitlines() if line and not line.startswith("#")]
