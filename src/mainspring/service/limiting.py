"""The use cases on limits: how many jobs of a group or a product run at once, begin in a while, and may be created.

What is written here goes before what settings and job classes declare. Limits are notes: nodes claim nothing by older
ones, so they hold from the moment of the answer on, for all that was not claimed before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2s
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import to_json

from mainspring.errors import ConflictError, InvalidRequestError, PreconditionFailedError
from mainspring.job import Events, Limits, LimitsChanged, Pressure, Scope, limits_from_json, limits_to_json
from mainspring.plugins import Registry
from mainspring.problems import problems_of, sentence
from mainspring.service.control import EDIT_TRIES
from mainspring.store import Notes, Store

if TYPE_CHECKING:
    from mainspring.service.jobs import SchedulerService


LEARNED = "learned"
"""The member of limits on the wire that shows what services bear."""


class Limited(NamedTuple):
    """The limits of a group or a product, and whether they were written by the API, not only declared.

    `learned` is what is known of services of the product that said they were busy, by concurrency key.
    """

    limits: Limits
    is_written: bool
    learned: Mapping[str, Pressure] = {}

    @property
    def tag(self) -> str:
        """What tells them from others."""
        return blake2s(to_json(limits_to_json(self.limits)), digest_size=8).hexdigest()


class Limiting:
    """The limits of the groups and products of one service."""

    def __init__(self, jobs: SchedulerService, store: Store, notes: Notes, registry: Registry, events: Events) -> None:
        self._jobs = jobs
        self._store = store
        self._notes = notes
        self._registry = registry
        self._events = events

    async def get(self, scope: Scope) -> Limited:
        """Return the limits that hold for a group or a product. Raises `NotFoundError`."""
        await self._jobs.control.check(scope)
        await self._notes.refresh()
        strains = await self._store.pressures(scope.product) if scope.product in self._notes.busy else {}
        learned = {key: strain.pressure for key, strain in strains.items() if strain.pressure is not None}
        return self._limited(scope)._replace(learned=learned)

    async def put(self, scope: Scope, body: Mapping[str, Any], *, tag: str | None = None) -> Limited:
        """Write limits; whatever is not claimed yet goes by them when this returns.

        With `tag` only if it is that of those which hold. Raises `NotFoundError`, `PreconditionFailedError`, and
        `InvalidRequestError` with every problem of the body.
        """
        return await self._write(scope, tag, lambda: _read(body))

    async def reset(self, scope: Scope, *, tag: str | None = None) -> Limited:
        """Let those limits hold again that are declared by settings or the job class. Raises like `put`."""
        return await self._write(scope, tag, lambda: None)

    async def _write(self, scope: Scope, tag: str | None, wanted: Callable[[], Limits | None]) -> Limited:
        await self._jobs.control.check(scope)
        limits = wanted()
        for _ in range(EDIT_TRIES):
            await self._notes.refresh()
            if tag is not None and tag != self._limited(scope).tag:
                raise PreconditionFailedError("the limits are others by now; get them anew and decide again")
            if await self._notes.put_limits(scope, limits):
                limited = self._limited(scope)
                self._events.announce(LimitsChanged(scope, limited.limits))
                return limited
        raise ConflictError("the limits kept changing; try again")

    def _limited(self, scope: Scope) -> Limited:
        written = self._notes.limits.get(scope)
        return Limited(self._registry.limits.get(scope, Limits()) if written is None else written, written is not None)


def _read(body: Mapping[str, Any]) -> Limits:
    """Read limits; what is learned is shown with them, and so may be sent back."""
    try:
        return limits_from_json({name: value for name, value in body.items() if name != LEARNED})
    except ValidationError as error:
        problems = problems_of(error, body, owner="the limits")
        raise InvalidRequestError(sentence(problems), problems=problems) from None
