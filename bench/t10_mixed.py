"""T10: jobs scheduled at half the rate of T2 while a burst drains in the same service."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import median

from bench import t2_schedule
from bench.figures import Figure, Goal
from bench.load import Load
from bench.service import Service
from bench.stores import Jobs, Postgres
from bench.t1_burst import NOTICE, check, drain
from bench.trial import Trial

FIGURES = (
    Figure("t10.p50", "POST at half the rate of T2 while a burst drains, p50", "ms"),
    Figure("t10.p99", "POST at half the rate of T2 while a burst drains, p99", "ms", goal=Goal("≤", 50)),
    Figure("t10.burst", "burst while POSTs come in; limit: T1 one node", "jobs/s", "t1.one"),
)
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
            _round(trial, store, service)


def _round(trial: Trial, store: Postgres, service: Service) -> None:
    size = trial.size.jobs
    jobs = Jobs(size, datetime.now(UTC) + LEAD + NOTICE + store.lead(size))
    store.fill(jobs)
    rate = median(trial.samples["t2.rate"]) / 2
    order = replace(t2_schedule.posts(service.port, None), rate=rate, since=jobs.start.timestamp())
    with Load(order) as posting:
        took = drain(store, jobs, service)
        answers = posting.answers(stop=True)
    check(store, jobs, service)
    trial.record("t10.p50", answers.p50 * 1000)
    trial.record("t10.p99", answers.p99 * 1000)
    trial.record("t10.burst", size / took)
