"""What all statements on SQLite share: their texts, how rows become jobs, and how they are fetched."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import SchemaValidator, core_schema

from mainspring.job import JobFilter, JobKey, Position
from mainspring.store.columns import Form, lists
from mainspring.store.rows import NEWEST, OLDEST, Dialect, Values, from_microseconds, near_microseconds, to_microseconds
from mainspring.store.statements import load_statements

FIRST, LAST = -(2**63), 2**63 - 1
_ID = SchemaValidator(core_schema.uuid_schema())
"""Reads an id in 0.3 us; `UUID` takes 2.3."""
_VALUES = Values(
    to_id=str,
    from_id=_ID.validate_python,
    to_time=to_microseconds,
    from_time=from_microseconds,
    from_json=json.loads,
    near_time=near_microseconds,
)
ROWS = Dialect(_VALUES)
CLAIMED = Dialect(_VALUES._replace(from_json=None))
IN_JSON = Dialect(_VALUES._replace(to_id=None))
SQL = load_statements("sqlite", lists({Form.JSON: "json({0})"}, no="0"))


def page_of(key: JobKey, which: JobFilter, after: Position | None, limit: int) -> dict[str, Any]:
    """Return the parameters of a page of jobs."""
    begin = after if which.done else which.begin(after)
    return {
        **key._asdict(),
        "states": json.dumps([state.value for state in which.states]),
        "outcomes": None if which.ended is None else json.dumps([outcome.value for outcome in which.ended]),
        "gave_up": which.gave_up,
        "after_due": _bound(begin.due_at) if begin else FIRST,
        "after_id": str(begin.id) if begin else "",
        "after_run": after.run if after else LAST,
        "labels": json.dumps(sorted(which.labels)) if which.labels else None,
        "node": which.node,
        "due_from": _bound(which.due_from or OLDEST),
        "due_last": _bound(which.due_last or NEWEST),
        "created_from": _bound(which.created_from or OLDEST),
        "created_last": _bound(which.created_last or NEWEST),
        "by_created": which.by_created,
        "limit": limit,
    }


def rows_of(db: sqlite3.Connection, statement: str, values: Mapping[str, Any]) -> list[Any]:
    """Return the rows of a statement, also where a text in one of them is no UTF-8."""
    try:
        return db.execute(SQL[statement], values).fetchall()
    except sqlite3.OperationalError:
        db.text_factory = _decoded
        try:
            return db.execute(SQL[statement], values).fetchall()
        finally:
            db.text_factory = str


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace")


def _bound(moment: datetime) -> int:
    """Write a bound of due times; the first and the last moment that Python knows leave nothing out."""
    if moment == OLDEST:
        return FIRST
    return LAST if moment == NEWEST else to_microseconds(moment)
