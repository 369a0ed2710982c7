"""T12, T13 and T14: a burst like T1 whose group has limits that do not bind, or whose jobs have all priorities.

For T13 it is spread over products with weights, or over many groups. The limit of all is the same burst without any of
that, in the same rounds.
"""

from bench.figures import Figure, Goal
from bench.plugin import MANY, SHARING
from bench.stores import Postgres
from bench.t1_burst import NOOP, Kind, burst
from bench.trial import Trial

KEYS = 100
WEIGHTS = "[limits.bench]\nweight = 3\n[limits.other]\nweight = 1\n"
KINDS = {
    "t12.plain": NOOP,
    "t12.group": Kind("limited", "LimitedModule"),
    "t12.key": Kind("keyed", "LimitedByKeyModule", columns={"concurrency_key": f"'k' || mod(n, {KEYS})"}),
    "t13.products": Kind(plugin="SharingModule", spread=SHARING, config=WEIGHTS),
    "t13.groups": Kind(plugin="ManyGroupsModule", spread=MANY),
    "t14.priorities": Kind(columns={"priority": "mod(n, 10)"}),
}

FIGURES = (
    Figure("t12.plain", "burst, PostgreSQL, one node, without limits", "jobs/s"),
    Figure("t12.group", "the same with a limit of the group", "jobs/s", "t12.plain", Goal("≥", 0.9, "ratio")),
    Figure("t12.key", f"the same with a limit of each of {KEYS} keys", "jobs/s", "t12.plain", Goal("≥", 0.9, "ratio")),
    Figure("t13.products", "burst, two products, weights 3:1", "jobs/s", "t12.plain", Goal("≥", 0.9, "ratio")),
    Figure("t13.groups", f"burst, {len(MANY)} groups of a product", "jobs/s", "t12.plain", Goal("≥", 0.9, "ratio")),
    Figure("t14.priorities", "burst with all ten priorities", "jobs/s", "t12.plain", Goal("≥", 0.9, "ratio")),
)


def measure(trial: Trial) -> None:
    """Measure T12, and T13 and T14 with it."""
    store, jobs = Postgres(trial.url), trial.size.jobs
    for _ in range(trial.rounds):
        for figure, kind in KINDS.items():
            trial.record(figure, burst(store, jobs, kind=kind).rate)
