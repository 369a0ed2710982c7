"""T5: T4 and T2 once more with a million jobs pending, and what that costs at the start, in memory, and in calls.

The limits are the figures of T4 and T2 in the same run: they are measured first if they were not asked for.
"""

import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from bench import t2_schedule, t4_lateness
from bench.figures import Figure, Goal
from bench.load import gets, load
from bench.plugin import STARTS
from bench.service import Service
from bench.stores import Jobs, Postgres, jobs_path
from bench.t1_burst import check
from bench.t4_lateness import GROUP, SLOW
from bench.trial import Trial

_RATE, _TIME = Goal("≥", 0.85, "ratio"), Goal("≤", 1.18, "ratio")
CALLS = {"groups": "/api/schedulers", "none": f"{jobs_path('noop')}?limit=100"}
"""What is asked of a store: all groups with their counts, and a list of a group that has no jobs."""
_TITLES = {"groups": "GET /api/schedulers", "none": "GET of a list of a group without jobs"}
FIGURES = (
    Figure("t5.first", "start of the process to first run, jobs pending", "s", goal=Goal("≤", 2)),
    *(
        Figure(
            f"t5.late.{key}",
            f"lateness, jobs pending{by}, {key[-3:]}; limit: T4",
            "ms",
            f"t4.postgres.{key}",
            _TIME,
        )
        for key, by in (
            ("p50", ""),
            ("p99", ""),
            ("own.p50", ", by the job's own clock"),
            ("own.p99", ", by the job's own clock"),
        )
    ),
    Figure("t5.rate", "schedule, jobs pending; limit: T2", "req/s", "t2.rate", _RATE),
    Figure("t5.one", "schedule, jobs pending, one connection, p50; limit: T2", "ms", "t2.one", _TIME),
    Figure("t5.memory", "memory of the process, jobs pending", "MB", goal=Goal("≤", 150)),
    *(
        figure
        for name, title in _TITLES.items()
        for figure in (
            Figure(f"t5.{name}.empty", f"limit: {title}, empty store, p50", "ms"),
            Figure(f"t5.{name}", f"{title}, jobs pending, p50", "ms", f"t5.{name}.empty", Goal("≤", 1.5, "ratio")),
        )
    ),
)
_LOOK = 0.01


def measure(trial: Trial) -> None:
    """Measure T5, after T2 and T4 on PostgreSQL."""
    if "t2.rate" not in trial.samples:
        t2_schedule.measure(trial)
    if "t4.postgres.p50" not in trial.samples:
        t4_lateness.postgres(trial)
    store = Postgres(trial.url)
    store.clear()
    _call(trial, store, ".empty")
    fill_pending(trial, store, GROUP)
    _call(trial, store)
    with tempfile.TemporaryDirectory() as folder:
        starts = Path(folder) / "starts.json"
        for _ in range(trial.rounds):
            trial.record("t5.first", _first_run(store, starts))
        with _service(store, starts) as service:
            service.wait_ready()
            ran = t4_lateness.run(trial, store, service, SLOW)
            for _ in range(trial.rounds):
                seconds = trial.size.load
                trial.record("t5.rate", load(t2_schedule.posts(service.port, seconds, group=GROUP)).rate)
                one = load(t2_schedule.posts(service.port, seconds / 2, connections=1, group=GROUP))
                trial.record("t5.one", one.p50 * 1000)
                trial.record("t5.memory", service.memory())
        t4_lateness.record(trial, "t5.late", ran, json.loads(starts.read_text("ascii")))


def _call(trial: Trial, store: Postgres, tail: str = "") -> None:
    """Record how long the calls take that return next to nothing, whatever the store holds.

    The service has a group without jobs: what is pending is of another group.
    """
    with Service(store.url) as service:
        service.wait_ready()
        for _ in range(trial.rounds):
            for name, path in CALLS.items():
                answers = load(gets(service.port, path, seconds=trial.size.load / 4))
                trial.record(f"t5.{name}{tail}", answers.p50 * 1000)


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
