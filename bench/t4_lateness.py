"""T4: how late jobs start that are due one after the other, evenly; the jobs lie in the store before.

Lateness is taken twice: from history, and by the job itself, which reads the wall clock when it begins. History counts
the store's time on from the claim, so what the claim itself took may be missing in it.
"""

import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figures import Figure, Goal
from bench.limits import postgres_lateness
from bench.load import percentile
from bench.plugin import STARTS
from bench.service import Service
from bench.stores import Jobs, Memory, Postgres, Sqlite, Store
from bench.t1_burst import NOTICE, check, wait_until
from bench.trial import Trial

GROUP = "timed"
SLOW, FAST = 200, 2000
_LOOK = 0.05


_P50, _MAX = Goal("≤", 2), Goal("≤", 50, "worst")


def _figures(key: str, title: str, p99: float, *, all_goals: bool = True, limit: str | None = None) -> list[Figure]:
    figures = []
    for clock, by in (("", ""), (".own", ", by the job's own clock")):
        for name, goal in (("p50", _P50 if all_goals else None), ("p99", Goal("≤", p99))):
            title_ = f"lateness, {title}{by}, {name}"
            figures.append(Figure(f"{key}{clock}.{name}", title_, "ms", f"{limit}.{name}" if limit else None, goal))
    return [*figures, Figure(f"{key}.max", f"lateness, {title}, max", "ms", goal=_MAX if all_goals else None)]


FIGURES = (
    Figure("t4.limit.p50", "limit: sleep, then claim one row, 200/s, p50", "ms"),
    Figure("t4.limit.p99", "limit: sleep, then claim one row, 200/s, p99", "ms"),
    *_figures("t4.postgres", "PostgreSQL, 200/s", 4, limit="t4.limit"),
    *_figures("t4.sqlite", "SQLite, 200/s", 4),
    *_figures("t4.memory", "memory, 200/s", 1.5, all_goals=False),
    *_figures("t4.fast", "PostgreSQL, 2,000/s", 20, all_goals=False),
)


def measure(trial: Trial) -> None:
    """Measure T4."""
    postgres(trial)
    with tempfile.TemporaryDirectory() as folder:
        stretch(trial, Sqlite(Path(folder)), {"t4.sqlite": SLOW})
    stretch(trial, Memory(), {"t4.memory": SLOW})


def postgres(trial: Trial) -> None:
    """Measure PostgreSQL, and its limit."""
    for _ in range(trial.rounds):
        late = postgres_lateness(trial.url, SLOW, trial.size.lateness / 2)
        trial.record("t4.limit.p50", percentile(late, 50))
        trial.record("t4.limit.p99", percentile(late, 99))
    stretch(trial, Postgres(trial.url), {"t4.postgres": SLOW, "t4.fast": FAST})


def stretch(trial: Trial, store: Store, rates: Mapping[str, float]) -> None:
    """Measure a store with nothing else in it, at each of these rates in turn."""
    store.clear()
    with tempfile.TemporaryDirectory() as folder:
        starts = Path(folder) / "starts.json"
        with Service(store.url, plugin="TimedModule", environment={STARTS: str(starts)}) as service:
            service.wait_ready()
            ran = {key: run(trial, store, service, rate) for key, rate in rates.items()}
        for key, (jobs, history) in ran.items():
            record(trial, key, jobs, history, starts)


def run(trial: Trial, store: Store, service: Service, rate: float) -> tuple[Jobs, list[tuple[float, float]]]:
    """Let jobs become due at this rate, for all runs in one stretch; return them, and due and start from history."""
    count = round(rate * trial.size.lateness * trial.rounds)
    ahead = NOTICE + store.lead(count, service)
    jobs = Jobs(count, datetime.now(UTC) + ahead, timedelta(seconds=1 / rate), GROUP)
    store.fill(jobs, service)
    wait_until(jobs.start)
    time.sleep(max(0, jobs.last.timestamp() - time.time()))
    while not store.drained(jobs, service):
        time.sleep(_LOOK)
    return jobs, check(store, jobs, service)


def record(trial: Trial, key: str, jobs: Jobs, history: Iterable[tuple[float, float]], starts: Path) -> None:
    """Record the runs of a stretch. `starts` is what the recorder of `bench.plugin` has written."""
    first, last = jobs.start.timestamp(), jobs.last.timestamp()
    own = [(due, began) for due, began in json.loads(starts.read_text("ascii")) if first - 1e-6 <= due <= last + 1e-6]
    for late, late_by_own in zip(_pieces(history, trial.rounds), _pieces(own, trial.rounds), strict=True):
        trial.record(f"{key}.p50", percentile(late, 50))
        trial.record(f"{key}.p99", percentile(late, 99))
        trial.record(f"{key}.own.p50", percentile(late_by_own, 50))
        trial.record(f"{key}.own.p99", percentile(late_by_own, 99))
        trial.record(f"{key}.max", max(late[-1], late_by_own[-1]))


def _pieces(starts: Iterable[tuple[float, float]], count: int) -> list[list[float]]:
    """Return how late each run of a stretch was, in ms and in order of size."""
    late: Sequence[float] = [(began - due) * 1000 for due, began in sorted(starts)]
    size = -(-len(late) // count)
    return [sorted(late[at : at + size]) for at in range(0, len(late), size)]
