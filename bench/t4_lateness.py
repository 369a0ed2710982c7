"""T4: how late jobs start that are due one after the other, evenly; the jobs lie in the store before.

Lateness is taken twice: from history, and by the job itself, which reads the wall clock when it begins. The limit is a
bare loop on a database of the same kind.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import t8_statements
from bench.due import wait_until
from bench.figures import Figure, Goal
from bench.limits import postgres_lateness, sqlite_lateness
from bench.load import Load, Order, gets, percentile
from bench.plugin import STARTS
from bench.service import Service
from bench.stores import Jobs, Memory, Postgres, Sqlite, Store, jobs_path
from bench.t1_burst import NOTICE, check
from bench.trial import Trial

GROUP = "timed"
SLOW, FAST = 200, 2000
READS, PAGE = 50, 100
"""How many GETs a second the API answers beside it, each of so many jobs."""
_POSTGRES = {"t4.postgres": SLOW, "t4.fast": FAST}
_LOOK = 0.05


def _figures(key: str, title: str, p99: float, *, limit: str | None = None, most: bool = True) -> list[Figure]:
    """Return the figures of a stretch; `most` says whether there is a goal for the worst of it."""
    figures = []
    for clock, by in (("", ""), (".own", ", by the job's own clock")):
        for name, goal in (("p50", None), ("p99", Goal("≤", p99, "ratio"))):
            title_ = f"lateness, {title}{by}, {name}"
            figures.append(Figure(f"{key}{clock}.{name}", title_, "ms", f"{limit or key + '.limit'}.{name}", goal))
    worst = Figure(
        f"{key}.max",
        f"lateness, {title}, max; limit: p50",
        "ms",
        f"{key}.own.p50",
        Goal("≤", 20, "ratio") if most else None,
    )
    return [*figures, worst]


def _limits(key: str, title: str) -> list[Figure]:
    return [
        Figure(f"{key}.limit.{name}", f"limit: sleep, then claim what is due, {title}, {name}", "ms")
        for name in ("p50", "p99")
    ]


FIGURES = (
    *_limits("t4.postgres", "PostgreSQL, 200/s"),
    *_figures("t4.postgres", "PostgreSQL, 200/s", 1.3),
    Figure("t4.statements", "statements per job, PostgreSQL, 200/s", "1/job", goal=Goal("≤", 0.6)),
    *_figures("t4.read", f"PostgreSQL, 200/s, {READS} GETs/s beside it", 1.3, limit="t4.postgres.limit"),
    Figure("t4.read.get", f"GET of a page of {PAGE} jobs meanwhile, p99", "ms"),
    *_limits("t4.fast", "PostgreSQL, 2,000/s"),
    *_figures("t4.fast", "PostgreSQL, 2,000/s", 5, most=False),
    *_limits("t4.sqlite", "SQLite, 200/s"),
    *_figures("t4.sqlite", "SQLite, 200/s", 3),
    *_limits("t4.memory", "memory, 200/s"),
    *_figures("t4.memory", "memory, 200/s", 2),
)


class Stretch(NamedTuple):
    """Jobs that were due at some rate, when each was due and began by history, and what it cost PostgreSQL."""

    jobs: Jobs
    history: list[tuple[float, float]]
    statements: dict[str, int]


def measure(trial: Trial) -> None:
    """Measure T4."""
    postgres(trial)
    _read(trial, Postgres(trial.url))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "limit.db"
        _limit(trial, "t4.sqlite", lambda seconds: sqlite_lateness(path, SLOW, seconds))
        stretch(trial, Sqlite(Path(folder)), {"t4.sqlite": SLOW})
    _limit(trial, "t4.memory", lambda seconds: sqlite_lateness(None, SLOW, seconds))
    stretch(trial, Memory(), {"t4.memory": SLOW})


def postgres(trial: Trial) -> None:
    """Measure PostgreSQL, and its limits."""
    for key, rate in _POSTGRES.items():
        _limit(trial, key, partial(postgres_lateness, trial.url, rate))
    slow = stretch(trial, Postgres(trial.url), _POSTGRES)["t4.postgres"]
    t8_statements.record(trial, "t4.statements", slow.statements, slow.jobs.count, f"lateness at {SLOW} a second")


def _limit(trial: Trial, key: str, loop: Callable[[float], list[float]]) -> None:
    """Record what a bare loop reaches that sleeps until a row is due and claims it."""
    for _ in range(trial.rounds):
        late = loop(trial.size.lateness / 3)
        trial.record(f"{key}.limit.p50", percentile(late, 50))
        trial.record(f"{key}.limit.p99", percentile(late, 99))


def _read(trial: Trial, store: Store) -> None:
    """Measure a store while the API answers beside it."""
    with _service(store) as (service, starts), Load(pages(service.port, GROUP)) as reading:
        slow = run(trial, store, service, SLOW)
        answers = reading.answers(stop=True)
    record(trial, "t4.read", slow, starts)
    trial.record("t4.read.get", answers.p99 * 1000)


def pages(port: int, group: str) -> Order:
    """Return a load of requests for a page of a list."""
    return gets(port, f"{jobs_path(group)}?limit={PAGE}", connections=READS, rate=READS)


def stretch(trial: Trial, store: Store, rates: Mapping[str, float]) -> dict[str, Stretch]:
    """Measure a store with nothing else in it, at each of these rates in turn."""
    with _service(store) as (service, starts):
        ran = {key: run(trial, store, service, rate) for key, rate in rates.items()}
    for key, one in ran.items():
        record(trial, key, one, starts)
    return ran


@contextmanager
def _service(store: Store) -> Iterator[tuple[Service, list[tuple[float, float]]]]:
    """Run a service on a store that is empty; the list has when its jobs were due and began once it has stopped."""
    store.clear()
    starts: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "starts.json"
        with Service(store.url, plugin="TimedModule", environment={STARTS: str(path)}) as service:
            service.wait_ready()
            yield service, starts
        starts += json.loads(path.read_text("ascii"))


def run(trial: Trial, store: Store, service: Service, rate: float) -> Stretch:
    """Let jobs become due at this rate, for all runs in one stretch."""
    count = round(rate * trial.size.lateness * trial.rounds)
    ahead = NOTICE + store.lead(count, service)
    jobs = Jobs(count, datetime.now(UTC) + ahead, timedelta(seconds=1 / rate), GROUP)
    counting = isinstance(store, Postgres)
    store.fill(jobs, service)
    wait_until(jobs.start)
    if counting:
        t8_statements.reset(store.url)
    time.sleep(max(0, jobs.last.timestamp() - time.time()))
    while not store.drained(jobs, service):
        time.sleep(_LOOK)
    statements = t8_statements.counted(store.url) if counting else {}
    return Stretch(jobs, check(store, jobs, service), statements)


def record(trial: Trial, key: str, ran: Stretch, starts: Iterable[tuple[float, float]]) -> None:
    """Record the runs of a stretch. `starts` is what the recorder of `bench.plugin` has written."""
    first, last = ran.jobs.start.timestamp(), ran.jobs.last.timestamp()
    own = [(due, began) for due, began in starts if first - 1e-6 <= due <= last + 1e-6]
    for late, late_by_own in zip(_pieces(ran.history, trial.rounds), _pieces(own, trial.rounds), strict=True):
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
