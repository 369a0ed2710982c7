"""One trial: a cluster on an empty database, a client, a watcher, and in the end the checker.

What belongs to a trial lies in one directory: the plan, the notes of the client, the record of the jobs, the logs of
all processes and the tables of the store. It is removed when nothing was violated, and kept else.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from mainspring.schedule import format_time
from prove import checker, ledger, record
from prove.client import Client
from prove.figures import histogram, summary
from prove.fleet import Fleet, Life
from prove.result import Result
from tests.postgres import PostgresServer, temporary_database

KEPT = Path(__file__).parent / "failures"
"""Where the directories of failed trials are kept."""
LOOK = 0.25
"""Seconds between two looks of the watcher."""


def soon(seconds: float) -> str:
    """Return a `when` that lies that far ahead."""
    return format_time(datetime.now(UTC) + timedelta(seconds=seconds))


class Trial:
    """A cluster under trial. `lease` is in seconds."""

    def __init__(self, result: Result, url: str, home: Path, *, lease: float, options: tuple[str, ...] = ()) -> None:
        self.result = result
        self.url = url
        self.home = home
        self.lease = lease
        self.fleet = Fleet(url, home, "--lease", f"PT{lease:g}S", *options)
        self.client = Client(self.fleet.addresses, home / "client.jsonl", seed=result.seed)
        self.ownerless: dict[int, tuple[float, float]] = {}
        self.filled: set[str] = set()
        """Ids of jobs that were written into the store past the API; they count as accepted."""
        self.at_most_once: set[str] = set()
        self.story: checker.Story | None = None

    def keep(self, name: str, facts: Any) -> None:
        """Write facts beside the rest, such as the plan."""
        (self.home / f"{name}.json").write_text(json.dumps(facts, indent=1, default=str) + "\n")

    async def start(self, number: int, *options: str, **how: Any) -> list[Life]:
        """Start so many processes and wait until they run jobs."""
        lives = [self.fleet.start(*options, **how) for _ in range(number)]
        for life in lives:
            if not await life.wait_for("node started"):
                raise RuntimeError(f"{life.name} did not start: {life.log()[-3:]}")
        return lives

    async def settle(self, seconds: float, *, due_only: bool = False) -> bool:
        """Wait until no job is pending; answer whether that came in time."""
        deadline = record.boot() + seconds
        while record.boot() < deadline:
            with suppress(psycopg.Error):
                if not await asyncio.to_thread(ledger.count_pending, self.url, due_only=due_only):
                    return True
            await asyncio.sleep(0.1)
        return False

    async def watch(self) -> None:
        """Look for runs without an owner, for ever."""
        while True:
            with suppress(psycopg.Error):
                now = record.boot()
                runs = await asyncio.to_thread(ledger.ownerless, self.url)
                for run in runs:
                    self.ownerless[run] = (self.ownerless.get(run, (now, now))[0], now)
            await asyncio.sleep(LOOK)

    async def rest(self, seconds: float) -> checker.Story:
        """Let the cluster come to rest, at most so long, end it, and check all that is known of it.

        The violations go to the result.
        """
        await self.settle(seconds)
        marks = tuple(record.read(self.fleet.record))
        told = await asyncio.to_thread(ledger.read, self.url)  # after the marks, so that it knows of all of them
        await self.fleet.close()
        lives = self.fleet.lives
        self.story = story = checker.Story(
            marks=marks,
            ledger=told,
            acked=self.client.acked | self.filled,
            deleted=self.client.deleted("ok"),
            perhaps_deleted=self.client.deleted("info"),
            at_most_once=frozenset(self.at_most_once),
            births={life.pid: life.born for life in lives},
            deaths={life.pid: life.died for life in lives if life.died is not None},
            pauses={life.pid: tuple(life.pauses) for life in lives},
            places={life.name: life.pid for life in lives},
            wall_offset=record.wall_offset(),
        )
        self.result.violations += checker.check(story)
        self.result.violations += checker.ownerless_too_long(self.ownerless, lease=self.lease)
        return story

    def report_basics(self, story: checker.Story) -> None:
        """Add what every trial says of the promises about jobs."""
        result, jobs = self.result, len(story.acked)
        result.find("P1", "accepted jobs that are there", jobs, result.count("I-8"))
        starts = len(story.starts)
        result.find("P3", "starts of attempts, none twice, each re-run explained", starts, result.count("P3", "I-2"))
        lost = sum(row.outcome == "lost" for row in story.ledger.runs)
        excused = checker.excused_overlaps(story)
        result.find(
            "P4",
            "attempts that did not overlap",
            starts,
            result.count("P4"),
            f"{lost} lost, {excused} excused by a pause",
        )
        result.find(
            "P7",
            "rows of history under the invariants I-1 to I-7 and I-10",
            len(story.ledger.runs),
            result.count("I-1", "I-2", "I-3", "I-4", "I-5", "I-6", "I-7", "I-10"),
        )
        result.find("P8", "accepted jobs accounted for", jobs, result.count("P8"))
        result.find("P9", "starts, none early", starts, result.count("P9"))

    def report_recovery(self, story: checker.Story, *, died: float, paused: float) -> None:
        """Add how long lost runs took to begin again, against the p99 that is promised, in seconds."""
        found = checker.recoveries(story)
        for kind, is_pause, limit in (("its process died", False, died), ("its process was paused", True, paused)):
            seconds = [recovery.seconds for recovery in found if recovery.paused is is_pause]
            if not seconds:
                continue
            late = sum(value > limit for value in seconds)
            if late > len(seconds) / 100:
                self.result.blame("P6", kind, f"{late} of {len(seconds)} took longer than {limit:g} s")
            self.result.find(
                "P6",
                f"begun again after {kind}, p99 ≤ {limit:g} s",
                len(seconds),
                late if late > len(seconds) / 100 else 0,
                f"{summary(seconds)}; {histogram(seconds)}",
            )


@asynccontextmanager
async def trial(
    result: Result, server: PostgresServer, *, lease: float = 2.0, options: tuple[str, ...] = ()
) -> AsyncIterator[Trial]:
    """Lend a trial on an empty database, with a watcher; in the end nothing of it is left but a failure."""
    home = Path(tempfile.mkdtemp(prefix="mainspring-prove-"))
    begun = record.boot()
    with temporary_database(server.url()) as url:
        ledger.rebuild_schema(url)
        lent = Trial(result, url, home, lease=lease, options=options)
        watcher = asyncio.create_task(lent.watch())
        try:
            yield lent
        except BaseException as error:
            result.blame("trial", result.scenario, f"did not come to its end: {error!r}")
            raise
        finally:
            watcher.cancel()
            lent.fleet.kill()
            lent.client.close()
            result.seconds = round(record.boot() - begun, 1)
            _keep_or_remove(lent)


def _keep_or_remove(lent: Trial) -> None:
    result = lent.result
    if result.violations:
        lent.keep("result", result.to_json())
        with suppress(psycopg.Error):
            lent.keep("ledger", ledger.read(lent.url)._asdict())
        kept = KEPT / f"{result.scenario}-{result.seed}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        shutil.copytree(lent.home, kept)
        result.notes.append(f"all that belongs to it is kept in {kept.relative_to(KEPT.parents[1])}")
    shutil.rmtree(lent.home)
