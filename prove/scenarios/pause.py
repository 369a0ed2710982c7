"""Pause: everything is stopped and let go again, time and again, under a steady load of jobs that run once and recur.

What begins, and when, is told by the jobs themselves; what became of each fire time, by history.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from mainspring.schedule import format_time
from prove import ledger
from prove.checker import Story
from prove.figures import percentile, summary
from prove.record import boot
from prove.result import Result
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer

PATH = "/api/schedulers"
AHEAD = 3.0
"""Seconds before the first job is due, in which all are created."""
MISFIRES: tuple[dict[str, Any], ...] = (
    {"misfire": "fireNow"},
    {"misfire": "skip", "grace": "PT1S"},
    {"misfire": {"policy": "fireAll", "cap": 1000, "spacing": "PT0.05S"}},
)
"""What jobs that fire every second do with what they missed."""


@dataclass(frozen=True)
class Size:
    """How many nodes and jobs a second, how many of these recur each second, and how often all is paused."""

    nodes: int
    rate: int
    recurring: int
    pauses: int
    paused: tuple[float, float]
    """How long a pause lasts, in seconds, at least and at most."""
    between: tuple[float, float]
    """How long jobs go on between two pauses."""
    within: float = 1.0
    """Seconds from the answer on after which nothing may begin; a busy machine begins late what it had claimed."""

    @property
    def seconds(self) -> int:
        """For how long jobs come due."""
        return round(self.pauses * (self.paused[1] + self.between[1])) + 1


FULL = Size(nodes=3, rate=200, recurring=60, pauses=20, paused=(2, 8), between=(1, 4))
QUICK = Size(nodes=2, rate=60, recurring=12, pauses=1, paused=(2, 2), between=(0.5, 0.5), within=1.5)


class Stop(NamedTuple):
    """A pause: when its call was sent and answered, when it ended at the earliest, and whether it ended by itself."""

    sent: float
    since: float
    until: float
    by_itself: bool


async def pause(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it."""
    result = Result("pause", seed, f"{size.nodes} nodes, {size.rate} jobs a second, {size.pauses} pauses of everything")
    random = Random(seed)
    async with trial(result, server) as lent:
        lent.keep("plan", asdict(size))
        await lent.start(size.nodes)
        begun = boot()
        once = await asyncio.to_thread(
            ledger.fill,
            lent.url,
            group="noop",
            jobs=(size.rate - size.recurring) * size.seconds,
            after=AHEAD,
            over=size.seconds,
        )
        lent.filled |= once
        recurring = [await _recur(lent, size, MISFIRES[number % len(MISFIRES)]) for number in range(size.recurring)]
        await asyncio.sleep(begun + AHEAD - boot())
        stops = [await _stop(lent, random, size, number) for number in range(size.pauses)]
        story = await lent.rest(size.seconds + 60)
        told = await asyncio.to_thread(ledger.occurrences, lent.url)
        lent.report_basics(story)
        judge(lent.result, story, stops, size)
        account(lent.result, told, once, dict(recurring))
    return result


async def _recur(lent: Trial, size: Size, misfire: dict[str, Any]) -> tuple[str, list[int]]:
    """Create a job that fires every second, and return its id and its fire times in ms since 1970."""
    start = (datetime.now(UTC) + timedelta(seconds=AHEAD)).replace(microsecond=0)
    count = size.seconds
    schedule = {"every": "PT1S", "start": format_time(start), "count": count, **misfire}
    answer = await lent.client.create("other", schedule=schedule)
    if answer.status != 201:
        raise RuntimeError(f"a recurring job was answered with {answer.status}: {answer.body}")
    first = round(start.timestamp() * 1000)
    return answer.body["id"], [first + 1000 * number for number in range(count)]


async def _stop(lent: Trial, random: Random, size: Size, number: int) -> Stop:
    """Let jobs go on for a while, and pause everything for another; every third pause ends by itself."""
    await asyncio.sleep(random.uniform(*size.between))
    lasting, by_itself = random.uniform(*size.paused), number % 3 == 2
    ahead = boot() + lasting
    body = {"until": soon(lasting)} if by_itself else {}
    answer = await lent.client.send("POST", f"{PATH}/pause", body)
    if answer.verdict != "ok":
        raise RuntimeError(f"a pause was answered with {answer.status}: {answer.body}")
    await asyncio.sleep(ahead - boot())
    if by_itself:
        return Stop(answer.at, answer.at + answer.seconds, ahead, by_itself)
    resumed = await lent.client.send("POST", f"{PATH}/resume")
    if resumed.verdict != "ok":
        raise RuntimeError(f"a resume was answered with {resumed.status}: {resumed.body}")
    return Stop(answer.at, answer.at + answer.seconds, resumed.at, by_itself)


def judge(result: Result, story: Story, stops: Sequence[Stop], size: Size) -> None:
    """Find what began although all was paused."""
    begun = sorted(mark.boot for mark in story.starts)
    lasts, firsts, late = [], [], 0
    for stop in stops:
        after = [at - stop.since for at in begun if stop.since < at < stop.until]
        lasts.append(max(after, default=0.0))
        firsts.append(min((at - stop.until for at in begun if at >= stop.until), default=float("inf")))
        if wrong := [at for at in after if at > size.within]:
            late += 1
            detail = f"{len(wrong)} began later than {size.within:g} s after the answer, the last {wrong[-1]:.3f} s"
            result.blame("P27", f"pause at {stop.since:.3f}", detail)
    figures = f"{_milliseconds(lasts)}; the calls took {summary([stop.since - stop.sent for stop in stops])}"
    result.find("P27", f"pauses, the last start ≤ {size.within:g} s after the answer", len(stops), late, figures)
    result.notes.append(f"from the end of a pause to the next start: {_milliseconds(firsts)}")


def _milliseconds(seconds: Sequence[float]) -> str:
    p50, most = (percentile(seconds, share) * 1e3 for share in (0.5, 1))
    return f"p50 {p50:.0f} ms, max {most:.0f} ms"


def account(
    result: Result, told: Iterable[ledger.Occurrences], once: frozenset[str], recurring: dict[str, list[int]]
) -> None:
    """Compare what history stands for with what was to happen: each fire time once, run or skipped."""
    ran: Counter[str] = Counter()
    stood_for: dict[str, Counter[int]] = defaultdict(Counter)
    seen: Counter[str] = Counter()
    for row in told:
        if row.job not in recurring:
            ran[row.job] += row.outcome == "succeeded"
            continue
        first, last = round(row.first * 1000), round(row.last * 1000)
        moments = range(first, last + 1, 1000)
        if len(moments) != row.number or row.outcome not in {"succeeded", "skipped"}:
            result.blame("P27", row.job, f"a row is {row.outcome} and stands for {row.number} from {first} to {last}")
        stood_for[row.job].update(moments)
        seen[row.outcome] += len(moments)
    others = {job: ran[job] for job in once if ran[job] != 1}
    for job, times in others.items():
        result.blame("P27", job, f"runs once, and ran {times} times")
    result.find("P27", "jobs that run once, each ran once", len(once), len(others))
    wrong = 0
    for job, fire_times in recurring.items():
        expected = Counter(fire_times)
        off = (expected - stood_for[job]) + (stood_for[job] - expected)
        wrong += off.total()
        if off:
            result.blame("P27", job, f"fire times not once in history: {dict(off)}")
    figures = f"{seen['succeeded']:,} ran, {seen['skipped']:,} skipped or covered by a late run"
    result.find("P27", "fire times of recurring jobs, each once in history", seen.total(), wrong, figures)
