"""The child processes of the demo: told to stop together, waited for always."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from mainspring.clock import Clock

GRACE = 45
"""Seconds that a child may take to stop before it is killed: longer than the service waits for its runs."""
STOP_SIGNALS = {signal.SIGINT: signal.SIGINT, signal.SIGTERM: signal.SIGTERM, signal.SIGHUP: signal.SIGTERM}
"""The signals that stop the demo, and what each is for a child: a closed terminal is a reason to stop in order."""


class Children:
    """Child processes, as an async context manager: on exit none of them is left.

    Inside it the signals that stop the demo are passed on to every child. The children live in sessions of their own,
    so that a Ctrl-C in the terminal reaches them once, through us.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._processes: dict[str, Process] = {}
        self._stopped_by_signal = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number, passed_on in STOP_SIGNALS.items():
            loop.add_signal_handler(number, self._pass_on, passed_on)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._stopped_by_signal.is_set():
            self._send(signal.SIGTERM)
        try:
            async with self._clock.limit(GRACE):
                await self._wait_for_all()
        except TimeoutError:
            self._send(signal.SIGKILL)
            await self._wait_for_all()
        finally:
            for number in STOP_SIGNALS:
                asyncio.get_running_loop().remove_signal_handler(number)

    async def start(self, name: str, *command: str, environment: Mapping[str, str] | None = None) -> Process:
        """Start a child with our environment and what `environment` adds to it. `name` is for `ended`."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, env={**os.environ, **(environment or {})}, start_new_session=True
        )
        self._processes[name] = process
        if self._stopped_by_signal.is_set():
            process.terminate()
        return process

    async def ended(self) -> tuple[str, int] | None:
        """Wait for a signal (answer `None`) or for a child to end by itself: answer its name and exit code."""
        signalled = asyncio.create_task(self._stopped_by_signal.wait())
        deaths = [asyncio.create_task(process.wait()) for process in self._processes.values()]
        try:
            await asyncio.wait((signalled, *deaths), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (signalled, *deaths):
                task.cancel()
        if self._stopped_by_signal.is_set():
            return None
        name, code = next((name, p.returncode) for name, p in self._processes.items() if p.returncode is not None)
        return name, 128 - code if code < 0 else code

    def _pass_on(self, number: int) -> None:
        self._stopped_by_signal.set()
        self._send(number)

    def _send(self, number: int) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.send_signal(number)

    async def _wait_for_all(self) -> None:
        for process in self._processes.values():
            await process.wait()
