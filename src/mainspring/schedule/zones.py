"""Time zones: the offset of a zone at a moment, and what becomes of civil times around a change of the clocks.

A zone is seen as spans of constant offset. Moments and civil times are whole microseconds, as in `civil`. The rules of
the zones are those of the `tzdata` package on every node, never those of the machine.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

import whenever
from whenever import Instant

from mainspring.schedule.civil import DAY, SECOND, from_datetime, to_datetime

whenever.reset_tzpath(())

_EPOCH = date(1970, 1, 1).toordinal() * DAY
_FOREVER = 1 << 62
"""Further than any moment: where a span has no begin or no end."""


class DstGap(StrEnum):
    """What becomes of a civil time that does not exist, because the clocks are put forward over it."""

    NEXT_VALID = "nextValid"
    """It is the first moment after the gap; several of one gap are that moment once."""
    SKIP = "skip"
    SHIFT = "shift"
    """It comes later by the length of the gap: 02:30 is 03:30."""


class DstOverlap(StrEnum):
    """What becomes of a civil time that exists twice, because the clocks are put back over it."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class Span(NamedTuple):
    """A stretch of time from `begin` to before `end`, in which a zone has one `offset` from UTC.

    `before` and `after` are the offsets around it.
    """

    begin: int
    end: int
    before: int
    offset: int
    after: int


_UTC = Span(-_FOREVER, _FOREVER, 0, 0, 0)
_spans: dict[tuple[str, int], Span] = {}
"""The spans that were asked for last, by zone and season; emptied when it holds `_MOST_SPANS`."""
_MOST_SPANS = 10_000
_SEASON = 120 * DAY


def span_at(zone: str, moment: int) -> Span:
    """Return the span of a zone that a moment lies in. Raises `ValueError` beyond the years 1 to 9999."""
    if zone == "UTC":
        return _UTC
    place = zone, moment // _SEASON
    span = _spans.get(place)
    if span is None or not span.begin <= moment < span.end:
        if len(_spans) >= _MOST_SPANS:
            _spans.clear()
        _spans[place] = span = _span(zone, (moment - _EPOCH) // SECOND)
    return span


def local_time(moment: datetime, zone: str) -> datetime:
    """Return what the clocks of a zone show at a moment: a datetime that has no zone."""
    instant = from_datetime(moment)
    return to_datetime(instant + span_at(zone, instant).offset).replace(tzinfo=None)


def is_second(moment: datetime, zone: str) -> bool:
    """Say whether the clocks of a zone have shown the time of a moment before, because they were put back."""
    instant = from_datetime(moment)
    span = span_at(zone, instant)
    return instant + span.offset < span.begin + span.before


def has_change(zone: str, moment: datetime) -> bool:
    """Say whether the clocks of a zone are changed some time after a moment."""
    return span_at(zone, from_datetime(moment)).end < _FOREVER


def moment_of(civil: int, zone: str) -> int:
    """Return the first moment that a civil time is in a zone; of one that the clocks skip, the first after the gap."""
    span = span_at(zone, civil - 2 * DAY)
    while span.end + span.offset <= civil:
        span = span_at(zone, span.end)
    return max(span.begin, civil - span.offset)


def _span(zone: str, second: int) -> Span:
    here = Instant.from_timestamp(second).to_tz(zone)
    offset = _offset(here)
    begin = Instant.from_timestamp(second + 1).to_tz(zone).prev_transition()
    end = here.next_transition()
    return Span(
        begin=-_FOREVER if begin is None else begin.timestamp() * SECOND + _EPOCH,
        end=_FOREVER if end is None else end.timestamp() * SECOND + _EPOCH,
        before=offset if begin is None else _offset(Instant.from_timestamp(begin.timestamp() - 1).to_tz(zone)),
        offset=offset,
        after=offset if end is None else _offset(end),
    )


def _offset(moment: whenever.ZonedDateTime) -> int:
    return int(moment.offset.total("seconds")) * SECOND
