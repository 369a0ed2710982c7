"""Preview: what a preview shows of schedules drawn at random is what history says after they were lived through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any, NamedTuple

from mainspring.clock import ManualClock
from mainspring.errors import InvalidRequestError
from mainspring.job import Job, Outcome, Run, State
from mainspring.schedule import Fate, Outage, Planned, Recurring, Start, Unrun, calendar_from_json, preview
from mainspring.store.notes import CALENDARS
from mainspring.store.sqlite.store import SqliteStore
from prove import record
from prove import schedules as drawing
from prove.result import Result
from prove.virtual import KEY, VirtualScheduler
from tests.postgres import PostgresServer

FIRST_DAY = datetime(2026, 12, 1, tzinfo=UTC)
DAYS = 500
"""Within how many days schedules are created, so that all changes of the clocks of a year lie before some of them."""
MOST_LINES = 300
"""How many at most: a schedule may skip all its life."""
COUNTED = 1500
"""Up to how many fire times they are counted one by one."""
_CALENDARS = {name: calendar_from_json(each) for name, each in drawing.CALENDARS.items()}


@dataclass(frozen=True)
class Size:
    """How many schedules, and how many lines of each preview are lived through at least, if it has so many."""

    schedules: int
    lines: int


FULL = Size(schedules=1000, lines=30)
QUICK = Size(schedules=100, lines=8)


class Line(NamedTuple):
    """A start of the occurrence `first` at `then`; or `number` passed over from `first` to `then`, and why."""

    first: datetime
    then: datetime
    number: int
    why: str | None

    @property
    def end(self) -> datetime:
        """The last fire time that it speaks of."""
        return self.first if self.why is None else self.then


class Told(NamedTuple):
    """What a preview shows: its lines, until when they go, and whether that is all there will ever be."""

    lines: list[Start | Unrun]
    until: datetime
    whole: bool

    def covers(self, row: Run) -> bool:
        """Say whether a row of history is of the time that was shown."""
        return self.whole or bool(self.lines and row.fire_time <= _first(self.lines[-1]))


def _first(line: Start | Unrun) -> datetime:
    return line.fire_time if isinstance(line, Start) else line.first


async def previews(_: PostgresServer | None, seed: int, size: Size) -> Result:
    """Live through schedules, each in a world of its own; every third node is away for a while."""
    result = Result("preview", seed, f"{size.schedules:,} schedules, at least {size.lines} lines of each")
    begun, chance, seen = record.boot(), Random(seed), Counter[str]()
    drawn = drawing.schedules(chance, FIRST_DAY)
    while seen["schedules"] < size.schedules:
        now = FIRST_DAY + timedelta(days=chance.randrange(DAYS), seconds=chance.randrange(86_400))
        body = next(drawn)
        outages = chance if seen["schedules"] % 3 == 0 else None
        try:
            await _live(result, body, now, outages, seen, size.lines)
        except InvalidRequestError:
            seen["refused"] += 1
    wrong = len({violation.subject for violation in result.violations})
    others = ("late", "skipped", "coalesced", "postponed", "outages", "ended")
    figures = ", ".join(f"{seen[name]:,} {name}" for name in others)
    result.find("P8", "schedules whose preview was what then happened", seen["schedules"], wrong, figures)
    result.find("P9", "starts, each at the time of its preview", seen["starts"], result.count("preview"))
    result.notes.append(f"{seen['refused']:,} other schedules were refused, because they contradict themselves")
    result.seconds = round(record.boot() - begun, 1)
    return result


async def _live(
    result: Result, body: dict[str, Any], now: datetime, outages: Random | None, seen: Counter[str], least: int
) -> None:
    """Live through one schedule, and then a little more of it by a preview of what it is by then.

    Raises `InvalidRequestError` if it is none.
    """
    clock = ManualClock(now, seed=seen["starts"])
    store = SqliteStore(None, clock)
    await store.open()
    try:
        for name, calendar in drawing.CALENDARS.items():
            await store.note(CALENDARS, name, calendar)
        world = VirtualScheduler(store, clock)
        job = await world.service.create_job(KEY, {"schedule": body})
        told = tell(job, now, least)
        outage = _outage(told, outages) if outages else None
        if outage:
            told = tell(job, now, least, outage)
        await _add_unrun(world, told, outage)
        between = await world.service.get_job(KEY, job.id)
        pending = Planned(between.fire_time, between.due_at)
        further = tell(between, clock.now(), least // 4, pending=pending)
        if between.state is not State.DONE:
            await _add_unrun(world, further, None)
        last, history = await world.service.get_job(KEY, job.id), await world.history(job)
    finally:
        await store.close()
    wrong = [*_differences(between, told, [row for row in history if told.covers(row)])]
    if between.state is not State.DONE:
        rows = [row for row in history if row.fire_time >= between.fire_time and further.covers(row)]
        wrong += [f"further on: {detail}" for detail in _differences(last, further, rows)]
    for detail in wrong:
        result.blame("preview", f"schedule {seen['schedules']}", f"{detail}; {body} from {now}, {outage}")
    _count(seen, [*told.lines, *further.lines], last)
    seen["outages"] += outage is not None


def tell(job: Job, now: datetime, least: int, outage: Outage | None = None, pending: Planned | None = None) -> Told:
    """Take the lines of a preview up to a start, at least so many; or all."""
    lines: list[Start | Unrun] = []
    shown = preview(job.trigger, now=now, job_id=job.id, calendars=_CALENDARS, outage=outage, pending=pending)
    for line in islice(shown, MOST_LINES):
        lines.append(line)
        if len(lines) >= least and isinstance(line, Start):
            rest: list[Unrun] = []
            for more in shown:
                if isinstance(more, Start):
                    return Told(lines, line.at, whole=False)
                rest.append(more)
            return Told([*lines, *rest], line.at, whole=True)
    whole = len(lines) < MOST_LINES
    while lines and not whole and isinstance(lines[-1], Unrun):
        lines.pop()
    starts = [line.at for line in lines if isinstance(line, Start)]
    return Told(lines, max([now, *starts, *([outage.end] if outage else [])]), whole)


def _outage(told: Told, chance: Random) -> Outage | None:
    """Draw a time, somewhere in a preview, in which the node is away."""
    starts = [line.at for line in told.lines if isinstance(line, Start)]
    if len(starts) < 2:
        return None
    first = chance.randrange(len(starts) - 1)
    begin = starts[first] + timedelta(seconds=chance.choice([0, 1, 59, 1800]))
    end = starts[chance.randrange(first + 1, len(starts))] + timedelta(seconds=chance.choice([0, 1, 59, 1800]))
    return Outage(begin, max(begin + timedelta(seconds=1), end))


async def _add_unrun(world: VirtualScheduler, told: Told, outage: Outage | None) -> None:
    """Live until a preview ends."""
    if outage and outage.begin <= told.until:
        async with world.node() as node:
            await world.run_until(node, outage.begin, including=False)
        world.clock.set(outage.end)
    async with world.node() as node:
        await world.run_until(node, told.until)


def _differences(job: Job, told: Told, history: list[Run]) -> Iterator[str]:
    """Compare a preview with what history has of the same time, and both with the schedule's own arithmetic."""
    expected, found = _as_lines(told.lines), _lived(history)
    if expected != found:
        place = next((n for n, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), -1)
        yield f"line {place} of {len(expected)} to {len(found)}: {expected[place:][:2]} and then {found[place:][:2]}"
    if told.whole is not (job.state is State.DONE):
        yield f"the preview {'ends' if told.whole else 'goes on'}, and the job is {job.state}"
    postponed = {line.fire_time for line in told.lines if isinstance(line, Start) and "calendar" in (line.note or "")}
    rows = {row.fire_time for row in history if row.outcome is Outcome.POSTPONED}
    if postponed - rows:
        yield f"of what is postponed history does not have {sorted(postponed - rows)}"
    if expected:
        assert isinstance(job.trigger, Recurring)
        counted = sum(1 for _ in islice(job.trigger.fire_times(expected[0].first, expected[-1].end), COUNTED))
        if counted < COUNTED and counted != sum(line.number for line in expected):
            yield f"there are {counted} fire times, and {sum(line.number for line in expected)} are shown"


def _as_lines(lines: Iterable[Start | Unrun]) -> list[Line]:
    """Write what was shown as lines; what was passed over in a row for one reason as one."""
    written: list[Line] = []
    for line in lines:
        if isinstance(line, Start):
            written.append(Line(line.fire_time, line.at, 1, None))
            continue
        why = f"coalesced: {line.reason}" if line.fate is Fate.COALESCED else line.reason
        before = written.pop() if written and written[-1].why == why else Line(line.first, line.first, 0, why)
        written.append(Line(before.first, line.last, before.number + line.number, why))
    return written


def _lived(history: Iterable[Run]) -> list[Line]:
    lines: list[Start | Unrun] = []
    for row in sorted(history, key=lambda row: (row.fire_time, row.number)):
        if row.outcome is Outcome.SKIPPED:
            said = row.reason or ""
            fate = Fate.COALESCED if said.startswith("coalesced: ") else Fate.SKIPPED
            last = row.last_fire_time or row.fire_time
            lines.append(Unrun(row.fire_time, last, row.occurrences, fate, said.removeprefix("coalesced: ")))
        elif row.outcome is not Outcome.POSTPONED:
            assert row.outcome is Outcome.SUCCEEDED, row
            lines.append(Start(row.fire_time, row.started_at, row.started_at))
    return _as_lines(lines)


def _count(seen: Counter[str], lines: Iterable[Start | Unrun], job: Job) -> None:
    seen["schedules"] += 1
    seen["ended"] += job.state is State.DONE
    for line in lines:
        if isinstance(line, Start):
            seen["starts"] += 1
            seen["late"] += "late" in (line.note or "")
            seen["postponed"] += "calendar" in (line.note or "")
        else:
            seen[line.fate] += line.number
