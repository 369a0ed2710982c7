"""``mainspring events``: follow what happens to jobs, runs, groups and nodes, for as long as one likes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mainspring.cli.candidates import scopes
from mainspring.cli.exits import REFUSED, UNAVAILABLE
from mainspring.cli.flags import DEFAULT_URL, Url
from mainspring.cli.output import complain, escaped, plain

if TYPE_CHECKING:
    from mainspring.client import Client, Event, MainspringError

_Scope = Annotated[
    str | None,
    typer.Argument(
        metavar="PRODUCT[/GROUP]", help="A product, or a job group. [default: everything]", autocompletion=scopes
    ),
]
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
    scope: _Scope = None,
    *,
    type_: _Type = None,
    outcome: _Outcome = None,
    state: _State = None,
    tag: _Tag = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Only of the jobs with this key.")] = None,
    node: Annotated[str | None, typer.Option(metavar="NODE", help="Only of this node.")] = None,
    after: _After = None,
    as_json: _AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Follow what happens, until Ctrl-C.

    It comes back by itself when the service restarts, and misses nothing.
    """
    from mainspring.client import MainspringError

    product, _, job_group = (scope or "").partition("/")
    if scope is not None and (not product or "/" in job_group or scope.endswith("/")):
        raise typer.BadParameter(f"{scope!r} is not a product such as vps4, or a job group such as vps4/backups")
    asked = {"type": type_, "outcome": outcome, "state": state, "tag": tag, "key": key, "node": node}
    which = {name: value for name, value in asked.items() if value}
    try:
        with open_client(url) as client:
            for event in client.events(product or None, job_group or None, after=after, **which):  # type: ignore[arg-type]  # names of the filter
                _print(event, as_json=as_json)
    except MainspringError as error:
        _end(error, url)
    except KeyboardInterrupt:
        raise typer.Exit from None  # that is how one ends it


def open_client(url: str) -> Client:
    """Return a client of the service at `url`. Tests put their own in its place."""
    from mainspring.client import Client

    return Client(url)


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


def _end(error: MainspringError, url: str) -> NoReturn:
    """Say what is wrong, and exit."""
    from mainspring.client import AddressError, NoAnswerError, ProblemError, Unavailable

    if isinstance(error, AddressError):
        raise typer.BadParameter(str(error), param_hint="--url") from error
    if isinstance(error, ProblemError) and len(error.errors) > 1:
        for problem in error.errors:
            complain(f"{problem.pointer} {problem.detail} ({problem.code})".strip())
    else:
        complain(str(error))
    if isinstance(error, NoAnswerError):
        from mainspring.settings import masked

        complain(f"Is the service running at {masked(url)}?")
    raise typer.Exit(UNAVAILABLE if isinstance(error, NoAnswerError | Unavailable) else REFUSED) from error
