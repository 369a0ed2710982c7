"""How PostgreSQL goes about what nodes ask of it, at a size where the wrong way would show."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from mainspring.store.postgres.address import SESSION
from mainspring.store.postgres.connections import TEXT
from mainspring.store.postgres.schema import rebuild_schema
from tests.postgres import temporary_database

# Of a million jobs, in 4 groups, one in a thousand is due, and a quarter is not scheduled.
FILL = """
insert into mainspring.jobs (
    id, due_at, fire_time, created_at, updated_at, version, attempt, failures, losses, paused, state,
    product, job_group, request
)
select gen_random_uuid(), due, due, now(), now(), 1, 0, 0, 0, n / 4 % 4 = 0,
    case n / 4 % 4 when 0 then 'paused' else 'scheduled' end, 'p', 'g' || n % 4, '{}'
from (
    select n, now() + case when n % 1000 < 4 then interval '-1 second' else interval '1 minute' end * n as due
    from generate_series(1, 1000000) as n
)
"""


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session as the store has it, in a database with very many jobs, of which few are due, and a node."""
    with temporary_database(postgres_url) as url:
        rebuild_schema(url)
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            connection.execute(FILL)
            connection.execute("insert into mainspring.nodes (name, beat) values ('node', 0)")
            for name, value in SESSION.items():
                connection.execute("select set_config(%s, %s, false)", [name, value])
            yield connection


@pytest.fixture(params=["known", "unknown"])
def statistics(request: pytest.FixtureRequest, database: psycopg.Connection[Any]) -> None:
    """The planner knows the table, or knows nothing of it, as of one that was filled a moment ago."""
    if request.param == "known":
        database.execute("analyze mainspring.jobs")
    else:
        database.execute("delete from pg_statistic where starelid = 'mainspring.jobs'::regclass")


def plan(database: psycopg.Connection[Any], statement: str, mode: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of a statement, planned as a prepared one is."""
    names = list(values)
    text = re.sub(r"(?<!:):(\w+)", lambda match: f"${names.index(match[1]) + 1}", TEXT[statement])
    literals = sql.SQL(", ").join(map(sql.Literal, values.values()))

    database.execute("deallocate all")
    database.execute(sql.SQL("set plan_cache_mode = {}").format(sql.SQL(mode)))
    database.execute(sql.SQL("prepare it as {}").format(sql.SQL(text)))
    [[[explained]]] = database.execute(sql.SQL("explain (format json) execute it ({})").format(literals)).fetchall()
    return list(steps(explained["Plan"]))


def steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through a plan from the top."""
    yield node
    for below in node.get("Plans", []):
        yield from steps(below)


def scans(plan: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Say how the table of jobs is read, and by which index."""
    found = [step for step in plan if step.get("Relation Name") == "jobs" and "Scan" in step["Node Type"]]
    return sorted({(step["Node Type"], step.get("Index Name", "")) for step in found})


MODES = pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])


@MODES
@pytest.mark.usefixtures("statistics")
def test_claim_reads_only_what_is_due(database: psycopg.Connection[Any], mode: str) -> None:
    """A claim walks along the index of what is scheduled, and looks at no other job but those it takes."""
    demand = {"products": ["p"] * 4, "job_groups": ["g0", "g1", "g2", "g3"], "demands": [10] * 4}
    ahead = timedelta(milliseconds=25)
    claim = plan(
        database, "claim", mode, {**demand, "node": "node", "limit": 20, "now": None, "ahead": ahead, "notes": None}
    )

    assert {"jobs_due", "jobs_pkey"} == {index for _, index in scans(claim)}
    walks = [step["Index Cond"] for step in claim if step.get("Index Name") == "jobs_due"]
    assert ["due_at <=", "due_at >"] == re.findall(r"due_at [<>]=?", " ".join(walks)), "what is due, and the next"
    assert "Sort" not in {step["Node Type"] for step in claim}, "the index has the order already"


@MODES
@pytest.mark.usefixtures("statistics")
def test_next_due_reads_one_job_of_each_group(database: psycopg.Connection[Any], mode: str) -> None:
    """Whoever wants to know how long to sleep looks at the head of the index."""
    look = plan(
        database, "next_due", mode, {"products": ["p"] * 4, "job_groups": ["g0", "g1", "g2", "g3"], "now": None}
    )

    assert {"jobs_due"} == {index for _, index in scans(look)}
    assert "Limit" in {step["Node Type"] for step in look}


@MODES
@pytest.mark.usefixtures("statistics")
def test_finish_finds_its_jobs_by_their_ids(database: psycopg.Connection[Any], mode: str) -> None:
    """A thousand changes look at a thousand jobs, however many others there are."""
    finish = plan(database, "finish", mode, {"ended": "{}", "kept": "{}"})

    assert [("Index Scan", "jobs_pkey")] == scans(finish)
    assert {"Seq Scan", "Hash Join", "Merge Join"}.isdisjoint(step["Node Type"] for step in finish)
    inner = [step for step in finish if step.get("Index Name") == "jobs_pkey"]
    assert {"Inner"} == {step["Parent Relationship"] for step in inner}, "the changes come first, each finds its job"
