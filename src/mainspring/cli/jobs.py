"""``mainspring jobs``: work with the jobs of a running service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import typer

from mainspring.cli import transfer
from mainspring.cli.candidates import groups, job_ids
from mainspring.cli.client import Answer, ask
from mainspring.cli.control import Reason, Until, pause_body
from mainspring.cli.flags import DEFAULT_URL, Form, Url, commands, read_object, with_form
from mainspring.cli.moments import moment
from mainspring.cli.output import (
    complain,
    length,
    members,
    print_answer,
    print_previews,
    print_table,
    print_warnings,
    relative,
)

app = commands("Work with the jobs of a running service.")
app.command("export")(transfer.export_jobs)
app.command("import")(transfer.import_jobs)

_Group = Annotated[
    str,
    typer.Argument(metavar="PRODUCT/GROUP", help="Product and job group, as in vps4/backups.", autocompletion=groups),
]


def _job_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not the id of a job; write it in full, as in 019d0f7c-5b7e-7c3a-8000-000000000001"
        ) from None


_JobId = Annotated[UUID, typer.Argument(parser=_job_id, metavar="ID", help="Id of the job.", autocompletion=job_ids)]
_When = Annotated[
    str | None, typer.Option(metavar="TIME", help="Time to run, as in 2026-12-01T10:00:00Z, or from now, as in +1h30m.")
]

PAGE = 50
"""How many rows a table of a list has, if nothing is said."""
MOST = 1000
"""The largest page that the service gives."""
_ALL_JOBS = "/api/schedulers/jobs"
_STATES = ("scheduled", "running", "paused", "done", "dead")
_OUTCOMES = (
    "succeeded", "failed", "vetoed", "postponed", "skipped", "cancelled", "interrupted", "timed_out", "lost",
)  # fmt: skip
_DEADLY = {"failed", "timed_out", "lost"}
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


def _state(text: str) -> str:
    if text in _STATES:
        return text
    hint = ": jobs that gave up have --gave-up" if text in {*_DEADLY, "error", "gaveUp", "gave-up"} else ""
    raise typer.BadParameter(f"{text!r} is none of {', '.join(_STATES)}{hint}")


def _outcomes(text: str) -> str:
    wrong = [name for name in text.split(",") if name not in _OUTCOMES]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is none of {', '.join(_OUTCOMES)}")
    return text


@app.command("list")
@with_form
def list_jobs(  # noqa: PLR0913 - each is a flag
    group: Annotated[
        str | None,
        typer.Argument(
            metavar="PRODUCT/GROUP", help="Product and job group. [default: all groups]", autocompletion=groups
        ),
    ] = None,
    *,
    state: Annotated[
        str | None,
        typer.Option(
            parser=_state,
            metavar="STATE",
            help=f"Only jobs in this state: {', '.join(_STATES)}.",
            autocompletion=lambda: list(_STATES),
        ),
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(parser=_outcomes, metavar="OUTCOME", help="Only jobs whose last run ended so, as in failed,lost."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Only jobs that have this tag; may be repeated.")
    ] = None,
    gave_up: Annotated[bool, typer.Option("--gave-up", help="Only jobs that gave up on their last fire time.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help=f"At most this many jobs. [default: {PAGE} in a table]")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All jobs, however many they are.")] = False,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """List the jobs of a group, or of all groups, by next run.

    Without --state these are the jobs that are not yet done; with --outcome or --gave-up done ones too. Dead jobs are
    those that gave up and have nothing left to do.
    """
    page = _page(limit, form, every=every)
    params = _given(state=state, outcome=outcome, gaveUp="true" if gave_up else None, tag=tag, limit=page)
    answer = ask(url, "GET", _ALL_JOBS if group is None else _path(group), params=params)
    print_answer(answer, _jobs_in(form, groups=group is None), form)
    _tell_of_more(answer, "and --all all of them" if not every else "")


@app.command("show")
@with_form
def show_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL, form: Form = "table") -> None:
    """Show everything about one job."""
    print_answer(ask(url, "GET", _path(group, job_id)), _print_facts, form)


@app.command("create")
@with_form
def create_job(
    group: _Group,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD", help="Fields of the request: KEY=TEXT or KEY:=JSON."),
    ] = None,
    *,
    when: _When = None,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="The request as a JSON object; fields and --when win.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Create nothing; show what the job would do.")] = False,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """Schedule a new job."""
    request = read_object(data, fields or [])
    if when is not None:
        request["when"] = moment(when)
    if dry_run:
        answer = ask(url, "POST", _path(group), params={"dryRun": "true"}, body=request)
        print_answer(answer, print_previews, form)
    else:
        print_answer(ask(url, "POST", _path(group), body=request), _jobs_in(form), form)


@app.command("reschedule")
@with_form
def reschedule_job(
    group: _Group,
    job_id: _JobId,
    *,
    when: Annotated[
        str,
        typer.Option(metavar="TIME", help="New time to run, as in 2026-12-01T10:00:00Z, or from now, as in +1h30m."),
    ],
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """Move a job to another time."""
    answer = ask(url, "PATCH", _path(group, job_id), body={"when": moment(when)})
    print_answer(answer, _jobs_in(form), form)


@app.command("pause")
def pause_job(
    group: _Group,
    job_id: _JobId,
    *,
    reason: Reason = None,
    until: Until = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Hold a job back until it is resumed."""
    ask(url, "POST", _path(group, job_id, "pause"), body=pause_body(reason, until))
    typer.echo(f"Job {job_id} is paused.")


@app.command("resume")
def resume_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL) -> None:
    """Let a paused job run again."""
    ask(url, "POST", _path(group, job_id, "resume"))
    typer.echo(f"Job {job_id} is resumed.")


@app.command("why")
@with_form
def explain_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL, form: Form = "table") -> None:
    """Tell why a job has not run, or ended as it did."""
    print_answer(ask(url, "GET", _path(group, job_id, "why")), _print_causes, form)


@app.command("fire")
@with_form
def fire_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL, form: Form = "table") -> None:
    """Run a job at once, also a paused one.

    One with a schedule gets a run beside that.
    """
    print_answer(ask(url, "POST", _path(group, job_id, "fire")), _jobs_in(form), form)


@app.command("cancel")
@with_form
def cancel_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL, form: Form = "table") -> None:
    """Cancel the run of a job that is under way, or a job without a schedule that has not begun."""
    print_answer(ask(url, "POST", _path(group, job_id, "cancel")), _jobs_in(form), form)


@app.command("delete")
def delete_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL) -> None:
    """Delete a job.

    A run that is under way is asked to stop, and its result is refused.
    """
    ask(url, "DELETE", _path(group, job_id))
    typer.echo(f"Job {job_id} is deleted.")


@app.command("retry")
@with_form
def retry_job(
    group: _Group,
    job_id: _JobId,
    *,
    run: Annotated[
        int | None, typer.Option(min=1, help="The run that gave up. [default: the last one that did]")
    ] = None,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """Try a fire time again that a job gave up on."""
    body = None if run is None else {"run": run}
    print_answer(ask(url, "POST", _path(group, job_id, "retry"), body=body), _jobs_in(form), form)


@app.command("runs")
@with_form
def list_runs(
    group: _Group,
    job_id: _JobId,
    *,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help=f"At most this many runs. [default: {PAGE} in a table]")
    ] = None,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """List the runs of a job, newest first."""
    answer = ask(url, "GET", _path(group, job_id, "runs"), params=_given(limit=_page(limit, form)))
    print_answer(answer, _wide_runs if form == "wide" else _print_runs, form)
    _tell_of_more(answer)


@app.command("preview")
@with_form
def preview_job(
    group: _Group,
    job_id: _JobId,
    *,
    number: Annotated[int | None, typer.Option("--next", min=1, help="How many starts to show. [default: 10]")] = None,
    outage_from: Annotated[str | None, typer.Option(metavar="TIME", help="Suppose an outage that begins here.")] = None,
    outage_to: Annotated[str | None, typer.Option(metavar="TIME", help="Where the supposed outage ends.")] = None,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """Show what a job will do."""
    params = _given(next=number)
    if outage_from is not None:
        params["outageFrom"] = moment(outage_from, "--outage-from")
    if outage_to is not None:
        params["outageTo"] = moment(outage_to, "--outage-to")
    print_answer(ask(url, "GET", _path(group, job_id, "preview"), params=params), print_previews, form)


@app.command("backfill")
@with_form
def backfill_job(  # noqa: PLR0913 - each is a flag
    group: _Group,
    job_id: _JobId,
    *,
    begin: Annotated[
        str, typer.Option("--from", metavar="TIME", help="The first fire time to run; -7d is seven days ago.")
    ],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="The last one; -0s is now.")],
    cap: Annotated[int | None, typer.Option(min=1, help="At most this many. [default: 1000]")] = None,
    spacing: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How far apart they start, as in PT30S. [default: PT1S]")
    ] = None,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """Run a past range of a job's schedule."""
    span = {"from": moment(begin, "--from"), "to": moment(end, "--to")}
    body = span | _given(cap=cap, spacing=spacing)
    answer = ask(url, "POST", _path(group, job_id, "backfill"), body=body)
    print_answer(answer, _print_backfills, form)


# --- what is sent -----------------------------------------------------------------------------------------------------


def _path(group: str, *rest: object) -> str:
    """Return the path of a group's jobs, or of what is below it. Text that would lead to another path is refused."""
    product, _, job_group = group.partition("/")
    segments = (product, job_group)
    if not all(segments) or "/" in job_group or {".", ".."} & {*segments}:
        raise typer.BadParameter(f"{group!r} is not a product and a job group such as vps4/backups")
    owner = "/".join(quote(segment, safe="", errors="surrogateescape") for segment in segments)
    return "/".join([f"/api/schedulers/{owner}/jobs", *map(str, rest)])


def _given(**values: object) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _page(limit: int | None, form: Form, *, every: bool = False) -> int | None:
    """Return how many rows to ask for; programs that read JSON get all."""
    return limit or (None if every or form == "json" else PAGE)


# --- what is shown ----------------------------------------------------------------------------------------------------


def _jobs_in(form: Form, *, groups: bool = False) -> Callable[[list[dict[str, Any]]], None]:
    """Return what prints jobs, with their groups if they may be of several."""
    return partial(_wide_jobs if form == "wide" else _print_jobs, [_GROUP] if groups else [])


def _print_jobs(more: list[str], jobs: list[dict[str, Any]]) -> None:
    now = _now()
    facts = [
        {
            **job,
            _GROUP: _group_of(job),
            "state": _state_of(job),
            "when": relative(_moment_of(job), now),
            "job": _what(job),
        }
        for job in jobs
    ]
    columns = (*more, "id", "state", "when", "job")
    print_table(columns, members(facts, columns), fit="line")
    print_warnings(jobs)


def _wide_jobs(more: list[str], jobs: list[dict[str, Any]]) -> None:
    facts = [
        {**job, _GROUP: _group_of(job), "state": _state_of(job), "reason": (job.get("lastRun") or {}).get("reason")}
        for job in jobs
    ]
    columns = (*more, *_WIDE_JOB)
    print_table(columns, members(facts, columns), fit="all")
    print_warnings(jobs)


def _group_of(job: Mapping[str, Any]) -> str:
    return f"{job.get('product')}/{job.get('jobGroup')}"


def _state_of(job: Mapping[str, Any]) -> Any:
    return "dead" if job.get("state") == "done" and job.get("outcome") in _DEADLY else job.get("state")


def _moment_of(job: Mapping[str, Any]) -> Any:
    """Return when a job runs next; where it does not, when its last run ended."""
    return job.get("nextRun") or (job.get("lastRun") or {}).get("finishedAt")


def _what(job: Mapping[str, Any]) -> str:
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


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _print_runs(runs: list[dict[str, Any]]) -> None:
    now = _now()
    rows = [
        (
            run.get("run"),
            run.get("outcome"),
            run.get("attempt"),
            relative(run.get("startedAt"), now),
            length(run.get("latenessSeconds")),
            _took(run),
            run.get("reason"),
        )
        for run in runs
    ]
    print_table(("run", "outcome", "attempt", "started", "late", "took", "reason"), rows, fit="line")


def _took(run: Mapping[str, Any]) -> str:
    try:
        begin, end = (datetime.fromisoformat(run[name]) for name in ("startedAt", "finishedAt"))
    except (LookupError, TypeError, ValueError):
        return ""
    return length((end - begin).total_seconds())


def _wide_runs(runs: list[dict[str, Any]]) -> None:
    print_table(_WIDE_RUN, members(runs, _WIDE_RUN), fit="all")


def _now() -> datetime:
    from mainspring.clock import SystemClock

    return SystemClock().now()


def _tell_of_more(answer: Answer, also: str = "") -> None:
    """Say so if a list was cut, and how to see more of it."""
    if answer.has_more:
        shown = len(answer.objects())
        complain(f"These are the first {shown}; there may be more. --limit shows up to {MOST}{also and f', {also}'}.")


def _print_facts(jobs: list[dict[str, Any]]) -> None:
    print_table(("field", "value"), [fact for job in jobs for fact in _facts(job)])


def _facts(job: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in job.items():
        if name == "lastRun" and isinstance(value, dict):
            yield from ((f"lastRun.{part}", fact) for part, fact in value.items())
        else:
            yield name, value


def _print_backfills(backfills: list[dict[str, Any]]) -> None:
    for facts in backfills:
        left = f" {facts['left']} more are beyond the cap." if facts.get("left") else ""
        typer.echo(f"{facts.get('created')} runs are scheduled.{left}")


def _print_causes(facts: list[dict[str, Any]]) -> None:
    if not facts:
        typer.echo("Nothing holds the job back: it begins within moments.")
        return
    columns = ("code", "text", "since", "clears", "by")
    print_table(columns, [[fact.get(column) for column in columns] for fact in facts])
