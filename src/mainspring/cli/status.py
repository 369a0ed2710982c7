"""``mainspring status``: one screen on whether a running service is well, what is late, and who is paused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mainspring.cli.exits import NOT_WELL
from mainspring.cli.form import Raw, Watched
from mainspring.cli.moments import seconds_of
from mainspring.cli.nodes import print_nodes, state_of
from mainspring.cli.output import members, plain, print_table, relative
from mainspring.cli.service import Service
from mainspring.cli.tables import group_of, now, what_of

if TYPE_CHECKING:
    from mainspring.client import Group, Job, Pause

SHOWN = 5
"""How many jobs and pauses of each kind are shown."""
LATE = "1m"
"""How long after its time a job counts as late, if nothing is said."""
MOST_LOOKED_AT = 1000
"""How many due jobs are looked at: paused ones are due, but not late."""
_GAVE_UP = {"gaveUp": "gave up"}


def status(
    service: Service,
    form: Watched,
    *,
    late_after: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help=f"A job that has not begun so long after its time is late. [default: {LATE}]"
        ),
    ] = LATE,
) -> None:
    """Tell whether a service is well, what is due next, what is late and why, and who is paused."""
    patience = timedelta(seconds=seconds_of(late_after, "--late-after"))
    form.follow(lambda: _look(service, patience), lambda found: _print(found[0], form))


def _look(service: Service, patience: timedelta) -> Raw:
    """Ask for everything. What is not well makes the exit code."""
    client, at = service.client, now()
    ready, nodes, groups = client.ready(), client.nodes(), client.groups()
    late = [*islice(_late(service, at - patience), SHOWN + 1)]
    due = [*islice(client.jobs(state="scheduled", due_from=at, page_size=SHOWN), SHOWN)]
    problems = [*_problems(ready.ready, str(ready.raw.get("detail")), nodes, late)]
    service.code = NOT_WELL if problems else 0
    return {
        "well": not problems,
        "problems": problems,
        "ready": ready.ready,
        "durable": ready.durable,
        "counts": _counts(groups),
        "late": [{**job.raw, "why": _why(service, job)} for job in late[:SHOWN]],
        "moreLate": len(late) > SHOWN,
        "due": [job.raw for job in due],
        "paused": [
            *_pauses(client.pauses().paused_by, groups),
            *islice(_paused_jobs(client.jobs(state="paused", page_size=SHOWN + 1)), SHOWN + 1),
        ],
        "nodes": [*nodes],
    }


def _late(service: Service, before: datetime) -> Iterator[Job]:
    """Find jobs that should have begun, the oldest first; what is paused is not meant to."""
    due = service.client.jobs(state="scheduled", due_to=before, page_size=200)
    return (job for job in islice(due, MOST_LOOKED_AT) if not job.is_paused)


def _why(service: Service, job: Job) -> str | None:
    from mainspring.client import ProblemError

    try:
        facts = service.client.why(job)
    except ProblemError:  # it may be gone by now
        return None
    return facts[0].text if facts else None


def _problems(ready: bool, detail: str, nodes: tuple[Raw, ...], late: list[Job]) -> Iterator[str]:  # noqa: FBT001 - one of four facts
    if not ready:
        yield f"the service is not ready: {detail}"
    if not any(node.get("connected") and not node.get("isDrained") for node in nodes):
        yield "no node begins jobs"
    for node in nodes:
        if (state := state_of(node)) not in {"ok", "drained"}:
            yield f"the node {node.get('node')} is {state}"
    if late:
        number = f"more than {SHOWN}" if len(late) > SHOWN else str(len(late))
        yield f"{number} job{' is' if number == '1' else 's are'} late"


def _counts(groups: tuple[Group, ...]) -> dict[str, int]:
    total: dict[str, int] = {}
    for group in groups:
        for name, number in group.counts.items():
            total[name] = total.get(name, 0) + number
    return total


def _pauses(everything: tuple[Pause, ...], groups: tuple[Group, ...]) -> Iterator[dict[str, Any]]:
    """Name each pause once, with what it holds."""
    told: set[str] = set()
    held = [("everything", pause) for pause in everything]
    held += [
        (group.product if pause.level == "product" else f"{group.product}/{group.job_group}", pause)
        for group in groups
        for pause in group.paused_by
        if pause.level != "everything"
    ]
    for name, pause in held:
        if name not in told:
            told.add(name)
            yield {"name": name, **pause.raw}


def _paused_jobs(jobs: Iterable[Job]) -> Iterator[dict[str, Any]]:
    for job in jobs:
        yield from (
            {"name": f"{job.product}/{job.job_group} {job.id}", **pause.raw}
            for pause in job.paused_by
            if pause.level == "job"
        )


# --- what is shown ----------------------------------------------------------------------------------------------------


def _print(found: Mapping[str, Any], form: Watched) -> None:
    at = now()
    typer.echo("Mainspring is well." if found["well"] else "Mainspring is not well:")
    for problem in found["problems"]:
        typer.echo(plain(f"  {problem}"))
    typer.echo(
        plain(
            "Jobs: "
            + (", ".join(f"{number} {_GAVE_UP.get(name, name)}" for name, number in found["counts"].items()) or "none")
        )
    )
    _section("Late, the oldest first", ("due", "group", "id", "why"), [_row(job, at) for job in found["late"]])
    if found["moreLate"]:
        typer.echo("and more")
    _section("Due next", ("due", "group", "id", "job"), [_row(job, at) for job in found["due"]])
    paused = [{**pause, "until": relative(pause.get("until"), at)} for pause in found["paused"]]
    _section("Paused", ("name", "level", "by", "reason", "until"), paused[:SHOWN])
    if len(paused) > SHOWN:
        typer.echo("and more")
    if found["nodes"]:
        typer.echo("\nNodes")
        print_nodes(found["nodes"], form)


def _row(job: Raw, at: datetime) -> dict[str, Any]:
    return {**job, "due": relative(job.get("nextRun"), at), "group": group_of(job), "job": what_of(job)}


def _section(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    if rows:
        typer.echo(f"\n{title}")
        print_table(columns, members(rows, columns), fit="line")
