"""Which jobs a list shows, and from where on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mainspring.job.job import PENDING, Job, State
from mainspring.job.run import DEADLY, Outcome
from mainspring.schedule import MICROSECOND


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a group to list.

    These are those in any of `states`: pending ones come first, then those that are done. With `outcomes` only those
    whose last run ended so, with `gave_up` only those that gave up then, with `tags` only those that have all of them.

    The times bound the due time: `due_from` in, `due_to` out.
    """

    states: frozenset[State] = PENDING
    outcomes: frozenset[Outcome] | None = None
    gave_up: bool = False
    tags: frozenset[str] = frozenset()
    due_from: datetime | None = None
    due_to: datetime | None = None

    @property
    def due_last(self) -> datetime | None:
        """The last due time of those listed."""
        return None if self.due_to is None else self.due_to - MICROSECOND

    @property
    def pending(self) -> bool:
        """Whether jobs that are not done are among them."""
        return not self.states.isdisjoint(PENDING)

    @property
    def done(self) -> bool:
        """Whether jobs that are done are among them."""
        return State.DONE in self.states

    def begin(self, after: Position | None) -> Position | None:
        """Return the place from beyond which pending jobs are listed; `None`: from the first on."""
        if self.due_from is None or (after is not None and after.due_at >= self.due_from):
            return after
        return Position(self.due_from, _FIRST)

    @property
    def ended(self) -> frozenset[Outcome] | None:
        """How the last runs of those ended that are listed; `None`: that does not matter."""
        if not self.gave_up:
            return self.outcomes
        return DEADLY if self.outcomes is None else DEADLY & self.outcomes


_FIRST = UUID(int=0)
"""Comes before the id of any job."""


class Counts(NamedTuple):
    """How many jobs of a group are in each state (states with none are absent), and how many of all gave up."""

    states: Mapping[State, int]
    gave_up: int = 0


class Position(NamedTuple):
    """A place in a list of jobs: of pending ones after that due time and id, of done ones after that (last) run.

    It is among the pending ones if it has no `run`.
    """

    due_at: datetime
    id: UUID
    run: int = 0

    @classmethod
    def of(cls, job: Job) -> Position:
        """Return the place after a job that was listed."""
        done = job.last_run if job.state is State.DONE else None
        return cls(job.due_at, job.id, done.number if done else 0)
