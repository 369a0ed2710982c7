"""One run of the benchmarks: how large it is, the PostgreSQL it uses, and what has been measured so far."""

import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field

import psycopg

from bench.observer import OBSERVER
from tests.postgres import PostgresServer

SERVER_SETTINGS = ("shared_preload_libraries=pg_stat_statements",)
"""It counts statements (T8, T6). Limits and peers run on the same server, so what it costs they pay too."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. Times are in seconds."""

    jobs: int
    """In a burst on PostgreSQL."""
    sqlite_jobs: int
    """In a burst on SQLite."""
    memory_jobs: int
    """In a burst in memory, into which every job goes through HTTP."""
    pending: int
    """In the store of T5 and T6."""
    lateness: float
    """A run of T4 and T5; all runs of a figure are one stretch, cut in `Trial.rounds` pieces."""
    waiting: float
    """For how long all slots are busy with jobs that wait, in T1."""
    idle: float
    """A run of T6."""
    load: float
    """A run of T2 and of its limit."""
    rounds: int
    """How many runs a figure has."""


FULL = Size(
    jobs=100_000,
    sqlite_jobs=100_000,
    memory_jobs=30_000,
    pending=1_000_000,
    lateness=60,
    waiting=20,
    idle=20,
    load=5,
    rounds=3,
)
QUICK = Size(
    jobs=20_000,
    sqlite_jobs=5_000,
    memory_jobs=2_000,
    pending=100_000,
    lateness=1.5,
    waiting=2,
    idle=1.5,
    load=0.8,
    rounds=1,
)


@dataclass
class Trial:
    """Where workloads take their sizes from and put their values."""

    server: PostgresServer
    size: Size
    rounds: int
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[str, str] = field(default_factory=dict)
    """What is to be said below the table, by workload."""
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.url = self.server.create_database("bench")
        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute("create extension pg_stat_statements")
            db.execute(f"create role {OBSERVER} superuser")

    def record(self, key: str, value: float) -> None:
        """Add the value of one run to a figure, and say so on stderr for whoever waits."""
        self.samples[key].append(value)
        print(f"{time.monotonic() - self.started:7.1f} s  {key} {value:,.4g}", file=sys.stderr, flush=True)
