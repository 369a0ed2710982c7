"""Cursors: a place in a group's list, opaque to clients, that was given out by us and for this list."""

from __future__ import annotations

import base64
import hashlib
import hmac
from uuid import UUID

from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import JobKey, Position
from mainspring.schedule import format_time, parse_when


def write_cursor(key: JobKey, position: Position) -> str:
    """Write a place in a group's list as an opaque cursor; it is good for that group only."""
    payload = f"{format_time(position.due_at)} {position.id} {position.run}".encode()
    return base64.urlsafe_b64encode(_seal(key, payload) + payload).decode().rstrip("=")


def read_cursor(key: JobKey, cursor: str) -> Position:
    """Read what `write_cursor` wrote for this group. Raises `InvalidRequestError` for anything else."""
    problem = Problem("?cursor", "CURSOR_INVALID", "is not a cursor of this list")
    error = InvalidRequestError("the cursor is not a cursor of this list", problems=[problem])
    try:
        data = base64.b64decode(cursor[:200].encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        seal, payload = data[:8], data[8:]
        due_at, id_, run = payload.decode().split(" ")
        position = Position(parse_when(due_at), UUID(id_), int(run))
    except ValueError:
        raise error from None
    if not hmac.compare_digest(seal, _seal(key, payload)):
        raise error
    return position


def _seal(key: JobKey, payload: bytes) -> bytes:
    """Tell a cursor of ours from an accident or one of another group.

    It protects nothing: a cursor shows no more than the list does.
    """
    return hashlib.sha256("\0".join(key).encode() + b"\0" + payload).digest()[:8]
