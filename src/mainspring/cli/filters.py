"""Which jobs a command is about: the filters of a list, as flags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mainspring.cli.candidates import nodes
from mainspring.cli.moments import MOMENT, moment

if TYPE_CHECKING:
    from mainspring.client import Filter

STATES = ("scheduled", "running", "paused", "done", "dead")
OUTCOMES = (
    "succeeded", "failed", "vetoed", "postponed", "skipped", "cancelled", "interrupted", "timed_out", "lost",
)  # fmt: skip
_GAVE_UP = {"failed", "timed_out", "lost", "error", "gaveUp", "gave-up"}


def all_states() -> list[str]:
    """Return what may stand for a state."""
    return list(STATES)


def all_outcomes() -> list[str]:
    """Return what may stand for an outcome."""
    return list(OUTCOMES)


def states(text: str) -> str:
    """Check one or more states, parted by commas. Raises `typer.BadParameter`."""
    for name in text.split(","):
        if name not in STATES:
            hint = ": jobs that gave up have --gave-up" if name in _GAVE_UP else did_you_mean(name, STATES)
            raise typer.BadParameter(f"{name!r} is none of {', '.join(STATES)}{hint}")
    return text


def outcomes(text: str) -> str:
    """Check one or more outcomes, parted by commas. Raises `typer.BadParameter`."""
    for name in text.split(","):
        if name not in OUTCOMES:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(OUTCOMES)}{did_you_mean(name, OUTCOMES)}")
    return text


def did_you_mean(text: str, names: Sequence[str]) -> str:
    """Return a question about the name that is like a text; nothing, if none is."""
    near = get_close_matches(text, names, n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def fields_of(given: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=TEXT``. Raises `typer.BadParameter`."""
    parted = [re.fullmatch(r"([^=]+)=(.*)", field, re.DOTALL) for field in given]
    if None in parted:
        wrong = given[parted.index(None)]
        raise typer.BadParameter(f"{wrong!r} is not a field and its value, such as vmId=79bf", param_hint="--field")
    return {found[1]: found[2] for found in parted if found}


@dataclass(frozen=True)
class Which:
    """The jobs that flags name."""

    state: Annotated[
        str | None,
        typer.Option(
            parser=states,
            metavar="STATE",
            help=f"Only jobs in this state: {', '.join(STATES)}; the first three may be joined with commas.",
            autocompletion=all_states,
        ),
    ] = None
    outcome: Annotated[
        str | None,
        typer.Option(
            parser=outcomes,
            metavar="OUTCOME",
            help="Only jobs whose last run ended so, as in failed,lost.",
            autocompletion=all_outcomes,
        ),
    ] = None
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Only jobs that have this tag; may be repeated.")
    ] = None
    gave_up: Annotated[bool, typer.Option("--gave-up", help="Only jobs that gave up on their last fire time.")] = False
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Only the job with this key.")] = None
    concurrency_key: Annotated[str | None, typer.Option(metavar="KEY", help="Only jobs with this concurrency key.")] = (
        None
    )
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TEXT", help="Only jobs with this value in a searchable field; may be repeated."),
    ] = None
    begins: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only jobs whose id, key or one of whose tags begins so.")
    ] = None
    node: Annotated[
        str | None, typer.Option(metavar="NODE", help="Only jobs that run on this node.", autocompletion=nodes)
    ] = None
    due_from: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help=f"Only jobs that are due then or later, {MOMENT}.")
    ] = None
    due_to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only jobs that are due before.")] = None
    created_from: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only jobs that were created then or later.")
    ] = None
    created_to: Annotated[str | None, typer.Option(metavar="TIME", help="Only jobs that were created before.")] = None

    def filter(self) -> Filter:
        """Return them as the client takes them."""
        found: dict[str, Any] = {
            "state": self.state,
            "outcome": self.outcome,
            "tag": self.tag,
            "gave_up": self.gave_up or None,
            "key": self.key,
            "concurrency_key": self.concurrency_key,
            "request": fields_of(self.field or []) or None,
            "q": self.begins,
            "node": self.node,
            "due_from": self.due_from and moment(self.due_from, "--from"),
            "due_to": self.due_to and moment(self.due_to, "--to"),
            "created_from": self.created_from and moment(self.created_from, "--created-from"),
            "created_to": self.created_to and moment(self.created_to, "--created-to"),
        }
        given: Filter = {name: value for name, value in found.items() if value is not None}  # type: ignore[assignment]  # mypy follows no keys
        return given


Order = Annotated[
    Literal["due", "created", "ended"] | None,
    typer.Option(help="In the order of the next run, of creation, or, for jobs that are done, of their end."),
]
