"""T9: T1 and T2 on SQLite and in memory, against bare loops and a bare service on a database of the same kind."""

import tempfile
from pathlib import Path

from bench.figures import Figure, Goal
from bench.limits import sqlite_burst, sqlite_commit
from bench.stores import Memory, Sqlite, Store
from bench.t1_burst import TUNED, burst
from bench.t2_schedule import schedule
from bench.trial import Trial


def _figures(key: str, name: str, cpu: Goal | None = None) -> tuple[Figure, ...]:
    return (
        Figure(f"{key}.loop", f"limit: bare loop, claim and finish, {name}", "jobs/s"),
        Figure(f"{key}.burst", f"burst, {name}", "jobs/s", f"{key}.loop", Goal("≥", 0.4, "ratio")),
        Figure(f"{key}.tuned", f"burst, {name}, tuned: {TUNED:,} slots", "jobs/s", f"{key}.loop"),
        Figure(f"{key}.burst", f"burst, {name}; limit: tuned", "jobs/s", f"{key}.tuned", Goal("≥", 0.9, "ratio")),
        Figure(f"{key}.cpu", f"CPU for a job of a burst, {name}", "us", goal=cpu),
        Figure(f"{key}.limit", f"limit: bare POST, shared commit, {name}", "req/s"),
        Figure(
            f"{key}.rate",
            f"schedule, {name}, 64 connections",
            "req/s",
            f"{key}.limit",
            Goal("≥", 0.7, "ratio"),
        ),
        Figure(f"{key}.lone", f"limit: one row, one commit, {name}, p50", "ms"),
        Figure(f"{key}.one", f"schedule, {name}, one connection, p50", "ms", f"{key}.lone"),
    )


FIGURES = (*_figures("t9.sqlite", "SQLite", Goal("≤", 70)), *_figures("t9.memory", "memory"))


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
        trial.record(f"{prefix}.tuned", burst(store, jobs, slots=TUNED).rate)
        default = burst(store, jobs)
        trial.record(f"{prefix}.burst", default.rate)
        trial.record(f"{prefix}.cpu", default.service / jobs * 1e6)
    schedule(trial, store, limit_url=limit_url, commit=lambda: sqlite_commit(limit), prefix=prefix)
