"""A job: what it was created with, where it stands, and the writes that change it. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from mainspring.job.damage import Damage
from mainspring.job.key import JobKey
from mainspring.job.options import NO_OPTIONS, PRIORITY, Options, rank
from mainspring.job.pause import Hold
from mainspring.job.run import DEADLY, Outcome, Progress, Run, Success
from mainspring.schedule import Trigger


class State(StrEnum):
    """Where a job stands; exactly one of these."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"


FORMAT = 1
"""What rows of jobs are written like. Nodes leave rows of a later format to those that know it."""
PENDING = frozenset({State.SCHEDULED, State.RUNNING, State.PAUSED})


class Job(NamedTuple):
    """One scheduled thing.

    `fire_time` is the intended moment of the occurrence that is next (or running, or was last); `due_at` is when it may
    be claimed: the same, unless a retry or a postponement moved it. `attempt` counts the tries begun for this fire
    time, `failures` those of them that failed, `losses` those whose node died. `give_ups` counts the fire times in a
    row on which the job gave up. `run` and `node` are set while it runs; `outcome` and `last_run` tell of the run that
    ended last, `last_success` of the last one that succeeded, of a job with a schedule, and `progress` of the one under
    way, as far as it has said. Every write raises `version` by one, but that of a progress.

    A job that `waits_for` others does not begin before they are over: see `Options.after`.

    `paused` holds the job back, also after a run that is under way: `hold` says since when and why, and at `resume_at`
    it goes on by itself. `cancelling` says that the run under way is to be cancelled. Of a group's due jobs those of
    the highest `priority` come first. Limits by key count the jobs of a product with the same `concurrency_key`.

    A job with a `parent` is one occurrence of that job, taken out of it to be run beside it: because occurrences may
    overlap, or as a part of a `backfill`. Its runs are history of its parent, and when it ends nothing else is left.

    `digest` is that of the body that it was created with, where the caller gave it its id.

    `labels` are the words by which it is found: see `mainspring.job.labels`.

    `format` is that of its row in a store. A job with `damage` comes from a row that cannot be read: it never runs.
    """

    id: UUID
    key: JobKey
    request: Mapping[str, Any]
    trigger: Trigger
    fire_time: datetime
    due_at: datetime
    created_at: datetime
    updated_at: datetime
    version: int = 1
    options: Options = NO_OPTIONS
    state: State = State.SCHEDULED
    paused: bool = False
    hold: Hold | None = None
    resume_at: datetime | None = None
    cancelling: bool = False
    priority: int = PRIORITY
    concurrency_key: str | None = None
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    give_ups: int = 0
    run: int | None = None
    node: str | None = None
    claimed_at: datetime | None = None
    outcome: Outcome | None = None
    last_run: Run | None = None
    last_success: Success | None = None
    progress: Progress | None = None
    waits_for: tuple[UUID, ...] = ()
    parent: UUID | None = None
    backfill: bool = False
    digest: str | None = None
    labels: tuple[str, ...] = ()
    format: int = FORMAT
    damage: Damage | None = None

    @property
    def series(self) -> UUID:
        """Whose history its runs are, and who it is for the job's own code."""
        return self.parent or self.id

    @property
    def next_run(self) -> datetime | None:
        """When the job will run next, as far as is known.

        For a running job its next fire time, for a finished one never.
        """
        if self.state is State.DONE:
            return None
        return self.trigger.next_fire_time(self.fire_time) if self.state is State.RUNNING else self.due_at

    @property
    def begins_at(self) -> datetime | None:
        """From when on the run of a running job may have begun: it is claimed a little ahead of its due time."""
        return None if self.claimed_at is None else max(self.claimed_at, self.due_at)

    @property
    def gave_up(self) -> bool:
        """Whether the run that ended last gave up on its fire time: it failed, and is not tried again.

        A job that goes on is told so until the next run begins.
        """
        return self.outcome in DEADLY and (self.state is State.DONE or not self.attempt)

    @property
    def is_dead(self) -> bool:
        """Whether the job gave up and has nothing left to do."""
        return self.state is State.DONE and self.outcome in DEADLY

    @property
    def occurrence_id(self) -> UUID:
        """Name this fire time of this job; the same for each of its attempts."""
        return uuid5(self.series, self.fire_time.isoformat())


class Claim(NamedTuple):
    """A job that a node has taken to run. `at` is the store's time at the claim."""

    job: Job
    at: datetime


def in_turn(claims: Iterable[Claim]) -> list[Claim]:
    """Put jobs that were claimed together in the order in which they are to begin.

    What is due: by priority, then by due time. Then what will be, by due time.
    """
    claims = list(claims)
    if all(claim.job.priority == PRIORITY for claim in claims):
        return sorted(claims, key=_due_time)
    return sorted(claims, key=_turn)


def _due_time(claim: Claim) -> datetime:
    return claim.job.due_at


def _turn(claim: Claim) -> tuple[datetime, int, datetime]:
    job, at = claim
    return max(job.due_at, at), -rank(job.priority, at - job.due_at), job.due_at


class Edit(NamedTuple):
    """A job as it is to be written, and rows for the occurrences that were `unrun` over on the way to its next one."""

    job: Job
    unrun: tuple[Run, ...] = ()


class Change(NamedTuple):
    """A finished run, what its job becomes, rows for the occurrences that were `unrun` over, and jobs `added` with it.

    The store takes it only while the job still has this run and this version, and numbers the rows itself.
    """

    run: Run
    job: Job
    unrun: tuple[Run, ...] = ()
    added: tuple[Edit, ...] = ()
