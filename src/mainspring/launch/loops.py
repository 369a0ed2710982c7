"""Event loops: which kind, and how something is run on one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from mainspring.execution import run_steadily

T = TypeVar("T")


def run(main: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
    """Run a coroutine function on a loop of its own, to its end."""
    return run_steadily(event_loop, main, *arguments)


def event_loop() -> asyncio.AbstractEventLoop:
    """Return a fresh loop: uvloop's, where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Do work on another loop."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
