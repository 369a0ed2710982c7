"""T1 and T4 once more, in turn with peers that do the same work on a database beside ours.

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
from pathlib import Path

import psycopg

from bench import t4_lateness
from bench.figures import Figure, Goal
from bench.load import percentile
from bench.observer import observe
from bench.stores import Postgres
from bench.t1_burst import TRIES, TooLateError, burst
from bench.t4_lateness import SLOW
from bench.trial import Trial
from tests.postgres import temporary_database

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"
START = 3.0
"""Seconds within which a peer's worker is there."""
_LOOK = 0.04


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

    def missing(self) -> str | None:
        """Say why it cannot run here, if so."""
        if not shutil.which(self.command[0]):
            return f"there is no {Path(self.command[0]).name}"
        return None if self.needs.exists() else "it is not installed (make bench-peers does that)"


def _python(module: str) -> tuple[str, ...]:
    # Imported and not run as a script: both peers know their jobs by the name of the module.
    return str(PYTHON), "-c", f"import {module}; {module}.main()"


PEERS = (
    Peer(
        "graphile",
        "Graphile Worker, tuned",
        ("node", str(HERE / "graphile_peer.mjs")),
        HERE / "node_modules" / "graphile-worker",
        "graphile_worker._private_jobs",
        20_000,
        100_000,
        "22,500 (to 29,800) jobs/s; lateness p50 47 ms, p99 96 ms",
    ),
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


def _figures() -> Iterator[Figure]:
    yield Figure(
        "peers.ours", "burst, Mainspring, one node; limit: Graphile", "jobs/s", "peers.graphile", Goal("≥", 1, "ratio")
    )
    for peer in PEERS:
        yield Figure(f"peers.{peer.key}", f"burst, {peer.title}; limit: Mainspring", "jobs/s", "peers.ours")
    for percent in ("p50", "p99"):
        yield Figure(f"peers.ours.own.{percent}", f"lateness, Mainspring, 200/s, {percent}", "ms")
        for peer in PEERS:
            title = f"lateness, {peer.title}, 200/s, {percent}; limit: Mainspring"
            yield Figure(f"peers.{peer.key}.{percent}", title, "ms", f"peers.ours.own.{percent}")


FIGURES = tuple(_figures())


def measure(trial: Trial) -> None:
    """Measure ourselves and each peer that is there, in turn; quote those that are not."""
    there = []
    for peer in PEERS:
        if reason := peer.missing():
            trial.notes[peer.title] = f"not measured, {reason}; on the reference machine it reached {peer.quoted}"
        else:
            there.append(peer)
    store = Postgres(trial.url)
    for _ in range(trial.rounds):
        trial.record("peers.ours", burst(store, trial.size.jobs).rate)
        for peer in there:
            jobs = min(trial.size.jobs, peer.most)
            trial.record(f"peers.{peer.key}", jobs / _run(trial, peer, jobs, 0)[0])
    t4_lateness.stretch(trial, store, {"peers.ours": SLOW})
    for _ in range(trial.rounds):
        for peer in there:
            _, starts = _run(trial, peer, round(SLOW * trial.size.lateness), 1 / SLOW)
            late = sorted((began - due) * 1000 for due, began in starts)
            trial.record(f"peers.{peer.key}.p50", percentile(late, 50))
            trial.record(f"peers.{peer.key}.p99", percentile(late, 99))


def _run(trial: Trial, peer: Peer, jobs: int, gap: float) -> tuple[float, list[tuple[float, float]]]:
    """Return the seconds from the first due time to the last outcome in store, and when jobs were due and began."""
    for patience in range(1, TRIES + 1):
        with temporary_database(trial.server.url()) as url:
            try:
                return _try(peer, url, jobs, gap, patience * (START + jobs / peer.fills))
            except TooLateError:
                continue
    raise RuntimeError(f"the jobs of {peer.title} were due before it was there")


def _try(peer: Peer, url: str, jobs: int, gap: float, ahead: float) -> tuple[float, list[tuple[float, float]]]:
    due = time.time() + ahead
    subprocess.run(
        [*peer.command, url, "fill", str(jobs), repr(due), repr(gap)], check=True, cwd=HERE, stdout=subprocess.DEVNULL
    )
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("vacuum analyze")
    with _working(peer, url) as worker, observe(url) as looking:
        if time.time() > due:
            raise TooLateError
        time.sleep(due - time.time())
        while looking.execute(f"select exists (select from {peer.unfinished})".encode()).fetchone() != (False,):
            if worker.poll() is not None:
                raise RuntimeError(f"{peer.title} ended by itself")
            time.sleep(_LOOK)
        took = time.time() - due
        worker.terminate()
        text, _ = worker.communicate(timeout=60)
    starts = json.loads(text)
    if len(starts) != jobs or any(began < planned for planned, began in starts):
        raise RuntimeError(f"{peer.title} ran {len(starts)} of {jobs} jobs, or one early")
    return took, starts


@contextmanager
def _working(peer: Peer, url: str) -> Iterator[subprocess.Popen[str]]:
    worker = subprocess.Popen([*peer.command, url, "work"], cwd=HERE, stdout=subprocess.PIPE, text=True)
    try:
        if worker.stdout is None or worker.stdout.readline() != "ready\n":
            raise RuntimeError(f"{peer.title} did not start")
        yield worker
    finally:
        worker.kill()
        worker.wait()
