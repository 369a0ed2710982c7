"""How runs end: each way in which code of a plugin can end, or a run is cut short, as an `Ending`."""

from __future__ import annotations

from datetime import timedelta

from mainspring.job import Ending, Job, Outcome
from mainspring.plugins import SchedulerJob, Verdict

REASON_LENGTH = 500
SUCCEEDED = Ending(Outcome.SUCCEEDED)


def seconds_of(job: Job, job_class: type[SchedulerJob]) -> float:
    """Return the time limit of a run, in seconds."""
    return (job.options.timeout or job_class.timeout).total_seconds()


def timed_out(seconds: float) -> Ending:
    """Say that a run took longer than its limit."""
    return Ending(Outcome.TIMED_OUT, f"took longer than its limit of {seconds:g} s")


def interrupted(why: str) -> Ending:
    """Say that the node ended a run before its job began, or that it may be repeated."""
    return Ending(Outcome.INTERRUPTED, why)


def cut_short(why: str, job_class: type[SchedulerJob]) -> Ending:
    """Say that the node ended a run that had begun: lost, where it must not be repeated."""
    return Ending(Outcome.LOST, f"{why} while it ran") if job_class.at_most_once else interrupted(why)


def verdict_of(answer: object, listener: str) -> Ending | None:
    """Say what a listener's answer means for the run: `None` lets it through."""
    if isinstance(answer, bool):
        return Ending(Outcome.VETOED, f"vetoed by {listener}") if answer else None
    if isinstance(answer, Verdict):
        return None if answer.ending is None else asked_for(answer.ending)
    kind = type(answer).__name__
    return Ending(Outcome.FAILED, f"the veto check {listener} answered {kind}, not True, False or a Verdict")


def describe(error: BaseException) -> str:
    """Say what was raised, in words that can be stored."""
    return text(f"{type(error).__name__}: {text(error)}")


def asked_for(ending: object) -> Ending:
    """Take the ending that user code asks for, in words that can be stored; what is none fails the attempt."""
    match ending:
        case Ending(Outcome() as outcome, reason, (timedelta() | None) as delay):
            return Ending(outcome, None if reason is None else text(reason), delay)
        case _:
            return Ending(Outcome.FAILED, text(f"asked for an ending that makes no sense: {text(ending)}"))


def text(value: object) -> str:
    """Put anything into words that can be stored.

    Bounded, no NUL, no lone surrogates, even if its ``__str__`` fails.
    """
    try:
        words = f"{value}"
    except BaseException:  # noqa: BLE001 - user code
        words = f"a {type(value).__name__} that has no words"
    return words[:REASON_LENGTH].replace("\0", "\\0").encode(errors="replace").decode()
