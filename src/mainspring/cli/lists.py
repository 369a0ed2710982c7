"""Lists that come page by page: how much of one is shown, and that a list is cut is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mainspring.cli.form import Form, Raw
from mainspring.cli.output import complain

if TYPE_CHECKING:
    from mainspring.client import Items

PAGE = 50
"""How many rows a table of a list has, if nothing is said."""
MOST = 1000
"""The largest page that the service gives."""
Limit = Annotated[
    int | None,
    typer.Option(min=1, max=MOST, metavar="N", help=f"At most this many. [default: {PAGE} in a table, all in JSON]"),
]


def entries(
    form: Form, ask: Callable[[int], Items[Any]], *, limit: int | None, every: bool = False, also: str = ""
) -> Iterable[Raw]:
    """Return entries of a list as they came; programs that read JSON get all, if they set no limit.

    `ask` is given how many a page is to have. If a list is cut, that is told, and `also` what else shows more of it.
    """
    if limit is None and (every or form.is_for_programs):
        return (entry.raw for entry in ask(MOST))
    size = limit or PAGE
    found: list[Raw] = []
    for page in ask(size).pages():  # a page of filtered runs may have less than it could
        found += [entry.raw for entry in page.items]
        if len(found) >= size or page.next is None:
            break
    if len(found) > size or page.next is not None:
        shown = min(len(found), size)
        complain(f"These are the first {shown}; there may be more. --limit shows up to {MOST}{also and f', {also}'}.")
    return found[:size]
