"""T1: jobs that are due at once, to their last durable outcome, against a bare loop of claim and finish.

The due moment lies in the future; nodes wait for it. Each run is checked: every job exactly once, none early.
"""

import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bench import t8_statements
from bench.figures import Figure, Goal
from bench.limits import BATCH, postgres_burst
from bench.service import Service
from bench.stores import Jobs, Postgres, Store
from bench.trial import Trial

FIGURES = (
    Figure("t1.limit", "limit: bare loop, claim and finish", "jobs/s"),
    Figure("t1.one", "burst, PostgreSQL, one node", "jobs/s", "t1.limit", Goal("≥", 0.65, "ratio")),
    Figure("t1.two", "burst, PostgreSQL, two nodes; limit: one node", "jobs/s", "t1.one", Goal("≥", 1.5, "ratio")),
)
SLOTS = 4 * BATCH
START = timedelta(seconds=2.5)
"""Within which a service is there."""
NOTICE = timedelta(seconds=1)
"""Within which a node has seen what came into its store past it."""
TRIES = 3
_LOOK = 0.04


class Burst(NamedTuple):
    """How many jobs a second a burst ran, and the statements that it cost, where they are counted."""

    rate: float
    statements: dict[str, int]


class TooLateError(Exception):
    """The jobs were due before all was in place to run them."""


def measure(trial: Trial) -> None:
    """Measure T1, and T8 with it."""
    store = Postgres(trial.url)
    for _ in range(trial.rounds):
        trial.record("t1.limit", postgres_burst(trial.url, trial.size.jobs))
        one = burst(store, trial.size.jobs)
        trial.record("t1.one", one.rate)
        t8_statements.record(trial, one.statements)
        trial.record("t1.two", burst(store, trial.size.jobs, nodes=2).rate)


def burst(store: Store, jobs: int, nodes: int = 1) -> Burst:
    """Let `nodes` processes run a burst, each with the veto listener bound and full history."""
    for patience in range(1, TRIES + 1):
        try:
            return _burst(store, jobs, nodes, patience)
        except TooLateError:
            continue  # a machine that is busy just now; the next try begins earlier
    raise RuntimeError("the jobs were due before they were in the store, and the nodes there")


def _burst(store: Store, jobs: int, nodes: int, patience: int) -> Burst:
    store.clear()
    with ExitStack() as stack:
        batch = _put_in(store, jobs, patience, START) if store.fill_first else None
        command = "node" if isinstance(store, Postgres) else "serve"
        services = [stack.enter_context(Service(store.url, command=command, slots=SLOTS)) for _ in range(nodes)]
        while not store.nodes_there(services):
            services[0].check_alive()
            time.sleep(_LOOK)
        batch = batch or _put_in(store, jobs, patience, NOTICE, services[0])
        counting = isinstance(store, Postgres)
        if counting:
            t8_statements.reset(store.url)
        took = drain(store, batch, services[0])
        statements = t8_statements.counted(store.url) if counting else {}
        check(store, batch, services[0])
    return Burst(jobs / took, statements)


def _put_in(store: Store, jobs: int, patience: int, rest: timedelta, service: Service | None = None) -> Jobs:
    """Put jobs in that are due when they all are there and `rest` has passed, or `patience` times as late."""
    batch = Jobs(jobs, datetime.now(UTC) + patience * (rest + store.lead(jobs, service)))
    store.fill(batch, service)
    return batch


def drain(store: Store, jobs: Jobs, service: Service) -> float:
    """Return how many seconds after the first of these jobs was due the last outcome was in store.

    Raises `TooLateError` when they are due already.
    """
    wait_until(jobs.start)
    while not store.drained(jobs, service):
        time.sleep(_LOOK)
    return time.time() - jobs.start.timestamp()


def wait_until(moment: datetime) -> None:
    """Sleep until then; raises `TooLateError` when it is past."""
    ahead = moment.timestamp() - time.time()
    if ahead < 0:
        raise TooLateError
    time.sleep(ahead)


def check(store: Store, jobs: Jobs, service: Service) -> list[tuple[float, float]]:
    """Return when each of these jobs was due and started, in seconds since 1970.

    Raises `RuntimeError` unless each ran exactly once, and none early.
    """
    results = store.results(jobs, service)
    ran = len(results), len({result.job for result in results})
    if ran != (jobs.count, jobs.count):
        raise RuntimeError(f"{jobs.count} jobs, but {ran[0]} runs of {ran[1]} jobs")
    if any(result.started < result.due for result in results):
        raise RuntimeError("a job ran early")
    return [(result.due, result.started) for result in results]
