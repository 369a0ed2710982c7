"""The moment at which jobs are due: all that is to run them must be in place by then."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

TRIES = 3

Outcome = TypeVar("Outcome")


class TooLateError(Exception):
    """The jobs were due before all was in place to run them."""


def in_time(attempt: Callable[[int], Outcome], who: str) -> Outcome:
    """Return what an attempt returns that is not too late. It is told how much patience to have: 1, 2, then 3 times.

    Raises `RuntimeError` when the machine is too busy for all of them.
    """
    for patience in range(1, TRIES + 1):
        try:
            return attempt(patience)
        except TooLateError:
            continue
    raise RuntimeError(f"the jobs of {who} were due before all was in place to run them")


def wait_until(moment: datetime) -> None:
    """Sleep until then; raises `TooLateError` when it is past."""
    ahead = moment.timestamp() - time.time()
    if ahead < 0:
        raise TooLateError
    time.sleep(ahead)
