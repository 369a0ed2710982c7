"""What ``mainspring jobs`` does to jobs that are there: hold them back, run them, stop them, and ask why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mainspring.cli.control import Reason, Until, until_of
from mainspring.cli.form import Answered, Form, Raw, Watched
from mainspring.cli.moments import MOMENT, iso_duration, moment
from mainspring.cli.output import plain, print_table
from mainspring.cli.scope import JobId, JobIds, JobScope
from mainspring.cli.service import Service
from mainspring.cli.tables import jobs_in

if TYPE_CHECKING:
    from mainspring.client import Job, JobRef

_FACTS = ("code", "text", "since", "clears", "by")


def pause(
    service: Service, form: Form, group: JobScope, ids: JobIds, *, reason: Reason = None, until: Until = None
) -> None:
    """Hold jobs back until they are resumed."""
    end = until_of(until)
    _tell(
        service, form, group, ids, lambda job: service.client.pause(job, reason=reason, until=end), "Job {} is paused."
    )


def resume(service: Service, form: Form, group: JobScope, ids: JobIds) -> None:
    """Let paused jobs run again."""
    _tell(service, form, group, ids, service.client.resume, "Job {} is resumed.")


def delete(service: Service, group: JobScope, ids: JobIds) -> None:
    """Delete jobs.

    A run that is under way is asked to stop, and its result is refused.
    """

    def delete_one(job: JobRef) -> str:
        service.client.delete(job)
        return job.id

    for name in service.each(group, ids, delete_one):
        typer.echo(plain(f"Job {name} is deleted."))


def fire(service: Service, form: Form, group: JobScope, ids: JobIds) -> None:
    """Run jobs at once, also paused ones.

    One with a schedule gets a run beside that.
    """
    _show(service, form, group, ids, service.client.fire)


def cancel(service: Service, form: Form, group: JobScope, ids: JobIds) -> None:
    """Cancel the runs of jobs that are under way, or jobs without a schedule that have not begun."""
    _show(service, form, group, ids, service.client.cancel)


def retry(
    service: Service,
    form: Form,
    group: JobScope,
    ids: JobIds,
    *,
    run: Annotated[
        int | None, typer.Option(min=1, help="The run that gave up. [default: the last one that did]")
    ] = None,
) -> None:
    """Try fire times again that jobs gave up on."""
    if run is not None and len(ids) > 1:
        raise typer.BadParameter("a run is one of one job: name one id with --run")
    _show(service, form, group, ids, lambda job: service.client.retry(job, run=run))


def why(service: Service, form: Watched, group: JobScope, job_id: JobId) -> None:
    """Tell why a job has not run, or ended as it did."""
    job = service.job(group, job_id)
    form.follow(lambda: [fact.raw for fact in service.client.why(job)], print_causes)


def backfill(  # noqa: PLR0913 - each is a flag
    service: Service,
    form: Form,
    group: JobScope,
    job_id: JobId,
    *,
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help=f"The first fire time to run, {MOMENT}.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="The last one; now is the latest.")],
    cap: Annotated[int | None, typer.Option(min=1, help="At most this many. [default: 1000]")] = None,
    spacing: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How far apart they start, as in 30s or PT30S. [default: 1s]")
    ] = None,
) -> None:
    """Run a past range of a job's schedule."""
    span = moment(begin, "--from"), moment(end, "--to")
    apart = None if spacing is None else iso_duration(spacing)
    job = service.job(group, job_id)
    form.show(service.client.backfill(job, *span, cap=cap, spacing=apart).raw, _print_backfills)


def show_jobs(form: Form, scope: JobScope, ids: list[str], jobs: list[Raw]) -> None:
    """Print jobs that were named by their ids; nothing for people, if nothing came of any of them."""
    if jobs or form.is_for_programs:
        form.show(one_or_many(ids, jobs), jobs_in(form, groups=scope.job_group is None))


def one_or_many(ids: list[str], found: list[Raw]) -> Answered:
    """Return what came of one id as an object, of several as a list."""
    return found[0] if len(ids) == 1 else found


def print_causes(facts: list[Raw]) -> None:
    """Print what holds a job back."""
    if facts:
        print_table(_FACTS, [[fact.get(column) for column in _FACTS] for fact in facts])
    else:
        typer.echo("Nothing holds the job back: it begins within moments.")


def _print_backfills(backfills: list[Raw]) -> None:
    for facts in backfills:
        left = f" {facts['left']} more are beyond the cap." if facts.get("left") else ""
        typer.echo(plain(f"{facts.get('created')} runs are scheduled.{left}"))


def _show(service: Service, form: Form, scope: JobScope, ids: list[str], do: Callable[[JobRef], Job]) -> None:
    """Do something to jobs, and show them as they are then."""
    show_jobs(form, scope, ids, [job.raw for job in service.each(scope, ids, do)])


def _tell(
    service: Service, form: Form, scope: JobScope, ids: list[str], do: Callable[[JobRef], Any], said: str
) -> None:
    """Do something to jobs, and say so of each as soon as it is done; programs get the jobs."""
    if form.is_for_programs:
        _show(service, form, scope, ids, do)
        return
    for job in service.each(scope, ids, do):
        typer.echo(plain(said.format(job.id)))
