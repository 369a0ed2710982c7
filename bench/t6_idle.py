"""T6: what a node costs that has nothing to do, with a million jobs pending: processor time and statements."""

import time

from bench import t8_statements
from bench.figures import Figure, Goal
from bench.service import Service
from bench.stores import Postgres
from bench.t5_scale import fill_pending
from bench.trial import Trial

FIGURES = (
    Figure("t6.processor", "idle node, jobs pending, of one core", "%", goal=Goal("≤", 1)),
    Figure("t6.statements", "idle node, jobs pending, statements", "1/s", goal=Goal("≤", 3)),
)
SETTLE = 1.0
"""Seconds after the start in which a node may still have something to do."""


def measure(trial: Trial) -> None:
    """Measure T6."""
    store = Postgres(trial.url)
    fill_pending(trial, store, "noop")
    with Service(store.url) as service:
        service.wait_ready()
        time.sleep(SETTLE)
        for _ in range(trial.rounds):
            t8_statements.reset(trial.url)
            used, start = service.processor_time(), time.perf_counter()
            time.sleep(trial.size.idle)
            took = time.perf_counter() - start
            trial.record("t6.processor", 100 * (service.processor_time() - used) / took)
            counts = t8_statements.counted(trial.url)
            trial.record("t6.statements", sum(counts.values()) / took)
            named = ", ".join(f"{name} {count / took:.1f}" for name, count in counts.items())
            trial.notes["T6"] = f"statements a second of an idle node, as pg_stat_statements counts them: {named}"
