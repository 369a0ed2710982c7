"""``mainspring groups`` and ``schema``: look at the job groups of a running service."""

from __future__ import annotations

import typer

from mainspring.cli.flags import commands
from mainspring.cli.form import Form, Raw, Watched
from mainspring.cli.output import escaped, print_table
from mainspring.cli.scope import Group
from mainspring.cli.service import Service

app = commands("Look at the job groups of a running service.")


@app.command("list")
def list_groups(service: Service, form: Watched) -> None:
    """List the job groups, with the number of their jobs by state and of those that gave up."""
    form.follow(lambda: [group.raw for group in service.client.groups()], _print_counts)


def schema(service: Service, form: Form, group: Group) -> None:
    """Show the JSON Schema of a request of a job group."""
    form.show(service.client.schema(group.product or "", group.job_group or ""), _print_schema)


def _print_schema(schemas: list[Raw]) -> None:
    import json

    for each in schemas:
        typer.echo(escaped(json.dumps(each, ensure_ascii=False, indent=2)))


def _print_counts(groups: list[Raw]) -> None:
    counts = [group.get("counts") or {} for group in groups]
    columns = list(dict.fromkeys(name for each in counts for name in each))
    rows = [
        (
            f"{group.get('product')}/{group.get('jobGroup')}",
            *(each.get(name) for name in columns),
            "yes" if group.get("registered") else "no",
            "yes" if group.get("isPaused") else "no",
        )
        for group, each in zip(groups, counts, strict=True)
    ]
    print_table(("group", *columns, "registered", "paused"), rows)
