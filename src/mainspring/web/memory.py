"""The memory that the bodies of all requests under way take."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from mainspring.web.problem import HttpError

LIMIT = 192 * 1024 * 1024
"""How many bytes they may take: the largest batch that there may be, and some more."""
SMALL = 256 * 1024
RESERVE = 32 * 1024 * 1024
"""How much of `LIMIT` is left for requests that take no more than `SMALL`."""


class Memory:
    """Counts what each request takes, in its state, and what all of them take."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, state: MutableMapping[str, Any], size: int) -> None:
        """Take some more for a request. Raises `HttpError` when there is not enough for all."""
        state["taken"] = taken = state.get("taken", 0) + size
        self.taken += size
        if self.taken > (LIMIT if taken <= SMALL else LIMIT - RESERVE):
            detail = "the bodies of other requests take all the memory that there is for them; try again"
            raise HttpError(503, "SERVICE_OVERLOADED", detail)

    def give_back(self, state: MutableMapping[str, Any]) -> None:
        """Give back all that a request has taken."""
        self.taken -= state.pop("taken", 0)
