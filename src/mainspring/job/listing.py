"""Which jobs a list shows, and from where on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from mainspring.job.job import PENDING, Job, State
from mainspring.job.run import DEADLY, Outcome
from mainspring.schedule import MICROSECOND, format_time, parse_when


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a group to list.

    These are those in any of `states`: pending ones come first, then those that are done. With `outcomes` only those
    whose last run ended so, with `gave_up` only those that gave up then, with `labels` only those that have all of
    them, with a `prefix` those whose id, key or a tag begins so, and with `node` those that run, or ended, there.

    `due_from` and `due_to` bound the due time, and `created_from` and `created_to` that of the creation: from in, to
    out. Pending ones come by due time, or by that of their creation.
    """

    states: frozenset[State] = PENDING
    outcomes: frozenset[Outcome] | None = None
    gave_up: bool = False
    labels: frozenset[str] = frozenset()
    prefix: str = ""
    node: str | None = None
    due_from: datetime | None = None
    due_to: datetime | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    by_created: bool = False

    @property
    def created_last(self) -> datetime | None:
        """The last time of creation of those listed."""
        return None if self.created_to is None else self.created_to - MICROSECOND

    @property
    def prefixes(self) -> list[tuple[str, str]]:
        """The ranges of labels that begin with the prefix: each from which to which, in the order of characters."""
        return [(f"{kind}:{self.prefix}", f"{kind}:{self.prefix}\U0010ffff") for kind in "kt"] if self.prefix else []

    @property
    def ids(self) -> tuple[UUID, UUID]:
        """The first and the last id that begins with the prefix; the first is behind the last where none does."""
        digits = self.prefix.replace("-", "").lower()
        if not digits or not _BEGINS_AN_ID.fullmatch(self.prefix) or len(digits) > len(_FIRST.hex):
            return UUID(int=2**128 - 1), _FIRST
        return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))

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

    def passes(self, job: Job) -> bool:
        """Tell whether a pending job is listed."""
        return (
            job.state in self.states
            and (self.outcomes is None or job.outcome in self.outcomes)
            and (job.gave_up or not self.gave_up)
            and self.labels.issubset(job.labels)
            and self._begins(job)
            and (self.node is None or job.node == self.node)
            and (self.due_from is None or job.due_at >= self.due_from)
            and (self.due_to is None or job.due_at < self.due_to)
            and (self.created_from is None or job.created_at >= self.created_from)
            and (self.created_to is None or job.created_at < self.created_to)
        )

    def _begins(self, job: Job) -> bool:
        """Tell whether the id, the key or a tag of a job begins with the prefix."""
        first, last = self.ids
        return (
            not self.prefix
            or first <= job.id <= last
            or any(low <= label <= high for low, high in self.prefixes for label in job.labels)
        )

    def begin(self, after: Position | None) -> Position | None:
        """Return the place from beyond which pending jobs are listed; `None`: from the first on."""
        first = self.created_from if self.by_created else self.due_from
        if first is None or (after is not None and after.due_at >= first):
            return after
        return Position(first, _FIRST)

    @property
    def ended(self) -> frozenset[Outcome] | None:
        """How the last runs of those ended that are listed; `None`: that does not matter."""
        if not self.gave_up:
            return self.outcomes
        return DEADLY if self.outcomes is None else DEADLY & self.outcomes


_BEGINS_AN_ID = re.compile("[0-9a-fA-F]{1,8}(-[0-9a-fA-F]{0,4}){0,3}(-[0-9a-fA-F]{0,12})?", re.ASCII)
_FIRST = UUID(int=0)
"""Comes before the id of any job."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list: those that ended so, on that node, and from when in and until when out."""

    outcomes: frozenset[Outcome] | None = None
    node: str | None = None
    ended_from: datetime | None = None
    ended_to: datetime | None = None

    @property
    def is_all(self) -> bool:
        """Whether every run passes."""
        return (self.outcomes, self.node, self.ended_from, self.ended_to) == (None, None, None, None)


class Counts(NamedTuple):
    """How many jobs of a group are in each state (states with none are absent), and how many of all gave up."""

    states: Mapping[State, int]
    gave_up: int = 0


class Position(NamedTuple):
    """A place in a list of jobs: of pending ones after that time and id, of done ones after that (last) run.

    The time, `due_at`, is that by which the list is ordered. It is among the pending ones if it has no `run`.
    """

    due_at: datetime
    id: UUID
    run: int = 0

    @classmethod
    def of(cls, job: Job, *, by_created: bool = False) -> Position:
        """Return the place after a job that was listed."""
        done = job.last_run if job.state is State.DONE else None
        return cls(job.created_at if by_created else job.due_at, job.id, done.number if done else 0)


_TIMES = ("due_from", "due_to", "created_from", "created_to")


def filter_to_json(which: JobFilter) -> dict[str, Any]:
    """Write a filter of jobs as JSON."""
    times = {name: getattr(which, name) for name in _TIMES}
    return {
        "states": sorted(which.states),
        "outcomes": None if which.outcomes is None else sorted(which.outcomes),
        "gave_up": which.gave_up,
        "labels": sorted(which.labels),
        "prefix": which.prefix,
        "node": which.node,
        "by_created": which.by_created,
        **{name: None if time is None else format_time(time) for name, time in times.items()},
    }


def filter_from_json(data: Mapping[str, Any]) -> JobFilter:
    """Read what `filter_to_json` wrote."""
    return JobFilter(
        states=frozenset(map(State, data["states"])),
        outcomes=None if data["outcomes"] is None else frozenset(map(Outcome, data["outcomes"])),
        gave_up=data["gave_up"],
        labels=frozenset(data["labels"]),
        prefix=data["prefix"],
        node=data["node"],
        by_created=data["by_created"],
        **{name: None if data[name] is None else parse_when(data[name]) for name in _TIMES},
    )
