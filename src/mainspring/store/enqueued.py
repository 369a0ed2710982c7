"""New jobs that are written in transactions of other programs, on PostgreSQL: the statements, and the least rights.

Each statement takes texts and answers one text, JSON: so it is the same for all drivers, whatever types and codecs a
program has told them of. The rows come from the table of columns, as those of the store do. Whatever else a new job
brings (counts, labels, events) is written by the triggers of the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from mainspring.job import Job, State
from mainspring.store.columns import JOB, Form, quoted
from mainspring.store.rows import IN_JSON, to_json, to_microseconds

_LATER = frozenset({
    "run", "claimed_at", "node", "outcome", "last_run", "parent", "backfill", "resume_at", "cancelling", "give_ups",
    "last_success", "progress", "waits_for", "digest",
})  # fmt: skip
"""What no new job has: these columns keep their defaults."""
_TYPES = {
    "id": "uuid",
    "version": "bigint",
    "attempt": "integer",
    "failures": "integer",
    "losses": "integer",
    "paused": "boolean",
    "format": "smallint",
    "priority": "smallint",
}
"""The types of columns that are neither texts, moments nor JSON."""
_FORMS = {Form.TIME: "timestamptz", Form.JSON: "json"}
_COLUMNS = {
    column: _FORMS.get(fact.form) or _TYPES.get(column, "text")
    for fact in JOB
    if fact.name not in _LATER
    for column in fact.columns
}
ENQUEUED_COLUMNS = tuple(_COLUMNS)
"""The columns of a new job that are written."""
_LIST = ", ".join(map(quoted, _COLUMNS))
_VALUES = ", ".join(f"cast(r.{quoted(name)} as {type_})" for name, type_ in _COLUMNS.items())
_READ = ", ".join(f"{quoted(name)} text" for name in _COLUMNS)

LOOK = """
select cast(json_build_object(
    'version', (select max(version_num) from mainspring.alembic_version),
    'now', clock_timestamp(),
    'schema', (select value from mainspring.published where kind = 'schema' and name = cast(:name as text)),
    'calendars', (
        select json_object_agg(name, value) from mainspring.published
        where kind = 'calendar' and cast(:calendars as text) = 'yes'
    )
) as text)
"""
"""What has to be known before a job is made."""
ADD = f"""
with added as (
    insert into mainspring.jobs ({_LIST})
    select {_VALUES} from json_to_recordset(cast(cast(:rows as text) as json)) as r ({_READ})
    on conflict do nothing
    returning id
)
select cast(json_build_object(
    'ids', (select json_agg(id) from added),
    'told', case when cast(:due as text) is not null then cast(pg_notify('mainspring', cast(:due as text)) as text) end
) as text)
"""  # noqa: S608 - made of the table of columns alone
"""New jobs, but for those whose key is taken; and a hint for the nodes, which they hear when it is committed."""
OTHER = """
select cast(json_build_object('id', (
    select id from mainspring.taken_keys
    where product = cast(:product as text) and job_group = cast(:job_group as text) and key = cast(:key as text)
)) as text)
"""
"""Which job has a key."""


def new_rows(jobs: Iterable[Job]) -> str:
    """Write new jobs as `ADD` takes them."""
    rows = (IN_JSON.job_values(job) for job in jobs)
    return to_json([{name: row[name] for name in _COLUMNS} for row in rows])


def hint(jobs: Iterable[Job], before: datetime) -> str | None:
    """Write the hint for the nodes: what is due first, if that is soon; polling finds the rest in time."""
    due = min((job.due_at for job in jobs if job.state is State.SCHEDULED and job.due_at < before), default=None)
    return None if due is None else str(to_microseconds(due))


def grants(role: str) -> str:
    """Return the SQL that lets a role create jobs, and nothing else."""
    name = '"{}"'.format(role.replace('"', '""'))
    return "\n".join(
        [
            f"grant usage on schema mainspring to {name};",
            f"grant select on mainspring.alembic_version, mainspring.published, mainspring.taken_keys to {name};",
            f"grant select (id), insert ({_LIST}) on mainspring.jobs to {name};",
        ]
    )
