"""Thousands of jobs, made some at a time: they need not all be in memory, and everybody else comes between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

from mainspring.clock import Clock
from mainspring.job import Edit

T = TypeVar("T")

SLICE = 256
"""How many jobs are written at once."""
TURN = 64
"""After so many that are made everybody else has a turn: that is 1 to 2 ms."""


async def in_slices(clock: Clock, items: Iterable[T], make: Callable[[T], Edit | None]) -> AsyncIterator[list[Edit]]:
    """Yield the jobs that are made of `items`, `SLICE` of these at a time; `None` is no job."""
    edits: list[Edit] = []
    for number, item in enumerate(items, 1):
        if (edit := make(item)) is not None:
            edits.append(edit)
        if number % TURN == 0:
            await clock.breathe()
        if number % SLICE == 0 and edits:
            yield edits
            edits = []
    if edits:
        yield edits
