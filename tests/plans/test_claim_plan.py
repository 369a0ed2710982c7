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

# Of a million jobs, in 4 groups and of all priorities, one in a thousand is due, and a quarter is not scheduled.
FILL = """
insert into mainspring.jobs (
    id, due_at, fire_time, created_at, updated_at, version, attempt, failures, losses, paused, state,
    product, job_group, request, priority
)
select gen_random_uuid(), due, due, now(), now(), 1, 0, 0, 0, n / 4 % 4 = 0,
    case n / 4 % 4 when 0 then 'paused' else 'scheduled' end, 'p', 'g' || n % 4, '{}', n / 16 % 10
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


def plan(
    database: psycopg.Connection[Any], statement: str, mode: str, values: dict[str, Any], *, analyze: bool = False
) -> list[dict[str, Any]]:
    """Return the steps of a statement, planned as a prepared one is, with `analyze` also what they did."""
    names = list(values)
    text = re.sub(r"(?<!:):(\w+)", lambda match: f"${names.index(match[1]) + 1}", TEXT[statement])
    literals = sql.SQL(", ").join(map(sql.Literal, values.values()))

    database.execute("deallocate all")
    database.execute(sql.SQL("set plan_cache_mode = {}").format(sql.SQL(mode)))
    database.execute(sql.SQL("prepare it as {}").format(sql.SQL(text)))
    explain = sql.SQL("explain (analyze {}, format json) execute it ({})").format(sql.SQL(str(analyze)), literals)
    [[[explained]]] = database.execute(explain).fetchall()
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


GROUPS, DEMAND, LIMIT = ("g0", "g1", "g2", "g3"), 10, 20
CLAIM: dict[str, Any] = {
    "products": ["p"] * len(GROUPS),
    "job_groups": list(GROUPS),
    "demands": [DEMAND] * len(GROUPS),
    "node": "node",
    "limit": LIMIT,
    "now": None,
    "ahead": timedelta(milliseconds=25),
    "notes": None,
}
MODES = pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])


@MODES
@pytest.mark.usefixtures("statistics")
def test_claim_reads_only_what_is_due(database: psycopg.Connection[Any], mode: str) -> None:
    """A claim walks along the indexes of what is scheduled, one priority after the other, as far as it is due."""
    claim = plan(database, "claim", mode, CLAIM)

    assert {"jobs_due", "jobs_due_others", "jobs_ranked", "jobs_pkey"} == {index for _, index in scans(claim)}
    walks = {
        name: [re.findall(r"due_at [<>]=?", step["Index Cond"]) for step in claim if step.get("Index Name") == name]
        for name in ("jobs_due", "jobs_ranked", "jobs_due_others")
    }
    assert {
        "jobs_due": [["due_at <="], ["due_at >"]],
        "jobs_ranked": [["due_at <="]],
        "jobs_due_others": [["due_at >"]],
    } == walks, "what is due, and the next"


@MODES
@pytest.mark.usefixtures("statistics")
def test_claim_reads_no_more_jobs_than_it_may_take(database: psycopg.Connection[Any], mode: str) -> None:
    """Of each priority as many as were demanded of the group, however many are due or will be."""
    with database.transaction(force_rollback=True):
        claim = plan(database, "claim", mode, CLAIM, analyze=True)

    read = {
        name: sum(step["Actual Rows"] * step["Actual Loops"] for step in claim if step.get("Index Name") == name)
        for name in ("jobs_due", "jobs_ranked", "jobs_due_others", "jobs_pkey")
    }
    assert read["jobs_pkey"] == LIMIT
    assert read["jobs_due"] <= len(GROUPS) * (DEMAND + 1)
    assert read["jobs_ranked"] <= len(GROUPS) * 9 * DEMAND
    assert read["jobs_due_others"] <= len(GROUPS)


@MODES
@pytest.mark.usefixtures("statistics")
def test_next_due_reads_one_job_of_each_group(database: psycopg.Connection[Any], mode: str) -> None:
    """Whoever wants to know how long to sleep looks at the head of the index."""
    look = plan(
        database, "next_due", mode, {"products": ["p"] * 4, "job_groups": ["g0", "g1", "g2", "g3"], "now": None}
    )

    assert {"jobs_due", "jobs_due_others"} == {index for _, index in scans(look)}
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
