"""Hostile callers, all at once: whatever they ask for, jobs of others start on time and nobody is answered with a 500.

They send what is legal and large, what cannot be read, what is never finished, and what costs most to refuse, as chance
(of the seed) has it, to one service that has very many jobs in store and others that come due all the time.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from mainspring.clock import SystemClock
from mainspring.job import Job, JobKey, Options, lifecycle
from mainspring.schedule import Every, Once, Period, Recurring, format_time
from mainspring.schedule.trigger import CalendarUse
from mainspring.store import Store, backend
from prove import ledger, record
from prove.checker import CLOCK_GRAIN
from prove.client import Client, at_rate
from prove.figures import percentile
from prove.fleet import Fleet, Life, until
from prove.result import Result
from tests.postgres import PostgresServer, temporary_database

LATE, LIVE, MEMORY, BACK = 0.25, 0.1, 300 * 2**20, 1.1
"""What is promised: p99 of lateness and of `/livez` in seconds, memory at most, and what is left of it afterwards."""
ABREAST = 6
"""How many hostile callers there are."""
PATIENT = 120.0
CALENDAR = "/api/schedulers/calendars/hostile"
JOBS = "/api/schedulers/prove/noop/jobs"
_EMPTY_OBJECTS = b"[" + b"{}," * (2**26 // 3 - 10) + b"{}]"


@dataclass(frozen=True)
class Size:
    """How long it goes on, how many jobs are stored, come due each second, are in a batch and in a backfill."""

    seconds: float
    stored: int
    rate: int
    batch: int
    backfill: int


FULL = Size(seconds=600, stored=100_000, rate=50, batch=100_000, backfill=10_000)
QUICK = Size(seconds=12, stored=1_000, rate=20, batch=2_000, backfill=500)


async def hostile(server: PostgresServer, seed: int, size: Size, store: str) -> Result:
    """Run it on a kind of store."""
    result = Result(
        f"hostile-{store}", seed, f"{size.seconds:g} s, {size.stored:,} jobs stored, {size.rate} due a second"
    )
    home = Path(tempfile.mkdtemp(prefix="mainspring-hostile-"))
    begun = record.boot()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        url = f"sqlite:///{home}/jobs.db"
        if store == "postgres":
            url = stack.enter_context(temporary_database(server.url()))
            ledger.rebuild_schema(url)
        due = await _fill(url, size)
        fleet = Fleet(url, home)
        client = Client(fleet.addresses, home / "client.jsonl", seed=seed)
        try:
            life = fleet.start()
            if not await life.wait_for("node started"):
                raise RuntimeError(f"it did not start: {life.log()[-3:]}")
            await _Siege(result, client, life, size, Random(seed), due, fleet.record).last()
        finally:
            await fleet.close()
            client.close()
            result.seconds = round(record.boot() - begun, 1)
    return result


async def _fill(url: str, size: Size) -> dict[str, float]:
    """Store jobs for later, half of which keep to a calendar, and those that come due; return when these are due."""
    clock = SystemClock()
    store: Store = backend(url).make(url)
    await store.open()
    now = clock.now()
    later = now + timedelta(days=365)

    def job(group: str, at: datetime, *, recurs: bool = False) -> Job:
        every = Recurring(Every(Period(days=1)), at, calendar=CalendarUse("hostile"))
        return lifecycle.create(
            job_id=clock.new_id(),
            key=JobKey("prove", group),
            request={"when": format_time(at)},
            trigger=every if recurs else Once(at),
            options=Options(),
            now=now,
            calendars={},
        ).job

    stored = [job("noop", later, recurs=number % 2 == 0) for number in range(size.stored)]
    start = now + timedelta(seconds=20 + size.stored / 1200)
    moments = [start + timedelta(seconds=n / size.rate) for n in range(int(size.seconds * size.rate))]
    due = [job("other", moment) for moment in moments]
    for first in range(0, len(stored), 5000):
        await store.add(stored[first : first + 5000])
    for first in range(0, len(due), 5000):
        await store.add(due[first : first + 5000])
    await store.close()
    return {str(each.id): each.due_at.timestamp() for each in due}


@dataclass
class _Siege:
    """One service and those who trouble it."""

    result: Result
    client: Client
    life: Life
    size: Size
    random: Random
    due: dict[str, float]
    marks: Path
    batch: bytes = b""
    memory: list[int] = field(default_factory=list)
    live: list[float] = field(default_factory=list)
    acts: dict[str, int] = field(default_factory=dict)

    async def last(self) -> None:
        """Trouble it until all jobs came due, and judge."""
        begin, end = min(self.due.values()), max(self.due.values())
        when = format_time(datetime.now(UTC) + timedelta(days=300))
        self.batch = json.dumps([{"when": when}] * self.size.batch).encode()
        offset = record.wall_offset()

        def goes_on(_: int = 0) -> bool:
            return record.boot() + offset < end

        for act in self._acts():
            with suppress(OSError, asyncio.IncompleteReadError):
                await act()  # what a service loads when it is first asked is no leak
        before = self.life.memory
        await until(lambda: record.boot() + offset > begin, PATIENT)
        answers = self.marks.with_name("live")
        address, port = self.client.targets[0]
        probe = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "prove.probe", address, str(port), str(answers)
        )
        try:
            async with asyncio.TaskGroup() as callers:
                callers.create_task(at_rate(5, self._look, goes_on))
                for _ in range(ABREAST):
                    callers.create_task(self._trouble(goes_on))
        finally:
            with suppress(ProcessLookupError):
                probe.kill()
            await probe.wait()
        self.live = [float(line) for line in answers.read_text("ascii").split()]
        await until(lambda: len(_started(self.marks)) >= len(self.due), PATIENT)
        await until(lambda: self.life.memory <= BACK * before, PATIENT)
        self._judge(_started(self.marks), before)

    def _acts(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self._batch,
            self._backfill,
            self._calendar,
            self._calendars,
            self._unreadable,
            self._lists,
            self._empty_objects,
            self._far_outage,
            self._pipeline,
            self._stall,
        ]

    async def _trouble(self, goes_on: Callable[[], bool]) -> None:
        acts = self._acts()
        while goes_on():
            act = self.random.choice(acts)
            self.acts[act.__name__] = self.acts.get(act.__name__, 0) + 1
            with suppress(OSError, asyncio.IncompleteReadError):
                await act()

    async def _look(self, _number: int) -> None:
        self.memory.append(self.life.memory)

    async def _send(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.client.send(method, path, body, seconds=PATIENT)
        if answer.status == 500 or answer.status > 503:
            self.result.blame("P19", f"{method} {path[:80]}", f"was answered with {answer.status}: {answer.body}")
        return answer.body if isinstance(answer.body, dict) else {}

    # --- what is legal and large

    async def _batch(self) -> None:
        await self._raw(self.batch, f"POST {JOBS}/batch HTTP/1.1")

    async def _backfill(self) -> None:
        """Ten at once, and then delete the job with all of them."""
        begin = datetime.now(UTC) - timedelta(minutes=self.size.backfill)
        schedule = {"every": "PT1M", "start": format_time(begin)}
        job = await self._send("POST", JOBS, {"schedule": schedule, "when": format_time(begin)})
        if "id" in job:
            body = {"from": format_time(begin), "to": format_time(datetime.now(UTC)), "spacing": "PT1H"}
            path = f"{JOBS}/{job['id']}"
            await asyncio.gather(*(self._send("POST", f"{path}/backfill", body) for _ in range(10)))
            await self._send("DELETE", path)

    async def _calendar(self) -> None:
        """One that half of all stored jobs keep to."""
        await self._send("PUT", CALENDAR, {"dates": [f"2030-{self.random.randint(1, 12):02}-01"]})
        await self._send("GET", CALENDAR)

    async def _calendars(self) -> None:
        number = self.random.randrange(1000)
        dates = [f"20{year}-01-{day:02}" for year in range(30, 60) for day in range(1, 29)]
        await self._send("PUT", f"{CALENDAR}-{number}", {"dates": dates})
        await self._send("POST", JOBS, {"schedule": {"every": "P1D", "calendar": f"hostile-{number}"}})

    async def _lists(self) -> None:
        paths = ("/api/schedulers", "/api/schedulers/prove/nobody/jobs", f"{JOBS}?state=dead", f"{JOBS}?limit=1000")
        await asyncio.gather(*(self._send("GET", self.random.choice(paths)) for _ in range(20)))

    # --- what cannot be, and what costs most to refuse

    async def _unreadable(self) -> None:
        whens = (
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59.999999Z",
            "1e400",
            "infinity",
        )
        when = self.random.choice(whens)
        await self._send("POST", JOBS, {"when": when})
        await self._send(
            "POST", JOBS, {"schedule": {"every": "P1D", "start": when, "end": "9999-12-31T23:59:59-12:00"}}
        )
        await self._send("POST", f"{JOBS}/batch", [{"when": when}] * 10)

    async def _empty_objects(self) -> None:
        """As many bytes as a batch may have."""
        await self._raw(_EMPTY_OBJECTS, f"POST {JOBS}/batch HTTP/1.1")

    async def _far_outage(self) -> None:
        path = f"{JOBS}?dryRun=true&outageFrom=9998-01-01T00:00:00Z&outageTo=9998-12-01T00:00:00Z"
        seconds = self.random.randint(1, 10_000)
        await self._send("POST", path, {"schedule": {"every": f"PT{seconds}S"}})

    # --- what is never finished

    async def _raw(self, body: bytes, line: str) -> None:
        (address, *_) = self.client.targets
        reader, writer = await asyncio.open_connection(*address)
        try:
            head = (
                f"{line}\r\nHost: {address[0]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode())
            for first in range(0, len(body), 2**20):
                writer.write(body[first : first + 2**20])
                await writer.drain()
            status = int((await reader.readuntil(b"\r\n")).split()[1])
            if status == 500:
                self.result.blame("P19", line, "was answered with 500")
        finally:
            writer.close()

    async def _pipeline(self) -> None:
        """Thousands of requests on one connection, of whose answers few are read."""
        (address, *_) = self.client.targets
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(f"GET {JOBS}?limit=100 HTTP/1.1\r\nHost: {address[0]}\r\n\r\n".encode() * 5000)
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await reader.readexactly(2**20)
        finally:
            writer.close()

    async def _stall(self) -> None:
        """Many connections whose heads and bodies do not come to an end."""
        (address, *_) = self.client.targets
        writers = []
        try:
            for _ in range(50):
                _, writer = await asyncio.open_connection(*address)
                writers.append(writer)
                writer.write(f"POST {JOBS} HTTP/1.1\r\nHost: {address[0]}\r\nContent-Length: 1000\r\n".encode())
            await asyncio.sleep(self.random.uniform(1, 15))
        finally:
            for writer in writers:
                writer.close()

    # --- the verdict

    def _judge(self, started: dict[str, list[float]], before: int) -> None:
        result = self.result
        lost = self.due.keys() - started.keys()
        twice = [job for job in self.due if len(started.get(job, ())) > 1]
        late = [min(started[job]) - due for job, due in self.due.items() if job in started]
        early = sum(each < -CLOCK_GRAIN for each in late)
        for job in [*lost][:5]:
            result.blame("P8", job, "never ran")
        p99, live, most, after = percentile(late, 0.99), percentile(self.live, 0.99), max(self.memory), self.life.memory
        said = f"p50 {percentile(late, 0.5) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, max {max(late) * 1e3:.0f} ms"
        if p99 > LATE:
            result.blame("P10", "lateness", said)
        if live > LIVE:
            result.blame("P19", "/livez", f"p99 {live * 1e3:.0f} ms")
        figures = f"{before / 2**20:.0f} MiB before, {most / 2**20:.0f} MiB at most, {after / 2**20:.0f} MiB after"
        if most > MEMORY or after > BACK * before:
            result.blame("P19", "memory", figures)
        result.find("P8", "jobs of others that ran once, none early", len(self.due), len(lost) + len(twice) + early)
        result.find("P10", f"their lateness, p99 ≤ {LATE * 1e3:g} ms", len(late), int(p99 > LATE), said)
        answers = self.client.answers
        bad = [answer for answer in answers if answer.status == 500 or answer.status > 503]
        result.find("P19", "answers, none of them a 500", len(answers), len(bad))
        lived = f"p99 {live * 1e3:.1f} ms"
        result.find("P19", f"/livez, p99 ≤ {LIVE * 1e3:g} ms", len(self.live), int(live > LIVE), lived)
        heavy = sum(bytes_ > MEMORY for bytes_ in self.memory)
        result.find("P19", f"memory ≤ {MEMORY / 2**20:.0f} MiB", len(self.memory), heavy, figures)
        acts = ", ".join(f"{name[1:]} {times}" for name, times in sorted(self.acts.items()))
        result.notes.append(f"what they did: {acts}")


def _started(path: Path) -> dict[str, list[float]]:
    """Return when each job of the others started, by the wall clock."""
    found: dict[str, list[float]] = {}
    for mark in record.read(path):
        if mark.what == "start":
            found.setdefault(str(UUID(mark.job)), []).append(mark.wall)
    return found
