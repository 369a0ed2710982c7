"""What the lines of a crontab become: a command, a schedule that fires as cron does, and a name. Pure.

Cron makes up for a time that the clocks skip, and does not repeat one that comes twice, unless the minute or the hour
begins with a star: those lines follow the clock. A schedule says so itself where its defaults would do otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mainspring.schedule import (
    MICROSECOND,
    Cron,
    DstGap,
    DstOverlap,
    Recurring,
    TimeError,
    check_zone,
    compile_cron,
    has_change,
)
from mainspring.service.imports.crontab import Crontab, Entry, Refusal

SHELL = "/bin/sh"
"""The shell that cron uses if the crontab names none."""
PATH = "/usr/bin:/bin"
"""The search path of commands that cron gives if the crontab has none."""
_LONGEST_NAME = 40
_ZONES = ("CRON_TZ", "TZ")
"""The variables that may name the zone of a line, the first of them before the second."""


@dataclass(frozen=True, slots=True)
class CronJob:
    """A line that is imported: its `name`, which is that of its job group too, and when it fires.

    `zone_of` names the variable of the crontab that the zone was taken from. `sets_dst` says that the schedule says by
    itself what happens when the clocks change.
    """

    entry: Entry
    name: str
    trigger: Recurring
    zone_of: str | None
    sets_dst: bool

    @property
    def command(self) -> tuple[str, ...]:
        """What cron would run."""
        return self.entry.variables.get("SHELL") or SHELL, "-c", self.entry.command

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the crontab that hold for the line, and the search path that cron would give."""
        return {"PATH": PATH, **self.entry.variables}

    @property
    def working_directory(self) -> str | None:
        """Where the command begins, if the crontab says so."""
        return self.entry.variables.get("HOME") or None

    @property
    def schedule(self) -> dict[str, str]:
        """The members of the schedule."""
        members = {"cron": self.entry.times.expression, "timeZone": self.trigger.time_zone}
        if self.sets_dst and self.trigger.dst_gap and self.trigger.dst_overlap:
            members |= {"dstGap": self.trigger.dst_gap.value, "dstOverlap": self.trigger.dst_overlap.value}
        return members


@dataclass(slots=True)
class Plan:
    """The jobs that a crontab becomes, and the lines that it does not, in the order of the file."""

    jobs: list[CronJob] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def plan(crontab: Crontab, *, time_zone: str | None, machine: str, start: datetime) -> Plan:
    """Return the jobs of a crontab. Raises nothing: a line that cannot become one is among the refusals.

    `time_zone` is the zone of all lines; without it each has that of its variables, or else that of the `machine`.
    `start` is the moment from which the lines fire.
    """
    made = Plan(refusals=list(crontab.refusals))
    taken: set[str] = set()
    for entry in crontab.entries:
        try:
            zone, zone_of = _zone(entry.variables, time_zone, machine)
        except TimeError as error:
            made.refusals.append(Refusal(entry.number, f"is below a time zone that is none: {error}", _OTHER_ZONE))
            continue
        trigger, sets_dst = _trigger(entry, zone, start)
        if trigger.next_fire_time(start - MICROSECOND) is None:
            made.refusals.append(Refusal(entry.number, f"never fires: {entry.times.written}", "remove it"))
            continue
        name = _unique(_slug(entry.command), taken)
        made.jobs.append(CronJob(entry, name, trigger, zone_of, sets_dst))
    made.refusals.sort()
    return made


_OTHER_ZONE = "mend the variable, or say the zone of all lines with --time-zone"


def _zone(variables: Mapping[str, str], time_zone: str | None, machine: str) -> tuple[str, str | None]:
    """Return the zone of a line and the variable that names it. Raises `TimeError`."""
    if time_zone is not None:
        return time_zone, None
    for name in _ZONES:
        if zone := variables.get(name, "").removeprefix(":"):
            try:
                return check_zone(zone), name
            except TimeError as error:
                raise TimeError(error.code, f"{name}={zone} {error}") from error
    return machine, None


def _trigger(entry: Entry, zone: str, start: datetime) -> tuple[Recurring, bool]:
    """Return when a line fires, and whether its schedule must say what happens when the clocks change."""
    follows = entry.times.follows_clock
    differs = compile_cron(entry.times.expression).hourly != follows and has_change(zone, start)
    gap, overlap = (DstGap.SKIP, DstOverlap.BOTH) if follows else (DstGap.NEXT_VALID, DstOverlap.FIRST)
    whole = (start + timedelta(seconds=1) - MICROSECOND).replace(microsecond=0)  # cron knows whole minutes only
    return Recurring(
        Cron(entry.times.expression),
        whole,
        time_zone=zone,
        dst_gap=gap if differs else None,
        dst_overlap=overlap if differs else None,
    ), differs


# --- names ------------------------------------------------------------------------------------------------------------

_PREPARING = frozenset(
    {
        "cd",
        "test",
        "[",
        "[[",
        "export",
        "umask",
        "set",
        "sleep",
        "ulimit",
        ".",
        "source",
        "true",
        ":",
        "mkdir",
        "command",
    }
)
"""Programs that only prepare what a line is for."""
_WRAPPING = frozenset(
    {"nice", "ionice", "nohup", "sudo", "env", "exec", "time", "chronic", "setsid", "flock", "timeout"}
)
"""Programs that run the one named behind them."""
_READING = frozenset(
    {
        "sh",
        "bash",
        "dash",
        "zsh",
        "ksh",
        "python",
        "python2",
        "python3",
        "perl",
        "php",
        "ruby",
        "node",
        "java",
        "run-parts",
    }
)
"""Programs that run the file named behind them."""
_ENDING = re.compile(r"\.(sh|py|pl|rb|php|js|jar|bash)$")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=\S*", re.ASCII)
_WORD_OF_A_NAME = re.compile(r"[A-Za-z][A-Za-z0-9:_.-]*", re.ASCII)
_SHORTEST = 3
"""How many letters a word has that says something."""
_INNER = re.compile(r"""\$\([^()]*\)|`[^`]*`|"[^"]*"|'[^']*'|["'`$]""")
"""What is in quotes, or run to be put into the command."""
_MAKES_A_FILE = re.compile(r"[\d&]*[<>]")


def _slug(command: str) -> str:
    """Return a short name for a command: its program, and what that is to do."""
    bare = _INNER.sub(" - ", command)
    parts = [words for part in re.split(r"&&|\|\|?|;|\(|\)|\{|\}", bare) if (words := list(_words(part)))]
    doing = [words for words in parts if _base(words[0]) not in _PREPARING]
    telling = [words for words in doing if _base(words[0]) not in _READING or _rest(words)]
    return _joined((telling or doing or [["job"]])[0])


def _words(part: str) -> Iterator[str]:
    """Yield the words of a part of a command from its program on."""
    words = iter(part.split())
    wrapped = False
    for word in words:
        if _ASSIGNMENT.fullmatch(word) or word in {"!", "if", "then", "do"}:
            continue
        if _base(word) in _WRAPPING:
            wrapped = True
            continue
        if wrapped and (word.startswith("-") or not _WORD_OF_A_NAME.match(_base(word)) or word.endswith(".lock")):
            continue
        yield word
        break
    yield from words


def _rest(words: list[str]) -> list[str]:
    """Return the words behind the program that are no flags."""
    return [word for word in words[1:] if not word.startswith("-")]


def _joined(words: list[str]) -> str:
    program, rest = _base(words[0]), _rest(words)
    reads = program in _READING
    parts = [] if reads and rest and program != "run-parts" else [program]
    for word in rest:
        base = _base(word)
        if _MAKES_A_FILE.match(word):
            break
        if len(parts) < 2 and (reads or (word == base and len(base) >= _SHORTEST)) and _WORD_OF_A_NAME.fullmatch(base):  # noqa: PLR2004 - two words say enough
            parts.append(base)
    text = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(_ENDING.sub("", part) for part in parts or [program]))
    return text[:_LONGEST_NAME].strip("-").lower() or "job"


def _base(word: str) -> str:
    return word.rstrip("/").rpartition("/")[2]


def _unique(name: str, taken: set[str]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found)
    return found
