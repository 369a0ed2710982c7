"""``mainspring webhooks``: who hears of which events, what was sent to them, and sending it once more."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from mainspring.cli.candidates import webhooks
from mainspring.cli.flags import commands, read_object
from mainspring.cli.form import Form, Raw, Watched
from mainspring.cli.lists import PAGE, Limit
from mainspring.cli.output import plain, print_table
from mainspring.cli.service import Service

app = commands("Work with the webhooks of a running service.")


def _name(text: str) -> str:
    if text in {"", ".", ".."} or "/" in text:
        raise typer.BadParameter(f"{text!r} does not name a webhook or a delivery")
    return text


_Name = Annotated[
    str, typer.Argument(parser=_name, metavar="NAME", help="Name of the webhook.", autocompletion=webhooks)
]


@app.command("list")
def list_webhooks(service: Service, form: Form) -> None:
    """List the webhooks."""
    form.show(service.client.webhooks(), _print_webhooks)


@app.command("put")
def put_webhook(
    service: Service,
    form: Form,
    name: _Name,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD", help="Members of the webhook: KEY=TEXT or KEY:=JSON."),
    ] = None,
    *,
    data: Annotated[str | None, typer.Option(metavar="JSON", help="The webhook as a JSON object; fields win.")] = None,
) -> None:
    """Create or replace a webhook."""
    form.show(service.client.set_webhook(name, read_object(data, fields or [])), _print_members)


@app.command("delete")
def delete_webhook(service: Service, name: _Name) -> None:
    """Delete a webhook, and cancel what waits to be sent to it."""
    service.client.delete_webhook(name)
    typer.echo(f"Webhook {plain(name)} is deleted.")


@app.command("deliveries")
def list_deliveries(
    service: Service,
    form: Watched,
    name: _Name,
    *,
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="Only those that are scheduled, running, paused, done or dead: given up."),
    ] = None,
    limit: Limit = None,
) -> None:
    """List what was, or is to be, sent to a webhook."""
    most = limit or (None if form.is_for_programs else PAGE)
    form.follow(lambda: islice(service.client.deliveries(name, state=state, page_size=most), most), _print_deliveries)


@app.command("replay")
def replay(
    service: Service,
    form: Form,
    name: _Name,
    delivery: Annotated[
        str | None,
        typer.Argument(parser=_name, metavar="DELIVERY", help="Id of one delivery; without it all that were given up."),
    ] = None,
) -> None:
    """Send to a webhook once more what was given up."""
    if delivery is None:
        form.show(service.client.replay_deliveries(name).raw, _print_members)
    else:
        form.show(service.client.replay_delivery(name, delivery), _print_members)


def _print_webhooks(answered: list[Raw]) -> None:
    rows = [(each.get("name"), each.get("url"), each.get("filter"), _paused(each)) for each in answered]
    print_table(("name", "url", "filter", "paused"), rows)


def _paused(webhook: Raw) -> object:
    return (webhook.get("reason") or "yes") if webhook.get("isPaused") else "no"


def _print_deliveries(answered: list[Raw]) -> None:
    rows = []
    for each in answered:
        event = each.get("event") or {}
        when = each.get("nextTry") or each.get("endedAt")
        rows.append(
            (each.get("id"), event.get("type"), each.get("state"), each.get("failures"), when, each.get("reason"))
        )
    print_table(("id", "event", "state", "failures", "next try or end", "reason"), rows)


def _print_members(answered: list[Raw]) -> None:
    print_table(("member", "value"), [member for each in answered for member in each.items()])
