"""``mainspring calendars``: work with the calendars of a running service."""

from __future__ import annotations

from typing import Annotated

import typer

from mainspring.cli.candidates import calendars
from mainspring.cli.flags import commands, read_object
from mainspring.cli.form import Form, Raw
from mainspring.cli.output import plain, print_table
from mainspring.cli.service import Service

app = commands("Work with the calendars of a running service.")


def _name(text: str) -> str:
    if text in {"", ".", ".."} or "/" in text:
        raise typer.BadParameter(f"{text!r} is not the name of a calendar")
    return text


_Name = Annotated[
    str, typer.Argument(parser=_name, metavar="NAME", help="Name of the calendar.", autocompletion=calendars)
]


@app.command("list")
def list_calendars(service: Service, form: Form) -> None:
    """List the calendars."""
    form.show(service.client.calendars(), _print_by_name)


@app.command("show")
def show_calendar(service: Service, form: Form, name: _Name) -> None:
    """Show a calendar."""
    form.show(service.client.calendar(name), _print_members)


@app.command("put")
def put_calendar(
    service: Service,
    form: Form,
    name: _Name,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD", help="Members of the calendar: KEY=TEXT or KEY:=JSON."),
    ] = None,
    *,
    data: Annotated[str | None, typer.Option(metavar="JSON", help="The calendar as a JSON object; fields win.")] = None,
) -> None:
    """Create or replace a calendar; jobs that use it follow."""
    form.show(service.client.set_calendar(name, read_object(data, fields or [])), _print_members)


@app.command("delete")
def delete_calendar(service: Service, name: _Name) -> None:
    """Delete a calendar that no job uses."""
    service.client.delete_calendar(name)
    typer.echo(f"Calendar {plain(name)} is deleted.")


def _print_by_name(answered: list[Raw]) -> None:
    print_table(("name", "calendar"), [named for each in answered for named in each.items()])


def _print_members(answered: list[Raw]) -> None:
    print_table(("member", "value"), [member for calendar in answered for member in calendar.items()])
