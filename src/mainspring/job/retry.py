"""Whether a fire time is tried again after its run failed or was lost, and when. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from mainspring.job.job import Job
from mainspring.job.options import Backoff
from mainspring.job.run import Ending, Outcome

POISON = 3
"""A job under which so many processes died for one fire time, the last of them its own worker, is not tried again."""
HOPELESS = 20
"""The same where no worker was the last: nodes die of their other jobs too, or of the machine."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What holds for a job group where a request's options say nothing.

    A group that is run `at_most_once` gives up on a fire time as soon as a run has failed or was lost, whatever the
    options say.
    """

    max_attempts: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    at_most_once: bool = False


class Counts(NamedTuple):
    """How often a fire time has failed, and how often its run was lost."""

    failures: int
    losses: int


def counted(job: Job, ending: Ending) -> Counts:
    """Count a run that failed or was lost; a failure that killed its worker process counts as a loss."""
    lost = ending.outcome is Outcome.LOST
    return Counts(job.failures + (not lost and not ending.fatal), job.losses + (lost or ending.fatal))


def delay_before_retry(
    job: Job, ending: Ending, counts: Counts, policy: RetryPolicy, chance: float
) -> timedelta | None:
    """Return how long to wait before the same fire time is tried again; `None`: the job gives up on it.

    A run that was lost is tried again at once. `chance` in [0, 1) spreads retries.
    """
    poison = counts.losses >= (POISON if ending.fatal else HOPELESS)
    most = job.options.max_attempts or policy.max_attempts
    if counts.failures >= most or poison or policy.at_most_once:
        return None
    if ending.outcome is Outcome.LOST:
        return timedelta()
    if ending.delay is not None:
        return ending.delay
    return backoff_delay(job.options.backoff or policy.backoff, sum(counts), chance)


def is_quarantined(job: Job) -> bool:
    """Tell whether a job had so many nodes die under it that it may be what kills them.

    Or it may have been beside what did: in a worker process of its own it will turn out.
    """
    return job.losses >= POISON - 1


def backoff_delay(backoff: Backoff, failures: int, chance: float) -> timedelta:
    """Return how long to wait after the given number of failures."""
    try:
        longest = min(backoff.longest, backoff.initial * backoff.factor ** (failures - 1))
    except OverflowError:
        longest = backoff.longest
    return longest * (1 - chance / 2)
