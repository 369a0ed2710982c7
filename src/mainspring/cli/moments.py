"""Moments and lengths of time as people write them on a command line."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

MOMENT = "as in 2026-12-01T10:00:00Z, or from now: +2h, -30m, 'in 2h', '2h ago', now"
"""How a moment may be written, for the help of a flag."""
_WORDS = re.compile(r"\s*\b(week|day|hour|minute|second)s?\b|(?<=\d)\s*(min|sec)s?\b", re.ASCII)
_AHEAD = re.compile(r"(?:\+|in\s+)(.+)", re.DOTALL)
_BACK = re.compile(r"-(.+)|(.+?)\s+ago", re.DOTALL)


def moment(text: str, flag: str = "--when") -> str:
    """Turn ``+1h30m``, ``in 2h``, ``-7d``, ``2h ago`` and ``now`` into a moment, counted from now.

    Other text is left for the service to judge, and so is ``now`` as the time of a job, which is the service's own.
    """
    if text == "now" and flag != "--when":
        return _from_now(timedelta())
    if ahead := _AHEAD.fullmatch(text):
        return _from_now(_length(ahead[1], text, flag))
    if back := _BACK.fullmatch(text):
        return _from_now(-_length(back[1] or back[2], text, flag))
    return text


def iso_duration(text: str) -> str:
    """Turn a length of time such as ``1h30m`` into ISO 8601; one that begins with ``P`` stays as it is."""
    text = re.sub(r"\s+", "", _WORDS.sub(_letter, text.strip())).upper()
    if text.startswith("P"):
        return text
    date = "".join(re.findall(r"\d+[WD]", text))
    time = text.removeprefix(date).removeprefix("T")
    return f"P{date}T{time}" if time else f"P{date}"


def seconds_of(text: str, flag: str) -> float:
    """Return a length of time in seconds. Raises `typer.BadParameter`."""
    return _length(text, text, flag).total_seconds()


def _letter(word: re.Match[str]) -> str:
    return (word[1] or word[2])[0]


def _length(text: str, whole: str, flag: str) -> timedelta:
    from mainspring.schedule import TimeError, parse_duration

    try:
        return parse_duration(iso_duration(text))
    except TimeError as error:
        raise typer.BadParameter(
            f"{whole!r} is not a length of time such as +30s, +5m, +2h or -1d", param_hint=flag
        ) from error


def _from_now(away: timedelta) -> str:
    from mainspring.clock import SystemClock
    from mainspring.schedule import format_time

    return format_time(SystemClock().now() + away)
