"""Cursors: a place in a list, opaque to clients, that was given out by us and for this list; and tokens like it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from uuid import UUID

from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import Position
from mainspring.schedule import format_time, parse_when
from mainspring.service import SchedulerService

LIMIT = 1000
"""How long a cursor can be, in letters."""
_SEAL = 16


class Cursors:
    """Writes cursors and reads them, signed with the key of the store: whatever node gave one out, any can read it.

    A place that a client made up would reach the store as it is, with numbers that no column holds.
    """

    def __init__(self, service: SchedulerService) -> None:
        self._service = service
        self._keys: Sequence[bytes] = ()

    async def write(self, scope: str, position: Position) -> str:
        """Write a place in a list as an opaque cursor; it is good for lists of that scope only."""
        return await self.seal(scope, " ".join([format_time(position.due_at), str(position.id), str(position.run)]))

    async def read(self, scope: str, cursor: str) -> Position:
        """Read what `write` wrote for this scope. Raises `InvalidRequestError` for anything else."""
        try:
            due_at, id_, run = (await self.unseal(scope, cursor[:LIMIT])).split(" ")
            return Position(parse_when(due_at), UUID(id_), int(run))
        except ValueError:  # a version to come may write another form
            problem = Problem("?cursor", "CURSOR_INVALID", "is not a cursor of this list")
            raise InvalidRequestError("the cursor is not a cursor of this list", problems=[problem]) from None

    async def seal(self, scope: str, text: str) -> str:
        """Write a text so that whoever hands it in again can be told from who made it up."""
        if not self._keys:
            self._keys = await self._service.cursor_keys()
        payload = text.encode()
        return base64.urlsafe_b64encode(_seal(self._keys[0], scope, payload) + payload).decode().rstrip("=")

    async def unseal(self, scope: str, sealed: str) -> str:
        """Read what `seal` wrote for this scope. Raises `ValueError` for anything else."""
        data = base64.b64decode(sealed.encode() + b"=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        seal, payload = data[:_SEAL], data[_SEAL:]
        if not self._is_ours(scope, seal, payload):
            self._keys = await self._service.cursor_keys()  # another node may have made one at the same time as this
            if not self._is_ours(scope, seal, payload):
                raise ValueError("it is not sealed")
        return payload.decode()

    def _is_ours(self, scope: str, seal: bytes, payload: bytes) -> bool:
        return any(hmac.compare_digest(seal, _seal(key, scope, payload)) for key in self._keys)


def _seal(key: bytes, scope: str, payload: bytes) -> bytes:
    return hmac.digest(key, scope.encode() + b"\0" + payload, "sha256")[:_SEAL]
