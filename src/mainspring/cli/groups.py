"""``mainspring groups``: look at the job groups of a running service."""

from __future__ import annotations

from typing import Any

from mainspring.cli.client import ask
from mainspring.cli.flags import DEFAULT_URL, Form, Url, commands, with_form
from mainspring.cli.output import print_answer, print_table

app = commands("Look at the job groups of a running service.")


@app.command("list")
@with_form
def list_groups(*, url: Url = DEFAULT_URL, form: Form = "table") -> None:
    """List the job groups, with the number of their jobs by state and of those that gave up."""
    print_answer(ask(url, "GET", "/api/schedulers"), _print_counts, form)


def _print_counts(groups: list[dict[str, Any]]) -> None:
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
