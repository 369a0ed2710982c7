"""T12 and T14: a burst like T1 whose group has limits that do not bind, or whose jobs have all priorities.

Its limit is the same burst without them, in the same rounds.
"""

from bench.figures import Figure, Goal
from bench.stores import Postgres
from bench.t1_burst import burst
from bench.trial import Trial

KEYS = 100

FIGURES = (
    Figure("t12.plain", "burst, PostgreSQL, one node, without limits", "jobs/s"),
    Figure("t12.group", "the same with a limit of the group", "jobs/s", "t12.plain", Goal("≥", 0.9, "ratio")),
    Figure("t12.key", f"the same with a limit of each of {KEYS} keys", "jobs/s", "t12.plain", Goal("≥", 0.9, "ratio")),
    Figure("t14.priorities", "burst with all ten priorities", "jobs/s", "t12.plain", Goal("≥", 0.9, "ratio")),
)


def measure(trial: Trial) -> None:
    """Measure T12, and T14 with it."""
    store, jobs = Postgres(trial.url), trial.size.jobs
    keys, priorities = {"concurrency_key": f"'k' || mod(n, {KEYS})"}, {"priority": "mod(n, 10)"}
    for _ in range(trial.rounds):
        trial.record("t12.plain", burst(store, jobs).rate)
        trial.record("t12.group", burst(store, jobs, plugin="LimitedModule", group="limited").rate)
        trial.record("t12.key", burst(store, jobs, plugin="LimitedByKeyModule", group="keyed", columns=keys).rate)
        trial.record("t14.priorities", burst(store, jobs, columns=priorities).rate)
