"""``mainspring jobs``: work with the jobs of a running service."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from mainspring.cli import one_job, transfer
from mainspring.cli.filters import Order, Which
from mainspring.cli.flags import commands, read_object, read_objects
from mainspring.cli.form import Form, Watched
from mainspring.cli.lists import Limit, entries
from mainspring.cli.moments import MOMENT, moment
from mainspring.cli.one_job import one_or_many, show_jobs
from mainspring.cli.output import plain, print_previews, print_warnings
from mainspring.cli.plan import Plan
from mainspring.cli.scope import EVERYTHING, AnyScope, Group, JobId, JobIds, JobScope
from mainspring.cli.service import Service
from mainspring.cli.tables import jobs_in, print_facts, runs_in

app = commands("Work with the jobs of a running service.")
app.command("export")(transfer.export_jobs)
app.command("import")(transfer.import_jobs)

_Fields = Annotated[
    list[str] | None, typer.Argument(metavar="FIELD", help="Fields of the request: KEY=TEXT or KEY:=JSON.")
]
_Next = Annotated[int | None, typer.Option("--next", min=1, metavar="N", help="Show the next N starts of the job.")]


@app.command("list")
def list_jobs(
    service: Service,
    form: Watched,
    which: Which,
    group: AnyScope = None,
    *,
    order: Order = None,
    limit: Limit = None,
    every: Annotated[bool, typer.Option("--all", help="All jobs, however many they are.")] = False,
) -> None:
    """List the jobs of a group, of a product, or of all groups, by next run.

    Without --state these are the jobs that are not yet done; with --outcome or --gave-up done ones too. Dead jobs are
    those that gave up and have nothing left to do.
    """
    scope = group or EVERYTHING
    asked: Any = which.filter() | ({} if order is None else {"order": order})
    form.follow(
        lambda: entries(
            form,
            lambda size: service.client.jobs(*scope, **asked, page_size=size),
            limit=limit,
            every=every,
            also="and --all all of them",
        ),
        jobs_in(form, groups=scope.job_group is None),
    )


@app.command("show")
def show_job(service: Service, form: Watched, group: JobScope, ids: JobIds) -> None:
    """Show everything about jobs."""
    form.follow(
        lambda: one_or_many(ids, [job.raw for job in service.each(group, ids, service.client.get)]), print_facts
    )


@app.command("create")
def create_job(  # noqa: PLR0913 - each is a flag
    service: Service,
    form: Form,
    plan: Plan,
    group: Group,
    fields: _Fields = None,
    *,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="The request as a JSON object; fields and other flags win.")
    ] = None,
    job_id: Annotated[
        UUID | None, typer.Option("--id", metavar="UUID", help="Create it under this id; the same job may be there.")
    ] = None,
    only_new: Annotated[bool, typer.Option("--only-new", help="With an id of yours: refuse any job there.")] = False,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Send it again under this key, and it is done once.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Create nothing; show what the job would do.")] = False,
    starts: Annotated[
        int | None,
        typer.Option("--next", min=1, metavar="N", help="Create nothing; show the N starts that it would have."),
    ] = None,
) -> None:
    """Schedule a new job."""
    if only_new and job_id is None:
        raise typer.BadParameter("--only-new needs --id beside it")
    if job_id is not None and idempotency_key is not None:
        raise typer.BadParameter("--id makes it safe to send the job again; leave --idempotency-key out")
    request = plan.into(read_object(data, fields or []))
    if dry_run or starts is not None:
        form.show(service.client.dry_run(*_names(group), request, starts=starts).raw, print_previews)
        return
    if job_id is None:
        job = service.client.create(*_names(group), request, idempotency_key=idempotency_key)
    else:
        job = service.client.put_job(*_names(group), job_id, request, only_new=only_new)
    form.show(job.raw, jobs_in(form))


@app.command("batch")
def create_jobs(
    service: Service,
    form: Form,
    group: Group,
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(metavar="FILE", help="Requests as a JSON array or a line each; - is stdin."),
    ],
    *,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Send it again under this key, and it is done once.")
    ] = None,
) -> None:
    """Schedule many jobs: all or none."""
    requests = read_objects(file.read(), file.name)
    batch = service.client.create_batch(*_names(group), requests, idempotency_key=idempotency_key)
    form.show(batch.raw, lambda _: typer.echo(plain(f"{batch.created} jobs are scheduled.")))


@app.command("reschedule")
def reschedule_job(
    service: Service, form: Form, plan: Plan, group: JobScope, ids: JobIds, *, starts: _Next = None
) -> None:
    """Move jobs to another time, or give them another schedule."""
    change = plan.patch({})
    if not change:
        raise typer.BadParameter("say with --when, --every, --cron, --rrule or another flag when the jobs are to run")
    _change(service, form, group, ids, change, starts=starts)


@app.command("change")
def change_job(  # noqa: PLR0913 - each is a flag
    service: Service,
    form: Form,
    plan: Plan,
    group: JobScope,
    job_id: JobId,
    fields: _Fields = None,
    *,
    data: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The change as a JSON object, in which null removes; fields and flags win."),
    ] = None,
    version: Annotated[
        int | None,
        typer.Option("--if-version", min=1, metavar="N", help="Only if it is still this version of the job."),
    ] = None,
    starts: _Next = None,
) -> None:
    """Change the request of a job: its fields, its options or its times."""
    change = plan.patch(read_object(data, fields or []))
    _change(service, form, group, [job_id], change, version=version, starts=starts)


def _change(
    service: Service,
    form: Form,
    scope: JobScope,
    ids: list[str],
    change: dict[str, Any],
    *,
    version: int | None = None,
    starts: int | None = None,
) -> None:
    changed = [*service.each(scope, ids, lambda job: service.client.change(job, change, etag=version))]
    if starts is None:
        show_jobs(form, scope, ids, [job.raw for job in changed])
        return
    print_warnings([job.raw for job in changed])
    form.show([service.client.preview(job, starts=starts).raw for job in changed], print_previews)


@app.command("runs")
def list_runs(service: Service, form: Watched, group: JobScope, job_id: JobId, *, limit: Limit = None) -> None:
    """List the runs of a job, newest first."""
    job = service.job(group, job_id)
    form.follow(
        lambda: entries(form, lambda size: service.client.runs(job, page_size=size), limit=limit), runs_in(form)
    )


@app.command("preview")
def preview_job(
    service: Service,
    form: Form,
    group: JobScope,
    ids: JobIds,
    *,
    number: Annotated[int | None, typer.Option("--next", min=1, help="How many starts to show. [default: 10]")] = None,
    outage_from: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Suppose an outage that begins here, {MOMENT}.")
    ] = None,
    outage_to: Annotated[str | None, typer.Option(metavar="TIME", help="Where the supposed outage ends.")] = None,
) -> None:
    """Show what jobs will do."""
    begin = outage_from and moment(outage_from, "--outage-from")
    end = outage_to and moment(outage_to, "--outage-to")
    if (begin is None) != (end is None):
        raise typer.BadParameter("--outage-from and --outage-to go together: say both")
    outage = (begin, end) if begin and end else None
    found = service.each(group, ids, lambda job: service.client.preview(job, starts=number, outage=outage))
    form.show(one_or_many(ids, [each.raw for each in found]), print_previews)


def _names(group: Group) -> tuple[str, str]:
    return group.product or "", group.job_group or ""


for _command in (
    one_job.pause, one_job.resume, one_job.why, one_job.fire, one_job.cancel, one_job.retry, one_job.backfill,
    one_job.delete,
):  # fmt: skip
    app.command()(_command)
