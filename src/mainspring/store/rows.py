"""Between rows and facts: the readers and writers of a store, made of the table of columns when it is loaded.

They are made as source text and compiled, as `collections.namedtuple` does it: a loop over the table took 2.2 times as
long for a job (measured over `Dialect.job_row`, 2026).
`tests/store/test_rows.py` compares them with a loop over the table.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pydantic_core

from mainspring.errors import first_line
from mainspring.job import (
    FORMAT,
    NO_OPTIONS,
    PRIORITY,
    Change,
    Claim,
    Counts,
    Damage,
    Job,
    JobKey,
    Load,
    Options,
    Outcome,
    Pressure,
    Progress,
    Run,
    State,
    Success,
    hold_from_json,
    hold_to_json,
    new_tuple,
    options_from_json,
    options_to_json,
    pressure_from_json,
    pressure_to_json,
)
from mainspring.schedule import MICROSECOND, Once, Trigger, trigger_from_json, trigger_to_json
from mainspring.store.columns import (
    CLAIMED,
    CLAIMED_COLUMNS,
    ENDED,
    JOB,
    JOB_COLUMNS,
    KEPT,
    LARGE,
    LAST_RUN_FACTS,
    RUN,
    RUN_COLUMNS,
    Fact,
    Form,
)
from mainspring.store.facts import Seen

Row = Sequence[Any]
_LONGEST_FAULT = 200
"""Characters of what is said about a value that cannot be read."""


class Values(NamedTuple):
    """How a store writes (`to_`) and reads (`from_`) the values that databases differ in; `None`: as they are.

    What reads raises an error for what it cannot read; `near_time` takes what is not a moment for the next that is one.
    """

    to_id: Callable[[UUID], Any] | None
    from_id: Callable[[Any], UUID] | None
    to_time: Callable[[datetime], Any] | None
    from_time: Callable[[Any], datetime] | None
    from_json: Callable[[Any], Any] | None
    near_time: Callable[[Any], datetime]


class Dialect:
    """How a store writes and reads jobs and runs.

    `job_row` writes a job as `columns.JOB_COLUMNS`, `job` reads it; `done_job` reads a job that is done from these and
    the `columns.RUN_COLUMNS` of the run that ended it; `run` reads a run from the latter. `ended` and
    `kept` write a `Change` as the members of `columns.ENDED` and `columns.KEPT`. `job_values`, `run_values`
    and `kept_values` are the same by name.

    `claims` reads jobs that a node claimed at one moment, from the columns that a claim reads (to read all of them took
    2 us more for each); columns beyond these are the store's own.

    A row that cannot be read, whatever is wrong with it, comes with its `Damage`: it takes no other with it.
    """

    def __init__(self, values: Values) -> None:
        self.values = values
        self.job_row: Callable[[Job], tuple[Any, ...]] = _compiled(_writer("job", JOB), values)
        self.job_values: Callable[[Job], dict[str, Any]] = _compiled(_writer("job", JOB, named=True), values)
        self._read_job: Callable[[Row], Job] = _compiled(_reader("Job", JOB), values)
        self.run_values: Callable[[Run], dict[str, Any]] = _compiled(_writer("run", RUN, named=True), values)
        self._read_run: Callable[[Row], Run] = _compiled(_reader("Run", RUN), values)
        self.ended: Callable[[Change], tuple[Any, ...]] = _compiled(_change_writer(ENDED), values)
        self.kept: Callable[[Change], tuple[Any, ...]] = _compiled(_change_writer(KEPT), values)
        self.kept_values: Callable[[Change], dict[str, Any]] = _compiled(_change_writer(KEPT, named=True), values)
        self._read_claims: Callable[[Iterable[Row], Iterable[JobKey], str, datetime], list[Claim]] = _compiled(
            _claims_reader(), values
        )

    def job(self, row: Row) -> Job:
        """Read a job."""
        try:
            return self._read_job(row)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a row is said in its damage
            return Job(**self._piecewise(JOB, dict(zip(JOB_COLUMNS, row, strict=True)), error))

    def run(self, row: Row) -> Run:
        """Read a row of history."""
        try:
            return self._read_run(row)
        except Exception as error:  # noqa: BLE001
            return Run(**self._piecewise(RUN, dict(zip(RUN_COLUMNS, row, strict=True)), error))

    def run_details(self, row: Row) -> Run:
        """Read a row of history that is followed by the `columns.LARGE` of it."""
        last = len(RUN_COLUMNS)
        return self.run(row[:last])._replace(**dict(zip(LARGE, row[last:], strict=True)))

    def done_job(self, row: Row) -> Job:
        """Read a job that is done, with its last run."""
        last = len(JOB_COLUMNS)
        return self.job(row[:last])._replace(last_run=self.run(row[last:]))

    def claims(self, rows: Sequence[Row], keys: Sequence[JobKey], node: str, at: datetime) -> list[Claim]:
        """Read jobs that a node has just claimed, each of the group at its place in `keys`."""
        try:
            return self._read_claims(rows, keys, node, at)
        except Exception:  # noqa: BLE001
            return [self._claim(row, key, node, at) for row, key in zip(rows, keys, strict=True)]

    def _claim(self, row: Row, key: JobKey, node: str, at: datetime) -> Claim:
        try:
            return self._read_claims([row], [key], node, at)[0]
        except Exception as error:  # noqa: BLE001
            given = {"key": key, "node": node, "at": at}
            known = {fact.name: _evaluated(fact.claim, given) for fact in JOB if fact.claim}
            there = dict(zip(CLAIMED_COLUMNS, row, strict=False))
            return Claim(Job(**known | self._piecewise(CLAIMED, known | there, error)), at)

    def _piecewise(self, facts: Sequence[Fact], there: dict[str, Any], error: Exception) -> dict[str, Any]:
        """Read the facts of a row that cannot be read as a whole one by one, with what is wrong with it."""
        expressions = {name: convert or _as_it_is for name, convert in self.values._asdict().items()}
        found: dict[str, Any] = {}
        faults: list[str] = []
        raw: dict[str, Any] = {}
        is_newer = False
        for fact in facts:
            columns = {column: there[column] for column in fact.columns}
            try:
                found[fact.name] = _evaluated(fact.reads, expressions | there | found)
            except Exception as fault:  # noqa: BLE001
                is_newer = is_newer or isinstance(fault, NewerFormatError)
                faults.append(f"{', '.join(columns)}: {first_line(fault)[:_LONGEST_FAULT]}")
                raw |= columns
                (value,) = columns.values()
                is_time = fact.form is Form.TIME
                found[fact.name] = self.values.near_time(value) if is_time else _harmless(fact.name, found, value)
        reason = f"the row cannot be read: {'; '.join(faults) or first_line(error)[:_LONGEST_FAULT]}"
        return found | {"damage": Damage(reason, raw, is_newer)}


def _evaluated(expression: str, names: Mapping[str, Any]) -> Any:
    return eval(expression, EXPRESSIONS | dict(names))  # noqa: S307 - an expression of the table of columns


def _as_it_is(value: Any) -> Any:
    return value


def _harmless(name: str, found: Mapping[str, Any], value: Any) -> Any:
    """Return what stands for a fact that cannot be read: nothing that runs, and that people can repair or delete."""
    stands_for: dict[str, Any] = {
        "request": {},
        "trigger": Once(found["fire_time"]),
        "options": NO_OPTIONS,
        "state": State.PAUSED,
        "outcome": Outcome.FAILED if found.get("state", State.DONE) is State.DONE else None,
        "parent": None,
        "last_run": None,
        "hold": None,
        "last_success": None,
        "progress": None,
        "waits_for": (),
        "labels": (),
        "priority": PRIORITY,
        "give_ups": 0,
    }
    return stands_for.get(name, value)


class NewerFormatError(ValueError):
    """The row was written by a later version of Mainspring."""


# --- the sources of readers and writers -------------------------------------------------------------------------------


def _writer(of: str, facts: Sequence[Fact], *, named: bool = False) -> str:
    pairs = [pair for fact in facts for pair in zip(fact.columns, fact.writes, strict=True)]
    return f"def made({of}):\n    return {_display(pairs, named=named)}"


def _change_writer(members: Mapping[str, str], *, named: bool = False) -> str:
    return f"def made(change):\n    run, job, unrun, _ = change\n    return {_display(members.items(), named=named)}"


def _display(pairs: Iterable[tuple[str, str]], *, named: bool) -> str:
    if named:
        return f"{{{', '.join(f'{name!r}: {write}' for name, write in pairs)}}}"
    return f"({', '.join(write for _, write in pairs)},)"


def _reader(kind: str, facts: Sequence[Fact]) -> str:
    columns = ", ".join(column for fact in facts for column in fact.columns)
    lines = [f"def made(row):\n    {columns}, = row", *(f"    {line}" for line in _assignments(facts))]
    return "\n".join([*lines, f"    return new_tuple({kind}, ({_in_order(kind, facts)},))"])


def _claims_reader() -> str:
    known = [f"{fact.name} = {fact.claim}" for fact in JOB if fact.claim is not None and fact.claim != fact.name]
    return "\n".join(
        [
            "def made(rows, keys, node, at):",
            # Jobs that are claimed together are often due, or were made, at the same moment: it is read once.
            "    from_time, Once = Made(read_time).__getitem__, Made(make_once).__getitem__",
            *(f"    {line}" for line in known),
            "    claims = []",
            "    for row, key in zip(rows, keys, strict=True):",
            f"        {', '.join(CLAIMED_COLUMNS)}, = row[:{len(CLAIMED_COLUMNS)}]",
            *(f"        {line}" for line in _assignments(CLAIMED)),
            f"        claims.append(new_tuple(Claim, (new_tuple(Job, ({_in_order('Job', JOB)},)), at)))",
            "    return claims",
        ]
    )


def _assignments(facts: Sequence[Fact]) -> list[str]:
    return [f"{fact.name} = {fact.reads}" for fact in facts if fact.reads != fact.name]


def _in_order(kind: str, facts: Sequence[Fact]) -> str:
    """Name the facts in the order of the fields of their tuple."""
    names = {fact.name for fact in facts}
    return ", ".join(name if name in names else "None" for name in _TUPLES[kind]._fields)


def _compiled(source: str, values: Values) -> Any:
    """Return the function that a source defines, with what it may name."""
    for name, convert in values._asdict().items():
        if convert is None:  # no call where there is nothing to do: a quarter of the time of a row
            source = re.sub(rf"\b{name}\(([\w.]+)\)", r"\1", source)
    names = EXPRESSIONS | values._asdict() | {"read_time": values.from_time, "make_once": Once}
    exec(source, names)  # noqa: S102 - made of the table of columns alone
    return names["made"]


class _Made(dict[Any, Any]):
    """Things by what they are made of; each is made once."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, of: Any) -> Any:
        self[of] = made = self._make(of)
        return made


# --- what expressions of the table name -------------------------------------------------------------------------------


def to_json(value: object) -> str:
    """Write JSON as compactly as it goes. `json.dumps` takes 2 us more for a small request."""
    return pydantic_core.to_json(value).decode()


def _as_object(value: Any) -> Mapping[str, Any]:
    """Return a JSON object as it is. Raises `ValueError` for any other JSON."""
    if type(value) is not dict:
        raise ValueError("not a JSON object")
    return value


def _as_array(value: Any) -> list[Any]:
    """Return a JSON array as it is. Raises `ValueError` for any other JSON."""
    if type(value) is not list:
        raise ValueError("not a JSON array")
    return value


def _read_ids(value: Any) -> tuple[UUID, ...]:
    return tuple(map(UUID, _as_array(value)))


def _known_format(number: int) -> int:
    """Return the format of a row as it is. Raises `NewerFormatError` for one that only later versions know."""
    if number > FORMAT:
        raise NewerFormatError("a newer version of Mainspring wrote it")
    return number


def _write_trigger(trigger: Trigger, fire_time: datetime) -> str | None:
    """Write a trigger; one that fires once, at the job's fire time, is none."""
    is_plain = isinstance(trigger, Once) and trigger.at == fire_time
    return None if is_plain else to_json(trigger_to_json(trigger))


def _write_options(options: Options) -> str | None:
    """Write options; those that a request left open are none."""
    return None if options is NO_OPTIONS or options == NO_OPTIONS else to_json(options_to_json(options))


def _write_last_run(run: Run) -> str:
    facts = {name: getattr(run, name) for name in LAST_RUN_FACTS}
    return to_json(
        {name: to_microseconds(fact) if isinstance(fact, datetime) else fact for name, fact in facts.items()}
    )


def _read_last_run(text: str, job_id: UUID, key: JobKey) -> Run:
    facts = json.loads(text)
    times = {name: from_microseconds(facts[name]) for name in LAST_RUN_FACTS if name in _TIMES_OF_A_RUN}
    return Run(job_id=job_id, key=key, **facts | times | {"outcome": Outcome(facts["outcome"])})


def _write_success(success: Success) -> str:
    return to_json([to_microseconds(success.fire_time), to_microseconds(success.finished_at), success.result])


def _read_success(value: Any) -> Success:
    """Read what `_write_success` wrote: as text, or as what that says."""
    fire_time, finished_at, result = json.loads(value) if isinstance(value, str) else value
    return Success(
        from_microseconds(fire_time), from_microseconds(finished_at), None if result is None else str(result)
    )


_TIMES_OF_A_RUN = {fact.name for fact in RUN if fact.form is Form.TIME}


def write_unrun(runs: Sequence[Run]) -> str:
    """Write rows of history as a JSON array of objects, by the names of their columns."""
    return to_json([IN_JSON.run_values(run) for run in runs])


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OLDEST = datetime.min.replace(tzinfo=UTC)
"""Stands for all moments that are too early to be read."""
NEWEST = datetime.max.replace(tzinfo=UTC)
"""Stands for all moments that are too late to be read."""


def to_microseconds(moment: datetime) -> int:
    """Write a moment as whole microseconds since 1970."""
    return (moment - _EPOCH) // MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Read what `to_microseconds` wrote. Raises `ValueError` for what can be no moment of a job."""
    if microseconds not in _READABLE:
        raise ValueError("not between the years 2 and 9998")
    return _EPOCH + timedelta(0, 0, microseconds)


# A year at both ends of what Python knows: moments are compared by the clocks of all time zones, a day or more apart.
_READABLE = range(to_microseconds(OLDEST.replace(year=2)), to_microseconds(NEWEST.replace(year=9998)))


def near_microseconds(microseconds: int) -> datetime:
    """Read any number of microseconds: what is no moment as the first or the last one that Python knows."""
    if microseconds in _READABLE:
        return from_microseconds(microseconds)
    return OLDEST if microseconds < 0 else NEWEST


_TUPLES: Mapping[str, Any] = {"Job": Job, "Run": Run}
EXPRESSIONS: dict[str, Any] = {
    "Claim": Claim,
    "DEFAULTS": NO_OPTIONS,
    "FORMAT": FORMAT,
    "Job": Job,
    "JobKey": JobKey,
    "Made": _Made,
    "OUTCOMES": {outcome.value: outcome for outcome in Outcome},
    "Once": Once,
    "RUNNING": State.RUNNING,
    "SUCCEEDED": Outcome.SUCCEEDED,
    "Run": Run,
    "SCHEDULED": State.SCHEDULED,
    "Progress": Progress,
    "STATES": {state.value: state for state in State},
    "as_array": _as_array,
    "as_object": _as_object,
    "hold_from_json": hold_from_json,
    "hold_to_json": hold_to_json,
    "known_format": _known_format,
    "new_tuple": new_tuple,
    "options_from_json": options_from_json,
    "read_ids": _read_ids,
    "read_last_run": _read_last_run,
    "read_success": _read_success,
    "to_json": to_json,
    "to_microseconds": to_microseconds,
    "trigger_from_json": trigger_from_json,
    "write_last_run": _write_last_run,
    "write_options": _write_options,
    "write_success": _write_success,
    "write_trigger": _write_trigger,
    "write_unrun": write_unrun,
}
IN_JSON = Dialect(
    Values(str, UUID, datetime.isoformat, datetime.fromisoformat, pydantic_core.from_json, datetime.fromisoformat)
)
PLAIN = Dialect(Values(str, UUID, to_microseconds, from_microseconds, json.loads, near_microseconds))
"""For jobs that leave the process as JSON: ids are text and moments are microseconds."""


def read_note(text: str) -> Any:
    """Read the value of a note; what is no JSON comes as the text that it is."""
    try:
        return pydantic_core.from_json(text)
    except ValueError:
        return text


def read_load(running: str | None, rates: str | None, pressures: str | None) -> Load:
    """Read, from JSON, what runs of a product by group and key, when rates let the next job begin, and what is busy."""
    groups: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    began: dict[str, datetime] = {}
    for job_group, key, jobs, claimed_at in pydantic_core.from_json(running or "[]"):
        groups[job_group] += jobs
        if key is not None:
            keys[key] += jobs
            claimed = near_microseconds(claimed_at)
            began[key] = max(claimed, began.get(key, claimed))
    next_at = {name: near_microseconds(moment) for name, moment in pydantic_core.from_json(rates or "[]")}
    read = ((key, read_pressure(value)) for key, value in pydantic_core.from_json(pressures or "[]"))
    return Load(groups, keys, next_at, began, {key: pressure for key, pressure in read if pressure is not None})


def read_pressure(text: str | None) -> Pressure | None:
    """Read what is known of a service; what cannot be read is nothing."""
    try:
        return None if text is None else pressure_from_json(pydantic_core.from_json(text))
    except (ValueError, TypeError, LookupError):
        return None


def write_pressure(pressure: Pressure | None) -> str | None:
    """Write what is known of a service: the same always as the same text, by which it is compared."""
    return None if pressure is None else to_json(pressure_to_json(pressure))


def wait_to_spend(at: datetime | None, now: datetime, cost: timedelta, most: timedelta) -> timedelta:
    """Return how long it is until a moment, if there is one, may be moved on by `cost`: see `Store.spend`."""
    return max((now if at is None else max(at, now)) - now + cost - most, MICROSECOND)


def read_groups(text: str | None) -> tuple[JobKey, ...]:
    """Read the groups that a node runs; what cannot be read is none."""
    try:
        return tuple(
            JobKey(str(product), str(job_group)) for product, job_group in pydantic_core.from_json(text or "[]")
        )
    except (ValueError, TypeError):
        return ()


def read_counts(rows: Iterable[Row]) -> dict[JobKey, Counts]:
    """Read numbers of jobs by product, job group, state and whether they gave up."""
    states: dict[JobKey, dict[State, int]] = {}
    gave_up: dict[JobKey, int] = {}
    for product, job_group, state, did, jobs in rows:
        key = JobKey(product, job_group)
        of_key = states.setdefault(key, {})
        of_key[State(state)] = of_key.get(State(state), 0) + jobs
        gave_up[key] = gave_up.get(key, 0) + (jobs if did else 0)
    return {key: Counts(of_key, gave_up[key]) for key, of_key in states.items()}


def seen(rows: Sequence[Row], limit: int, scan: int, dialect: Dialect) -> Seen:
    """Read runs that were looked for: each after the last that was looked at and how many these were."""
    last, looked = rows[0][:2]
    runs = [dialect.run(row[2:]) for row in map(tuple, rows) if row[2] is not None]
    if len(runs) == limit:
        return Seen(runs, runs[-1].number)
    return Seen(runs, last if looked == scan else None)


def soonest(jobs: Iterable[Job]) -> list[Job]:
    """Return that one of some jobs which is scheduled and due first, if any: all that `tell_watchers` needs to know."""
    first = min((job for job in jobs if job.state is State.SCHEDULED), key=lambda job: job.due_at, default=None)
    return [] if first is None else [first]


def tell_watchers(watchers: Iterable[Callable[[datetime], None]], written: Iterable[Job]) -> datetime | None:
    """Tell watchers the earliest due time of what was written and is scheduled; answer it."""
    due = min((job.due_at for job in written if job.state is State.SCHEDULED), default=None)
    if due is not None:
        for notice in watchers:
            notice(due)
    return due
