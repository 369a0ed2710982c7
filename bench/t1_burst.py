"""T1: jobs that are due at once, to their last durable outcome, against a bare loop of claim and finish.

Where Graphile Worker can run, it does the same work in the same rounds.

The due moment lies in the future; nodes wait for it. Each run is checked: every job exactly once, none early.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import t8_statements
from bench.cpu import postgres_seconds, process_seconds
from bench.due import in_time, wait_until
from bench.figures import Figure, Goal
from bench.limits import postgres_burst
from bench.peers.peer import GRAPHILE
from bench.service import Service
from bench.stores import Jobs, Postgres, Store
from bench.trial import Trial
from mainspring.job import JobKey
from mainspring.settings import Settings

SLOTS = Settings().slots
"""What a new user has."""
TUNED = 3000
"""What docs/operations.md recommends for very many jobs that take next to no time."""

FIGURES = (
    Figure("t1.limit", "limit: bare loop, claim and finish", "jobs/s"),
    Figure(
        "t1.tuned",
        f"burst, PostgreSQL, one node, tuned: {TUNED:,} slots",
        "jobs/s",
        "t1.limit",
        Goal("≥", 0.65, "ratio"),
    ),
    Figure("t1.graphile", f"burst, {GRAPHILE.title}", "jobs/s"),
    Figure("t1.tuned", "the same; limit: Graphile Worker, tuned", "jobs/s", "t1.graphile", Goal("≥", 1.2, "ratio")),
    Figure("t1.one", "burst, PostgreSQL, one node; limit: tuned", "jobs/s", "t1.tuned", Goal("≥", 0.9, "ratio")),
    Figure("t1.two", "burst, PostgreSQL, two nodes; limit: one node", "jobs/s", "t1.one", Goal("≥", 1, "ratio")),
    Figure("t1.cpu.service", "CPU of the service for a job of a burst", "us", goal=Goal("≤", 40)),
    Figure("t1.cpu.postgres", "CPU of PostgreSQL for a job of a burst", "us", goal=Goal("≤", 40)),
    *(
        Figure(
            f"t1.cpu.{nodes}",
            f"CPU for a job, {nodes} nodes; limit: one node",
            "us",
            "t1.cpu",
            Goal("≤", 1.15, "ratio"),
        )
        for nodes in (2, 4)
    ),
    Figure("t1.cpu", "CPU for a job, one node", "us"),
    *(
        Figure(
            f"t1.wait{milliseconds}",
            f"jobs that wait for {milliseconds:,} ms; limit: slots / duration",
            "jobs/s",
            f"t1.wait{milliseconds}.limit",
            Goal("≥", bound, "ratio"),
        )
        for milliseconds, bound in ((1000, 0.9), (100, 0.9), (10, 0.75))
    ),
    *(
        Figure(f"t1.wait{milliseconds}.limit", f"limit: {SLOTS} slots / {milliseconds:,} ms", "jobs/s")
        for milliseconds in (1000, 100, 10)
    ),
)
START = timedelta(seconds=2.5)
"""Within which a service is there."""
NOTICE = timedelta(seconds=1)
"""Within which a node has seen what came into its store past it."""
_LOOK = 0.04


class Burst(NamedTuple):
    """How many jobs a second a burst ran, the statements that it cost, and the CPU seconds, where these are counted."""

    rate: float
    statements: dict[str, int]
    service: float
    postgres: float


def measure(trial: Trial) -> None:
    """Measure T1, and T8 with it."""
    store, jobs = Postgres(trial.url), trial.size.jobs
    beside = GRAPHILE.is_there(trial.notes)
    for _ in range(trial.rounds):
        trial.record("t1.limit", postgres_burst(trial.url, jobs))
        trial.record("t1.tuned", burst(store, jobs, slots=TUNED).rate)
        if beside:
            trial.record("t1.graphile", GRAPHILE.burst(trial.server, jobs))
        one = burst(store, jobs)
        trial.record("t1.one", one.rate)
        trial.record("t1.cpu.service", one.service / jobs * 1e6)
        trial.record("t1.cpu.postgres", one.postgres / jobs * 1e6)
        trial.record("t1.cpu", (one.service + one.postgres) / jobs * 1e6)
        t8_statements.record(trial, "t8.statements", one.statements, jobs, "a burst")
        for nodes in (2, 4):
            several = burst(store, jobs, nodes=nodes)
            trial.record(f"t1.cpu.{nodes}", (several.service + several.postgres) / jobs * 1e6)
            if nodes == 2:  # noqa: PLR2004
                trial.record("t1.two", several.rate)
        for milliseconds in (1000, 100, 10):
            rate = SLOTS * 1000 / milliseconds
            kind = Kind(f"wait{milliseconds}", f"Wait{milliseconds}Module")
            wait = burst(store, round(rate * trial.size.waiting), kind=kind)
            trial.record(f"t1.wait{milliseconds}.limit", rate)
            trial.record(f"t1.wait{milliseconds}", wait.rate)


@dataclass(frozen=True)
class Kind:
    """What the jobs of a burst are: their group, or those over which they are spread, and what else is in columns.

    `plugin` has the groups, and `config` is what stands in the nodes' configuration file.
    """

    group: str = "noop"
    plugin: str = "NoopModule"
    columns: Mapping[str, str] = field(default_factory=dict)
    spread: Sequence[JobKey] = ()
    config: str = ""


NOOP = Kind()


def burst(
    store: Store,
    jobs: int,
    nodes: int = 1,
    *,
    slots: int | None = None,
    kind: Kind = NOOP,
    beside: Callable[[Service], AbstractContextManager[None]] | None = None,
) -> Burst:
    """Let `nodes` processes run a burst, each with the veto listener bound and full history.

    What is `beside` it is asked of the first of them; then they serve on PostgreSQL too.
    """
    command = "node" if isinstance(store, Postgres) and beside is None else "serve"

    def attempt(patience: int) -> Burst:
        with ExitStack() as stack:
            config = Path(stack.enter_context(TemporaryDirectory()), "mainspring.toml")
            config.write_text(kind.config, encoding="utf-8")
            environment = {"MAINSPRING_CONFIG": str(config)}
            services = [
                Service(store.url, command=command, slots=slots, plugin=kind.plugin, environment=environment)
                for _ in range(nodes)
            ]
            batch = Jobs(jobs, datetime.now(UTC), group=kind.group, columns=kind.columns, spread=kind.spread)
            return _burst(stack, store, batch, services, patience, beside)

    return in_time(attempt, f"a burst on {store.name}")


def _burst(
    stack: ExitStack,
    store: Store,
    jobs: Jobs,
    services: list[Service],
    patience: int,
    beside: Callable[[Service], AbstractContextManager[None]] | None,
) -> Burst:
    store.clear()
    batch = _put_in(store, jobs, patience, START) if store.fill_first else None
    for each in services:
        stack.enter_context(each)
    while not store.nodes_there(services):
        services[0].check_alive()
        time.sleep(_LOOK)
    if beside is not None:
        services[0].wait_ready()
        stack.enter_context(beside(services[0]))
    batch = batch or _put_in(store, jobs, patience, NOTICE, services[0])
    counting = isinstance(store, Postgres)
    if counting:
        t8_statements.reset(store.url)
    before = _seconds(store, services)
    took = drain(store, batch, services[0])
    service, postgres = (after - begun for after, begun in zip(_seconds(store, services), before, strict=True))
    statements = t8_statements.counted(store.url) if counting else {}
    check(store, batch, services[0])
    return Burst(jobs.count / took, statements, service, postgres)


def _seconds(store: Store, services: Sequence[Service]) -> tuple[float, float]:
    """Return the CPU seconds of the nodes, and of PostgreSQL where that is the store."""
    postgres = postgres_seconds(store.url) if isinstance(store, Postgres) else 0.0
    return sum(process_seconds(service.pid) for service in services), postgres


def _put_in(store: Store, jobs: Jobs, patience: int, rest: timedelta, service: Service | None = None) -> Jobs:
    """Put jobs in that are due when they all are there and `rest` has passed, or `patience` times as late."""
    batch = replace(jobs, start=datetime.now(UTC) + patience * (rest + store.lead(jobs.count, service)))
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
