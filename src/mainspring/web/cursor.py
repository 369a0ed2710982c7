"""Cursors: a place in a list, opaque to clients, that was given out by us and for this list."""

from __future__ import annotations

import base64
import hashlib
import hmac
from uuid import UUID

from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import JobKey, Position
from mainspring.schedule import format_time, parse_when

Place = tuple[JobKey, Position]
"""After which job of which group a page begins."""


def write_cursor(scope: str, place: Place) -> str:
    """Write a place in a list as an opaque cursor; it is good for lists of that scope only."""
    key, position = place
    payload = " ".join([format_time(position.due_at), str(position.id), str(position.run), *key]).encode()
    return base64.urlsafe_b64encode(_seal(scope, payload) + payload).decode().rstrip("=")


def read_cursor(scope: str, cursor: str) -> Place:
    """Read what `write_cursor` wrote for this scope. Raises `InvalidRequestError` for anything else."""
    problem = Problem("?cursor", "CURSOR_INVALID", "is not a cursor of this list")
    error = InvalidRequestError("the cursor is not a cursor of this list", problems=[problem])
    try:
        data = base64.b64decode(cursor[:1000].encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        seal, payload = data[:8], data[8:]
        due_at, id_, run, product, job_group = payload.decode().split(" ")
        place = JobKey(product, job_group), Position(parse_when(due_at), UUID(id_), int(run))
    except ValueError:
        raise error from None
    if not hmac.compare_digest(seal, _seal(scope, payload)):
        raise error
    return place


def _seal(scope: str, payload: bytes) -> bytes:
    """Tell a cursor of ours from an accident or one of another list.

    It protects nothing: a cursor shows no more than the list does.
    """
    return hashlib.sha256(scope.encode() + b"\0" + payload).digest()[:8]
