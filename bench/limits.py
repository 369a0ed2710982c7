"""What this machine can do at most: loops that do the least that a scheduler must do, and nothing else.

They check, fence and decide nothing. Each returns a figure of the run that asks for it; the limit of `POST` is an HTTP
service of its own, in `bench.writer`.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import asyncpg
import psycopg
import uvloop

BATCH = 1000
LOOPS = 2
COMMITS = 200
PAYLOAD = '{"a":1,"b":"hello world"}'

_TABLES = f"""
    drop schema if exists bench cascade;
    create schema bench;
    create table bench.q (
        id bigint primary key, due timestamptz not null, kind text not null, payload jsonb not null,
        state smallint not null default 0, owner int, attempt int not null default 0
    ) with (fillfactor = 70);
    insert into bench.q (id, due, kind, payload)
    select n, now() + $first + n * $gap, 'noop', '{PAYLOAD}' from generate_series(1, $jobs) n;
    create index q_due on bench.q (due) where state = 0;
    create table bench.runs (
        job_id bigint not null, kind text not null, due timestamptz, attempt int, finished timestamptz
    );
    create table bench.one (id uuid primary key, payload jsonb not null);
    create table bench.many (
        id uuid primary key, kind text not null, payload text not null, due timestamptz not null
    );
"""
_CLAIM = """
    update bench.q set state = 1, owner = $1, attempt = attempt + 1
    where id = any(array(
        select id from bench.q where state = 0 and due <= now() order by due limit $2 for update skip locked
    ))
    returning id, payload, extract(epoch from due)::float8
"""
_FINISH = """
    with done as (delete from bench.q where id = any($1::bigint[]) and owner = $2 returning id, kind, due, attempt)
    insert into bench.runs select id, kind, due, attempt, now() from done
"""
_SQLITE_TABLES = f"""
    create table q (
        id integer primary key, due integer not null, kind text not null, payload text not null,
        state integer not null default 0, attempt integer not null default 0
    ) strict;
    insert into q (id, due, kind, payload)
    with recursive n(n) as (select 1 union all select n + 1 from n where n < $jobs)
    select n, $first + n * $gap, 'noop', '{PAYLOAD}' from n;
    create index q_due on q (due) where state = 0;
    create table runs (
        job_id integer not null, kind text not null, due integer, attempt integer, finished integer
    ) strict;
"""
_SQLITE_CLAIM = """
    update q set state = 1, attempt = attempt + 1
    where id in (select id from q where state = 0 and due <= ? order by due limit ?)
    returning id, payload, due
"""
_SQLITE_FINISH = (
    "insert into runs select id, kind, due, attempt, ? from q where id in (select value from json_each(?))",
    "delete from q where id in (select value from json_each(?))",
)


# --- a burst: claim and finish


def postgres_burst(url: str, jobs: int) -> float:
    """Return how many jobs a second two loops of one process claim and finish, a row of history each."""
    make_tables(url, jobs, first="-1 s")
    start = time.perf_counter()
    uvloop.run(_together(LOOPS, lambda owner: _claim_and_finish(url, owner)))
    return jobs / (time.perf_counter() - start)


async def _together(count: int, loop: Callable[[int], Any]) -> None:
    await asyncio.gather(*(loop(number) for number in range(count)))


async def _claim_and_finish(url: str, owner: int) -> None:
    connection = await asyncpg.connect(url)
    claim, finish = await connection.prepare(_CLAIM), await connection.prepare(_FINISH)
    while rows := await claim.fetch(owner, BATCH):
        await asyncio.gather(*(_noop(json.loads(payload)) for _, payload, _ in rows))
        await finish.fetch([id_ for id_, *_ in rows], owner)
    await connection.close()


async def _noop(_payload: object) -> None:
    return None


def sqlite_burst(path: Path | None, jobs: int) -> float:
    """Return the same for SQLite, one loop; `None` for a database in memory."""
    with closing(connect_sqlite(path)) as db:
        make_sqlite_tables(db, jobs)
        start = time.perf_counter()
        uvloop.run(_claim_and_finish_sqlite(db))
        return jobs / (time.perf_counter() - start)


async def _claim_and_finish_sqlite(db: sqlite3.Connection) -> None:
    while rows := db.execute(_SQLITE_CLAIM, (1, BATCH)).fetchall():
        await asyncio.gather(*(_noop(json.loads(payload)) for _, payload, _ in rows))
        ids = json.dumps([id_ for id_, *_ in rows])
        db.execute("begin immediate")
        db.execute(_SQLITE_FINISH[0], (time.time_ns() // 1000, ids))
        db.execute(_SQLITE_FINISH[1], (ids,))
        db.execute("commit")


# --- one row: a lone commit


def postgres_commit(url: str) -> float:
    """Return the median time in ms of an insert of one row with its commit, on one connection."""
    return asyncio.run(_postgres_commit(url))


async def _postgres_commit(url: str) -> float:
    connection = await asyncpg.connect(url)
    insert = await connection.prepare("insert into bench.one values ($1, $2)")
    times = []
    for _ in range(COMMITS):
        start = time.perf_counter()
        await insert.fetch(uuid4(), PAYLOAD)
        times.append(time.perf_counter() - start)
    await connection.close()
    return median(times) * 1000


def sqlite_commit(path: Path | None) -> float:
    """Return the same for SQLite; `None` for a database in memory."""
    times = []
    with closing(connect_sqlite(path)) as db:
        db.execute("create table one (id text primary key, payload text not null) strict, without rowid")
        for _ in range(COMMITS):
            start = time.perf_counter()
            db.execute("insert into one values (?, ?)", (str(uuid4()), PAYLOAD))
            times.append(time.perf_counter() - start)
    return median(times) * 1000


# --- many rows: COPY


def postgres_copy(url: str, rows: int) -> float:
    """Return how many rows a second one COPY writes."""
    return asyncio.run(_postgres_copy(url, rows))


async def _postgres_copy(url: str, rows: int) -> float:
    connection = await asyncpg.connect(url)
    due = await connection.fetchval("select now() + interval '1 day'")
    start = time.perf_counter()
    records = [(uuid4(), "noop", PAYLOAD, due) for _ in range(rows)]
    await connection.copy_records_to_table("many", schema_name="bench", records=records)
    took = time.perf_counter() - start
    await connection.close()
    return rows / took


# --- lateness: sleep, claim


def postgres_lateness(url: str, rate: float, seconds: float) -> list[float]:
    """Return how late, in ms and in order, a loop is that sleeps until a row is due and claims it; nothing else."""
    jobs = round(rate * seconds)
    make_tables(url, jobs, first="300 ms", gap=f"{1000 / rate} ms")
    return uvloop.run(_sleep_and_claim(url))


async def _sleep_and_claim(url: str) -> list[float]:
    connection = await asyncpg.connect(url)
    claim = await connection.prepare(_CLAIM)
    rows = await connection.fetch("select extract(epoch from due)::float8 from bench.q order by due")
    due = [moment for (moment,) in rows]
    late = []
    while due:
        await asyncio.sleep(max(0, due[0] - time.time()))
        rows = await claim.fetch(1, BATCH)
        now = time.time()
        late += [(now - moment) * 1000 for *_, moment in rows]
        del due[: len(rows)]
    await connection.close()
    return sorted(late)


def sqlite_lateness(path: Path | None, rate: float, seconds: float) -> list[float]:
    """Return the same for SQLite; `None` for a database in memory."""
    with closing(connect_sqlite(path)) as db:
        first = time.time_ns() // 1000 + 100_000
        make_sqlite_tables(db, round(rate * seconds), first=first, gap=round(1_000_000 / rate))
        return uvloop.run(_sleep_and_claim_sqlite(db))


async def _sleep_and_claim_sqlite(db: sqlite3.Connection) -> list[float]:
    due = [moment for (moment,) in db.execute("select due from q order by due")]
    late = []
    while due:
        await asyncio.sleep(max(0, due[0] / 1e6 - time.time()))
        rows = db.execute(_SQLITE_CLAIM, (time.time_ns() // 1000, BATCH)).fetchall()
        now = time.time_ns() // 1000
        late += [(now - moment) / 1000 for *_, moment in rows]
        del due[: len(rows)]
    return sorted(late)


# --- tables


def make_tables(url: str, jobs: int = 0, *, first: str = "0 s", gap: str = "0 s") -> None:
    """Make the tables of the limits anew, with jobs that are due from `first` from now on, `gap` apart."""
    values = {"$jobs": str(jobs), "$first": f"interval '{first}'", "$gap": f"interval '{gap}'"}
    script = _TABLES
    for name, value in values.items():
        script = script.replace(name, value)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(script.encode())
        db.execute("vacuum analyze bench.q")


def make_sqlite_tables(db: sqlite3.Connection, jobs: int, *, first: int = 0, gap: int = 0) -> None:
    """Make them in a fresh database, with jobs that are due from `first` on, `gap` apart, in microseconds."""
    script = _SQLITE_TABLES
    for name, value in {"$jobs": jobs, "$first": first, "$gap": gap}.items():
        script = script.replace(name, str(value))
    db.executescript(script)


def connect_sqlite(path: Path | None) -> sqlite3.Connection:
    """Open a database as the store does: WAL, and every commit on disk."""
    if path is not None:
        for old in path.parent.glob(f"{path.name}*"):
            old.unlink()
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    return db
