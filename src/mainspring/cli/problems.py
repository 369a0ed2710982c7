"""``mainspring problems``: what the codes of errors mean, and what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from mainspring.cli.exits import REFUSED
from mainspring.cli.filters import did_you_mean
from mainspring.cli.form import Form, Raw
from mainspring.cli.output import complain, print_table
from mainspring.cli.service import Service

_COLUMNS = ("code", "status", "means")


def problems(
    service: Service,
    form: Form,
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="A code such as JOB_NOT_FOUND. [default: all codes]")
    ] = None,
) -> None:
    """Tell what a code of an error means and what to do, or list all codes."""
    known = {str(each.get("code")): each for each in service.client.problems()}
    if code is None:
        form.show(known.values(), lambda found: form.table(_COLUMNS, found))
        return
    name = code.upper().replace("-", "_")
    if name in known:
        form.show(known[name], _print_code)
        return
    complain(f"there is no code {code!r}{did_you_mean(name, [*known])}")
    service.fail(REFUSED)


def _print_code(codes: list[Raw]) -> None:
    for code in codes:
        print_table(("member", "value"), [fact for fact in code.items() if fact[0] != "type"])
