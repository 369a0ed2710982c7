"""What happened, as it is kept for those who follow: events, in one order that holds for everybody.

Not to be confused with what a process announces to its own logs: see `mainspring.job.events`. An event is written in
the commit of what it tells. A store keeps an `Entry` for each write, kind and group, which may be about many jobs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from mainspring.job.job import State
from mainspring.job.pause import Scope
from mainspring.job.run import Outcome

EVENTS_KEPT_FOR = timedelta(days=7)
"""How long events can be read; for as long whoever was away misses none."""


class EventKind(StrEnum):
    """What may happen."""

    JOB_CREATED = "job.created"
    JOB_CHANGED = "job.changed"
    JOB_PAUSED = "job.paused"
    JOB_RESUMED = "job.resumed"
    JOB_RETRIED = "job.retried"
    JOB_DELETED = "job.deleted"
    RUN_STARTED = "run.started"
    RUN_RETURNED = "run.returned"
    RUN_ENDED = "run.ended"
    GROUP_PAUSED = "group.paused"
    GROUP_RESUMED = "group.resumed"
    GROUP_LIMITS = "group.limits"
    NODE_JOINED = "node.joined"
    NODE_LEFT = "node.left"
    NODE_LOST = "node.lost"
    NODE_DRAINED = "node.drained"
    NODE_RESUMED = "node.resumed"


class Entry(NamedTuple):
    """What one write did: for each of its `jobs` an event, or one event if it is about none.

    `cursor` is its place in the order, `at` the store's time; both are unset before it is written. `scope` is the group
    of the jobs, or the group, product or everything that the event is about; of a node `None`. `runs` has the run
    numbers of the `jobs`, where the events are about runs. `state` is where the jobs stand then. `kind` is an
    `EventKind`, or a kind that a later version writes.
    """

    kind: str
    scope: Scope | None = None
    jobs: tuple[UUID, ...] = ()
    runs: tuple[int, ...] = ()
    state: State | None = None
    outcome: Outcome | None = None
    node: str | None = None
    detail: Mapping[str, Any] | None = None
    cursor: int = 0
    at: datetime | None = None


class Told(NamedTuple):
    """Entries, the number of the last one that was looked at, and the last one that is forgotten."""

    entries: list[Entry]
    seen: int
    forgotten: int


class EventFilter(NamedTuple):
    """Which events are meant; `None`, or nothing, leaves all in.

    Events of nodes are in no scope but everything. What holds for more than a scope, such as the pause of its product,
    is told to those who follow the scope.
    """

    scope: Scope = Scope()
    kinds: Collection[str] | None = None
    states: Collection[State] | None = None
    outcomes: Collection[Outcome] | None = None
    node: str | None = None
    labels: frozenset[str] = frozenset()
    prefix: str = ""
    """How the id, the key or a tag of the job begins."""

    @property
    def looks_at_labels(self) -> bool:
        """Whether the labels of jobs are needed to tell."""
        return bool(self.labels or self.prefix)

    @property
    def is_of_jobs(self) -> bool:
        """Whether only events of single jobs can pass."""
        return self.looks_at_labels or self.states is not None or self.outcomes is not None

    def may_pass(self, entry: Entry) -> bool:
        """Tell whether events of an entry can pass, as far as its jobs do not matter."""
        return (
            self._is_about(entry)
            and (self.kinds is None or entry.kind in self.kinds)
            and (self.states is None or entry.state in self.states)
            and (self.outcomes is None or entry.outcome in self.outcomes)
            and (self.node is None or entry.node == self.node)
            and (bool(entry.jobs) or not self.is_of_jobs)
        )

    def _is_about(self, entry: Entry) -> bool:
        if entry.scope is None:
            return not self.scope.product
        return self.scope.includes(entry.scope) or (not entry.jobs and entry.scope.includes(self.scope))

    def passes(self, job_id: UUID, labels: Collection[str]) -> bool:
        """Tell whether an event of a job with these labels passes, as far as these matter."""
        if not self.labels.issubset(labels):
            return False
        names = (label[2:] for label in labels if label.startswith(("t:", "k:")))
        return (
            not self.prefix
            or str(job_id).startswith(self.prefix)
            or any(name.startswith(self.prefix) for name in names)
        )
