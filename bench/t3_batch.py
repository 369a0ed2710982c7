"""T3: 10,000 jobs in one call, all of them durable or none, against one COPY of as many rows."""

import time
from datetime import UTC, datetime, timedelta

from bench.figures import Figure, Goal
from bench.limits import make_tables, postgres_copy
from bench.service import CREATED, Service
from bench.stores import Postgres, array, job_body, jobs_path, takes_batches
from bench.t2_schedule import check
from bench.trial import Trial

FIGURES = (
    Figure("t3.limit", "limit: COPY of 10,000 rows from Python", "rows/s"),
    Figure("t3.array", "batch of 10,000, JSON array", "jobs/s", "t3.limit", Goal("≥", 0.35, "ratio")),
    Figure("t3.ndjson", "batch of 10,000, NDJSON", "jobs/s", "t3.limit", Goal("≥", 0.35, "ratio")),
)
JOBS = 10_000
GROUP = "noop"


def measure(trial: Trial) -> None:
    """Measure T3, or note that there is no batch endpoint."""
    store = Postgres(trial.url)
    store.clear()
    make_tables(trial.url)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    bodies = [job_body(tomorrow + timedelta(milliseconds=number)) for number in range(JOBS)]
    with Service(store.url) as service:
        service.wait_ready()
        if not takes_batches(service, GROUP):
            trial.notes["T3"] = "not available, there is no batch endpoint"
            return
        for _ in range(trial.rounds):
            trial.record("t3.limit", postgres_copy(trial.url, JOBS))
            trial.record("t3.array", _batch(service, array(bodies), "application/json"))
            trial.record("t3.ndjson", _batch(service, b"\n".join(bodies), "application/x-ndjson"))
        check(service, 2 * JOBS * trial.rounds)


def _batch(service: Service, body: bytes, media_type: str) -> float:
    start = time.perf_counter()
    status, answer = service.post(f"{jobs_path(GROUP)}/batch", body, media_type)
    took = time.perf_counter() - start
    if status != CREATED or answer["created"] != JOBS or len(set(answer["ids"])) != JOBS:
        raise RuntimeError(f"a batch was answered {status}: {str(answer)[:200]}")
    return JOBS / took
