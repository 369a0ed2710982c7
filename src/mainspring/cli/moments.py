"""Moments and lengths of time as people write them on a command line."""

from __future__ import annotations

import re

import typer


def moment(text: str, flag: str = "--when") -> str:
    """Turn ``+1h30m`` and ``-7d`` into the moment that far from now. Other text is left for the service to judge."""
    if not text.startswith(("+", "-")):
        return text
    from mainspring.clock import SystemClock
    from mainspring.schedule import TimeError, format_time, parse_duration

    try:
        away = parse_duration(iso_duration(text[1:].upper()))
    except TimeError as error:
        raise typer.BadParameter(
            f"{text!r} is not a length of time such as +30s, +5m, +2h or -1d", param_hint=flag
        ) from error
    now = SystemClock().now()
    return format_time(now + away if text[0] == "+" else now - away)


def iso_duration(text: str) -> str:
    """Turn a length of time such as ``1H30M`` into ISO 8601; one that begins with ``P`` stays as it is."""
    if text.startswith("P"):
        return text
    date = "".join(re.findall(r"\d+[WD]", text))
    time = text.removeprefix(date).removeprefix("T")
    return f"P{date}T{time}" if time else f"P{date}"
