"""How much a service bears that says it is busy: a limit for the jobs of one concurrency key, learned from its answers.

Pure. The rules are those of additive increase and multiplicative decrease (D. Chiu and R. Jain, "Analysis of the
Increase and Decrease Algorithms for Congestion Avoidance", 1989), but for the level that has held: where one more is
refused, the limit goes back to that level, and one more is tried only after a long stretch. So it settles instead of
swinging, and few are refused.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from mainspring.schedule import format_time, parse_when

SHORTEST_STRETCH, LONGEST_STRETCH = 8, 25
"""So many times the limit have to succeed, at least and at most, before a level is tried that was refused.

Within these it is the square of the limit: one more is worth the more the fewer may run, and is tried the sooner. At a
limit of 5 fewer than 1 of 100 is refused then, at a limit of 2 it is 1 of 17.
"""
FORGET = timedelta(hours=1)
"""A limit that nobody has been refused at for so long is forgotten."""


class Pressure(NamedTuple):
    """What is known of a service: how many of a key may run at once.

    Nothing begins before `until`; while it `probes`, one goes ahead of the others. `held` is the highest level at which
    as many have succeeded as may run at once, `refused` the lowest at which one was refused; `None` where that is not
    known. `streak` counts the successes of runs that began at this limit, which it has `since`. The last one was
    refused at `busy_at`.
    """

    limit: int
    since: datetime
    until: datetime
    busy_at: datetime
    probes: bool = True
    held: int | None = None
    refused: int | None = None
    streak: int = 0

    def allows(self, running: int, last_began: datetime | None, now: datetime) -> bool:
        """Tell whether one more may begin, where so many run and the last one was claimed then."""
        if now < self.until:
            return False
        is_next = not self.probes or last_began is None or last_began < self.until
        return is_next and running < self.limit


class Heard(NamedTuple):
    """What came of runs of a key that ended together: when those began that succeeded, and those that were refused.

    `wait` is how long the service asks to be left alone, `running` how many others of the key run.
    """

    succeeded: tuple[datetime, ...] = ()
    refused: tuple[datetime, ...] = ()
    wait: timedelta = timedelta()
    running: int = 0


def learned(before: Pressure | None, heard: Heard, *, stated: int | None, now: datetime) -> Pressure | None:
    """Return what is known after runs have ended; `None` if nothing limits them but the `stated` limit, if any."""
    level = heard.running + len(heard.succeeded) + len(heard.refused)
    after = before
    if after is not None and heard.succeeded:
        after = _encouraged(after, heard.succeeded, level, now)
    if heard.refused:
        after = _refused(after, max(heard.refused), level, heard.wait, now)
    elif after is not None and (now - after.busy_at > FORGET or _is_at(after, stated)):
        return None
    if after is not None and stated is not None:
        after = after._replace(limit=min(after.limit, stated))
    return after


def _is_at(pressure: Pressure, stated: int | None) -> bool:
    return stated is not None and pressure.held is not None and pressure.held >= stated and not pressure.probes


def _refused(before: Pressure | None, began: datetime, level: int, wait: timedelta, now: datetime) -> Pressure:
    """Return a lower limit, unless the run had begun before the limit was lowered already.

    Nothing begins by a lower limit before `until`: what did was claimed while that was being written.
    """
    until = now + wait
    if before is None:
        return Pressure(max(1, level // 2), now, until, now, refused=level)
    if began < before.since or (before.probes and began < before.until):
        return before._replace(busy_at=now, until=max(before.until, until) if before.probes else before.until)
    if before.held is not None and before.limit > before.held and level >= max(2, before.held):  # one more was tried
        return before._replace(limit=before.held, since=now, busy_at=now, refused=before.limit, streak=0)
    return Pressure(max(1, before.limit // 2), now, until, now, refused=max(2, min(level, before.limit)))


def _encouraged(before: Pressure, succeeded: tuple[datetime, ...], level: int, now: datetime) -> Pressure:
    """Count successes at this limit, and raise it where they are enough."""
    new = sum(began >= before.since for began in succeeded)
    if not new:
        return before
    if before.probes:
        return before._replace(probes=False, since=now, streak=0)
    if level < before.limit:  # fewer ran than may: that says nothing
        return before
    streak = before.streak + new
    if 2 * streak < before.limit:
        return before._replace(streak=streak)
    after = before._replace(streak=streak, held=max(before.held or 0, before.limit))
    if after.refused is not None and after.limit >= after.refused:
        after = after._replace(refused=None)
    is_known = after.refused is not None and after.limit + 1 >= after.refused
    if is_known and streak < _stretch(after.limit):
        return after
    more = 1 if after.refused is not None else max(1, after.limit // 2)
    return after._replace(limit=after.limit + more, since=now, streak=0)


def _stretch(limit: int) -> int:
    """Return how many have to succeed at a limit before a level is tried that was refused."""
    return limit * min(max(limit * limit, SHORTEST_STRETCH), LONGEST_STRETCH)


class Strain(NamedTuple):
    """What is known of the service behind a key, if anything, and how many of its jobs run."""

    pressure: Pressure | None
    running: int


def pressure_to_json(pressure: Pressure) -> dict[str, Any]:
    """Write it as stores keep it."""
    return {
        name: format_time(value) if isinstance(value, datetime) else value for name, value in pressure._asdict().items()
    }


def pressure_from_json(note: Any) -> Pressure:
    """Read what `pressure_to_json` wrote. Raises `ValueError`, `TypeError` or `LookupError` for anything else."""
    times = {name: parse_when(note[name]) for name in ("since", "until", "busy_at")}
    return Pressure(**{**note, **times})
