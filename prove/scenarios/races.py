"""Races: clients and nodes do to one job, at one moment, what does not go together, many thousand times on each store.

Each job runs once. Around its due time it is moved, deleted, paused, let go, fired, cancelled, retried and read, while
a node claims it and its run ends. What everybody was told, and what the job saw of itself, must fit some order in which
these were done one after the other (`prove.linear`, `prove.race`).
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from mainspring.schedule import format_time, parse_when
from prove import ledger, record
from prove.checker import NEVER
from prove.client import Address
from prove.fleet import PATIENCE, Fleet
from prove.line import Lines, Told
from prove.linear import has_order
from prove.race import UNKNOWN, Begun, Call, Deed, Ended, Facts, Shown, step
from prove.record import Mark, boot
from prove.result import Result
from prove.scenarios.keys import STORES
from tests.postgres import PostgresServer, temporary_database

JOBS = "/api/schedulers/prove/flaky/jobs"
RUNS = "/api/schedulers/prove/flaky/runs"
AHEAD = (0.03, 0.12)
"""How far ahead a job is due when it is created, in seconds."""
AROUND = (-0.04, 0.05)
"""When its calls are sent, counted from its due time, in seconds."""
AFTER = 0.15
"""The same for those that are of use only after a run."""
TOGETHER, BY_VERSION, TOMORROW = 0.5, 0.2, 0.1
"""Of how many jobs all calls are sent at one moment, how many name a version, and how many moves go to tomorrow."""
TAKES = (0.0, 0.0, 0.004, 0.02)
"""How long runs take, in seconds."""
WITHIN = 2.0
"""Seconds after which nothing may begin whose job was deleted when it had been claimed; nodes hear within about one."""
PAGE = 1000
STEADY = ("patch", "patch", "delete", "pause", "resume", "fire", "cancel", "retry", "get")
FAILING = (("retry", "retry", "retry", "delete", "pause", "resume", "fire", "cancel", "get"), STEADY[:-2])
"""What is done to jobs that fail at first: they are retried or moved. Both at once runs two fire times side by side."""


@dataclass(frozen=True)
class Size:
    """How many races there are, and how many at once."""

    races: int
    at_once: int


FULL = Size(races=20_000, at_once=48)
QUICK = Size(races=150, at_once=16)


class Race(NamedTuple):
    """A job, and the calls of those who race for it."""

    start: Facts
    calls: list[Call]


async def races(server: PostgresServer, seed: int, size: Size, store: str) -> Result:
    """Run it on a store, one of `STORES`."""
    what = f"{size.races:,} jobs in {store}, 2 to 6 calls to each around its due time"
    result = Result(f"races-{store.lower()}", seed, what)
    begun = boot()
    with ExitStack() as stack:
        await _try(result, server, store, stack, size)
    result.seconds = round(boot() - begun, 1)
    return result


async def _try(result: Result, server: PostgresServer, store: str, stack: ExitStack, size: Size) -> None:
    """Start nodes on a store, let the races run, and judge them."""
    home = Path(tempfile.mkdtemp(prefix="mainspring-races-"))
    stack.callback(shutil.rmtree, home)
    url = {"memory": "memory:", "SQLite": f"sqlite:///{home}/jobs.db"}.get(store)
    if url is None:
        url = stack.enter_context(temporary_database(server.url()))
        ledger.rebuild_schema(url)
    fleet, lines = Fleet(url, home), Lines()
    try:
        for life in [fleet.start() for _ in range(STORES[store])]:
            if not await life.wait_for("node started", seconds=3 * PATIENCE):
                raise RuntimeError(f"it did not start: {life.log()[-3:]}")
        course = _Course(lines, fleet.addresses(), Random(f"{result.seed} {store}"), size)
        run = await course.run()
        if stuck := await course.settle():
            result.blame("P31 end", store, f"jobs are due and do not run: {stuck}")
        asked = boot()
        rows = await course.history()
        await course.look_last(run)
        _judge(result, store, run, rows, asked, [*record.read(fleet.record)])
    finally:
        await lines.close()
        await fleet.close()


class _Course:
    """Where the races of one store are run."""

    def __init__(self, lines: Lines, addresses: Sequence[Address], random: Random, size: Size) -> None:
        self._lines = lines
        self._addresses = addresses
        self._random = random
        self._size = size

    async def run(self) -> list[Race]:
        """Run all races, so many at once."""
        run: list[Race] = []
        numbers = iter(range(self._size.races))

        async def one_after_the_other() -> None:
            run.extend([await self._race() for _ in numbers])

        await asyncio.gather(*(one_after_the_other() for _ in range(self._size.at_once)))
        return run

    async def _race(self) -> Race:
        """Create a job, and have it raced for."""
        chance = self._random
        fails = chance.random() < 0.4
        kinds = chance.choice(FAILING) if fails else STEADY
        when = datetime.now(UTC) + timedelta(seconds=chance.uniform(*AHEAD))
        due = when.timestamp() - record.wall_offset()
        body = {
            "when": format_time(when),
            "seconds": chance.choice(TAKES),
            "failures": int(fails),
            "options": {"maxAttempts": 1},
        }
        made = await self._send("POST", JOBS, body)
        if made.status in UNKNOWN:
            return await self._race()
        if made.status != 201:
            raise RuntimeError(f"a job was not created: {made}")
        job, together = UUID(made.body["id"]), chance.uniform(*AROUND) if chance.random() < TOGETHER else None
        calls = []
        for number in range(chance.randint(2, 6)):
            what = chance.choice(kinds)
            after = chance.uniform(*AROUND) if together is None else together
            if fails and what in {"retry", "patch"} and chance.random() < 0.5:
                after = chance.uniform(0.0, AFTER)
            calls.append(self._call(job, what, due + after, number))
        return Race(Facts(job, when, when), list(await asyncio.gather(*calls)))

    async def _call(self, job: UUID, what: str, at: float, number: int) -> Call:
        """Do one thing to a job, at a moment."""
        chance = self._random
        match = chance.randint(1, 4) if what in {"patch", "delete"} and chance.random() < BY_VERSION else None
        ahead = 86_400 + number if chance.random() < TOMORROW else chance.uniform(-0.05, 0.2)
        when = datetime.now(UTC) + timedelta(seconds=ahead) if what == "patch" else None
        path, body = f"{JOBS}/{job}", when and {"when": format_time(when)}
        headers = {"If-Match": f'"{match}"'} if match else {}
        await asyncio.sleep(at - boot())
        if what in {"patch", "delete", "get"}:
            told = await self._send(what.upper(), path, body, headers)
        else:
            told = await self._send("POST", f"{path}/{what}")
        return call_of(what, told, when, match)

    async def settle(self) -> list[Any]:
        """Wait until no job is due or runs; return those that do not come to that."""
        deadline = boot() + PATIENCE
        left: list[Any] = []
        while boot() < deadline:
            soon = format_time(datetime.now(UTC) + timedelta(hours=1))
            due = (await self._read(f"{JOBS}?limit=3&state=scheduled&to={soon}")).body
            left = due + (await self._read(f"{JOBS}?limit=3&state=running")).body
            if not left:
                break
            await asyncio.sleep(0.1)
        return left

    async def history(self) -> list[Mapping[str, Any]]:
        """Return all rows of history."""
        rows: list[Mapping[str, Any]] = []
        path = f"{RUNS}?limit={PAGE}"
        while path:
            told = await self._read(path)
            rows += told.body
            link = told.headers.get("link", "")
            path = link[1 : link.index(">")] if link else ""
        return rows

    async def look_last(self, run: Iterable[Race]) -> None:
        """Read each job, when all is over, as one more call."""
        left = iter(run)

        async def one_after_the_other() -> None:
            for race in left:
                race.calls.append(call_of("get", await self._read(f"{JOBS}/{race.start.job}")))

        await asyncio.gather(*(one_after_the_other() for _ in range(self._size.at_once)))

    async def _read(self, path: str) -> Told:
        """Read something, as soon as the store answers."""
        deadline = boot() + PATIENCE
        while (told := await self._send("GET", path)).status in UNKNOWN and boot() < deadline:
            await asyncio.sleep(0.1)
        return told

    async def _send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Told:
        return await self._lines.send(self._random.choice(self._addresses), method, path, body, headers)


def call_of(what: str, told: Told, when: datetime | None = None, match: int | None = None) -> Call:
    """Return a call with what its client was told."""
    body = told.body if isinstance(told.body, dict) else {}
    shown = None
    if told.status == 200:
        due, run = body["nextRun"], body["currentRun"]
        shown = Shown(
            body["state"],
            body["version"],
            body["isPaused"],
            body["attempt"],
            run and run["run"],
            due and parse_when(due),
        )
    until = NEVER if told.status in UNKNOWN else told.answered  # what is not known may be done yet
    code = body.get("id") if shown is None else None
    return Call(what, told.sent, until, told.status, code, shown, when, match)


def _judge(
    result: Result,
    store: str,
    run: Sequence[Race],
    rows: Iterable[Mapping[str, Any]],
    asked: float,
    marks: Iterable[Mark],
) -> None:
    """Look for an order of each race, and say what was found."""
    of_job: dict[UUID, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of_job[UUID(row["jobId"])].append(row)
    seen: dict[UUID, list[Mark]] = defaultdict(list)
    for mark in marks:
        seen[UUID(mark.job)].append(mark)
    told: Counter[str] = Counter()
    lags: list[float] = []
    deeds = wrong = 0
    for race in run:
        told.update(str(call.status) for call in race.calls[:-1])
        nodes = deeds_of_nodes(of_job[race.start.job], seen[race.start.job], asked)
        deeds += len(race.calls) + len(nodes)
        if not has_order([*race.calls, *nodes], race.start, step):
            wrong += 1
            result.blame("P31 order", f"{store}: {race.start.job}", describe(race, nodes))
        lags += too_late(race.calls, seen[race.start.job])
    for lag in lags:
        if lag > WITHIN:
            result.blame("P31 late", store, f"a run began {lag:.3f} s after its job was deleted")
    figures = ", ".join(f"{status}: {times:,}" for status, times in sorted(told.items()))
    result.find("P31", f"{store}: races that fit an order", len(run), wrong, f"{deeds:,} deeds; answers {figures}")
    begun = sum(mark.what == "start" for each in seen.values() for mark in each)
    result.find(
        "P31",
        f"{store}: runs, none of which began {WITHIN:g} s or later after its job was deleted",
        begun,
        sum(lag > WITHIN for lag in lags),
        f"{len(lags)} that were claimed before began after that answer, at most {max(lags, default=0):.3f} s",
    )


def deeds_of_nodes(rows: Iterable[Mapping[str, Any]], marks: Sequence[Mark], asked: float) -> list[Deed]:
    """Return claims and ends of the runs of one job: from its history, as of `asked`, and from what it saw itself."""
    starts = {mark.run: mark for mark in marks if mark.what == "start"}
    ends = {mark.run: mark.boot for mark in marks if mark.what != "start"}
    ended = {row["run"]: row for row in rows if row["attempt"]}
    deeds: list[Deed] = []
    for run in starts.keys() | ended.keys():
        start = starts.get(run)
        if start is None:
            deeds.append(Begun(run, 0.0, asked))
        else:
            at = datetime.fromtimestamp(start.wall, UTC)
            deeds.append(Begun(run, 0.0, start.boot, at, start.attempt, UUID(start.occurrence)))
        row = ended.get(run)
        if row is not None and row["reason"] != BY_DELETION:
            since = ends.get(run, start.boot if start else 0.0)
            deeds.append(Ended(run, min(since, asked), asked, row["outcome"]))
    return deeds


BY_DELETION = "the job was deleted while it ran"
"""Why a run ended in history whose job was deleted: it is the deletion that writes this."""


def too_late(calls: Iterable[Call], marks: Iterable[Mark]) -> list[float]:
    """Return how many seconds after its deletion a job began, for each run that did so."""
    gone = [call.until for call in calls if call.what == "delete" and call.status == 204]
    return [mark.boot - min(gone) for mark in marks if gone and mark.what == "start" and mark.boot > min(gone)]


def describe(race: Race, nodes: Iterable[Deed]) -> str:
    """Tell all deeds of a race, in the order in which they began."""
    begun = min(call.since for call in race.calls)
    lines = []
    for deed in sorted([*race.calls, *nodes], key=lambda deed: deed.until):
        facts = ", ".join(f"{name}={value}" for name, value in list(deed._asdict().items()) if value is not None)
        lines.append(f"{deed.since - begun:+.4f}..{deed.until - begun:+.4f} {type(deed).__name__} {facts}")
    return f"due {race.start.due}: " + "; ".join(lines)
