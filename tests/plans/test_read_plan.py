"""What calls of the API ask of PostgreSQL costs the same for any number of jobs and runs that they do not return."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from mainspring.store.postgres.address import SESSION
from mainspring.store.postgres.connections import SQL
from mainspring.store.postgres.schema import rebuild_schema
from mainspring.store.sqlite.dialect import SQL as SQLITE
from mainspring.store.sqlite.file import connect
from tests.postgres import temporary_database

SMALL, LARGE = 2_000, 40_000
MANY_MORE = 8
"""How many more rows a statement may touch at twenty times the size: indexes get a level deeper."""

FILL = """
insert into mainspring.jobs (
    id, due_at, fire_time, created_at, updated_at, version, attempt, failures, losses, paused, state, outcome,
    product, job_group, request, trigger, labels
)
select gen_random_uuid(), due, due, now(), now(), 1, 0, 0, 0, n % 4 = 0,
    case n % 4 when 0 then 'paused' else 'scheduled' end,
    case when n <= 30 then 'failed' when n <= 60 then 'succeeded' end,
    'p', 'g' || n % 3, '{{}}', case when n <= 30 then '{{"every": "P1D"}}'::json end,
    case when n <= 5 then '["t:rare"]' else '["t:usual"]' end::json
from (select n, now() + n * interval '1 second' as due from generate_series(1, {0}) as n) numbered;
insert into mainspring.runs (
    labels, number, job_id, fire_time, due_at, started_at, finished_at, attempt, product, job_group, node, outcome,
    version, created_at, failures, losses, request
)
select '["t:done"]', n, gen_random_uuid(), now(), now(), now(), now(), 1, 'p', 'g' || n % 3, 'node',
    case when n <= 30 then 'failed' else 'succeeded' end, case when n % 2 = 0 then 3 end, now(), 0, 0, '{{}}'
from generate_series(1, {0}) as n;
"""
FAR = datetime(9999, 1, 1, tzinfo=UTC)
PAGE = {
    "product": "p", "job_group": "g1", "states": ["scheduled", "running", "paused"], "outcomes": None, "gave_up": False,
    "labels": None, "after_due": datetime(1, 1, 2, tzinfo=UTC), "after_id": UUID(int=0), "after_run": 2**62,
    "due_from": datetime(1, 1, 2, tzinfo=UTC), "due_last": FAR, "limit": 10, "created_last": FAR,
    "created_from": datetime(1, 1, 2, tzinfo=UTC), "by_created": False, "node": None,
}  # fmt: skip
FIND = PAGE | {
    "product": "", "job_group": "", "lows": ["t:rare"], "highs": ["t:rare"],
    "first_id": UUID(int=2**128 - 1), "last_id": UUID(int=0),
}  # fmt: skip
FAILED = PAGE | {"outcomes": ["failed", "timed_out", "lost"]}
NOBODY = {"job_group": "nobody"}
RUNS = {"product": "p", "job_group": "g1", "before": 2**62, "limit": 10}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "a page": ("page", PAGE),
    "a page far behind": ("page", PAGE | {"due_from": FAR}),
    "a group without jobs": ("page", PAGE | NOBODY),
    "done jobs": ("page_done", PAGE),
    "done jobs of a group without any": ("page_done", PAGE | NOBODY),
    "jobs that gave up": ("page_of_outcomes", FAILED | {"gave_up": True}),
    "jobs that ended in a way that none did": ("page_of_outcomes", PAGE | {"outcomes": ["vetoed"]}),
    "dead jobs": ("page_done_of_outcomes", FAILED),
    "dead jobs of a group without any": ("page_done_of_outcomes", FAILED | NOBODY),
    "counts": ("counts", {}),
    "bytes of a group without jobs": ("bytes_of_group", {"product": "p", "job_group": "nobody"}),
    "bytes of a product without jobs": ("bytes_of_product", {"product": "nobody"}),
    "history of a group": ("runs_of_group", RUNS),
    "history of a job without any": ("runs_of_job", RUNS | {"job_id": UUID(int=1)}),
    "a job that is not there": ("get", {"id": UUID(int=1)}),
    "a done job that is not there": ("get_done", {"id": UUID(int=1)}),
    "children of a job": ("children", {"parent": UUID(int=1)}),
    "jobs by a rare label": ("find", FIND),
    "jobs by a rare label, by creation": ("find", FIND | {"by_created": True}),
    "done jobs by a rare label": ("find_done", FIND),
    "jobs by how an id begins": (
        "find",
        FIND | {"lows": ["t:no"], "highs": ["t:no"], "first_id": UUID(int=1), "last_id": UUID(int=2)},
    ),
    "jobs with a label are counted": ("count_labelled", FIND | {"lows": ["t:usual"], "highs": ["t:usual"], "most": 50}),
    "a page by creation": ("page_created", PAGE),
    "runs that pass a filter": (
        "history",
        RUNS | {"scan": 50, "outcomes": ["lost"], "node": None, "ended_from": PAGE["due_from"], "ended_last": FAR},
    ),
    "a page of recurring jobs": ("recurring", {"after": UUID(int=0), "limit": 10, "calendar": None}),
}


class Database(NamedTuple):
    """A session as the store has it, on a database of some size."""

    session: psycopg.Connection[Any]

    def touched(self, statement: str, values: dict[str, Any]) -> int:
        """Return how many rows a statement looks at, and how many pages."""
        text, names = SQL[statement]
        literals = sql.SQL(", ").join(sql.Literal(values[name]) for name in names)
        self.session.execute("deallocate all")
        self.session.execute(sql.SQL("prepare it as {}").format(sql.SQL(text)))
        call = sql.SQL("execute it({})").format(literals) if names else sql.SQL("execute it")
        explain = sql.SQL("explain (analyze, buffers, format json) {}").format(call)
        plan = self.session.execute(explain).fetchall()[0][0][0]["Plan"]
        rows = sum(
            step["Actual Loops"] * (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) for step in steps(plan)
        )
        return int(rows + plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through the scans of a plan."""
    if "Scan" in node["Node Type"]:
        yield node
    for below in node.get("Plans", []):
        yield from steps(below)


@pytest.fixture(scope="module")
def databases(postgres_url: str) -> Iterator[tuple[Database, Database]]:
    """A small one and a large one."""
    with temporary_database(postgres_url) as one, temporary_database(postgres_url) as other:
        sessions = []
        for url, size in ((one, SMALL), (other, LARGE)):
            rebuild_schema(url)
            session = psycopg.connect(url, autocommit=True, prepare_threshold=None)
            session.execute(FILL.format(size).encode())
            session.execute("vacuum analyze")
            for name, value in SESSION.items():
                session.execute("select set_config(%s, %s, false)", [name, value])
            sessions.append(Database(session))
        yield sessions[0], sessions[1]
        for database in sessions:
            database.session.close()


@pytest.mark.parametrize("call", CALLS)
def test_cost_does_not_grow_with_what_is_not_returned(databases: tuple[Database, Database], call: str) -> None:
    """At twenty times the size as many rows and pages are looked at."""
    statement, values = CALLS[call]
    small, large = (database.touched(statement, values) for database in databases)

    assert large <= small + MANY_MORE


@pytest.mark.parametrize(
    "statement", sorted({statement for statement, _ in CALLS.values()} - {"counts", "count_labelled"})
)
def test_sqlite_searches_by_an_index(statement: str, tmp_path: Path) -> None:
    """It goes through no table, nor through all of an index."""
    with closing(connect(tmp_path / "jobs.db")) as db:
        values = dict.fromkeys(re.findall(r":(\w+)", SQLITE[statement]))
        plan = [step for *_, step in db.execute(f"explain query plan {SQLITE[statement]}", values)]

    assert [] == [step for step in plan if re.match(r"SCAN (jobs|runs|j|r)\b(?! USING INDEX jobs_running)", step)]
    assert any(re.match(r"SEARCH (jobs|runs|j|r)\b", step) for step in plan)
