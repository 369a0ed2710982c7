"""``mainspring pause`` and ``mainspring resume``: stop a job group, a product or everything, and let it go on."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from mainspring.cli.candidates import scopes
from mainspring.cli.client import ask
from mainspring.cli.flags import DEFAULT_URL, Form, Url, with_form
from mainspring.cli.moments import moment
from mainspring.cli.output import print_answer, print_table

Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for whoever looks.")]
Until = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When it goes on by itself, as in 2026-12-01T10:00:00Z, or from now, as in +2h."),
]
_Scope = Annotated[
    str | None,
    typer.Argument(
        metavar="PRODUCT[/GROUP]", help="A product, or a job group. [default: everything]", autocompletion=scopes
    ),
]


@with_form
def pause(
    scope: _Scope = None,
    *,
    reason: Reason = None,
    until: Until = None,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """Stop a job group, a product or everything: no job of it begins on any node."""
    print_answer(ask(url, "POST", f"{scope_path(scope)}/pause", body=pause_body(reason, until)), _print_pauses, form)


@with_form
def resume(scope: _Scope = None, *, url: Url = DEFAULT_URL, form: Form = "table") -> None:
    """Let a job group, a product or everything go on.

    What passed meanwhile goes by the misfire policies of the jobs.
    """
    print_answer(ask(url, "POST", f"{scope_path(scope)}/resume"), _print_pauses, form)


def pause_body(reason: str | None, until: str | None) -> dict[str, Any] | None:
    """Return what is sent to pause something; nothing, if nothing is said."""
    said = {"reason": reason, "until": until and moment(until, "--until")}
    return {name: value for name, value in said.items() if value is not None} or None


def scope_path(scope: str | None) -> str:
    """Return the path of a job group, a product or everything. Raises `typer.BadParameter` for what is none."""
    segments = [] if scope is None else scope.split("/")
    if not all(segments) or len(segments) > 2 or {".", ".."} & {*segments}:  # noqa: PLR2004 - product and group
        raise typer.BadParameter(f"{scope!r} is not a product such as vps4, or a job group such as vps4/backups")
    return "/".join(["/api/schedulers", *(quote(segment, safe="", errors="surrogateescape") for segment in segments)])


def _print_pauses(standings: list[dict[str, Any]]) -> None:
    for standing in standings:
        name = "/".join(filter(None, (standing.get("product"), standing.get("jobGroup")))) or "everything"
        pauses = standing.get("pausedBy") or []
        typer.echo(f"{name} is {'paused' if pauses else 'not paused'}.")
        if pauses:
            columns = ("level", "at", "by", "reason", "until")
            print_table(columns, [[pause.get(column) for column in columns] for pause in pauses])
