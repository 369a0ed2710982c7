"""T8: how many statements a job costs in a burst, and which; counted by pg_stat_statements while T1 runs."""

import re

from bench.figures import Figure, Goal
from bench.observer import OBSERVER, observe
from bench.trial import Trial
from mainspring.store.postgres.connections import TEXT

FIGURES = (Figure("t8.statements", "statements per job in a burst", "1/job", goal=Goal("≤", 0.01)),)

# What the database puts in the place of constants and what we write for parameters, both as one sign.
_VALUE = re.compile(r"\$\d+|(?<!:):[a-z_]+|'[^']*'|\b(?:\d+|null|true|false)\b|--[^\n]*")
_CALLS = f"""
    select query, calls from pg_stat_statements
    where dbid = (select oid from pg_database where datname = current_database()) and userid <> '{OBSERVER}'::regrole
"""


def reset(url: str) -> None:
    """Begin to count."""
    with observe(url) as db:
        db.execute("select pg_stat_statements_reset()")


def counted(url: str) -> dict[str, int]:
    """Return how often each statement was executed since, by name where the store has one, most often first."""
    with observe(url) as db:
        rows = db.execute(_CALLS).fetchall()
    names = {_plain(sql): name for name, sql in TEXT.items()}
    counts: dict[str, int] = {}
    for text, calls in rows:
        plain = _plain(text)
        name = names.get(plain, plain[:40])
        counts[name] = counts.get(name, 0) + calls
    return dict(sorted(counts.items(), key=lambda entry: -entry[1]))


def record(trial: Trial, key: str, counts: dict[str, int], jobs: int, what: str) -> None:
    """Record these as the cost of a job, and name them; `what` says what the jobs were."""
    trial.record(key, sum(counts.values()) / jobs)
    named = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    workload = key.split(".", maxsplit=1)[0].upper()
    trial.notes[workload] = f"statements for {what}, {jobs:,} jobs, as pg_stat_statements counts them: {named}"


def _plain(text: str) -> str:
    return " ".join(_VALUE.sub("?", text).rstrip("; \n").replace("?", " ? ").split())
