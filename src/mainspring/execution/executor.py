"""The seam between a node and whatever runs its jobs: this process, worker processes, later HTTP calls or a queue."""

from __future__ import annotations

from typing import Protocol

from mainspring.execution.assignment import Assignment
from mainspring.job import Ending


class Executor(Protocol):
    """Turns assignments into endings."""

    async def run(self, assignment: Assignment) -> Ending:
        """Run an assignment to its end, whatever that is; never raises.

        It sets `Assignment.started_at` first, and then asks `Assignment.refusal` whether the run may begin.
        """
