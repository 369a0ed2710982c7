"""``mainspring webhooks``: who hears of which events, what was sent to them, and sending it once more."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from mainspring.cli.candidates import webhooks
from mainspring.cli.client import ask
from mainspring.cli.flags import DEFAULT_URL, Form, Url, commands, read_object, with_form
from mainspring.cli.output import plain, print_answer, print_table

app = commands("Work with the webhooks of a running service.")

_PATH = "/api/schedulers/webhooks"
_MOST = 1000
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the webhook.", autocompletion=webhooks)]


@app.command("list")
@with_form
def list_webhooks(*, url: Url = DEFAULT_URL, form: Form = "table") -> None:
    """List the webhooks."""
    print_answer(ask(url, "GET", _PATH), _print_webhooks, form)


@app.command("put")
@with_form
def put_webhook(
    name: _Name,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD", help="Members of the webhook: KEY=TEXT or KEY:=JSON."),
    ] = None,
    *,
    data: Annotated[str | None, typer.Option(metavar="JSON", help="The webhook as a JSON object; fields win.")] = None,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """Create or replace a webhook."""
    answer = ask(url, "PUT", _path(name), body=read_object(data, fields or []))
    print_answer(answer, _print_members, form)


@app.command("delete")
def delete_webhook(name: _Name, *, url: Url = DEFAULT_URL) -> None:
    """Delete a webhook, and cancel what waits to be sent to it."""
    ask(url, "DELETE", _path(name))
    typer.echo(f"Webhook {plain(name)} is deleted.")


@app.command("deliveries")
@with_form
def list_deliveries(
    name: _Name,
    *,
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="Only those that are scheduled, running, paused, done or dead: given up."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="How many at most.")] = 50,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """List what was, or is to be, sent to a webhook."""
    params = {"limit": limit} | ({} if state is None else {"state": state})
    print_answer(ask(url, "GET", f"{_path(name)}/deliveries", params=params), _print_deliveries, form)


@app.command("replay")
@with_form
def replay(
    name: _Name,
    delivery: Annotated[
        str | None, typer.Argument(metavar="DELIVERY", help="Id of one delivery; without it all that were given up.")
    ] = None,
    *,
    url: Url = DEFAULT_URL,
    form: Form = "table",
) -> None:
    """Send to a webhook once more what was given up."""
    if delivery is None:
        print_answer(ask(url, "POST", f"{_path(name)}/replay"), _print_members, form)
    else:
        print_answer(
            ask(url, "POST", f"{_path(name)}/deliveries/{_segment(delivery, 'delivery')}/replay"), _print_members, form
        )


def _path(name: str) -> str:
    return f"{_PATH}/{_segment(name, 'webhook')}"


def _segment(text: str, what: str) -> str:
    if text in {"", ".", ".."} or "/" in text:
        raise typer.BadParameter(f"{text!r} does not name a {what}")
    return quote(text, safe="", errors="surrogateescape")


def _print_webhooks(answered: list[dict[str, Any]]) -> None:
    print_table(
        ("name", "url", "filter", "paused"),
        [(each.get("name"), each.get("url"), each.get("filter"), _paused(each)) for each in answered],
    )


def _paused(webhook: dict[str, Any]) -> object:
    return (webhook.get("reason") or "yes") if webhook.get("isPaused") else "no"


def _print_deliveries(answered: list[dict[str, Any]]) -> None:
    rows = []
    for each in answered:
        event = each.get("event") or {}
        when = each.get("nextTry") or each.get("endedAt")
        rows.append(
            (each.get("id"), event.get("type"), each.get("state"), each.get("failures"), when, each.get("reason"))
        )
    print_table(("id", "event", "state", "failures", "next try or end", "reason"), rows)


def _print_members(answered: list[dict[str, Any]]) -> None:
    print_table(("member", "value"), [member for each in answered for member in each.items()])
