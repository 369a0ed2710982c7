"""``mainspring jobs``: work with the jobs of a running service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

import typer

from mainspring.cli.client import ask
from mainspring.cli.flags import DEFAULT_URL, AsJson, Url, commands, read_object
from mainspring.cli.output import print_answer, print_items, print_previews, print_table

app = commands("Work with the jobs of a running service.")

_Group = Annotated[str, typer.Argument(metavar="PRODUCT/GROUP", help="Product and job group, as in vps4/backups.")]
_JobId = Annotated[UUID, typer.Argument(metavar="ID", help="Id of the job.")]
_When = Annotated[
    str | None, typer.Option(metavar="TIME", help="Time to run, as in 2026-12-01T10:00:00Z, or from now, as in +1h30m.")
]

_JOB_COLUMNS = ("id", "state", "nextRun", "outcome")
_RUN_COLUMNS = (
    "run", "outcome", "attempt", "scheduledFireTime", "startedAt", "finishedAt", "latenessSeconds", "node", "reason",
)  # fmt: skip


@app.command("list")
def list_jobs(
    group: _Group,
    *,
    state: Annotated[
        Literal["scheduled", "running", "paused", "done", "dead"] | None,
        typer.Option(help="Only jobs in this state."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many jobs.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List the jobs of a group, by next run.

    Without --state these are the jobs that are not yet done. Dead jobs are those that gave up.
    """
    query = {"state": state, "limit": limit}
    answer = ask(url, "GET", _path(group), params={name: value for name, value in query.items() if value is not None})
    print_answer(answer, _print_jobs, as_json=as_json)


@app.command("show")
def show_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show everything about one job."""
    print_answer(ask(url, "GET", _path(group, job_id)), _print_facts, as_json=as_json)


@app.command("create")
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
    as_json: AsJson = False,
) -> None:
    """Schedule a new job."""
    request = read_object(data, fields or [])
    if when is not None:
        request["when"] = _moment(when)
    if dry_run:
        answer = ask(url, "POST", _path(group), params={"dryRun": "true"}, body=request)
        print_answer(answer, print_previews, as_json=as_json)
    else:
        print_answer(ask(url, "POST", _path(group), body=request), _print_jobs, as_json=as_json)


@app.command("reschedule")
def reschedule_job(
    group: _Group,
    job_id: _JobId,
    *,
    when: Annotated[
        str,
        typer.Option(metavar="TIME", help="New time to run, as in 2026-12-01T10:00:00Z, or from now, as in +1h30m."),
    ],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Move a job to another time."""
    answer = ask(url, "PATCH", _path(group, job_id), body={"when": _moment(when)})
    print_answer(answer, _print_jobs, as_json=as_json)


@app.command("pause")
def pause_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL) -> None:
    """Hold a job back until it is resumed."""
    ask(url, "POST", _path(group, job_id, "pause"))
    typer.echo(f"Job {job_id} is paused.")


@app.command("resume")
def resume_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL) -> None:
    """Let a paused job run again."""
    ask(url, "POST", _path(group, job_id, "resume"))
    typer.echo(f"Job {job_id} is resumed.")


@app.command("delete")
def delete_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL) -> None:
    """Delete a job.

    A run that is under way is asked to stop, and its result is refused.
    """
    ask(url, "DELETE", _path(group, job_id))
    typer.echo(f"Job {job_id} is deleted.")


@app.command("retry")
def retry_job(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Let a job that gave up try again."""
    print_answer(ask(url, "POST", _path(group, job_id, "retry")), _print_jobs, as_json=as_json)


@app.command("runs")
def list_runs(group: _Group, job_id: _JobId, *, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the runs of a job."""
    print_answer(ask(url, "GET", _path(group, job_id, "runs")), _print_runs, as_json=as_json)


@app.command("preview")
def preview_job(
    group: _Group,
    job_id: _JobId,
    *,
    number: Annotated[int | None, typer.Option("--next", min=1, help="How many starts to show. [default: 10]")] = None,
    outage_from: Annotated[str | None, typer.Option(metavar="TIME", help="Suppose an outage that begins here.")] = None,
    outage_to: Annotated[str | None, typer.Option(metavar="TIME", help="Where the supposed outage ends.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show what a job will do."""
    params = {} if number is None else {"next": str(number)}
    if outage_from is not None:
        params["outageFrom"] = _moment(outage_from, "--outage-from")
    if outage_to is not None:
        params["outageTo"] = _moment(outage_to, "--outage-to")
    print_answer(ask(url, "GET", _path(group, job_id, "preview"), params=params), print_previews, as_json=as_json)


@app.command("backfill")
def backfill_job(  # noqa: PLR0913 - each is a flag
    group: _Group,
    job_id: _JobId,
    *,
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="The first fire time to run.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="The last one.")],
    cap: Annotated[int | None, typer.Option(min=1, help="At most this many. [default: 1000]")] = None,
    spacing: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How far apart they start, as in PT30S. [default: PT1S]")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Run a past range of a job's schedule."""
    terms = {"from": begin, "to": end, "cap": cap, "spacing": spacing}
    body = {name: value for name, value in terms.items() if value is not None}
    answer = ask(url, "POST", _path(group, job_id, "backfill"), body=body)
    print_answer(answer, _print_backfills, as_json=as_json)


# --- what is sent -----------------------------------------------------------------------------------------------------


def _path(group: str, *rest: object) -> str:
    """Return the path of a group's jobs, or of what is below it. Text that would lead to another path is refused."""
    product, _, job_group = group.partition("/")
    segments = (product, job_group)
    if not all(segments) or "/" in job_group or {".", ".."} & {*segments}:
        raise typer.BadParameter(f"{group!r} is not a product and a job group such as vps4/backups")
    owner = "/".join(quote(segment, safe="", errors="surrogateescape") for segment in segments)
    return "/".join([f"/api/schedulers/{owner}/jobs", *map(str, rest)])


def _moment(text: str, flag: str = "--when") -> str:
    """Turn ``+1h30m`` into the moment that far from now. Any other text is left for the service to judge."""
    if not text.startswith("+"):
        return text
    from mainspring.clock import SystemClock
    from mainspring.schedule import TimeError, format_time, parse_duration

    try:
        return format_time(SystemClock().now() + parse_duration(_iso_duration(text[1:].upper())))
    except TimeError as error:
        raise typer.BadParameter(
            f"{text!r} is not a length of time such as +30s, +5m, +2h or +1d", param_hint=flag
        ) from error


def _iso_duration(text: str) -> str:
    if text.startswith("P"):
        return text
    date = "".join(re.findall(r"\d+[WD]", text))
    time = text.removeprefix(date).removeprefix("T")
    return f"P{date}T{time}" if time else f"P{date}"


# --- what is shown ----------------------------------------------------------------------------------------------------


def _print_jobs(jobs: list[dict[str, Any]]) -> None:
    print_items(jobs, _JOB_COLUMNS)


def _print_runs(runs: list[dict[str, Any]]) -> None:
    print_items(runs, _RUN_COLUMNS)


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
