"""What people see of jobs and runs: a line for each, or everything about one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

import typer

from mainspring.cli.form import Form
from mainspring.cli.output import length, members, print_table, print_warnings, relative

Raw: TypeAlias = Mapping[str, Any]
DEADLY = frozenset({"failed", "timed_out", "lost"})
"""The outcomes of jobs that are done because they gave up."""
_TIMES = {"when", "schedule", "options", "jobType", "repeatCount", "repeatIntervalInDays"}
"""What a request has besides the fields of the plugin."""
_GROUP = "group"
_SHORT = 24
"""How many characters of a field a table shows."""
_WIDE_JOB = ("id", "state", "nextRun", "attempt", "outcome", "reason", "schedule", "jobRequest")
_WIDE_RUN = (
    "run", "outcome", "attempt", "scheduledFireTime", "startedAt", "finishedAt", "latenessSeconds", "node", "reason",
)  # fmt: skip


def now() -> datetime:
    """Return the time by this machine's clock."""
    from mainspring.clock import SystemClock

    return SystemClock().now()


# --- jobs -------------------------------------------------------------------------------------------------------------


def jobs_in(form: Form, *, groups: bool = False) -> Callable[[Sequence[Raw]], None]:
    """Return what prints jobs, with their groups if they may be of several."""
    return partial(_wide_jobs if form.is_wide else _print_jobs, [_GROUP] if groups else [])


def print_facts(jobs: Sequence[Raw]) -> None:
    """Print everything about each job, member by member."""
    for number, job in enumerate(jobs):
        if number:
            typer.echo()
        print_table(("field", "value"), [*_facts(job)])


def _facts(job: Raw) -> Iterator[tuple[str, object]]:
    for name, value in job.items():
        if name == "lastRun" and isinstance(value, dict):
            yield from ((f"lastRun.{part}", fact) for part, fact in value.items())
        else:
            yield name, value


def group_of(item: Raw) -> str:
    """Return the job group of a job as it is written."""
    return f"{item.get('product')}/{item.get('jobGroup')}"


def what_of(job: Raw) -> str:
    """Say which job it is: what is wrong with it, the plugin's own fields, and how it repeats."""
    request = job.get("jobRequest") or {}
    said = [f"{name}={_short(value)}" for name, value in request.items() if name not in _TIMES]
    if job.get("outcome") not in {None, "succeeded"}:
        last = job.get("lastRun") or {}  # a job that goes on counts the attempts of its next fire time
        reason, attempt = last.get("reason"), last.get("attempt")
        said.insert(0, f"{job['outcome']}{f': {reason}' if reason else ''} (attempt {attempt});")
    if schedule := request.get("schedule") or job.get("schedule"):
        said.append(", ".join(f"{name} {_short(value)}" for name, value in schedule.items()))
    return " ".join(said)


def _print_jobs(more: list[str], jobs: Sequence[Raw]) -> None:
    at = now()
    facts = [
        {
            **job,
            _GROUP: group_of(job),
            "state": _state_of(job),
            "when": relative(_moment_of(job), at),
            "job": what_of(job),
        }
        for job in jobs
    ]
    columns = (*more, "id", "state", "when", "job")
    print_table(columns, members(facts, columns), fit="line")
    print_warnings(jobs)


def _wide_jobs(more: list[str], jobs: Sequence[Raw]) -> None:
    facts = [
        {**job, _GROUP: group_of(job), "state": _state_of(job), "reason": (job.get("lastRun") or {}).get("reason")}
        for job in jobs
    ]
    columns = (*more, *_WIDE_JOB)
    print_table(columns, members(facts, columns), fit="all")
    print_warnings(jobs)


def _state_of(job: Raw) -> Any:
    return "dead" if job.get("state") == "done" and job.get("outcome") in DEADLY else job.get("state")


def _moment_of(job: Raw) -> Any:
    """Return when a job runs next; where it does not, when its last run ended."""
    return job.get("nextRun") or (job.get("lastRun") or {}).get("finishedAt")


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


# --- runs -------------------------------------------------------------------------------------------------------------


def runs_in(form: Form, *, jobs: bool = False) -> Callable[[Sequence[Raw]], None]:
    """Return what prints runs, with their jobs if they may be of several."""
    return partial(_wide_runs if form.is_wide else _print_runs, ["jobId"] if jobs else [])


def _print_runs(more: list[str], runs: Sequence[Raw]) -> None:
    at = now()
    facts = [
        {
            **run,
            "started": relative(run.get("startedAt"), at),
            "late": length(run.get("latenessSeconds")),
            "took": _took(run),
        }
        for run in runs
    ]
    columns = (*more, "run", "outcome", "attempt", "started", "late", "took", "reason")
    print_table(columns, members(facts, columns), fit="line")


def _wide_runs(more: list[str], runs: Sequence[Raw]) -> None:
    columns = (*more, *_WIDE_RUN)
    print_table(columns, members(runs, columns), fit="all")


def _took(run: Raw) -> str:
    try:
        begin, end = (datetime.fromisoformat(run[name]) for name in ("startedAt", "finishedAt"))
    except (LookupError, TypeError, ValueError):
        return ""
    return length((end - begin).total_seconds())
