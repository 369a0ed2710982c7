"""The stores under measurement, and the only place of the benchmarks that knows how jobs and history lie in them.

Each puts jobs in (`fill`), says when all that was due has its outcome written down (`drained`), and reads what the
history tells of it (`results`).
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import psycopg

from bench.load import post_all
from bench.observer import observe
from bench.service import CREATED, NOT_ALLOWED, NOT_FOUND, OK, Service
from mainspring.clock import SystemClock
from mainspring.job import Job, JobKey, Options, lifecycle
from mainspring.schedule import MICROSECOND, Once, format_time
from mainspring.store.postgres.schema import rebuild_schema
from mainspring.store.postgres.store import PostgresStore
from mainspring.store.rows import from_microseconds, to_microseconds
from mainspring.store.sqlite.store import SqliteStore

BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Jobs:
    """One-time jobs of a group of `bench.plugin`: so many, the first due at `start`, the others `gap` apart."""

    count: int
    start: datetime
    gap: timedelta = timedelta()
    group: str = "noop"
    columns: Mapping[str, str] = field(default_factory=dict)
    """What else is to be in columns, as SQL of their number `n`; on PostgreSQL only."""
    spread: Sequence[JobKey] = ()
    """The groups over which they are spread evenly in place of `group`; on PostgreSQL only."""

    @property
    def keys(self) -> Sequence[JobKey]:
        """All groups that have some of them."""
        return self.spread or [JobKey("bench", self.group)]

    @property
    def last(self) -> datetime:
        """When the last of them is due."""
        return self.start + (self.count - 1) * self.gap

    def due_times(self) -> Iterator[datetime]:
        """Yield when each is due."""
        return (self.start + number * self.gap for number in range(self.count))


class Result(NamedTuple):
    """What history tells of a run. Times are seconds since 1970."""

    job: str
    due: float
    started: float


class Store(Protocol):
    """A store under measurement."""

    name: str
    url: str
    fill_first: bool
    """Whether many jobs get in best before a service runs on it."""

    def clear(self) -> None:
        """Leave nothing in it. No service may be running on it."""

    def lead(self, jobs: int, service: Service | None = None) -> timedelta:
        """Return how long `fill` takes at most with so many jobs."""

    def fill(self, jobs: Jobs, service: Service | None = None) -> None:
        """Put jobs in; `service` is the one that runs on the store, if any does."""

    def nodes_there(self, services: list[Service]) -> bool:
        """Say whether all these nodes are there to run jobs."""

    def drained(self, jobs: Jobs, service: Service) -> bool:
        """Say whether all jobs of the group that were due with these, or before, have their last outcome in store."""

    def results(self, jobs: Jobs, service: Service) -> list[Result]:
        """Return the runs of these jobs."""


class Postgres:
    """A PostgreSQL database."""

    name = "PostgreSQL"
    fill_first = False

    def __init__(self, url: str) -> None:
        self.url = url
        self._looking = observe(url)

    def clear(self) -> None:
        """See `Store.clear`."""
        rebuild_schema(self.url)

    def lead(self, jobs: int, service: Service | None = None) -> timedelta:  # noqa: ARG002 - it makes no difference
        """See `Store.lead`."""
        return timedelta(seconds=0.3 + jobs / 50_000)

    def fill(self, jobs: Jobs, service: Service | None = None) -> None:  # noqa: ARG002 - this one needs none
        """See `Store.fill`: the store itself adds one job, and the database multiplies it."""
        pattern = _job(jobs.group, datetime.now(UTC) + timedelta(days=1))
        asyncio.run(_add(PostgresStore(self.url), iter([pattern])))
        changed = {"id": "uuidv7()", "fire_time": "t.due", "due_at": "t.due", **_turns(jobs.spread), **jobs.columns}
        with psycopg.connect(self.url, autocommit=True) as db:
            names = [column.name for column in db.execute("select * from mainspring.jobs limit 0").description or ()]
            statement = f"""
                with pattern as (delete from mainspring.jobs where id = %s returning *)
                insert into mainspring.jobs
                select {", ".join(changed.get(name, f"p.{name}") for name in names)}
                from pattern p, generate_series(0, %s) n, lateral (select %s + n * %s::interval as due) t
            """
            db.execute(statement.encode(), (pattern.id, jobs.count - 1, jobs.start, jobs.gap))
            db.execute("vacuum analyze mainspring.jobs")

    def nodes_there(self, services: list[Service]) -> bool:
        """See `Store.nodes_there`."""
        return bool(self._ask("select count(*) = %(nodes)s from mainspring.nodes", nodes=len(services))[0][0])

    def drained(self, jobs: Jobs, service: Service) -> bool:
        """See `Store.drained`."""
        service.check_alive()
        # One look for each state, because the indexes are partial: a look at all would read a million pending rows.
        unfinished = " or ".join(
            f"""exists (
                select from mainspring.jobs
                where product = '{product}' and job_group = '{group}' and due_at <= %(last)s and state = '{state}'
            )"""
            for state in ("scheduled", "running")
            for product, group in jobs.keys
        )
        return not self._ask(f"select {unfinished}", last=jobs.last)[0][0]

    def results(self, jobs: Jobs, service: Service) -> list[Result]:  # noqa: ARG002 - this one needs none
        """See `Store.results`."""
        runs = """
            select job_id::text, extract(epoch from due_at)::float8, extract(epoch from started_at)::float8
            from mainspring.runs where job_group = any(%(groups)s) and due_at between %(start)s and %(last)s
        """
        rows = self._ask(runs, groups=[group for _, group in jobs.keys], start=jobs.start, last=jobs.last)
        return [Result(*row) for row in rows]

    def _ask(self, statement: str, **parameters: object) -> list[Any]:
        return self._looking.execute(statement.encode(), parameters).fetchall()


class _Served:
    """What the stores have in common that only a running service can be asked about."""

    def nodes_there(self, services: list[Service]) -> bool:
        """See `Store.nodes_there`."""
        for service in services:
            service.wait_ready()
        return True

    def drained(self, jobs: Jobs, service: Service) -> bool:
        """See `Store.drained`."""
        service.check_alive()
        status, unfinished = service.get(f"{jobs_path(jobs.group)}?limit=1&to={_beyond(jobs.last)}")
        return status == OK and unfinished == []


class Sqlite(_Served):
    """A file of SQLite."""

    name = "SQLite"
    fill_first = True

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bench.db"
        self.url = f"sqlite:///{self.path}"

    def clear(self) -> None:
        """See `Store.clear`."""
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()

    def lead(self, jobs: int, service: Service | None = None) -> timedelta:
        """See `Store.lead`."""
        return _sending(jobs, service) if service else timedelta(seconds=0.5 + jobs / 15_000)

    def fill(self, jobs: Jobs, service: Service | None = None) -> None:
        """See `Store.fill`."""
        if service:
            _send(jobs, service)
        else:
            asyncio.run(
                _add(SqliteStore(self.path, SystemClock()), (_job(jobs.group, due) for due in jobs.due_times()))
            )

    def results(self, jobs: Jobs, service: Service) -> list[Result]:  # noqa: ARG002 - this one needs none
        """See `Store.results`."""
        runs = "select job_id, due_at, started_at from runs where job_group = ? and due_at between ? and ?"
        between = (to_microseconds(jobs.start), to_microseconds(jobs.last))
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(runs, (jobs.group, *between)).fetchall()
        return [Result(job, *(from_microseconds(time).timestamp() for time in times)) for job, *times in rows]


class Memory(_Served):
    """The memory of the service."""

    name = "memory"
    url = "memory:"
    fill_first = False

    def clear(self) -> None:
        """See `Store.clear`: it ends with its service."""

    def lead(self, jobs: int, service: Service | None = None) -> timedelta:
        """See `Store.lead`."""
        return _sending(jobs, _needed(service))

    def fill(self, jobs: Jobs, service: Service | None = None) -> None:
        """See `Store.fill`."""
        _send(jobs, _needed(service))

    def results(self, jobs: Jobs, service: Service) -> list[Result]:
        """See `Store.results`."""
        limits = f"from={format_time(jobs.start)}&to={_beyond(jobs.last)}"
        _, done = service.get(f"{jobs_path(jobs.group)}?state=done&{limits}")
        return [
            Result(
                job["id"],
                *(datetime.fromisoformat(job["lastRun"][name]).timestamp() for name in ("dueAt", "startedAt")),
            )
            for job in done
        ]


def _turns(spread: Sequence[JobKey]) -> dict[str, str]:
    """Return product and group of the job with the number `n`, as SQL: each of these in turn."""
    parts = {"product": [key.product for key in spread], "job_group": [key.job_group for key in spread]}
    return {name: f"(array{values})[1 + mod(n, {len(values)})]" for name, values in parts.items() if values}


def jobs_path(group: str) -> str:
    """Return the path of the jobs of a group of `bench.plugin`."""
    return f"/api/schedulers/bench/{group}/jobs"


def job_body(due: datetime) -> bytes:
    """Return the body of a request for a job."""
    return json.dumps({"when": format_time(due), "a": 1, "b": "hello world"}).encode()


def _needed(service: Service | None) -> Service:
    if service is None:
        raise ValueError("what is in memory gets there through the service")
    return service


def _sending(jobs: int, service: Service) -> timedelta:
    """Return how long `_send` takes at most with so many jobs."""
    return timedelta(seconds=0.5 + jobs / (15_000 if takes_batches(service, "noop") else 2_000))


def _send(jobs: Jobs, service: Service) -> None:
    """Put jobs in through HTTP: by the batch endpoint where there is one, else one by one."""
    path = jobs_path(jobs.group)
    bodies = map(job_body, jobs.due_times())
    by_batch = takes_batches(service, jobs.group)
    while batch := list(islice(bodies, BATCH)):
        if not by_batch:
            post_all(service.port, path, batch)
        elif service.post(f"{path}/batch", array(batch))[0] != CREATED:
            raise RuntimeError("a batch of jobs was refused")


def takes_batches(service: Service, group: str) -> bool:
    """Say whether the service has the batch endpoint."""
    return service.post(f"{jobs_path(group)}/batch", b"[]")[0] not in {NOT_FOUND, NOT_ALLOWED}


def array(bodies: Iterable[bytes]) -> bytes:
    """Return one JSON array of bodies."""
    return b"[" + b",".join(bodies) + b"]"


def _beyond(moment: datetime) -> str:
    return format_time(moment + MICROSECOND)


def _job(group: str, due: datetime) -> Job:
    return lifecycle.create(
        job_id=_new_id(),
        key=JobKey("bench", group),
        request=json.loads(job_body(due)),
        trigger=Once(due),
        options=Options(),
        now=datetime.now(UTC),
        calendars={},
    ).job


def _new_id() -> UUID:
    return SystemClock().new_id()


async def _add(store: PostgresStore | SqliteStore, jobs: Iterator[Job]) -> None:
    await store.open()
    try:
        while batch := list(islice(jobs, BATCH)):
            await store.add(batch)
    finally:
        await store.close()
