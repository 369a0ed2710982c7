"""Facts that only a store and its callers share: beats of nodes, what is due, what became of a write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from mainspring.job import Claim, JobKey, Run

CANDIDATES = 250
"""How many more jobs are looked at, where limits hold, than are to be claimed."""
MOST_KEYS = 2000
"""How many keys are looked at where those that are due first let no job begin; the next claim goes on behind them."""
NUMBERED = 5000
"""How many entries of the feed are numbered, or forgotten, at once."""
KEY_TAKEN = "another job of the group has the key, and is not done"
RECEIPT_TAKEN = "the call was answered before"


class Due(NamedTuple):
    """When the next job is due, by the store's clock, and how long that is off (negative: overdue)."""

    at: datetime
    wait: timedelta


class Claimed(NamedTuple):
    """What a claim brought, and when the next job of its groups is due after what it could bring.

    `as_of` is the store's time when the claim was nearly done: close to that of its answer, and never after it.
    `next_due` is `None` if there is none; both are if the claim brought nothing.
    """

    claims: list[Claim]
    as_of: datetime | None = None
    next_due: Due | None = None


class Capped(NamedTuple):
    """What a claim brought that went by limits, what holds jobs back, and when a rate lets the next one begin.

    Where it `is_cut`, jobs may begin before that: when others end, or when some of another key come. `again` is from
    the store's time of the claim on; `None` where no rate held a job back. `begins` says when those jobs may begin that
    a rate lets do so later than they are due.
    """

    claimed: Claimed
    begins: Mapping[UUID, datetime] = {}
    is_cut: bool = False
    again: timedelta | None = None


class Waits(NamedTuple):
    """Jobs that are over and for which others wait, and whether anybody waits for any job."""

    over: list[UUID]
    are_any: bool


class Seen(NamedTuple):
    """Runs that pass a filter, and the number of the last one that was looked at, if there may be more behind it."""

    runs: list[Run]
    last: int | None


class Answer(StrEnum):
    """What the store says of a `Change`."""

    DONE = "done"
    STALE = "stale"
    """Somebody edited the job meanwhile: decide again from what it is now."""
    LOST = "lost"
    """The run is no longer this node's: its result is dropped."""


@dataclass(frozen=True, slots=True)
class NodeBeat:
    """A node as its row says: `name` is unique to one life of one process, `beat` rises while it lives.

    `host` names the place whose lock files tell who died there. A `patient` node runs jobs that must not overlap: it is
    not taken for dead before its whole lease is over. `connected` says whether its own session with the store is there.
    `groups` are those whose jobs it runs, so many at once as it has `slots`, and `stuck` those of them of which it has
    no thread left for plain functions; a `Pulse` does not tell these.
    """

    name: str
    beat: int = 0
    host: str = ""
    patient: bool = False
    connected: bool = True
    groups: tuple[JobKey, ...] = ()
    slots: int = 0
    stuck: tuple[JobKey, ...] = ()


class Pulse(NamedTuple):
    """What a node learns when it beats.

    Whether it still has a row, which of its runs it is to stop (each is told once), all nodes that have a row, a number
    that rises with every note written, the store's time, and whether there are paused jobs that are to go on.
    """

    alive: bool
    stops: frozenset[int]
    nodes: tuple[NodeBeat, ...]
    notes: int
    now: datetime
    resumes: bool = False
