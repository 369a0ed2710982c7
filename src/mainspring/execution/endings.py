"""How runs end: each way in which code of a plugin can end, or a run is cut short, as an `Ending`."""

from __future__ import annotations

from datetime import timedelta

from pydantic_core import to_json

from mainspring.job import Ending, Job, Outcome, is_key
from mainspring.plugins import SchedulerJob, Signal, Verdict
from mainspring.problems import kind_of, words_of

REASON_LENGTH = 500
RESULT_BYTES = 64 * 1024
"""How large the result of a run may be, as JSON."""
SUCCEEDED = Ending(Outcome.SUCCEEDED)


def seconds_of(job: Job, job_class: type[SchedulerJob]) -> float:
    """Return the time limit of a run, in seconds."""
    return (job.options.timeout or job_class.timeout).total_seconds()


def timed_out(seconds: float) -> Ending:
    """Say that a run took longer than its limit."""
    return Ending(Outcome.TIMED_OUT, f"took longer than its limit of {seconds:g} s")


def succeeded(answer: object) -> Ending:
    """Say that a run succeeded and what it answered; if that cannot be kept, why. Never raises."""
    try:
        result = to_json(answer, inf_nan_mode="null").decode()
    except BaseException as error:  # noqa: BLE001 - user code may be asked what it holds
        return SUCCEEDED._replace(result_error=text(f"is no JSON: {words_of(error)}"))
    if "\\u0000" in result:
        return SUCCEEDED._replace(result_error="has a NUL character, which not every store can keep")
    if len(result.encode()) > RESULT_BYTES:
        return SUCCEEDED._replace(result_error=f"is larger than {RESULT_BYTES // 1024} KiB as JSON")
    return SUCCEEDED._replace(result=result)


def interrupted(why: str) -> Ending:
    """Say that the node ended a run before its job began, or that it may be repeated."""
    return Ending(Outcome.INTERRUPTED, why)


def cut_short(why: str, job_class: type[SchedulerJob]) -> Ending:
    """Say that the node ended a run that had begun: lost, where it must not be repeated."""
    return Ending(Outcome.LOST, f"{why} while it ran") if job_class.at_most_once else interrupted(why)


def failed(why: str) -> Ending:
    """Say that a run failed, in words that can be stored."""
    return Ending(Outcome.FAILED, text(why))


def verdict_of(answer: object, listener: str) -> Ending | None:
    """Say what a listener's answer means for the run: `None` lets it through."""
    if isinstance(answer, bool):
        return Ending(Outcome.VETOED, text(f"vetoed by {listener}")) if answer else None
    if isinstance(answer, Verdict):
        return None if answer.ending is None else asked_for(answer)
    return failed(f"the veto check {listener} answered {kind_of(answer)}, not True, False or a Verdict")


def describe(error: BaseException) -> str:
    """Say what was raised, in words that can be stored."""
    return text(f"{kind_of(error)}: {words_of(error)}")


def asked_for(answer: Verdict | Signal) -> Ending:
    """Take the ending that user code asks for, in words that can be stored; what is none fails the attempt.

    Never raises, whatever a subclass has made of its attributes; nothing but plain data is taken from it.
    """
    ending: object = answer
    try:
        ending = getattr(answer, "ending", answer)
        match ending:
            case Ending(Outcome() as outcome, reason, (timedelta() | None) as delay):
                words = None if reason is None else text(reason)
                key = ending.busy if isinstance(ending.busy, str) and (not ending.busy or is_key(ending.busy)) else None
                return Ending(outcome, words, None if delay is None else timedelta.__pos__(delay), busy=key)
            case _:
                pass
    except BaseException as error:  # noqa: BLE001 - user code
        ending = kind_of(error)
    asked = ending[:3] if type(ending) is Ending else ending
    return failed(f"asked for an ending that makes no sense: {words_of(asked)}")


def text(value: object) -> str:
    """Put anything into words that can be stored: at most `REASON_LENGTH` characters, no NUL, no lone surrogates."""
    words = words_of(value)[:REASON_LENGTH].replace("\0", "\\0").encode(errors="replace").decode()
    return words[:REASON_LENGTH]
