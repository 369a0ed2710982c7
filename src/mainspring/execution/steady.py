"""Runs an event loop until its work is done, whatever code of plugins on it tries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from mainspring import logs

T = TypeVar("T")
log = logs.logger("mainspring")


def run_steadily(
    make_loop: Callable[[], asyncio.AbstractEventLoop] | None,
    main: Callable[..., Coroutine[Any, Any, T]],
    *arguments: Any,
) -> T:
    """Run a coroutine function on a loop of its own, to its end. Ctrl-C cancels it, as in `asyncio.run`."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        work = runner.get_loop().create_task(main(*arguments))
        while not work.done():
            try:
                runner.run(_end_of(work))
            except (RuntimeError, SystemExit) as error:
                if not work.done():
                    tell_of_attempt(error)
                    runner.get_loop().set_task_factory(None)  # it may be what raised, and would do so again
        return work.result()


async def _end_of(work: asyncio.Task[Any]) -> None:
    await asyncio.wait([work])


def tell_of_attempt(error: BaseException) -> None:
    """Log that code on a loop broke out of it, by `loop.stop` or by `sys.exit` in a task or callback of its own."""
    log.error("code of a plugin tried to end its event loop", exc_info=error)
