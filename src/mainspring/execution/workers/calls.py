"""The calls that a run in a worker makes by its `Scheduler`: its node is asked over the channel, and answers them.

Each call has a number, and each answer names its run: several threads ask at once, and what comes late is for nobody.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from mainspring.errors import MainspringError, StoreUnavailableError
from mainspring.plugins import Call, read_error, under_way, write_error


class ChannelCalls:
    """See `mainspring.plugins.Calls`. At the worker's end; `send` sends a message, from any thread."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._run: int | None = None
        self._waiting: dict[int, Future[str]] = {}

    def open(self, run: int) -> None:
        """Let a run ask."""
        with self._lock:
            self._run = run

    def close(self) -> None:
        """Let the run ask no more; what it left waiting hears that it has ended."""
        with self._lock:
            waiting, self._waiting, self._run = self._waiting, {}, None
        for answer in waiting.values():
            answer.set_exception(_is_over())

    def begin(self, product: str, call: Call) -> Future[str]:  # noqa: ARG002 - the node knows the product of the run
        """Ask the node."""
        answer, number = under_way(), next(self._numbers)
        with self._lock:
            run = self._run
            if run is not None:
                self._waiting[number] = answer
        if run is None:
            answer.set_exception(_is_over())
            return answer
        try:
            self._send({"ask": [run, number, *call]})
        except OSError:  # no channel, no answer
            self._answer(run, number, None, _is_over())
        return answer

    def take(self, answer: list[Any]) -> None:
        """Take an answer of the node. For any thread."""
        run, number, text, error = answer
        self._answer(run, number, text, error and read_error(error))

    def _answer(self, run: int, number: int, text: str | None, error: MainspringError | None) -> None:
        with self._lock:
            answer = self._waiting.pop(number, None) if run == self._run else None
        if answer is None:
            return
        if error is None:
            answer.set_result(str(text))
        else:
            answer.set_exception(error)


def _is_over() -> StoreUnavailableError:
    return StoreUnavailableError("the run has ended; a write in progress may or may not have taken effect")


def write_answer(run: int, number: int, answer: Future[str]) -> dict[str, Any]:
    """Put what a call has brought into a message of the node."""
    error = answer.exception()
    if error is None:
        return {"answer": [run, number, answer.result(), None]}
    known = error if isinstance(error, MainspringError) else MainspringError(str(error))
    return {"answer": [run, number, None, write_error(known)]}
