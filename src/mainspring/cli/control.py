"""``mainspring pause``, ``resume`` and ``pauses``: stop a job group, a product or everything, and let it go on."""

from __future__ import annotations

from typing import Annotated

import typer

from mainspring.cli.form import Form, Raw
from mainspring.cli.moments import MOMENT, moment
from mainspring.cli.output import members, plain, print_table
from mainspring.cli.scope import EVERYTHING, AnyScope
from mainspring.cli.service import Service

Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for whoever looks.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help=f"When it goes on by itself, {MOMENT}.")]
_PAUSE = ("level", "at", "by", "reason", "until")
_OVER = (*_PAUSE, "endedAt", "endedBy")


def pause(service: Service, form: Form, scope: AnyScope = None, *, reason: Reason = None, until: Until = None) -> None:
    """Stop a job group, a product or everything: no job of it begins on any node."""
    standing = service.client.pause_all(*scope or EVERYTHING, reason=reason, until=until_of(until))
    form.show(standing.raw, _print_pauses)


def resume(service: Service, form: Form, scope: AnyScope = None) -> None:
    """Let a job group, a product or everything go on.

    What passed meanwhile goes by the misfire policies of the jobs.
    """
    form.show(service.client.resume_all(*scope or EVERYTHING).raw, _print_pauses)


def pauses(service: Service, form: Form, scope: AnyScope = None) -> None:
    """Show what holds a job group, a product or everything back, and which pauses are over."""
    form.show(service.client.pauses(*scope or EVERYTHING).raw, _print_history)


def until_of(text: str | None) -> str | None:
    """Return when a pause ends."""
    return None if text is None else moment(text, "--until")


def _print_pauses(standings: list[Raw]) -> None:
    for standing in standings:
        name = "/".join(filter(None, (standing.get("product"), standing.get("jobGroup")))) or "everything"
        holds = standing.get("pausedBy") or []
        typer.echo(plain(f"{name} is {'paused' if holds else 'not paused'}."))
        if holds:
            print_table(_PAUSE, members(holds, _PAUSE))


def _print_history(standings: list[Raw]) -> None:
    _print_pauses(standings)
    for standing in standings:
        if over := standing.get("history"):
            typer.echo("\nPauses that are over:")
            print_table(_OVER, members(over, _OVER))
