"""One wrapper around all verbs of a store: it times and counts them. Where nobody listens, nothing is wrapped."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NamedTuple, cast

from mainspring.clock import Clock
from mainspring.store.protocol import Store

VERBS = tuple(name for name, _ in inspect.getmembers(Store, inspect.iscoroutinefunction))
"""The names of all verbs: what a store does and answers."""


class Span(NamedTuple):
    """One call of a verb: how many seconds it took, and what it raised, if anything."""

    verb: str
    seconds: float
    error: BaseException | None


def spanned(store: Store, clock: Clock, listen: Callable[[Span], None]) -> Store:
    """Return the store with each verb timed; `listen` hears of each call when it is over, on the caller's loop."""
    return cast("Store", _Spanned(store, clock, listen))


class _Spanned:
    """A store whose verbs are wrapped; all else is the store's own."""

    def __init__(self, store: Store, clock: Clock, listen: Callable[[Span], None]) -> None:
        self._store = store
        for verb in VERBS:
            setattr(self, verb, _timed(verb, getattr(store, verb), clock, listen))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _timed(
    verb: str, call: Callable[..., Awaitable[Any]], clock: Clock, listen: Callable[[Span], None]
) -> Callable[..., Awaitable[Any]]:
    @wraps(call)
    async def timed(*arguments: Any, **named: Any) -> Any:
        begun = clock.monotonic()
        error: BaseException | None = None
        try:
            return await call(*arguments, **named)
        except BaseException as raised:
            error = raised
            raise
        finally:
            listen(Span(verb, clock.monotonic() - begun, error))

    return timed
