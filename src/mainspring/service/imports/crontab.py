"""A crontab, read line by line as the cron of Debian and cronie reads it. Pure.

Each line of the file becomes exactly one thing: a blank, a comment, a variable, an entry, an entry for the start of the
machine, or a refusal that says what is wrong and what to do. A line that is refused stops no other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mainspring.service.imports.cron_fields import CronTimes, LineError, read_fields, read_macro

MOST_BYTES = 4 * 1024 * 1024
"""How large a crontab may be."""
LONGEST_COMMAND = 999
"""How many bytes of a command the cron of Debian reads."""
_BLANKS = " \t"
_SPACES = " \t\v\f\r\n"
"""What counts as a space around the name and the value of a variable."""
_FIVE = re.compile(r"(?P<fields>(?:[^ \t]+[ \t]+){4}[^ \t]+)(?:[ \t]+(?P<rest>.*))?", re.DOTALL)
_LOOKS_LIKE_A_VARIABLE = re.compile(r"""["']?[A-Za-z_][A-Za-z0-9_]*["']?\s*=""", re.ASCII)
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]*\$?", re.ASCII)
_BSD_FLAGS = re.compile(r"-[nqs]+[ \t]", re.ASCII)
_OVERRIDDEN = {"LOGNAME", "USER"}
"""Variables that cron sets itself, whatever the crontab says."""


class CrontabError(ValueError):
    """The whole file cannot be read as a crontab. The text says why."""


class Variable(NamedTuple):
    """A line that sets a variable for the lines below it."""

    number: int
    name: str
    value: str


class Reboot(NamedTuple):
    """An entry with ``@reboot``: cron runs it when it starts."""

    number: int
    text: str
    user: str | None
    command: str


class Refusal(NamedTuple):
    """A line that cannot be imported: what is wrong with it, and what to do."""

    number: int
    problem: str
    advice: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that runs a command at some times.

    `variables` are those of the crontab that hold for it. `stdin` is what stands behind the first ``%``, or `None`
    without one. `quiet` entries have a ``-`` before them, which keeps cronie from logging them.
    """

    number: int
    text: str
    times: CronTimes
    user: str | None
    command: str
    stdin: str | None
    variables: Mapping[str, str]
    quiet: bool = False


@dataclass(slots=True)
class Crontab:
    """All lines of a crontab, sorted by what they are. Each line is counted once.

    `user_field` says whether it was read as a system crontab, whose lines name a user.
    """

    user_field: bool
    entries: list[Entry] = field(default_factory=list)
    reboots: list[Reboot] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    comments: int = 0
    blanks: int = 0
    carriage_returns: int = 0
    """How many lines end as Windows has it."""
    byte_order_mark: bool = False
    unended: int | None = None
    """The number of the last line, if it has no newline and says something."""

    @property
    def lines(self) -> int:
        """How many lines there are."""
        named = len(self.entries) + len(self.reboots) + len(self.variables) + len(self.refusals)
        return named + self.comments + self.blanks


def read_crontab(content: bytes, *, user_field: bool) -> Crontab:
    """Read a crontab; with `user_field` the sixth field of a line is the user. Raises `CrontabError`."""
    crontab = Crontab(user_field)
    crontab.byte_order_mark = content.startswith(b"\xef\xbb\xbf")
    in_force: dict[str, str] = {}
    lines = _lines(content)
    for number, raw in enumerate(lines, start=1):
        crontab.carriage_returns += raw.endswith(b"\r")
        _take(crontab, number, raw.removesuffix(b"\r"), in_force)
    if lines and not content.endswith(b"\n") and lines[-1].strip() and not lines[-1].lstrip().startswith(b"#"):
        crontab.unended = len(lines)
    return crontab


def guess_user_field(content: bytes, path: str, users: Collection[str]) -> tuple[bool, str]:
    """Say whether the lines of a crontab name a user, and why that is thought. Raises `CrontabError`.

    The files of the system do. Elsewhere each line must have one of `users`, those of the machine, or ``root`` in the
    sixth place, and something to run behind it.
    """
    if path == "/etc/crontab" or path.startswith("/etc/cron.d/"):
        return True, f"{path} is a crontab of the system"
    known, sixth = {*users, "root"}, []
    for raw in _lines(content):
        text = raw.decode("utf-8", "replace").strip(_SPACES)
        if not text or text.startswith("#") or _variable(text) is not None or _LOOKS_LIKE_A_VARIABLE.match(text):
            continue
        words = re.split(r"[ \t]+", text)
        place = 1 if text.lstrip("-").startswith("@") else 5
        sixth.append(words[place] if len(words) > place + 1 else "")
    if sixth and all(word in known for word in sixth):
        return True, f"each line has a user in its sixth field: {', '.join(sorted(set(sixth)))}"
    return False, "its lines do not all have a user of this machine in their sixth field"


def _lines(content: bytes) -> list[bytes]:
    if len(content) > MOST_BYTES:
        raise CrontabError(f"is larger than {MOST_BYTES // 1024 // 1024} MiB, so it is no crontab")
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return lines[:-1] if not lines[-1] else lines


def _take(crontab: Crontab, number: int, raw: bytes, in_force: dict[str, str]) -> None:
    """Add a line to the crontab; a variable also to those `in_force`."""
    bare = raw.lstrip(b" \t")
    if not bare:
        crontab.blanks += 1
    elif bare.startswith(b"#"):
        crontab.comments += 1
    else:
        try:
            _take_text(crontab, number, _text(raw), in_force)
        except LineError as error:
            crontab.refusals.append(Refusal(number, error.problem, error.advice))


def _take_text(crontab: Crontab, number: int, text: str, in_force: dict[str, str]) -> None:
    variable = _variable(text)
    if variable is None:
        entry = _entry(number, text, dict(in_force), user_field=crontab.user_field)
        if isinstance(entry, Reboot):
            crontab.reboots.append(entry)
        else:
            crontab.entries.append(entry)
        return
    name, value = variable
    if not name:
        raise LineError("sets a variable that has no name", "write NAME=value, or remove the line")
    crontab.variables.append(Variable(number, name, value))
    if name not in _OVERRIDDEN:
        in_force[name] = value


def _text(raw: bytes) -> str:
    """Return the text of a line. Raises `LineError` for what no settings file could hold."""
    if b"\0" in raw:
        raise LineError("has a NUL byte", "remove it; cron ends the line there")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LineError(
            f"is not UTF-8: its byte {error.start + 1} is 0x{raw[error.start]:02X}",
            "write the file as UTF-8, as with iconv -f latin1 -t utf-8",
        ) from error


# --- variables --------------------------------------------------------------------------------------------------------


def _variable(text: str) -> tuple[str, str] | None:
    """Return the name and the value that a line sets, or `None` if cron would not take it for a variable.

    Name and value may be in quotes, which keep blanks; a value without quotes loses the blanks around it. What is empty
    needs quotes.
    """
    name, rest = _name(text.lstrip(_BLANKS))
    rest = rest.lstrip(_SPACES)
    if name is None or not rest.startswith("="):
        return None
    value = rest[1:].lstrip(_SPACES)
    if value[:1] in {"'", '"'}:
        inner, quote, behind = value[1:].partition(value[0])
        return (name, inner) if quote and not behind.strip(_SPACES) else None
    return (name, value.rstrip(_SPACES)) if value else None


def _name(text: str) -> tuple[str | None, str]:
    """Return the name at the begin of a line, and what is behind it."""
    if text[:1] in {"'", '"'}:
        inner, quote, behind = text[1:].partition(text[0])
        return (inner, behind) if quote and "=" not in inner else (None, "")
    end = re.search(rf"[={_SPACES}]", text)
    return (None, "") if end is None else (text[: end.start()], text[end.start() :])


def _variable_problem(text: str) -> LineError:
    """Say why a line that looks like a variable is none."""
    name, _, value = text.partition("=")
    name, value = name.strip().strip("'\""), value.strip()
    if not value:
        return LineError(f"sets {name} to nothing, which cron does not take for a variable", f'write {name}=""')
    if value[0] in "'\"":
        return LineError(
            f"has a value of {name} whose quotes end too early or not at all",
            f"put the whole value of {name} into one pair of quotes, or remove the quotes",
        )
    return LineError(f"has quotes in the name {name} that do not fit", f"write {name}=…")


# --- entries ----------------------------------------------------------------------------------------------------------


def _entry(number: int, text: str, variables: Mapping[str, str], *, user_field: bool) -> Entry | Reboot:
    """Read the times, the user and the command of a line. Raises `LineError`."""
    body = text.lstrip(_BLANKS)
    quiet = body.startswith("-")
    body = body.removeprefix("-")
    if body.startswith("@"):
        macro, rest = re.split(r"(?=[ \t]|\Z)", body, maxsplit=1)
        times = None if macro == "@reboot" else read_macro(macro)
    else:
        times, rest = _times(body)
    user, command = _user(rest.lstrip(_BLANKS)) if user_field else (None, rest.lstrip(_BLANKS))
    _check_command(command)
    if times is None:
        return Reboot(number, text, user, command)
    command, stdin = split_input(command)
    if not command.strip():
        raise LineError("has nothing before its first %", "write the command before it, or \\% for a percent sign")
    return Entry(number, text, times, user, command, stdin, variables, quiet)


def _times(body: str) -> tuple[CronTimes, str]:
    match = _FIVE.fullmatch(body)
    if match is None:
        if _LOOKS_LIKE_A_VARIABLE.match(body):
            raise _variable_problem(body)
        raise LineError(
            f"has {len(body.split())} fields, and cron needs five and a command",
            "write minute, hour, day of month, month, day of week and the command",
        )
    try:
        return read_fields(re.split(r"[ \t]+", match["fields"])), match["rest"] or ""
    except LineError:
        if _LOOKS_LIKE_A_VARIABLE.match(body):
            raise _variable_problem(body) from None
        raise


def _user(text: str) -> tuple[str, str]:
    match = re.match(r"([^ \t]*)[ \t]*", text)
    user, command = (match[1], text[match.end() :]) if match else ("", text)
    if not command:
        raise LineError(
            "has no command behind its user",
            "add the user, or read the file without users: --no-user-field",
        )
    if not _USER.fullmatch(user):
        raise LineError(
            f"has {_short(user)!r} in the place of the user",
            "write the name of a user, or read the file without users: --no-user-field",
        )
    return user, command


def _check_command(command: str) -> None:
    if not command.strip():
        raise LineError("has no command", "write what is to run behind the times")
    if command.startswith("*"):
        raise LineError(
            "has a sixth * where the command should be", "cron knows no seconds and no years: leave one field out"
        )
    if flags := _BSD_FLAGS.match(command):
        raise LineError(
            f"begins its command with the flags {flags[0].strip()!r} of OpenBSD and FreeBSD, which Mainspring lacks",
            "remove them",
        )


def split_input(text: str) -> tuple[str, str | None]:
    r"""Split what stands behind the times at the first ``%``, and undo the escapes.

    Answers the command and its standard input, or `None` for the input if there is no ``%``. In the input each further
    ``%`` is a newline, and a newline ends it. ``\%`` is a percent sign in both; other backslashes stay.
    """
    match = re.match(r"(?:[^\\%]|\\.|\\\Z)*", text, re.DOTALL)
    end = match.end() if match else 0
    command = _unescaped(text[:end])
    if end == len(text):
        return command, None
    lines = re.sub(r"\\%|%", lambda found: "%" if len(found[0]) > 1 else "\n", text[end + 1 :])
    return command, lines if not lines or lines.endswith("\n") else lines + "\n"


def _unescaped(text: str) -> str:
    """Replace each escaped percent sign; a backslash behind a backslash escapes nothing."""
    return re.sub(r"\\(.)", lambda found: "%" if found[1] == "%" else found[0], text, flags=re.DOTALL)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 - what fits a line of a terminal
