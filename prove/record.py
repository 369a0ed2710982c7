"""What jobs really did: one line for each beginning and each end of a run, in a file outside the store.

A line is written by one ``write`` to a file opened for appending, so that lines of several processes do not mix and one
that is there is whole. Moments are seconds of CLOCK_BOOTTIME, which no change of the wall clock touches.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

VARIABLE = "PROVE_RECORD"
"""The variable that names the file."""


class Mark(NamedTuple):
    """One line: ``start``, ``end`` (the job returned) or ``broke`` (it was interrupted or raised).

    `pid` is the node's, also where a worker process ran the job: a worker dies with its node.
    """

    what: str
    job: str
    occurrence: str
    attempt: int
    run: int
    pid: int
    boot: float
    wall: float


def boot() -> float:
    """Return the seconds of CLOCK_BOOTTIME, the one clock by which this proof orders what happened."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_offset() -> float:
    """Return what must be added to `boot` to have the wall clock of this machine, which is the store's."""
    return time.time() - boot()


def _grandparent() -> int:
    """Return the process that started the fork server of which this one is a fork."""
    facts = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2]
    return int(facts.split()[1])


class Recorder:
    """Appends marks to the file that the variable names."""

    def __init__(self) -> None:
        self._node = _grandparent() if "mainspring.execution.workers.fork_server" in sys.orig_argv else os.getpid()
        self._file = os.open(os.environ[VARIABLE], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)

    def mark(self, *whats: str, job: UUID, occurrence: UUID, attempt: int, run: int) -> None:
        """Write one line for each of `whats`, together."""
        rest = f"{job} {occurrence} {attempt} {run} {self._node} {boot():.6f} {time.time():.6f}\n"
        os.write(self._file, "".join(f"{what} {rest}" for what in whats).encode())


def read(path: Path) -> Iterator[Mark]:
    """Read marks, in the order in which they were written."""
    if not path.exists():
        return
    with path.open() as lines:
        for line in lines:
            what, job, occurrence, attempt, run, pid, at, wall = line.split()
            yield Mark(what, job, occurrence, int(attempt), int(run), int(pid), float(at), float(wall))
