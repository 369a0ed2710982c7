"""T1: jobs that are due at once, to their last durable outcome, against a bare loop of claim and finish.

The limit does the least that a scheduler with history must do from Python: claim rows in batches with SKIP LOCKED,
await a coroutine that does nothing for each, and finish a batch in one statement with a row of history each. It checks,
fences and decides nothing.
"""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

import asyncpg
import psycopg
import uvloop

from mainspring.store.schema import rebuild_schema

BATCH = 1000
LOOPS = 2
SLOTS = 3 * BATCH
LIMIT_TABLES = """
drop schema if exists bench cascade;
create schema bench;
create table bench.q (
    id bigint primary key, due timestamptz not null, kind text not null, payload jsonb not null,
    state smallint not null default 0, owner int, attempt int not null default 0
) with (fillfactor = 70);
insert into bench.q (id, due, kind, payload)
select n, now() - interval '1 s', 'noop', '{"a":1,"b":"hello world"}' from generate_series(1, $jobs) n;
create index q_due on bench.q (due) where state = 0;
create table bench.runs (
    job_id bigint not null, kind text not null, due timestamptz, attempt int, finished timestamptz
);
"""
LIMIT_CLAIM = """
update bench.q set state = 1, owner = $1, attempt = attempt + 1
where id = any(array(
    select id from bench.q where state = 0 and due <= now() order by due limit $2 for update skip locked
))
returning id, payload
"""
LIMIT_FINISH = """
with done as (delete from bench.q where id = any($1::bigint[]) and owner = $2 returning id, kind, due, attempt)
insert into bench.runs select id, kind, due, attempt, now() from done
"""
FILL = """
insert into mainspring.jobs (
    id, product, job_group, request, state, paused, fire_time, due_at, attempt, failures, losses, version, created_at,
    updated_at
)
select uuidv7(), 'bench', 'noop', json_build_object('a', 1, 'b', 'hello world', 'when', d), 'scheduled', false,
    d, d, 0, 0, 0, 1, now(), now()
from generate_series(1, %(jobs)s), (select now() + %(ahead)s::interval as d)
"""


def limit(url: str, jobs: int) -> float:
    """Return how many jobs a second the bare loop does."""
    with psycopg.connect(url, autocommit=True) as db:
        for statement in LIMIT_TABLES.replace("$jobs", str(jobs)).split(";\n"):
            if statement.strip():
                db.execute(statement)
        db.execute("vacuum analyze bench.q")
    start = time.perf_counter()
    uvloop.run(_limit_loops(url))
    return jobs / (time.perf_counter() - start)


async def _limit_loops(url: str) -> None:
    await asyncio.gather(*(_limit_loop(url, owner) for owner in range(LOOPS)))


async def _limit_loop(url: str, owner: int) -> None:
    connection = await asyncpg.connect(url)
    claim, finish = await connection.prepare(LIMIT_CLAIM), await connection.prepare(LIMIT_FINISH)
    while rows := await claim.fetch(owner, BATCH):
        await asyncio.gather(*(_noop(json.loads(payload)) for _, payload in rows))
        await finish.fetch([id_ for id_, _ in rows], owner)
    await connection.close()


async def _noop(_payload: object) -> None:
    return None


def burst(url: str, jobs: int, nodes: int = 1) -> float:
    """Return how many jobs a second `nodes` processes do, each with the veto listener bound and full history."""
    rebuild_schema(url)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(FILL, {"jobs": jobs, "ahead": f"{8 + jobs / 40_000} seconds"})
        db.execute("vacuum analyze mainspring.jobs")
        command = [sys.executable, "-m", "mainspring", "node", "--store", url, "--plugin", "bench.plugin:NoopModule"]
        command += ["--slots", str(SLOTS), "--log-level", "warning"]
        processes = [subprocess.Popen(command) for _ in range(nodes)]
        due = _value(db, "select min(due_at) from mainspring.jobs")
        while _value(db, "select count(*) from mainspring.nodes") < nodes:
            time.sleep(0.02)
        ahead = float(_value(db, "select extract(epoch from %s - clock_timestamp())", due))
        if ahead < 0:
            raise RuntimeError("the jobs were due before the nodes were there")
        time.sleep(ahead)
        while _value(db, "select exists (select from mainspring.jobs)"):
            time.sleep(0.02)
        wall = float(_value(db, "select extract(epoch from clock_timestamp() - %s)", due))
        right = _value(db, "select count(distinct job_id) from mainspring.runs where started_at >= due_at")
        runs = _value(db, "select count(*) from mainspring.runs")
        for process in processes:
            process.terminate()
        if any(process.wait() for process in processes) or not jobs == runs == right:
            raise RuntimeError("a node failed, or a job ran early or twice")
    return jobs / wall


def _value(db: psycopg.Connection[Any], statement: str, *arguments: object) -> Any:
    row = db.execute(statement.encode(), arguments).fetchone()
    return None if row is None else row[0]
