"""``mainspring events``: follow what happens to jobs, runs, groups and nodes, for as long as one likes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mainspring.cli.output import escaped, plain
from mainspring.cli.scope import EVERYTHING, AnyScope
from mainspring.cli.service import Service

if TYPE_CHECKING:
    from mainspring.cli.contexts import Place
    from mainspring.client import Client, Event

_Type = Annotated[
    list[str] | None, typer.Option("--type", metavar="TYPE", help="Only these, such as run.ended. Repeatable.")
]
_Outcome = Annotated[
    list[str] | None, typer.Option(metavar="OUTCOME", help="Only runs that ended so, such as failed. Repeatable.")
]
_State = Annotated[
    list[str] | None, typer.Option(metavar="STATE", help="Only what left its job in this state. Repeatable.")
]
_Tag = Annotated[
    list[str] | None, typer.Option(metavar="TAG", help="Only of jobs with this tag. Repeatable: with all of them.")
]
_After = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Go on behind this event; oldest for all that are kept. [default: what comes]"),
]
_AsJson = Annotated[
    bool, typer.Option("--json", "--ndjson", help="Each event as JSON, on a line of its own, with its id.")
]
_SAID = frozenset({"id", "type", "time", "product", "jobGroup", "jobId", "state", "run", "outcome", "node"})
"""What a line has in places of its own."""


def events(  # noqa: PLR0913 - each is a flag
    service: Service,
    scope: AnyScope = None,
    *,
    type_: _Type = None,
    outcome: _Outcome = None,
    state: _State = None,
    tag: _Tag = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Only of the jobs with this key.")] = None,
    node: Annotated[str | None, typer.Option(metavar="NODE", help="Only of this node.")] = None,
    after: _After = None,
    as_json: _AsJson = False,
) -> None:
    """Follow what happens, until Ctrl-C.

    It comes back by itself when the service restarts, and misses nothing.
    """
    asked = {"type": type_, "outcome": outcome, "state": state, "tag": tag, "key": key, "node": node}
    which = {name: value for name, value in asked.items() if value}
    try:
        with open_client(service.place) as client:
            for event in client.events(*scope or EVERYTHING, after=after, **which):  # type: ignore[arg-type]  # names of the filter
                _print(event, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit from None  # that is how one ends it


def open_client(place: Place) -> Client:
    """Return a client that comes back when the service restarts. Tests put their own in its place."""
    from mainspring.client import Client

    return Client(place.url, token=place.token)


def _print(event: Event, *, as_json: bool) -> None:
    """Print an event at once: whoever reads may be a program."""
    if as_json:
        line = json.dumps({**event.data, "id": event.id}, ensure_ascii=False)
        typer.echo(escaped(line) if sys.stdout.isatty() else line)
    else:
        group = "/".join(filter(None, (event.product, event.job_group)))
        said = (
            event.data.get("time"),
            event.type,
            group,
            event.data.get("jobId"),
            event.run and f"run {event.run}",
            event.outcome or event.state,
            event.node and f"on {event.node}",
            *(f"{name}: {_short(value)}" for name, value in event.data.items() if name not in _SAID),
        )
        typer.echo(plain("  ".join(str(each) for each in said if each)))
    sys.stdout.flush()


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
