"""The role that may create jobs may do nothing else."""

from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from pydantic_core import from_json, to_json

from mainspring import enqueue, enqueue_many
from mainspring.clock import SystemClock
from mainspring.errors import KeyTakenError
from mainspring.job import JobKey, Options, lifecycle
from mainspring.schedule import Once
from mainspring.store import NodeBeat
from mainspring.store.enqueued import ADD, ENQUEUED_COLUMNS, new_rows
from mainspring.store.postgres.store import PostgresStore
from tests.contract.build import NODE, claim, jobs_of
from tests.contract.test_tampered import DAMAGED, set_aside

VM = UUID("79bf0c2e-7a4c-4bb4-8a3b-3f2a5c8a1d11")
BODY: dict[str, Any] = {"when": "now", "vmId": str(VM)}


async def test_it_can_create_jobs(enqueuer: psycopg.Connection[Any]) -> None:
    """In each way: one, many, with a key, with a calendar; and is told whose key is taken."""
    keyed = {"key": "k", "tags": ["night"]}
    first = enqueue(enqueuer, "vps4", "backups", options=keyed, **BODY)
    assert first == enqueue(enqueuer, "vps4", "backups", options={**keyed, "onConflict": "keep"}, **BODY)
    with pytest.raises(KeyTakenError):
        enqueue(enqueuer, "vps4", "backups", options=keyed, **BODY)
    enqueue(enqueuer, "vps4", "backups", schedule={"every": "P1D"}, vm_id=VM)
    assert 3 == len(enqueue_many(enqueuer, "vps4", "backups", [BODY] * 3))
    enqueuer.commit()


FORBIDDEN = [
    "select request from mainspring.jobs",
    "select options from mainspring.jobs",
    "select * from mainspring.jobs",
    "copy mainspring.jobs to stdout",
    "update mainspring.jobs set priority = 0",
    "delete from mainspring.jobs",
    "truncate mainspring.jobs",
    "lock table mainspring.jobs in share mode",
    "insert into mainspring.jobs default values returning request",
    "insert into mainspring.jobs (id, node) values (gen_random_uuid(), 'n')",
    "insert into mainspring.jobs (id, run) values (gen_random_uuid(), 1)",
    "insert into mainspring.jobs (id) values (gen_random_uuid()) on conflict (id) do update set priority = 0",
    "alter table mainspring.jobs disable trigger user",
    "select * from mainspring.notes",
    "insert into mainspring.notes (kind, name, value) values ('calendar', 'x', '{}')",
    "insert into mainspring.published (kind, name, value) values ('calendar', 'x', '{}')",
    "update mainspring.taken_keys set id = gen_random_uuid()",
    "delete from mainspring.taken_keys",
    "delete from mainspring.published",
    "update mainspring.alembic_version set version_num = '1'",
    "select * from mainspring.runs",
    "select * from mainspring.done_jobs",
    "select * from mainspring.events",
    "select * from mainspring.counts",
    "select * from mainspring.labels",
    "select * from mainspring.nodes",
    "insert into mainspring.events (kind) values ('job.deleted')",
    "select nextval('mainspring.fence')",
    "select mainspring.turn_counts(current_date)",
    "select mainspring.turn_days(current_date, current_date)",
    "create table mainspring.mine ()",
    "create view mainspring.mine as select 1",
    "drop table mainspring.jobs",
    "drop schema mainspring cascade",
]


async def test_it_can_do_nothing_else(enqueuer: psycopg.Connection[Any]) -> None:
    """It reads no request, and changes and deletes nothing."""
    done = []
    for statement in FORBIDDEN:
        with suppress(InsufficientPrivilege), enqueuer.transaction():
            enqueuer.execute(statement.encode())
            done.append(statement)
    assert [] == done


async def test_its_rights_are_all_known(enqueuer: psycopg.Connection[Any]) -> None:
    """Of all tables, columns, sequences and functions of the schema, it has rights to these alone."""
    tables = enqueuer.execute(
        "select c.relname, p.name from pg_class c cross join unnest("
        "array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as p (name) "
        "where c.relnamespace = 'mainspring'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') "
        "and has_table_privilege(c.oid, p.name)"
    ).fetchall()
    assert {(name, "select") for name in ("alembic_version", "published", "taken_keys")} == set(tables)
    columns = enqueuer.execute(
        "select c.relname, a.attname, p.name from pg_class c "
        "join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 "
        "cross join unnest(array['select', 'insert', 'update', 'references']) as p (name) "
        "where c.relnamespace = 'mainspring'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') "
        "and not a.attisdropped and has_column_privilege(c.oid, a.attnum, p.name) "
        "and not has_table_privilege(c.oid, p.name)"
    ).fetchall()
    assert {("jobs", "id", "select"), *(("jobs", name, "insert") for name in ENQUEUED_COLUMNS)} == set(columns)
    others = enqueuer.execute(
        "select oid::regclass::text from pg_class where relnamespace = 'mainspring'::regnamespace and relkind = 'S' "
        "and (has_sequence_privilege(oid, 'usage') or has_sequence_privilege(oid, 'select')) "
        "union all select oid::regprocedure::text from pg_proc where pronamespace = 'mainspring'::regnamespace "
        "and has_function_privilege(oid, 'execute')"
    ).fetchall()
    assert [] == others


async def test_what_it_may_read_has_no_secrets(connection: psycopg.Connection[Any]) -> None:
    """Of the notes only schemas and calendars are shown; some others hold secrets."""
    connection.execute("insert into mainspring.notes (kind, name, value) values ('receipt', 'x', '{}')")
    shown = connection.execute("select distinct kind from mainspring.published").fetchall()
    assert [("schema",)] == shown


async def test_rows_that_nobody_could_have_made_stop_nobody(
    enqueuer: psycopg.Connection[Any], store: PostgresStore
) -> None:
    """A role that is misused can write such rows; they are claimed, set aside as dead, and the others run."""
    damaged = [(column, value) for column, value, _ in DAMAGED.values() if column in ENQUEUED_COLUMNS]
    rows = [{**from_json(new_rows([a_job()]))[0], column: value.strip("'")} for column, value in damaged]
    sql = ADD.replace(":rows", "%(rows)s").replace(":due", "%(due)s")
    added = enqueuer.execute(sql.encode(), {"rows": to_json(rows).decode(), "due": None}).fetchall()
    bad, good = {*map(UUID, from_json(added[0][0])["ids"])}, enqueue(enqueuer, "vps4", "backups", **BODY)
    enqueuer.commit()
    await store.join(NodeBeat(NODE))

    claims = {each.job.id: each for each in await claim(store)}

    assert (len(damaged), {*bad, good}) == (len(bad), set(claims))
    assert {good} == {id_ for id_, claimed in claims.items() if claimed.job.damage is None}
    await store.finish([set_aside(claims[id_].job, claims[id_]) for id_ in bad])
    assert bad == {id_ for id_, job in (await jobs_of(store)).items() if job.is_dead}


def a_job() -> Any:
    """Make a job that is due."""
    clock = SystemClock()
    return lifecycle.create(
        job_id=clock.new_id(),
        key=JobKey("vps4", "backups"),
        request=BODY,
        trigger=Once(clock.now()),
        options=Options(),
        now=clock.now(),
        calendars={},
    ).job
