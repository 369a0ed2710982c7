"""A service for whoever writes a plugin: a child process that is started again when the source has changed.

The child is a whole ``mainspring serve``, so that what works here works there. It has a session of its own: a Ctrl-C in
the terminal reaches this process alone, which passes it on. A child that ends by itself, as one does whose plugin
cannot be loaded, has told why; then the next change is waited for.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mainspring.clock import Clock, SystemClock, wait
from mainspring.launch.signals import stopped_by_signals
from mainspring.launch.source_tree import State, changed, look, state

LOOK_SECONDS = 0.25
"""How often it is looked whether a file has changed."""
STOP_SECONDS = 30.0
"""How long a service that is started again may take to end before it is killed."""
_SHOWN = 3
"""How many changed files are named."""


def develop(path: Path, arguments: Sequence[str], *, also: Sequence[Path], tell: Callable[[str], None]) -> int:
    """Serve the plugins at a path until a signal, and answer the exit code of the service, 0 if none was running.

    `arguments` are those of ``mainspring serve`` besides the plugins; `also` are other files to watch. What happens is
    told by `tell`, in sentences.
    """
    return asyncio.run(_Development(path, arguments, also, tell, SystemClock()).run())


class _Development:
    """One call of `develop`."""

    def __init__(
        self, path: Path, arguments: Sequence[str], also: Sequence[Path], tell: Callable[[str], None], clock: Clock
    ) -> None:
        self._path = path
        self._arguments = arguments
        self._watched = [path, *also]
        self._tell = tell
        self._clock = clock
        self._stopped = asyncio.Event()
        self._child: Process | None = None
        self._was_running = False

    async def run(self) -> int:
        """Start, watch, start again; end with the service when a signal comes."""
        with stopped_by_signals(self._stop):
            while not self._stopped.is_set():
                before = state(self._watched)
                await self._start()
                after = await self._change(before)
                if after is not None:
                    self._tell_of(changed(before, after))
                    await self._end()
            return _exit_code(await self._child.wait()) if self._child is not None and self._was_running else 0

    def _stop(self) -> None:
        """Pass a signal on; the service counts them."""
        if not self._stopped.is_set():
            self._was_running = self._child is not None and self._child.returncode is None
        self._stopped.set()
        self._terminate()

    def _terminate(self) -> None:
        if self._child is not None and self._child.returncode is None:
            with suppress(ProcessLookupError):
                self._child.terminate()

    async def _start(self) -> None:
        """Start a service with the plugins as they are, or tell what is wrong with them."""
        self._child = None
        tree = look(self._path)
        if tree.problems:
            self._tell("\n".join(["The plugins cannot be read:", *(f"  - {problem}" for problem in tree.problems)]))
            self._tell_to_wait()
            return
        plugins = [part for plugin in tree.plugins for part in ("--plugin", plugin)]
        paths = [str(tree.root), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mainspring",
            "serve",
            *self._arguments,
            *plugins,
            stdin=DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
            preexec_fn=_dying_with_us(),  # there is no other thread that could hold a lock
        )
        if self._stopped.is_set():
            self._terminate()

    async def _change(self, before: State) -> State | None:
        """Wait until a file has changed and no more do, and return them as they are; `None` if a signal came."""
        told = self._child is None
        after = before
        while not self._stopped.is_set():
            if not told and self._child is not None and self._child.returncode is not None:
                told = True
                self._tell_to_wait(_exit_code(self._child.returncode))
            latest = state(self._watched)
            if latest != before and latest == after:
                return latest
            after = latest
            await wait(self._clock, self._stopped, LOOK_SECONDS)
        return None

    async def _end(self) -> None:
        """End the service before the next one begins: both have the same port."""
        if self._child is None:
            return
        self._terminate()
        try:
            async with self._clock.limit(STOP_SECONDS):
                await self._child.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._child.kill()
            await self._child.wait()

    def _tell_of(self, files: Sequence[Path]) -> None:
        names = ", ".join(map(str, files[:_SHOWN]))
        more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
        self._tell(f"{names}{more} changed: starting again.")

    def _tell_to_wait(self, code: int | None = None) -> None:
        said = "" if code is None else f"The service ended with {code}. "
        self._tell(f"{said}Waiting for a change in {self._path}; Ctrl-C ends it.")


_PR_SET_PDEATHSIG = 1


def _dying_with_us() -> Callable[[], None] | None:
    """Return what sees in the child that it is stopped when this process is killed; else it would keep the port."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _exit_code(code: int) -> int:
    """Return the code of a process as a shell reports it."""
    return 128 - code if code < 0 else code
