"""``mainspring runs``: look at what ran, across jobs, and at one run with its log."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mainspring.cli import candidates
from mainspring.cli.filters import all_outcomes, outcomes
from mainspring.cli.flags import commands
from mainspring.cli.form import Form, Raw, Watched
from mainspring.cli.lists import Limit, entries
from mainspring.cli.moments import MOMENT, moment
from mainspring.cli.output import plain, print_table
from mainspring.cli.scope import EVERYTHING, AnyScope, JobId, JobScope
from mainspring.cli.service import Service
from mainspring.cli.tables import runs_in

app = commands("Look at the runs of a running service that have ended.")

_Run = Annotated[int, typer.Argument(metavar="RUN", min=1, help="Number of the run.")]
_BELOW = ("traceback", "log")
"""What is printed below the table, because it has many lines."""


@app.command("list")
def list_runs(  # noqa: PLR0913 - each is a flag
    service: Service,
    form: Watched,
    group: AnyScope = None,
    *,
    outcome: Annotated[
        str | None,
        typer.Option(
            parser=outcomes,
            metavar="OUTCOME",
            help="Only runs that ended so, as in failed,lost.",
            autocompletion=all_outcomes,
        ),
    ] = None,
    node: Annotated[
        str | None, typer.Option(metavar="NODE", help="Only runs of this node.", autocompletion=candidates.nodes)
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help=f"Only runs that ended then or later, {MOMENT}.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only runs that ended before.")] = None,
    limit: Limit = None,
) -> None:
    """List the runs of a group, of a product, or of all groups, newest first."""
    asked: dict[str, Any] = {
        "outcome": outcome,
        "node": node,
        "due_from": begin and moment(begin, "--from"),
        "due_to": end and moment(end, "--to"),
    }
    given: Any = {name: value for name, value in asked.items() if value is not None}
    scope = group or EVERYTHING
    form.follow(
        lambda: entries(form, lambda size: service.client.all_runs(*scope, **given, page_size=size), limit=limit),
        runs_in(form, jobs=True),
    )


@app.command("show")
def show_run(
    service: Service,
    form: Form,
    group: JobScope,
    job_id: JobId,
    run: _Run,
    *,
    log: Annotated[bool, typer.Option("--log", help="Also what it logged.")] = False,
) -> None:
    """Show one run: what it returned, or the traceback of what it raised."""
    job = service.job(group, job_id)
    found = service.client.run(job, run).raw
    if log:
        found = {**found, "log": service.client.run_log(job, run)}
    form.show(found, _print_run)


@app.command("log")
def show_log(service: Service, group: JobScope, job_id: JobId, run: _Run) -> None:
    """Print what one run logged."""
    typer.echo(plain(service.client.run_log(service.job(group, job_id), run).expandtabs()), nl=False)


def _print_run(runs: list[Raw]) -> None:
    for run in runs:
        print_table(("field", "value"), [fact for fact in run.items() if fact[0] not in _BELOW])
        for name in _BELOW:
            if text := run.get(name):
                typer.echo(f"\n{name}:\n{plain(str(text).rstrip().expandtabs())}")
