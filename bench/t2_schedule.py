"""T2: jobs scheduled through HTTP, each answered 201 when it is durable.

With 64 connections against the least service that does the same (`bench.writer`), with one against a lone commit.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bench.figures import Figure, Goal
from bench.limits import make_tables, postgres_commit
from bench.load import Order, load
from bench.service import Service, answers_http, free_port, python_process, wait_for
from bench.stores import Postgres, Store, job_body, jobs_path
from bench.trial import Trial

CONNECTIONS = 64
FIGURES = (
    Figure("t2.limit", "limit: bare POST, shared commit, PostgreSQL", "req/s"),
    Figure("t2.rate", "schedule, PostgreSQL, 64 connections", "req/s", "t2.limit", Goal("≥", 0.6, "ratio")),
    Figure("t2.lone", "limit: one row, one commit, PostgreSQL, p50", "ms"),
    Figure("t2.one", "schedule, PostgreSQL, one connection, p50", "ms", "t2.lone", Goal("≤", 2.5, "ratio")),
)


def measure(trial: Trial) -> None:
    """Measure T2."""
    make_tables(trial.url)
    schedule(trial, Postgres(trial.url), limit_url=trial.url, commit=lambda: postgres_commit(trial.url), prefix="t2")


def schedule(trial: Trial, store: Store, *, limit_url: str, commit: Callable[[], float], prefix: str) -> None:
    """Record the rate, and the time of a lone request, with their limits, for a store."""
    store.clear()
    seconds = trial.size.load
    port = free_port()
    accepted = 0
    with Service(store.url) as service, python_process("bench.writer", limit_url, str(port)) as writer:
        service.wait_ready()
        wait_for(writer, lambda: answers_http(port))
        for _ in range(trial.rounds):
            trial.record(f"{prefix}.limit", load(posts(port, seconds)).rate)
            many = load(posts(service.port, seconds))
            trial.record(f"{prefix}.rate", many.rate)
            trial.record(f"{prefix}.lone", commit())
            one = load(posts(service.port, seconds / 2, connections=1))
            trial.record(f"{prefix}.one", one.p50 * 1000)
            accepted += many.created + one.created
        check(service, accepted)


def posts(port: int, seconds: float | None, *, connections: int = CONNECTIONS, group: str = "noop") -> Order:
    """Return a load of requests for jobs of tomorrow."""
    body = job_body(datetime.now(UTC) + timedelta(days=1)).decode()
    return Order(port, jobs_path(group), [body], connections, seconds)


def check(service: Service, accepted: int) -> None:
    """Raise `RuntimeError` unless all jobs that were accepted are there."""
    _, groups = service.get("/api/schedulers")
    scheduled = sum(group["counts"]["scheduled"] for group in groups)
    if scheduled != accepted:
        raise RuntimeError(f"{accepted} jobs were accepted, {scheduled} are there")
