"""Times as callers have them and as the wire has them: aware datetimes in UTC, and RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

When: TypeAlias = datetime | timedelta | str
"""An aware moment, a span of time from the moment of the call, or text in a form that the service reads."""


def moment_text(when: When, now: datetime) -> str:
    """Write a moment for the wire; a timedelta counts from `now`. A datetime without a zone is a `ValueError`."""
    if isinstance(when, str):
        return when
    if isinstance(when, timedelta):
        when = now + when
    if when.tzinfo is None or when.utcoffset() is None:
        raise ValueError(
            f"{when.isoformat()} has no time zone: pass an aware datetime, such as datetime(..., tzinfo=UTC)"
        )
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def span_text(span: timedelta | str) -> str:
    """Write a length of time for the wire, as an ISO 8601 duration in seconds."""
    if isinstance(span, str):
        return span
    whole, part = divmod(span, timedelta(seconds=1))
    micros = f".{part.microseconds:06}".rstrip("0") if part else ""
    return f"PT{whole}{micros}S"


def read_moment(text: object) -> datetime | None:
    """Read a time of an answer; None where there is none."""
    if not isinstance(text, str):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)
