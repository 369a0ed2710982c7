"""T10: a burst drains while the same service schedules jobs at half the rate of T2, or answers with lists."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import median

from bench import t2_schedule
from bench.figures import Figure, Goal
from bench.load import Answers, Load, Order
from bench.service import Service
from bench.stores import Jobs, Postgres
from bench.t1_burst import NOTICE, check, drain
from bench.t4_lateness import READS, pages
from bench.trial import Trial

FIGURES = (
    Figure("t10.p50", "POST at half the rate of T2 while a burst drains, p50", "ms"),
    Figure("t10.p99", "POST at half the rate of T2 while a burst drains, p99", "ms", goal=Goal("≤", 50)),
    Figure("t10.burst", "burst while POSTs come in; limit: T1", "jobs/s", "t1.one", Goal("≥", 0.6, "ratio")),
    Figure(
        "t10.lists",
        f"burst while {READS} GETs/s of lists come in; limit: T1",
        "jobs/s",
        "t1.one",
        Goal("≥", 0.95, "ratio"),
    ),
)
GROUP = "noop"
LEAD = timedelta(seconds=0.5)
"""Within which the load has begun."""


def measure(trial: Trial) -> None:
    """Measure T10, after T2."""
    if "t2.rate" not in trial.samples:
        t2_schedule.measure(trial)
    store = Postgres(trial.url)
    store.clear()
    with Service(store.url) as service:
        service.wait_ready()
        for _ in range(trial.rounds):
            rate = median(trial.samples["t2.rate"]) / 2
            burst, answers = _drain(trial, store, service, replace(t2_schedule.posts(service.port, None), rate=rate))
            trial.record("t10.p50", answers.p50 * 1000)
            trial.record("t10.p99", answers.p99 * 1000)
            trial.record("t10.burst", burst)
            trial.record("t10.lists", _drain(trial, store, service, pages(service.port, GROUP))[0])


def _drain(trial: Trial, store: Postgres, service: Service, order: Order) -> tuple[float, Answers]:
    """Return how many jobs a second a burst runs beside a load, and what the load got."""
    size = trial.size.jobs
    jobs = Jobs(size, datetime.now(UTC) + LEAD + NOTICE + store.lead(size))
    store.fill(jobs)
    with Load(replace(order, since=jobs.start.timestamp())) as beside:
        took = drain(store, jobs, service)
        answers = beside.answers(stop=True)
    check(store, jobs, service)
    return size / took, answers
