"""What a command prints: tables, previews and warnings of what was answered, and complaints on stderr.

Text from elsewhere passes through `plain`. Only ``--json`` prints an answer as it came.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from mainspring.cli.client import Answer

_START_COLUMNS = ("utc", "local", "at", "note")
_PASSED_COLUMNS = ("first", "last", "occurrences", "fate", "reason")


def complain(text: str) -> None:
    """Print to stderr."""
    typer.echo(plain(text), err=True)


def plain(text: str) -> str:
    """Replace what would control the terminal: text from elsewhere may contain escape sequences."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def print_answer(answer: Answer, show: Callable[[list[dict[str, Any]]], None], *, as_json: bool) -> None:
    """Print an answer as it came, or let `show` print its objects."""
    if as_json:
        typer.echo(answer.text)
    else:
        show(answer.objects())


def print_items(items: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print a table of these members of the objects, and the service's warnings to stderr."""
    print_table(columns, _cells(items, columns))
    _print_warnings(items)


def print_previews(previews: Iterable[Mapping[str, Any]]) -> None:
    """Print each schedule in English, what will start, and what will not."""
    for preview in previews:
        typer.echo(plain(str(preview.get("schedule"))))
        for member, columns in (("fireTimes", _START_COLUMNS), ("passed", _PASSED_COLUMNS)):
            if rows := preview.get(member):
                typer.echo()
                print_table(columns, _cells(rows, columns))
        _print_warnings([preview])


def _cells(items: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[list[object]]:
    return [[item.get(column) for column in columns] for item in items]


def _print_warnings(items: Iterable[Mapping[str, Any]]) -> None:
    for warning in (warning for item in items for warning in item.get("warnings") or ()):
        complain(f"Warning: {warning.get('detail')} ({warning.get('code')})")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, as wide as the terminal. Without a terminal no cell is wrapped."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 10_000)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return plain(value)
        case _:
            return plain(json.dumps(value, ensure_ascii=False))
