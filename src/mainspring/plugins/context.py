"""What jobs and trigger listeners are told about their run, and what they say in it.

A run may say how far it is, log lines that are kept with it, and name jobs that are to follow it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

from pydantic_core import from_json

from mainspring.job import Job, Progress
from mainspring.problems import words_of
from mainspring.schedule import Trigger

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

LONGEST_NOTE = 200
"""Characters of the note of a progress."""


class Settable(Protocol):
    """Anything that can be told, once or more often, from any thread."""

    def set(self) -> None:
        """Tell it."""


class Stopping:
    """A flag that a run should end soon. Threads may `wait` for it; async jobs look with `is_set`.

    A `threading.Event` takes 1.5 us to make; this one is made for every run and makes an event only for who waits, one
    for each, so that two who begin at the same moment do not lose each other's.
    """

    __slots__ = ("_set", "_waiting")

    def __init__(self) -> None:
        self._set = False
        self._waiting: list[Settable] = []

    def is_set(self) -> bool:
        """Tell whether the run should end."""
        return self._set

    def set(self) -> None:
        """Ask the run to end."""
        self._set = True
        for event in tuple(self._waiting):
            event.set()

    def pass_on(self, event: Settable) -> None:
        """Have `event` set as well, at once if the run should end already."""
        self._waiting.append(event)
        if self._set:
            event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the run should end, at most `timeout` seconds; tell whether it should."""
        event = threading.Event()
        self._waiting.append(event)
        try:
            return self._set or event.wait(timeout)
        finally:
            self._waiting.remove(event)


class Teller(Protocol):
    """Takes what a run says while it goes on. For any thread."""

    def keep(self, line: str) -> None:
        """Keep a line of its log."""

    def report(self, progress: Progress) -> None:
        """Show how far it is."""

    def follow(self, job_group: str, body: Mapping[str, Any]) -> UUID:
        """Have a job made if the run succeeds; return its id. Raises `NotFoundError`, `InvalidRequestError`."""


class LastSuccess(NamedTuple):
    """A run that succeeded: its fire time, when it ended, and what it returned. Times are in UTC."""

    scheduled_fire_time: datetime
    finished_at: datetime
    result: Any


class JobExecutionContext:
    """What a job or a trigger listener is told about its run. All times are in UTC, by the store's clock."""

    __slots__ = ("_job", "_teller", "fire_time", "request", "stopping")

    def __init__(
        self,
        job: Job,
        request: Any,
        fire_time: datetime,
        stopping: Stopping | None = None,
        teller: Teller | None = None,
    ) -> None:
        self._job = job
        self._teller = teller
        self.request = request
        """The group's parsed ``Request``."""
        self.fire_time = fire_time
        """When the run really started."""
        self.stopping = stopping or Stopping()
        """Set when the run should end soon: the node drains, the job was deleted, or its time is up."""

    @property
    def job_id(self) -> UUID:
        """The job."""
        return self._job.series

    @property
    def product(self) -> str:
        """The job's product."""
        return self._job.key.product

    @property
    def job_group(self) -> str:
        """The job's group."""
        return self._job.key.job_group

    @property
    def scheduled_fire_time(self) -> datetime:
        """The intended moment of this occurrence."""
        return self._job.fire_time

    @property
    def trigger(self) -> Trigger:
        """What makes the job's fire times."""
        return self._job.trigger

    @property
    def attempt(self) -> int:
        """The number of this run for its fire time, from 1. It counts every run, `max_attempts` only failures."""
        return self._job.attempt

    @property
    def run(self) -> int:
        """The fence: it rises for ever.

        A target that remembers the highest it has seen can refuse a run that comes too late.
        """
        assert self._job.run is not None, "a job that is run has a run"  # noqa: S101 - for the type checker
        return self._job.run

    @property
    def last_success(self) -> LastSuccess | None:
        """The last run of this job that succeeded, `None` if none has, or the job has no schedule."""
        success = self._job.last_success
        return success and LastSuccess(
            success.fire_time, success.finished_at, None if success.result is None else from_json(success.result)
        )

    @property
    def backfill(self) -> bool:
        """Whether this is a run of a past range that was asked for afterwards."""
        return self._job.backfill

    @property
    def occurrence_id(self) -> UUID:
        """Name this fire time of the job, the same over all attempts: use it as an idempotency key."""
        return self._job.occurrence_id

    @property
    def log(self) -> FilteringBoundLogger:
        """A structured logger that names the job and the run in each line of the service's log.

        Its lines from ``info`` on are kept with the run, the first and the last 32 KiB of them. So is what is logged
        through the standard library while the run goes on.
        """
        from mainspring import logs  # noqa: PLC0415 - `import mainspring` stays light; a run that logs nothing pays nothing

        facts = {"job": str(self.job_id), "group": str(self._job.key), "run": self.run, "attempt": self.attempt}
        return logs.run_logger("mainspring.job", None if self._teller is None else self._teller.keep, facts)

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Show how far the run is: so much `done`, of a `total` if there is one, with a `note` of 200 characters.

        It is shown with the job while it runs, about once a second; what comes in between is not. For any thread.
        Raises `TypeError` and `ValueError` for what are no such numbers.
        """
        for number in (done, total):
            if number is not None and not (isfinite(number) and number >= 0):
                raise ValueError(f"a progress must be a number from 0, not {words_of(number)[:50]}")
        if self._teller is not None:
            words = None if note is None else words_of(note)[:LONGEST_NOTE].encode(errors="replace").decode()
            self._teller.report(Progress(done, total, words))

    def schedule(self, job_group: str, **fields: Any) -> UUID:
        """Have a job of the same product made, in the same commit as the success of this run; return its id.

        `fields` are those of its request, by their names in Python or on the wire, with ``when`` or ``schedule``, and
        ``options``. It is made if and only if this run succeeds. Its id follows from the occurrence and the number of
        the call, so a run that is repeated makes no second one. Raises `NotFoundError` for a group that no plugin of
        this node has, and `InvalidRequestError` with every problem.
        """
        if self._teller is None:
            raise RuntimeError("jobs can only be scheduled in a run")
        return self._teller.follow(job_group, fields)
