"""Which jobs a list shows, and from where on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mainspring.job.job import PENDING, Job, State


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a group to list.

    These are pending ones in any of `states`, or `done` ones, of these only those that gave up if `dead`.

    The times bound the due time: `due_from` in, `due_to` out.
    """

    states: frozenset[State] = PENDING
    done: bool = False
    dead: bool = False
    due_from: datetime | None = None
    due_to: datetime | None = None


class Position(NamedTuple):
    """A place in a list of jobs: of pending ones after that due time and id, of done ones after that (last) run."""

    due_at: datetime
    id: UUID
    run: int = 0

    @classmethod
    def of(cls, job: Job) -> Position:
        """Return the place after a job that was listed."""
        return cls(job.due_at, job.id, job.last_run.number if job.last_run else 0)
