"""What a command prints: tables, previews and warnings of what was answered, and complaints on stderr.

Text from elsewhere passes through `plain`. Only ``--json`` prints an answer as it came; on a terminal with escapes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import typer

_START_COLUMNS = ("utc", "local", "at", "note")
_PASSED_COLUMNS = ("first", "last", "occurrences", "fate", "reason")
_ENDLESS = 10_000
"""The width of a table for which there is room."""
_IDS = {"id", "jobId"}
_SHORT_ID = 18
"""How many characters of an id a narrow terminal has at least: its time, and some by chance."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "y": 31_557_600}
_STYLES = {
    **dict.fromkeys(["dead", "wrong", "failed", "timed_out", "lost"], "bold red"),
    **dict.fromkeys(["paused", "warning", "postponed", "vetoed", "interrupted"], "yellow"),
    **dict.fromkeys(["running", "succeeded", "ok"], "green"),
}
"""Cells that have a colour on a terminal."""


def complain(text: str) -> None:
    """Print to stderr."""
    typer.echo(plain(text), err=True)


def plain(text: str) -> str:
    """Replace what would control the terminal: text from elsewhere may contain escape sequences."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def escaped(text: str) -> str:
    """Write JSON such that it says the same and does not control the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 1 << 16 else json.dumps(character)[1:-1]


def print_previews(previews: Iterable[Mapping[str, Any]]) -> None:
    """Print each schedule in English, what will start, and what will not."""
    for preview in previews:
        typer.echo(plain(str(preview.get("schedule"))))
        for member, columns in (("fireTimes", _START_COLUMNS), ("passed", _PASSED_COLUMNS)):
            if rows := preview.get(member):
                typer.echo()
                print_table(columns, members(rows, columns))
        print_warnings([preview])


def members(items: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[list[object]]:
    """Return a row of these members for each object."""
    return [[item.get(column) for column in columns] for item in items]


def print_warnings(items: Iterable[Mapping[str, Any]]) -> None:
    """Print to stderr what the service warns of."""
    for warning in (warning for item in items for warning in item.get("warnings") or ()):
        complain(f"Warning: {warning.get('detail')} ({warning.get('code')})")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, fit: Literal["fold", "line", "all"] = "fold"
) -> None:
    """Print a table that fits the terminal: cells are folded, or each row is one `line` that is cut at its end.

    Lines that are too long have only the beginnings of ids, by which commands find jobs too. By `all`, and without a
    terminal, nothing is folded or cut.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(markup=False, highlight=False, emoji=False)
    if fit == "all" or not console.is_terminal:
        console.width = _ENDLESS
    cells = [[_cell(value) for value in row] for row in rows]
    widths = _widths(columns, cells)
    if fit == "line" and sum(widths) > console.width:
        cells = _with_short_ids(columns, cells)
        widths = _widths(columns, cells)
    rest = max(console.width - sum(widths[:-1]), 8)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        if fit == "line":
            last = rest if number == len(columns) - 1 else None
            table.add_column(column, overflow="ellipsis", no_wrap=True, max_width=last)
        else:
            table.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in cells:
        table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in row))
    console.print(table)


def _with_short_ids(columns: Sequence[str], cells: list[list[str]]) -> list[list[str]]:
    """Cut ids to as many characters as tell those that are shown apart."""
    ids = {cell for row in cells for name, cell in zip(columns, row, strict=True) if name in _IDS}
    longest = max(map(len, ids), default=0)
    length = next((n for n in range(_SHORT_ID, longest) if len({name[:n] for name in ids}) == len(ids)), longest)
    return [[cell[:length] if name in _IDS else cell for name, cell in zip(columns, row, strict=True)] for row in cells]


def _widths(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    return [max(map(cell_len, column)) + 2 for column in zip(columns, *cells, strict=True)]


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return plain(value)
        case _:
            return plain(json.dumps(value, ensure_ascii=False))


# --- times ------------------------------------------------------------------------------------------------------------


def relative(moment: str | None, now: datetime) -> str:
    """Say how far from now a moment of the service is, as in ``in 9m`` or ``3h ago``; others are left as they are."""
    try:
        seconds = int((datetime.fromisoformat(moment or "") - now).total_seconds())
    except (ValueError, TypeError):
        return moment or ""
    return f"in {_in_units(seconds)}" if seconds > 0 else f"{_in_units(-seconds)} ago" if seconds else "now"


def length(seconds: float | None) -> str:
    """Say how long something took, as in ``4ms``, ``1.2s`` or ``9m``."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    return f"{seconds:.1f}s" if seconds < _UNITS["m"] else _in_units(int(seconds))


def _in_units(seconds: int) -> str:
    unit = next(unit for unit in reversed(_UNITS) if seconds >= _UNITS[unit])
    return f"{seconds // _UNITS[unit]}{unit}"
