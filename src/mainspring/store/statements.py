"""The SQL of a store: named statements from the files of its folder, with the lists of columns put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import aiosql

from mainspring.job import JobFilter, Outcome

_LIST = re.compile(r"\{([a-z_.]+)\}")


def load_statements(dialect: str, lists: Mapping[str, str]) -> dict[str, str]:
    """Load the statements of a store, with ``:name`` parameters, from the folder of its name.

    ``{name}`` stands for a list of columns. Raises `KeyError` for one that `lists` does not have.
    """
    queries = aiosql.from_path(Path(__file__).parent / dialect, "sqlite3", mandatory_parameters=False)
    names = [name for name in queries.available_queries if not name.endswith("_cursor")]
    return {name: _LIST.sub(lambda found: lists[found[1]], getattr(queries, name).sql) for name in names}


def page_statement(which: JobFilter) -> str:
    """Name the statement that lists the jobs of a filter."""
    if which.by_created and not which.done:
        return "page_created"
    if which.ended is None:
        return "page_done" if which.done else "page"
    if which.done:
        return "page_done" if Outcome.SUCCEEDED in which.ended else "page_done_of_outcomes"
    return "page_of_outcomes"
