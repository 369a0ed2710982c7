"""What was measured, against what, and what was to be reached: the one table that the benchmarks print.

A figure has several values, one a run, and counts by their median. Beside it stands its limit: another figure of the
same run, which says what this machine can do at most, or what it does without what is looked at.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, NamedTuple

Samples = Mapping[str, Sequence[float]]
"""The values of the figures that were measured, by the figure's key."""

_HEAD = ("figure", "unit", "min", "median", "max", "limit", "ratio", "goal", "reached")


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure is to reach: its median, or the ratio of that to the limit."""

    sign: Literal["≥", "≤"]
    bound: float
    of: Literal["median", "ratio"] = "median"

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:,g}{' of limit' if self.of == 'ratio' else ''}"

    def reached(self, values: Sequence[float], limit: float | None) -> bool | None:
        """Say whether it is; `None` when the limit was not measured."""
        value = median(values)
        if self.of == "ratio":
            if not limit:
                return None
            value /= limit
        return value >= self.bound if self.sign == "≥" else value <= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: the key under which its values are recorded, its words, and the key of the figure that is its limit.

    A key that has two limits stands in two figures.
    """

    key: str
    title: str
    unit: str
    limit: str | None = None
    goal: Goal | None = None


class Line(NamedTuple):
    """A figure with its values: a line of the table, as `latest.json` keeps it."""

    figure: str
    unit: str
    values: list[float]
    min: float
    median: float
    max: float
    limit: float | None
    ratio: float | None
    goal: str | None
    reached: bool | None


def lines(figures: Iterable[Figure], samples: Samples) -> Iterator[Line]:
    """Yield a line for each figure that was measured."""
    for figure in figures:
        if values := samples.get(figure.key):
            limit = median(samples[figure.limit]) if figure.limit and samples.get(figure.limit) else None
            yield Line(
                f"{figure.key.split('.')[0].upper():<3} {figure.title}",
                figure.unit,
                list(values),
                min(values),
                median(values),
                max(values),
                limit,
                median(values) / limit if limit else None,
                str(figure.goal) if figure.goal else None,
                figure.goal.reached(values, limit) if figure.goal else None,
            )


def table(rows: Sequence[Line]) -> str:
    """Return the table as text for a terminal."""
    cells = [_HEAD, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    words = {0, 1, 7, 8}  # the other columns are numbers, which stand to the right
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def markdown(rows: Sequence[Line]) -> str:
    """Return the table as Markdown."""
    cells = [_HEAD, ("---", "---", "--:", "--:", "--:", "--:", "--:", "---", "---"), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(cell.strip() for cell in row)} |" for row in cells)


def from_json(entries: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Read the lines that `latest.json` holds."""
    return [Line(**entry) for entry in entries]


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.figure,
        line.unit,
        _number(line.min),
        _number(line.median),
        _number(line.max),
        "" if line.limit is None else _number(line.limit),
        "" if line.ratio is None else f"{line.ratio:.2f}",
        line.goal or "",
        "" if line.reached is None else "yes" if line.reached else "no",
    )


def _number(value: float) -> str:
    """Write a number with three figures at least and no more than make sense."""
    return next(
        (f"{value:,.{digits}f}" for digits, least in ((0, 100), (1, 10), (2, 1)) if value >= least), f"{value:.4f}"
    )
