"""How a command prints what it has to tell: as a table or as JSON, once or again and again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal, TypeAlias

import typer

from mainspring.cli.flags import WATCH, WATCH_SECONDS
from mainspring.cli.output import complain, escaped, members, print_table

Raw: TypeAlias = Mapping[str, Any]
Answered: TypeAlias = Raw | Iterable[Raw]
"""One object, or a list of them."""
Show: TypeAlias = Callable[[list[Raw]], None]
"""Prints objects for people."""


@dataclass(frozen=True)
class Form:
    """The form that flags ask for."""

    output: Annotated[
        Literal["table", "wide", "json", "ndjson"],
        typer.Option(
            "--output", "-o", help="A table that fits the terminal, one with everything, JSON, or JSON line by line."
        ),
    ] = "table"
    as_json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False
    as_ndjson: Annotated[bool, typer.Option("--ndjson", help="The same as -o ndjson.")] = False

    @property
    def name(self) -> str:
        """What is asked for."""
        return "ndjson" if self.as_ndjson else "json" if self.as_json else self.output

    @property
    def is_wide(self) -> bool:
        """Whether people want everything."""
        return self.name == "wide"

    @property
    def is_for_programs(self) -> bool:
        """Whether it is JSON."""
        return self.name in {"json", "ndjson"}

    def show(self, answered: Answered, table: Show) -> None:
        """Print what was answered, for programs as it came; `table` prints it for people."""
        if self.name == "json":
            print_json(answered)
        elif self.name == "ndjson":
            for each in listed(answered):
                typer.echo(_text(each))
        else:
            table([*listed(answered)])

    def table(self, columns: Sequence[str], rows: Iterable[Raw]) -> None:
        """Print these members of objects as a table."""
        print_table(columns, members(rows, columns), fit="all" if self.is_wide else "fold")


@dataclass(frozen=True)
class Watched(Form):
    """The form that flags ask for, and whether it is printed again and again."""

    watch: Annotated[
        float | None,
        typer.Option(
            WATCH,
            metavar="[SECONDS]",
            min=0.1,
            help=f"Show it again after each pause, of {WATCH_SECONDS} seconds if not said, until Ctrl-C.",
        ),
    ] = None

    def follow(self, look: Callable[[], Answered], table: Show) -> None:
        """Print what is there; with ``--watch`` again and again, and who stops that has seen what they wanted."""
        if self.watch is None:
            self.show(look(), table)
            return
        try:
            self._once(look, table)
            while True:
                _wait(self.watch)
                self._again(look, table)
        except KeyboardInterrupt:
            return

    def _again(self, look: Callable[[], Answered], table: Show) -> None:
        from mainspring.client import NoAnswerError, Unavailable

        try:
            self._once(look, table)
        except (NoAnswerError, Unavailable) as error:
            complain(f"{error}. It is asked again.")

    def _once(self, look: Callable[[], Answered], table: Show) -> None:
        answered = look()
        if not isinstance(answered, Mapping):
            answered = [*answered]  # before the screen is cleared
        if sys.stdout.isatty() and not self.is_for_programs:
            typer.echo(_CLEAR, nl=False)
        self.show(answered, table)
        sys.stdout.flush()


_CLEAR = "\x1b[H\x1b[2J"


def _wait(seconds: float) -> None:
    import asyncio

    from mainspring.clock import SystemClock

    asyncio.run(SystemClock().sleep(seconds))


def listed(answered: Answered) -> Iterable[Raw]:
    """Return one object as a list of it."""
    return [answered] if isinstance(answered, Mapping) else answered


def print_json(answered: Answered) -> None:
    """Print JSON; an array entry by entry, as they come."""
    if isinstance(answered, Mapping):
        typer.echo(_text(answered))
        return
    entries = iter(answered)
    first = next(entries, None)
    if first is None:
        typer.echo("[]")
        return
    for number, each in enumerate(chain([first], entries)):
        typer.echo(("," if number else "[") + ("\n" if number else "") + _text(each), nl=False)
    typer.echo("]")


def _text(value: object) -> str:
    """Write JSON that says the same and controls no terminal. Half of a pair of surrogates is not text anywhere."""
    text = json.dumps(value, ensure_ascii=False)
    return escaped(text) if sys.stdout.isatty() or not _is_text(text) else text


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
