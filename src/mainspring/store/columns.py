"""The one table of columns: for each fact of a job and of a run, how it is stored.

A fact says its name (a field of `Job` or `Run`), its columns, how they are written and read, what a claim knows of it
without reading, what history keeps of it, and whether an edit may change it. The lists of columns in the SQL, and the
readers and writers of `rows`, are made of this table at import. So the order of columns is known here alone, and a fact
that is missing is an error at start.

Expressions are Python. To write, they see the `job` or the `run`; to read, they see the value of each column, and the
facts above them in the table, under their names. Both see what `rows` hands them: `to_id`, `from_time` and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from mainspring.errors import SchemaError
from mainspring.job import AGING, FIRST_PRIORITY, FORMAT, Job, Run


class Form(Enum):
    """What kind of value a column holds; stores that write such a value in another way say so by this."""

    PLAIN = "plain"
    TIME = "time"
    JSON = "json"


class Kind(NamedTuple):
    """How one value becomes a column and comes back; ``{0}`` stands for it."""

    write: str = "{0}"
    read: str = "{0}"
    form: Form = Form.PLAIN

    def optional(self) -> Kind:
        """Return this kind for a value that may be `None`."""
        return Kind(f"None if {{0}} is None else {self.write}", f"None if {{0}} is None else {self.read}", self.form)


PLAIN = Kind()
ID = Kind("to_id({0})", "from_id({0})")
TIME = Kind("to_time({0})", "from_time({0})", Form.TIME)
FLAG = Kind("{0}", "bool({0})")
STATE = Kind(
    "'paused' if job.waits_for and {0} is SCHEDULED else {0}.value",
    "SCHEDULED if {0} == 'paused' and waits_for and not paused else STATES[{0}]",
)
"""Claims find what is ``scheduled``: a job that waits for others is ``paused`` in the column, without being so."""
OUTCOME = Kind("{0}.value", "OUTCOMES[{0}]")
JSON = Kind("to_json({0})", "as_object(from_json({0}))", Form.JSON)
TRIGGER = Kind(
    "write_trigger({0}, job.fire_time)",
    "Once(fire_time) if {0} is None else trigger_from_json(from_json({0}))",
    Form.JSON,
)
"""A trigger that fires once, at the job's fire time, is no value at all: nearly all jobs have such a one."""
OPTIONS = Kind("write_options({0})", "DEFAULTS if {0} is None else options_from_json(from_json({0}))", Form.JSON)
HOLD = Kind("to_json(hold_to_json({0}))", "hold_from_json(as_object(from_json({0})))", Form.JSON)
SUCCESS = Kind("write_success({0})", "read_success({0})", Form.JSON)
PROGRESS = Kind("to_json({0})", "Progress(*as_array(from_json({0})))", Form.JSON)
IDS = Kind("to_json({0}) if {0} else None", "() if {0} is None else read_ids(from_json({0}))", Form.JSON)
TEXTS = Kind(
    "to_json({0}) if {0} else None", "() if {0} is None else tuple(map(str, as_array(from_json({0}))))", Form.JSON
)
LAST_RUN = Kind("write_last_run({0})", "read_last_run({0}, id, key)")
KNOWN_FORMAT = Kind("{0}", "known_format({0})")


class Fact(NamedTuple):
    """One fact of a job or a run, and its columns."""

    name: str
    columns: tuple[str, ...]
    writes: tuple[str, ...]
    """An expression for each column."""
    reads: str
    """An expression of the fact."""
    form: Form = Form.PLAIN
    claim: str | None = None
    """What a claim knows of it without reading: an expression. `None`: a claim reads the columns."""
    done: tuple[str, ...] = ()
    """What history has for each column when the job is done: a column of ``runs``, or an SQL constant."""
    edited: bool = False
    """Whether an edit of a job writes it; who runs a job is never a matter of edits."""
    kept: bool = False
    """Whether history keeps the column of a job that is done as it is, under the same name."""


def _of_job(
    name: str, kind: Kind, *, claim: str | None = None, done: str = "", edited: bool = False, kept: bool = False
) -> Fact:
    writes = (kind.write.format(f"job.{name}"),)
    return Fact(name, (name,), writes, kind.read.format(name), kind.form, claim, (done or name,), edited, kept)


def _of_run(name: str, kind: Kind = PLAIN) -> Fact:
    return Fact(name, (name,), (kind.write.format(f"run.{name}"),), kind.read.format(name), kind.form)


def _key(of: str, claim: str | None = None) -> Fact:
    columns = ("product", "job_group")
    return Fact(
        "key",
        columns,
        (f"{of}.key.product", f"{of}.key.job_group"),
        "JobKey(product, job_group)",
        Form.PLAIN,
        claim,
        columns,
    )


# The order is that of the table in PostgreSQL, where rows are written as a whole; the store checks it when it opens.
JOB = (
    _of_job("id", ID, done="job_id"),
    _of_job("due_at", TIME, edited=True),
    _of_job("fire_time", TIME, edited=True),
    _of_job("created_at", TIME, kept=True),
    _of_job("updated_at", TIME, claim="at", done="finished_at", edited=True),
    _of_job("version", PLAIN, edited=True),
    _of_job("attempt", PLAIN, edited=True),
    _of_job("failures", PLAIN, edited=True),
    _of_job("losses", PLAIN, edited=True),
    _of_job("run", PLAIN, done="null"),
    _of_job("claimed_at", TIME.optional(), claim="at", done="null"),
    _of_job("paused", FLAG, claim="False", done="false", edited=True),
    _of_job("state", STATE, claim="RUNNING", done="'done'", edited=True),
    _of_job("node", PLAIN, claim="node", done="null"),
    _of_job("outcome", OUTCOME.optional(), edited=True),
    _key("job", claim="key"),
    _of_job("request", JSON, edited=True, kept=True),
    _of_job("trigger", TRIGGER, edited=True, kept=True),
    _of_job("options", OPTIONS, edited=True, kept=True),
    _of_job("last_run", LAST_RUN.optional(), claim="None", done="null"),
    _of_job("parent", ID.optional(), done="null"),
    _of_job("backfill", FLAG, done="false"),
    _of_job("format", KNOWN_FORMAT, claim="FORMAT", done="1"),
    _of_job("hold", HOLD.optional(), claim="None", done="null", edited=True),
    _of_job("resume_at", TIME.optional(), claim="None", done="null", edited=True),
    _of_job("cancelling", FLAG, claim="False", done="false", edited=True),
    _of_job("priority", PLAIN, edited=True, kept=True),
    _of_job("give_ups", PLAIN, done="0", edited=True),
    _of_job("last_success", SUCCESS.optional(), done="null"),
    _of_job("concurrency_key", PLAIN, edited=True, kept=True),
    _of_job("progress", PROGRESS.optional(), claim="None", done="null"),
    _of_job("waits_for", IDS, claim="()", done="null", edited=True),
    _of_job("digest", PLAIN, claim="None", kept=True),
    _of_job("labels", TEXTS, claim="()", kept=True),
)
"""The facts of a job."""

RUN = (
    _of_run("number"),
    _of_run("job_id", ID),
    _key("run"),
    _of_run("fire_time", TIME),
    _of_run("due_at", TIME),
    _of_run("attempt"),
    _of_run("node"),
    _of_run("started_at", TIME),
    _of_run("finished_at", TIME),
    _of_run("outcome", OUTCOME),
    _of_run("reason"),
    _of_run("last_fire_time", TIME.optional()),
    _of_run("occurrences"),
    _of_run("backfill", FLAG),
)
"""The facts of a row of history."""

LAST_RUN_FACTS = (
    "number", "fire_time", "due_at", "attempt", "node", "started_at", "finished_at", "outcome", "reason",
)  # fmt: skip
"""What a job keeps of its last run."""

ENDED = {
    "id": "to_id(job.id)",
    "run": "run.number",
    "version": "job.version",
    "started_at": "to_microseconds(run.started_at)",
    "finished_at": "to_microseconds(run.finished_at)",
    "outcome": "run.outcome.value",
    "reason": "run.reason",
    "failures": "job.failures",
    "losses": "job.losses",
    "passed": "write_unrun(unrun) if unrun else None",
    "result": "run.result",
    "result_error": "run.result_error",
    "traceback": "run.traceback",
    "log": "run.log",
}
"""What `finish` says of each run that ended: the members of the type ``ended``; `unrun` are rows without a run."""
KEPT = ENDED | {
    "state": STATE.write.format("job.state"),
    "paused": "job.paused",
    "fire_time": "to_microseconds(job.fire_time)",
    "due_at": "to_microseconds(job.due_at)",
    "attempt": "job.attempt",
    "last_run": "write_last_run(run)",
    "hold": "None if job.hold is None else to_json(hold_to_json(job.hold))",
    "resume_at": "None if job.resume_at is None else to_microseconds(job.resume_at)",
    "give_ups": "job.give_ups",
    "last_success": (
        "None if job.last_success is None or run.outcome is not SUCCEEDED else write_success(job.last_success)"
    ),
}
"""The same of one whose job goes on, with what the job became: the members of the type ``kept``."""


QUIET_KINDS = ("replanning", "declared", "schema", "action", "webhook", "webhook-place")
"""The kinds of notes by which no node decides anything about jobs: an index of notes names them too."""
LARGE = ("result", "result_error", "traceback", "log")
"""What a run leaves that may be too large for lists: only `RunStore.run` reads it."""
_NOT_LISTED = frozenset({"damage", *LARGE})
"""What no list of columns has: what says that facts cannot be read, and what is too large."""


def check(facts: Iterable[Fact], fields: tuple[str, ...]) -> None:
    """Raise `TypeError` unless there is a fact for each field but those that no row has in a column of every list."""
    names = {*_NOT_LISTED & {*fields}, *(fact.name for fact in facts)}
    if names != set(fields):
        raise TypeError(f"the table of columns and the facts differ in {', '.join(sorted(names ^ set(fields)))}")


def check_columns(table: str, there: Sequence[str], ours: Sequence[str]) -> None:
    """Raise `SchemaError` unless a table of a store has these columns in this order: rows are written by it."""
    if list(there) != list(ours):
        raise SchemaError(f"{table} has the columns {', '.join(there)}; this Mainspring writes {', '.join(ours)}")


check(JOB, Job._fields)
check(RUN, Run._fields)

JOB_COLUMNS = tuple(column for fact in JOB for column in fact.columns)
CLAIMED = tuple(fact for fact in JOB if fact.claim is None)
"""The facts of a job that a claim reads."""
CLAIMED_COLUMNS = tuple(column for fact in CLAIMED for column in fact.columns)
RUN_COLUMNS = tuple(column for fact in RUN for column in fact.columns)


def lists(forms: Mapping[Form, str], *, table: str = "", no: str = "false") -> dict[str, str]:
    """Return the lists of columns that SQL may name in braces, such as ``{job_columns}``.

    `forms` says how a store reads values of a form at a claim (``{0}`` stands for the column), `table` is what columns
    are qualified with where several tables are joined, `no` is how the store writes false.
    """
    job = [(fact, column, done) for fact in JOB for column, done in zip(fact.columns, fact.done, strict=True)]
    done = {"false": no}
    claimed = [
        forms.get(fact.form, "{0}").format(f"{table}{quoted(column)}") for fact in CLAIMED for column in fact.columns
    ]
    kept = [column for fact, column, _ in job if fact.kept]
    return {
        "job_columns": _list(JOB_COLUMNS),
        "job_marks": ", ".join("?" * len(JOB_COLUMNS)),
        # Jobs that run come without their last run, as they do from a claim.
        "running_job_columns": ", ".join(
            f"null as {quoted(column)}" if column == "last_run" else f"j.{quoted(column)}" for column in JOB_COLUMNS
        ),
        "claimed_columns": ", ".join(claimed),
        "claimed_columns_as_they_are": _list(CLAIMED_COLUMNS, table),
        "format": str(FORMAT),
        "quiet_kinds": ", ".join(f"'{kind}'" for kind in QUIET_KINDS),
        "labels": _LABELS,
        "first_priority": str(FIRST_PRIORITY),
        "aging_seconds": f"{AGING.total_seconds():g}",
        "done_job_columns": ", ".join(
            done.get(of, of if "'" in of or of in {"null", "0", "1"} else quoted(of)) for _, _, of in job
        ),
        "edits": ", ".join(f"{quoted(column)} = :{column}" for fact, column, _ in job if fact.edited),
        "run_columns": _list(RUN_COLUMNS),
        "large_columns": _list(LARGE),
        "run_parameters": ", ".join(f":{column}" for column in RUN_COLUMNS),
        "kept_columns": _list(kept),
        "kept_columns_of_job": _list(kept, "j."),
        "no_kept_columns": ", ".join("null" for _ in kept),
        "forget_kept_columns": ", ".join(f"{quoted(column)} = null" for column in kept),
        **{f"ended.{name}": str(place) for place, name in enumerate(ENDED)},
    }


_LABELS = "iif(json_valid(labels), labels, '[]')"
"""In SQLite; of a row that was tampered with they may be anything."""


def _list(columns: Iterable[str], table: str = "") -> str:
    return ", ".join(f"{table}{quoted(column)}" for column in columns)


def quoted(column: str) -> str:
    """Return a column as SQL names it: some are words of the language."""
    return f'"{column}"'
