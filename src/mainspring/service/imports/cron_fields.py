"""The five fields of a line of a crontab: which times cron reads in them, and the same times in our dialect. Pure.

A field is taken over as it stands if our dialect reads the same values in it. Else it is written in another way that
names these values, and if there is none the line is refused. So a line never fires at other times than it did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mainspring.schedule import TimeError, compile_cron

MACROS = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
"""The words that stand for five fields; they mean the same in cron and here."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ALL = ("*",) * 5


class LineError(Exception):
    """A line that cannot be imported: what is wrong with it, and what to do about it."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem, advice)
        self.problem = problem
        self.advice = advice


class _Field(NamedTuple):
    """A field: what it is called, its least and greatest value, how many different ones there are, their names."""

    name: str
    least: int
    most: int
    size: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59, 60),
    _Field("hour", 0, 23, 24),
    _Field("day of month", 1, 31, 31),
    _Field("month", 1, 12, 12, _MONTHS),
    _Field("day of week", 0, 7, 7, _WEEKDAYS),
)


class _Values(NamedTuple):
    """What cron reads in a field: the values, and whether it counts as a star."""

    values: frozenset[int]
    starred: bool


@dataclass(frozen=True, slots=True)
class CronTimes:
    """The times of a line: as they are `written` in the crontab, and as an `expression` of our dialect.

    `follows_clock` says that minute or hour begin with a star, so that cron does not make up for what the clocks skip.
    `random` lines have a ``~``. `several` says that an hour, with the begin of the next, has several of the times.
    """

    written: str
    expression: str
    follows_clock: bool
    random: bool = False
    several: bool = False

    @property
    def rewritten(self) -> bool:
        """Whether the expression is not what stands in the crontab."""
        return self.expression != " ".join(self.written.split())


def read_macro(word: str) -> CronTimes:
    """Return the times of a word that begins with ``@``. Raises `LineError`."""
    if word in MACROS:
        return CronTimes(word, word, follows_clock=word == "@hourly")
    if word.lower() in (*MACROS, "@reboot"):
        raise LineError(f"has {word}, which cron knows in small letters only", f"write {word.lower()}")
    if word == "@every_minute":
        raise LineError("has @every_minute, which only FreeBSD knows", "write * * * * *")
    if re.fullmatch(r"@\d+", word, re.ASCII):
        raise LineError(
            f"has {word}, an interval of FreeBSD that counts from the end of a run",
            f'write the job by hand, with schedule = {{ every = "PT{word[1:]}S" }}',
        )
    raise LineError(f"begins with {_short(word)}, which cron does not know", f"write one of {', '.join(MACROS)}")


def read_fields(words: Sequence[str]) -> CronTimes:
    """Return the times of five fields. Raises `LineError`."""
    read = [_read(word, field) for word, field in zip(words, _FIELDS, strict=True)]
    expression = " ".join(
        _translated(place, word, values) for place, (word, values) in enumerate(zip(words, read, strict=True))
    )
    if not _reads_same(expression, read):
        raise _inexpressible(" ".join(words))
    minutes, hours = read[0].values, read[1].values
    neighbours = any(hour + 1 in hours for hour in hours)
    return CronTimes(
        written=" ".join(words),
        expression=expression,
        follows_clock=words[0].startswith("*") or words[1].startswith("*"),
        random="~" in expression or any("~" in word for word in words),
        several=len(minutes) > 1 or (neighbours and 0 in minutes),
    )


# --- as cron reads it -------------------------------------------------------------------------------------------------


def _read(word: str, field: _Field) -> _Values:
    values = {value for term in word.split(",") for value in _term(term, field)}
    if field.size < field.most - field.least + 1:  # Sunday is 0 and 7
        values = {value % field.size for value in values}
    return _Values(frozenset(values), word.startswith("*"))


def _term(term: str, field: _Field) -> Iterable[int]:
    if "~" in term:
        return [_random(term, field)[0]]
    span, slash, step = term.partition("/")
    if span == "*":
        first, last = field.least, field.most
    else:
        low, dash, high = span.partition("-")
        first = _number(low, field, term)
        if not dash:
            if slash:
                raise LineError(
                    f"has {_short(term)} as its {field.name}: a step needs a range or a * before it",
                    f"write {low}-{field.most}/{step} or {low}",
                )
            return [first]
        last = _number(high, field, term)
        if first > last:
            raise _backwards(term, field, first, last)
    return range(first, last + 1, _step(step, field, term) if slash else 1)


def _random(term: str, field: _Field) -> tuple[int, int]:
    """Return the least and the greatest value of a range of which cron chooses one by chance."""
    if "/" in term or term.count("~") > 1:
        raise _unreadable(term, field)
    low, _, high = term.partition("~")
    first = _number(low, field, term) if low else field.least
    last = _number(high, field, term) if high else field.least + field.size - 1
    if first > last:
        raise _backwards(term, field, first, last)
    return first, last


def _number(text: str, field: _Field, term: str) -> int:
    if text.lower() in field.names:
        return field.names.index(text.lower()) + field.least
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise _unreadable(term, field)
    if not field.least <= int(text) <= field.most:
        raise LineError(
            f"has {_short(text)} as its {field.name}, which is {field.least} to {field.most}",
            f"write a {field.name} that there is",
        )
    return int(text)


def _step(text: str, field: _Field, term: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise _unreadable(term, field)
    if int(text) == 0:
        raise LineError(f"has the step 0 in its {field.name}: {_short(term)}", "write a step of at least 1")
    return int(text)


def _unreadable(term: str, field: _Field) -> LineError:
    if not term:
        return LineError(f"has a comma without a value beside it in its {field.name}", "remove the comma")
    foreign = re.fullmatch(r"\?|H(\(.*\))?(/\d+)?|L(-\d+)?|LW|\d+W|\w+L|\w+#\d+", term, re.ASCII)
    if foreign:
        return LineError(
            f"has {_short(term)} as its {field.name}, which is not of cron but of other programs",
            "write it as cron would take it, or write the job by hand: Mainspring knows most of these forms",
        )
    names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
    return LineError(
        f"has {_short(term)!r} as its {field.name}",
        f"write {field.least} to {field.most}{names}, a range, * or a list, with a step as in */2",
    )


def _backwards(term: str, field: _Field, first: int, last: int) -> LineError:
    over = f"{first}-{field.most},{field.least}-{last}"
    if field.size < field.most - field.least + 1:  # from a day to a Sunday, or over the end of the week
        over = f"{first}-7" if last == 0 else f"{first}-6,0-{last}"
    return LineError(
        f"has a range of the {field.name} that goes backwards, which cron refuses: {_short(term)}", f"write {over}"
    )


# --- as we read it ----------------------------------------------------------------------------------------------------


def _translated(place: int, word: str, read: _Values) -> str:
    """Return a field of our dialect that names the values which cron reads in `word`."""
    field = _FIELDS[place]
    if "~" in word:
        return ",".join(_hash(term, field) if "~" in term else term for term in word.split(","))
    fitting = word if _field_reads_same(place, word, read) else _rewritten(field, read)
    if not _field_reads_same(place, fitting, read):
        raise _inexpressible(word)
    return fitting


def _hash(term: str, field: _Field) -> str:
    """Return a value that differs from job to job, in place of one that is chosen by chance."""
    first, last = _random(term, field)
    return f"H({first}-{last})"


def _rewritten(field: _Field, read: _Values) -> str:
    """Write values as a list of ranges; a field that counts as a star begins with one."""
    if not read.starred:
        return _ranges(sorted(read.values))
    if len(read.values) == field.size:
        return "*"
    rest = sorted(read.values - {field.least})
    return f"*/{field.size}" + (f",{_ranges(rest)}" if rest else "")


def _ranges(values: Sequence[int]) -> str:
    spans: list[tuple[int, int]] = []
    for value in values:
        if spans and spans[-1][1] == value - 1:
            spans[-1] = spans[-1][0], value
        else:
            spans.append((value, value))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _field_reads_same(place: int, word: str, read: _Values) -> bool:
    words = [*_ALL[:place], word, *_ALL[place + 1 :]]
    found = _ours(" ".join(words))
    return found is not None and found[place] == read


def _reads_same(expression: str, read: Sequence[_Values]) -> bool:
    return _ours(expression) == list(read)


def _ours(expression: str) -> list[_Values] | None:
    """Return what our dialect reads in an expression, or `None` if it refuses it.

    Whether minute, hour and month count as a star means nothing to it, so that is what the text says.
    """
    try:
        times = compile_cron(expression)
    except TimeError:
        return None
    words, dates = expression.split(), times.dates
    if dates.month_days.from_last or dates.weekdays.nth:
        return None
    plain = (times.clock.minutes, times.clock.hours, dates.months)
    minutes, hours, months = (
        _Values(frozenset(values), words[place].startswith("*")) for values, place in zip(plain, (0, 1, 3), strict=True)
    )
    days = _Values(dates.month_days.days, dates.month_days.starred)
    return [minutes, hours, days, months, _Values(dates.weekdays.days, dates.weekdays.starred)]


def _inexpressible(text: str) -> LineError:
    return LineError(
        f"has times that Mainspring cannot say in one expression: {_short(text)}",
        "write them as lists of values, or as two lines",
    )


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 - what fits a line of a terminal
