"""What crosses between a node and its workers: JSON, one message a line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mainspring.execution.assignment import Assignment
from mainspring.job import Ending, Job, Outcome
from mainspring.schedule import MICROSECOND
from mainspring.store import PLAIN

OUT_OF_MEMORY, CHANNEL_LOST, OTHER_CODE = 251, 252, 253
"""The exit codes of a worker that cannot say otherwise what befell it: other programs hardly use these."""
GOODBYE_SECONDS = 3.0
"""How long the services of a worker may take to clean up."""


def write_claim(job: Job, ahead: float) -> dict[str, Any]:
    """Put a claimed job, and how far the store's time is ahead of the machine's monotonic clock, into plain data."""
    return {"job": PLAIN.job_row(job), "ahead": ahead}


def read_claim(data: dict[str, Any]) -> Assignment:
    """Read what `write_claim` wrote."""
    return Assignment(PLAIN.job(data["job"]), data["ahead"])


def what_is_said(assignment: Assignment) -> tuple[Any, ...]:
    """Put what a run has said so far into plain data: its number, how far it is, and its log."""
    return assignment.run, assignment.progress, None if assignment.log is None else assignment.log.text()


def write_ending(ending: Ending) -> list[Any]:
    """Put an ending into plain data."""
    delay = None if ending.delay is None else ending.delay // MICROSECOND
    said = [ending.result, ending.result_error, ending.traceback, ending.log]
    return [ending.outcome, ending.reason, delay, ending.busy, said, [PLAIN.job_row(job) for job in ending.follow_ups]]


def read_ending(data: list[Any]) -> Ending:
    """Read what `write_ending` wrote. Raises `ValueError` or `TypeError` for anything else."""
    outcome, reason, delay, busy, said, follow_ups = data
    result, result_error, traceback, log = (None if text is None else str(text) for text in said)
    return Ending(
        Outcome(outcome),
        None if reason is None else str(reason),
        None if delay is None else timedelta(microseconds=delay),
        result=result,
        result_error=result_error,
        traceback=traceback,
        log=log,
        busy=None if busy is None else str(busy),
        follow_ups=tuple(PLAIN.job(row) for row in follow_ups),
    )
