"""Another scheduler on a database beside ours: how it is started, and what it does for a measurement.

A peer is a program that takes the URL of an empty database and a command: ``fill JOBS START GAP`` makes its tables and
puts in no-op jobs, the first due at START (seconds since 1970), the others GAP seconds apart; ``work`` prints "ready"
and runs what is due until SIGTERM, then prints the due time and the start of each run as JSON.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psycopg

from bench.due import in_time, wait_until
from bench.observer import observe
from tests.postgres import PostgresServer, temporary_database

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"
START = 3.0
"""Seconds within which a peer's worker is there."""
_LOOK = 0.04


class Ran(NamedTuple):
    """The seconds from the first due time to the last outcome in store, and when each job was due and began."""

    took: float
    starts: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer. `quoted` is what it reached on the reference machine, for where it cannot run."""

    key: str
    title: str
    command: tuple[str, ...]
    needs: Path
    unfinished: str
    """The rows that are left while a job is not done."""
    fills: float
    """How many jobs a second it takes in, at least."""
    most: int
    """How many jobs its burst has at most: what does a few hundred a second is not asked for 100,000."""
    quoted: str

    def is_there(self, notes: dict[str, str]) -> bool:
        """Say whether it can run here; if not, a note says why, and quotes it."""
        if not shutil.which(self.command[0]):
            reason = f"there is no {Path(self.command[0]).name}"
        elif not self.needs.exists():
            reason = "it is not installed (make bench-peers does that)"
        else:
            return True
        notes[self.title] = f"not measured, {reason}; on the reference machine it reached {self.quoted}"
        return False

    def burst(self, server: PostgresServer, jobs: int) -> float:
        """Return how many jobs a second it runs that are due at once."""
        jobs = min(jobs, self.most)
        return jobs / self.run(server, jobs, 0).took

    def run(self, server: PostgresServer, jobs: int, gap: float) -> Ran:
        """Let it run jobs that are due `gap` seconds apart, in a database of its own."""

        def attempt(patience: int) -> Ran:
            with temporary_database(server.url()) as url:
                return self._run(url, jobs, gap, patience * (START + jobs / self.fills))

        return in_time(attempt, self.title)

    def _run(self, url: str, jobs: int, gap: float, ahead: float) -> Ran:
        due = time.time() + ahead
        subprocess.run(
            [*self.command, url, "fill", str(jobs), repr(due), repr(gap)],
            check=True,
            cwd=HERE,
            stdout=subprocess.DEVNULL,
        )
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("vacuum analyze")
        with self._working(url) as worker, observe(url) as looking:
            wait_until(datetime.fromtimestamp(due, UTC))
            while looking.execute(f"select exists (select from {self.unfinished})".encode()).fetchone() != (False,):
                if worker.poll() is not None:
                    raise RuntimeError(f"{self.title} ended by itself")
                time.sleep(_LOOK)
            took = time.time() - due
            worker.terminate()
            text, _ = worker.communicate(timeout=60)
        starts = json.loads(text)
        if len(starts) != jobs or any(began < planned for planned, began in starts):
            raise RuntimeError(f"{self.title} ran {len(starts)} of {jobs} jobs, or one early")
        return Ran(took, starts)

    @contextmanager
    def _working(self, url: str) -> Iterator[subprocess.Popen[str]]:
        worker = subprocess.Popen([*self.command, url, "work"], cwd=HERE, stdout=subprocess.PIPE, text=True)
        try:
            if worker.stdout is None or worker.stdout.readline() != "ready\n":
                raise RuntimeError(f"{self.title} did not start")
            yield worker
        finally:
            worker.kill()
            worker.wait()


def _python(module: str) -> tuple[str, ...]:
    # Imported and not run as a script: both peers know their jobs by the name of the module.
    return str(PYTHON), "-c", f"import {module}; {module}.main()"


GRAPHILE = Peer(
    "graphile",
    "Graphile Worker, tuned",
    ("node", str(HERE / "graphile_peer.mjs")),
    HERE / "node_modules" / "graphile-worker",
    "graphile_worker._private_jobs",
    20_000,
    100_000,
    "22,500 (to 29,800) jobs/s; lateness p50 47 ms, p99 96 ms",
)
PEERS = (
    GRAPHILE,
    Peer(
        "procrastinate",
        "Procrastinate",
        _python("procrastinate_peer"),
        PYTHON,
        "procrastinate_jobs where status in ('todo', 'doing')",
        4_000,
        2_000,
        "460 jobs/s; lateness p50 55 ms, p99 105 ms",
    ),
    Peer(
        "apscheduler",
        "APScheduler, PostgreSQL",
        _python("apscheduler_peer"),
        PYTHON,
        "apscheduler_jobs",
        400,
        2_000,
        "1,354 jobs/s; lateness p50 2.6 ms, p99 4.2 ms",
    ),
)
