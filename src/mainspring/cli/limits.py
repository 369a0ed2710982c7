"""``mainspring limits``: how many jobs of a group or a product run at once, begin in a while, and may be created."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mainspring.cli.flags import commands
from mainspring.cli.form import Form, Raw
from mainspring.cli.moments import iso_duration
from mainspring.cli.output import plain, print_table
from mainspring.cli.scope import Level
from mainspring.cli.service import Service

app = commands("See and change how many jobs run at once, begin in a while, and may be created.")


@app.command("show")
def show_limits(service: Service, form: Form, scope: Level) -> None:
    """Show the limits of a job group or a product."""
    form.show(service.client.limits(scope.product or "", scope.job_group).limits, _print_limits)


@app.command("set")
def set_limits(  # noqa: PLR0913 - each is a flag
    service: Service,
    form: Form,
    scope: Level,
    *,
    limit: Annotated[list[int] | None, typer.Option(metavar="N", help="So many jobs run at once.")] = None,
    limit_by_key: Annotated[
        list[int] | None, typer.Option(metavar="N", help="So many jobs of each concurrency key run at once.")
    ] = None,
    rate: Annotated[
        list[str] | None, typer.Option(metavar="N/TIME", help="So many jobs begin in that time, as in 100/1m.")
    ] = None,
    rate_by_key: Annotated[
        list[str] | None, typer.Option(metavar="N/TIME", help="The same of each concurrency key.")
    ] = None,
    weight: Annotated[
        int | None,
        typer.Option(metavar="N", help="Its part of the slots where they are scarce, beside others' weights."),
    ] = None,
    pending: Annotated[
        int | None, typer.Option(metavar="N", help="So many jobs that are not done may be there.")
    ] = None,
    creates_per_minute: Annotated[
        int | None, typer.Option(metavar="N", help="So many jobs may be created in a minute.")
    ] = None,
    request_bytes: Annotated[
        int | None, typer.Option("--bytes", metavar="N", help="So many bytes may the requests of pending jobs have.")
    ] = None,
) -> None:
    """Write the limits of a job group or a product; those that it had before hold no more.

    Nodes go by them at once.
    """
    body: dict[str, Any] = {
        "concurrency": [
            *({"limit": each} for each in limit or []),
            *({"limit": each, "by": "key"} for each in limit_by_key or []),
        ],
        "rates": [
            *(_rate(each, "--rate") for each in rate or []),
            *({**_rate(each, "--rate-by-key"), "by": "key"} for each in rate_by_key or []),
        ],
    }
    if weight is not None:
        body["weight"] = weight
    quota = {"pending": pending, "createsPerMinute": creates_per_minute, "bytes": request_bytes}
    if said := {name: most for name, most in quota.items() if most is not None}:
        body["quota"] = said
    if not any(body.values()):
        raise typer.BadParameter("say at least one of the flags for a limit, a rate, the weight or a quota")
    form.show(service.client.set_limits(body, scope.product or "", scope.job_group).limits, _print_limits)


@app.command("reset")
def reset_limits(service: Service, form: Form, scope: Level) -> None:
    """Let those limits hold again that the settings or the plugin declare."""
    form.show(service.client.reset_limits(scope.product or "", scope.job_group).limits, _print_limits)


def _rate(text: str, flag: str) -> dict[str, Any]:
    number, slash, per = text.partition("/")
    if not (slash and number.isascii() and number.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not a number and a time such as 100/1m or 100/PT1M", param_hint=flag)
    return {"limit": int(number), "per": iso_duration(per.upper())}


_QUOTAS = {"pending": "pending", "createsPerMinute": "creates a minute", "bytes": "bytes"}


def _print_limits(answered: list[Raw]) -> None:
    for limits in answered:
        limit_rows = [("at once", each) for each in limits.get("concurrency") or []]
        rate_rows = [(f"in {plain(each.get('per'))}", each) for each in limits.get("rates") or []]
        rows = [(what, each.get("limit"), each.get("by") or "all") for what, each in (*limit_rows, *rate_rows)]
        if weight := limits.get("weight"):
            rows.append(("weight", weight, "all"))
        quota = limits.get("quota") or {}
        rows += [(what, most, "all") for name, what in _QUOTAS.items() if (most := quota.get(name)) is not None]
        if rows:
            print_table(("what", "limit", "of"), rows)
        else:
            typer.echo("There are no limits.")
