"""Moments as PostgreSQL has them: whole microseconds since 2000, whose first and last numbers mean infinity."""

from __future__ import annotations

from datetime import UTC, datetime

from mainspring.schedule import MICROSECOND
from mainspring.store.rows import NEWEST, OLDEST, from_microseconds, near_microseconds

_2000 = datetime(2000, 1, 1, tzinfo=UTC)
_BEFORE_2000 = (_2000 - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND
_INFINITY = 2**63 - 1
_ENDS = {OLDEST: -_INFINITY - 1, NEWEST: _INFINITY}


def to_2000(moment: datetime) -> int:
    """Write a moment; the first and the last that Python knows stand for infinity."""
    return (moment - _2000) // MICROSECOND if OLDEST < moment < NEWEST else _ENDS[moment]


def from_2000(microseconds: int) -> datetime:
    """Read what `to_2000` wrote. Raises `ValueError` for what can be no moment of a job."""
    return from_microseconds(microseconds + _BEFORE_2000)


def near_2000(microseconds: int) -> datetime:
    """Read any number; what is no moment as the first or the last one that Python knows."""
    return near_microseconds(microseconds + _BEFORE_2000)
