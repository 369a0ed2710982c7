"""``mainspring calendars``: work with the calendars of a running service."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from mainspring.cli.candidates import calendars
from mainspring.cli.client import ask
from mainspring.cli.flags import DEFAULT_URL, Form, Url, commands, read_object, with_form
from mainspring.cli.output import plain, print_answer, print_table

app = commands("Work with the calendars of a running service.")

_PATH = "/api/schedulers/calendars"
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the calendar.", autocompletion=calendars)]


@app.command("list")
@with_form
def list_calendars(*, url: Url = DEFAULT_URL, form: Form = "table") -> None:
    """List the calendars."""
    print_answer(ask(url, "GET", _PATH), _print_by_name, form)


@app.command("show")
@with_form
def show_calendar(name: _Name, *, url: Url = DEFAULT_URL, form: Form = "table") -> None:
    """Show a calendar."""
    print_answer(ask(url, "GET", _calendar_path(name)), _print_members, form)


@app.command("put")
@with_form
def put_calendar(
    name: _Name,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD", help="Members of the calendar: KEY=TEXT or KEY:=JSON."),
    ] = None,
    *,
    data: Annotated[str | None, typer.Option(metavar="JSON", help="The calendar as a JSON object; fields win.")] = None,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """Create or replace a calendar; jobs that use it follow."""
    answer = ask(url, "PUT", _calendar_path(name), body=read_object(data, fields or []))
    print_answer(answer, _print_members, form)


@app.command("delete")
def delete_calendar(name: _Name, *, url: Url = DEFAULT_URL) -> None:
    """Delete a calendar that no job uses."""
    ask(url, "DELETE", _calendar_path(name))
    typer.echo(f"Calendar {plain(name)} is deleted.")


def _calendar_path(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name:
        raise typer.BadParameter(f"{name!r} is not the name of a calendar")
    return f"{_PATH}/{quote(name, safe='', errors='surrogateescape')}"


def _print_by_name(answered: list[dict[str, Any]]) -> None:
    print_table(("name", "calendar"), [named for each in answered for named in each.items()])


def _print_members(answered: list[dict[str, Any]]) -> None:
    print_table(("member", "value"), [member for calendar in answered for member in calendar.items()])
