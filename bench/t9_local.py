"""T9: T1 and T2 on SQLite and in memory, against bare loops and a bare service on a database of the same kind."""

import tempfile
from pathlib import Path

from bench.figures import Figure, Goal
from bench.limits import sqlite_burst, sqlite_commit
from bench.stores import Memory, Sqlite, Store
from bench.t1_burst import burst
from bench.t2_schedule import schedule
from bench.trial import Trial


def _figures(key: str, name: str, burst_goal: float, rate_goal: float | None) -> tuple[Figure, ...]:
    return (
        Figure(f"{key}.loop", f"limit: bare loop, claim and finish, {name}", "jobs/s"),
        Figure(f"{key}.burst", f"burst, {name}", "jobs/s", f"{key}.loop", Goal("≥", burst_goal)),
        Figure(f"{key}.limit", f"limit: bare POST, shared commit, {name}", "req/s"),
        Figure(
            f"{key}.rate",
            f"schedule, {name}, 64 connections",
            "req/s",
            f"{key}.limit",
            Goal("≥", rate_goal) if rate_goal else None,
        ),
        Figure(f"{key}.lone", f"limit: one row, one commit, {name}, p50", "ms"),
        Figure(f"{key}.one", f"schedule, {name}, one connection, p50", "ms", f"{key}.lone"),
    )


FIGURES = (*_figures("t9.sqlite", "SQLite", 25_000, 8_000), *_figures("t9.memory", "memory", 30_000, None))


def measure(trial: Trial) -> None:
    """Measure T9."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "limit.db"
        _measure(trial, Sqlite(Path(folder)), path, f"sqlite:///{Path(folder) / 'writer.db'}", trial.size.sqlite_jobs)
    _measure(trial, Memory(), None, "memory:", trial.size.memory_jobs)


def _measure(trial: Trial, store: Store, limit: Path | None, limit_url: str, jobs: int) -> None:
    prefix = f"t9.{store.name.lower()}"
    for _ in range(trial.rounds):
        trial.record(f"{prefix}.loop", sqlite_burst(limit, jobs))
        trial.record(f"{prefix}.burst", burst(store, jobs).rate)
    schedule(trial, store, limit_url=limit_url, commit=lambda: sqlite_commit(limit), prefix=prefix)
