"""Real: what calendars and crontabs of others say, sent to the service, fires when independent references say."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from mainspring.clock import ManualClock
from mainspring.errors import InvalidRequestError
from mainspring.schedule import format_time
from mainspring.service import LookAhead
from mainspring.store.sqlite.store import SqliteStore
from prove import record
from prove.result import Result
from prove.virtual import KEY, VirtualScheduler
from tests import real
from tests.postgres import PostgresServer

MOST_TIMES = 100
"""How many fire times of each are compared."""
LATEST = datetime(2030, 1, 1, tzinfo=UTC)
"""How far the clock goes; what starts ten years later is refused, as documented."""
Line = TypeVar("Line", real.RealCron, real.RealRule)


@dataclass(frozen=True)
class Size:
    """How many expressions, and how many rules, are drawn; `None`: all."""

    lines: int | None = None


FULL = Size()
QUICK = Size(lines=60)


class Answer(NamedTuple):
    """What the service says of a schedule: the code and the sentence with which it is refused, or its fire times."""

    code: str | None
    detail: str
    fire_times: list[datetime]


async def lines(_: PostgresServer | None, seed: int, size: Size) -> Result:
    """Ask the service for the fire times of each line, at the moment from which it is counted."""
    chance = Random(seed)
    crons, rules = _some(real.crons(), size, chance), _some(real.rules(), size, chance)
    result = Result("real", seed, f"{len(crons)} cron expressions and {len(rules)} recurrence rules of others")
    begun = record.boot()
    await _ask_crons(crons, result)
    await _ask_rules(rules, result)
    result.seconds = round(record.boot() - begun, 1)
    return result


def _some(those: Sequence[Line], size: Size, chance: Random) -> list[Line]:
    return list(those) if size.lines is None else chance.sample(those, size.lines)


async def _ask_crons(crons: Sequence[real.RealCron], result: Result) -> None:
    seen = Counter[str]()
    async with _world(real.CRON_START + timedelta(seconds=1)) as (world, _):
        for cron in crons:
            answer = await _ask(world, cron=cron.expression)
            seen["refused" if answer.code else "compared"] += 1
            expected = [] if cron.code else cron.fire_times(MOST_TIMES)
            if answer.code != cron.code or answer.fire_times[: len(expected)] != expected:
                result.blame("cron", cron.expression, f"{answer.code} {answer.fire_times[:5]}, not {expected[:5]}")
    _find(result, "cron", "cron expressions that fire as cronsim says, or are refused as documented", seen)


async def _ask_rules(rules: Sequence[real.RealRule], result: Result) -> None:
    seen = Counter[str]()
    rules = sorted(rules, key=lambda rule: rule.start)
    async with _world(datetime(1970, 1, 1, tzinfo=UTC)) as (world, clock):
        for rule in rules:
            start = rule.start.replace(tzinfo=ZoneInfo(rule.zone)).astimezone(UTC)
            clock.set(max(clock.now(), min(start, LATEST)))
            if rule.zone != rule.time_zone:
                answer = await _ask(world, rrule="FREQ=DAILY", timeZone=rule.time_zone)
                if answer.code != "TIME_ZONE_UNKNOWN":
                    result.blame("rrule", rule.time_zone, f"is no zone, and gives {answer}")
            kind, detail = await _ask_rule(world, rule, start)
            seen[kind] += 1
            if kind == "wrong":
                result.blame("rrule", rule.text, f"from {rule.start} in {rule.time_zone}: {detail}")
    _find(result, "rrule", "recurrence rules that fire as dateutil or their source says, or differ as documented", seen)


async def _ask_rule(world: VirtualScheduler, rule: real.RealRule, start: datetime) -> tuple[str, str]:
    """Say what kind of answer a rule gets, and of a wrong one what it is."""
    if rule.needs_set:
        answer = await _ask(world, rrule=rule.calendar_text)
        if answer.code and rule.is_named(real.REFUSED):
            return "recurrence sets, refused", ""
        expected = [] if answer.code else rule.fire_times(MOST_TIMES)
        alike = answer.fire_times == expected and answer.code in {None, "SCHEDULE_NEVER"}
        detail = f"{answer.code} {answer.detail} {answer.fire_times[:5]}, not {expected[:5]}"
        return ("recurrence sets, alike", "") if alike else ("wrong", detail)
    return _compared(rule, await _ask(world, rrule=rule.text, start=format_time(start), timeZone=rule.zone))


def _compared(rule: real.RealRule, answer: Answer) -> tuple[str, str]:
    if answer.code and rule.is_named(real.REFUSED):
        return "refused", ""
    if answer.code and not answer.code.endswith("_NEVER"):
        return "wrong", f"{answer.code} {answer.detail}"
    expected = rule.fire_times(MOST_TIMES)
    found = answer.fire_times if rule.is_whole else answer.fire_times[: len(expected)]
    if found == expected:
        return "alike", ""
    by_dateutil = "BYWEEKNO" in rule.text or answer.fire_times == rule._replace(instances=None).fire_times(MOST_TIMES)
    if rule.is_named(real.READ_OTHERWISE) and by_dateutil:
        return "read otherwise", ""
    return "wrong", f"{found[:5]}, not {expected[:5]}"


def _find(result: Result, kind: str, what: str, seen: Counter[str]) -> None:
    figures = ", ".join(f"{number:,} {name}" for name, number in seen.most_common())
    wrong = {violation.subject for violation in result.violations if violation.rule == kind}
    result.find("P8", what, seen.total(), len(wrong), figures)


async def _ask(world: VirtualScheduler, **schedule: Any) -> Answer:
    try:
        _, told = await world.service.lookahead.preview_new(KEY, {"schedule": schedule}, LookAhead(MOST_TIMES))
    except InvalidRequestError as error:
        return Answer(error.problems[0].code, error.problems[0].detail, [])
    return Answer(None, "", [start.fire_time for start in told.starts])


@asynccontextmanager
async def _world(now: datetime) -> AsyncIterator[tuple[VirtualScheduler, ManualClock]]:
    clock = ManualClock(now)
    store = SqliteStore(None, clock)
    await store.open()
    try:
        yield VirtualScheduler(store, clock), clock
    finally:
        await store.close()
