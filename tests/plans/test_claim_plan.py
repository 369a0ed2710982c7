"""How PostgreSQL goes about a claim, at a size where the wrong way would show."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from mainspring.store.postgres import rebuild_schema
from mainspring.store.rows import load_statements
from tests.postgres import temporary_database

# Of 20,000 jobs in 4 groups one in a hundred is due, and half are not scheduled.
FILL = """
insert into mainspring.jobs
select gen_random_uuid(), 'p', 'g' || n % 4, '{}', '{}', null,
    case n / 4 % 4 when 0 then 'paused' when 1 then 'done' else 'scheduled' end, n / 4 % 4 = 0,
    due, due, 0, 0, 0, null, null, null, null, 1, now(), now()
from (
    select n, now() + case when n % 100 = 0 then interval '-1 second' else interval '1 minute' end * n as due
    from generate_series(1, 20000) as n
)
"""


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A database with many jobs, of which few are due, and a node."""
    with temporary_database(postgres_url) as url:
        rebuild_schema(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FILL)
            connection.execute("insert into mainspring.nodes (name, beat) values ('node', 0)")
            connection.execute("analyze")
            yield connection


def plan(database: psycopg.Connection[Any], mode: str) -> Iterator[dict[str, Any]]:
    """Return the steps of a claim of all groups, planned as for a prepared statement."""
    demand = {"products": ["p"] * 4, "job_groups": ["g0", "g1", "g2", "g3"], "demands": [10] * 4}
    values: dict[str, Any] = {**demand, "node": "node", "limit": 20, "now": None}
    names = list(values)
    text = re.sub(r"(?<!:):(\w+)", lambda match: f"${names.index(match[1]) + 1}", load_statements("postgres")["claim"])
    literals = sql.SQL(", ").join(map(sql.Literal, values.values()))

    database.execute("deallocate all")
    database.execute(sql.SQL("set plan_cache_mode = {}").format(sql.SQL(mode)))
    database.execute(sql.SQL("prepare claim as {}").format(sql.SQL(text)))
    [[[explained]]] = database.execute(sql.SQL("explain (format json) execute claim ({})").format(literals)).fetchall()
    return steps(explained["Plan"])


def steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through a plan from the top."""
    yield node
    for below in node.get("Plans", []):
        yield from steps(below)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_claim_reads_only_what_is_due(database: psycopg.Connection[Any], mode: str) -> None:
    """A claim walks along the index of what is scheduled, and looks at no other job but those it takes."""
    claim = list(plan(database, mode))

    scans = [step for step in claim if step.get("Relation Name") == "jobs" and "Scan" in step["Node Type"]]
    walk, fetch = sorted(scans, key=lambda scan: str(scan.get("Index Name")))
    assert ("Index Scan", "jobs_due") == (walk["Node Type"], walk["Index Name"])
    assert ("Index Scan", "jobs_pkey") == (fetch["Node Type"], fetch["Index Name"])
    assert "due_at <=" in walk["Index Cond"], "it stops at what is not due yet"
    assert "Sort" not in {step["Node Type"] for step in claim}, "the index has the order already"
