"""T5: T4 and T2 once more with a million jobs pending, and what that costs at the start and in memory.

The limits are the figures of T4 and T2 in the same run: they are measured first if they were not asked for.
"""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from bench import t2_schedule, t4_lateness
from bench.figures import Figure, Goal
from bench.load import load
from bench.plugin import STARTS
from bench.service import Service
from bench.stores import Jobs, Postgres
from bench.t1_burst import check
from bench.t4_lateness import GROUP, SLOW
from bench.trial import Trial

FIGURES = (
    Figure("t5.first", "start of the process to first run, jobs pending", "s", goal=Goal("≤", 2)),
    Figure("t5.late.p50", "lateness, jobs pending, p50; limit: T4", "ms", "t4.postgres.p50", Goal("≤", 1.2, "ratio")),
    Figure("t5.late.p99", "lateness, jobs pending, p99; limit: T4", "ms", "t4.postgres.p99", Goal("≤", 1.2, "ratio")),
    Figure(
        "t5.late.own.p50", "the same by the job's own clock, p50", "ms", "t4.postgres.own.p50", Goal("≤", 1.2, "ratio")
    ),
    Figure(
        "t5.late.own.p99", "the same by the job's own clock, p99", "ms", "t4.postgres.own.p99", Goal("≤", 1.2, "ratio")
    ),
    Figure("t5.rate", "schedule, jobs pending; limit: T2", "req/s", "t2.rate", Goal("≥", 0.83, "ratio")),
    Figure("t5.one", "schedule, jobs pending, one connection, p50; limit: T2", "ms", "t2.one", Goal("≤", 1.2, "ratio")),
    Figure("t5.memory", "memory of the process, jobs pending", "MB", goal=Goal("≤", 150)),
)
_LOOK = 0.01


def measure(trial: Trial) -> None:
    """Measure T5, after T2 and T4 on PostgreSQL."""
    if "t2.rate" not in trial.samples:
        t2_schedule.measure(trial)
    if "t4.postgres.p50" not in trial.samples:
        t4_lateness.postgres(trial)
    store = Postgres(trial.url)
    fill_pending(trial, store, GROUP)
    with tempfile.TemporaryDirectory() as folder:
        starts = Path(folder) / "starts.json"
        for _ in range(trial.rounds):
            trial.record("t5.first", _first_run(store, starts))
        with _service(store, starts) as service:
            service.wait_ready()
            jobs, history = t4_lateness.run(trial, store, service, SLOW)
            for _ in range(trial.rounds):
                seconds = trial.size.load
                trial.record("t5.rate", load(t2_schedule.posts(service.port, seconds, group=GROUP)).rate)
                one = load(t2_schedule.posts(service.port, seconds / 2, connections=1, group=GROUP))
                trial.record("t5.one", one.p50 * 1000)
                trial.record("t5.memory", service.memory())
        t4_lateness.record(trial, "t5.late", jobs, history, starts)


def fill_pending(trial: Trial, store: Postgres, group: str) -> None:
    """Leave nothing in the store but jobs of the days to come, and no work for the database to do afterwards."""
    store.clear()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    store.fill(Jobs(trial.size.pending, tomorrow, timedelta(milliseconds=100), group))
    with psycopg.connect(store.url, autocommit=True) as db:
        db.execute("checkpoint")


def _service(store: Postgres, starts: Path) -> Service:
    return Service(store.url, plugin="TimedModule", environment={STARTS: str(starts)})


def _first_run(store: Postgres, starts: Path) -> float:
    """Return how long after the start of the process a job began that was due by then."""
    due = Jobs(1, datetime.now(UTC), group=GROUP)
    store.fill(due)
    with _service(store, starts) as service:
        while not store.drained(due, service):
            time.sleep(_LOOK)
        ((_, began),) = check(store, due, service)
        return began - service.started
