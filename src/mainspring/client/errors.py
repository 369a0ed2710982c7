"""What the client raises. `MainspringError` is above all of it; no error of the HTTP library comes out of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class MainspringError(Exception):
    """Something went wrong with a call."""


class AddressError(MainspringError, ValueError):
    """The URL of the service is no address such as ``http://127.0.0.1:8089``."""


class NoAnswerError(MainspringError):
    """The service could not be reached, or its answer did not come in time. The call may have been carried out."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Mainspring does not answer: {reason}")
        self.reason = reason


class NotMainspringError(MainspringError):
    """Something answered that is not Mainspring, such as a proxy; `status` is what it said."""

    def __init__(self, message: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class WaitTimeout(MainspringError, TimeoutError):  # noqa: N818 - it is named after what happened, as TimeoutError is
    """The job was not done in time. It goes on all the same."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request."""

    pointer: str
    """Where: a JSON pointer into the body, ``?name`` for a parameter, empty for the request as a whole."""
    code: str
    """What, as a stable code such as ``WHEN_ZONE_REQUIRED``."""
    detail: str
    """The same as a sentence, which may change between versions."""
    raw: Mapping[str, Any]
    """The member as it came, such as with the figures of a quota."""


class ProblemError(MainspringError):
    """The service refused the call. Its subclasses say in which way.

    `status` is the HTTP status, `id` the general code, `errors` each single problem, `retryable` whether the same call
    may succeed later, `retry_after` after how many seconds (None if that is not known), `request_id` what the log of
    the service names the request by, and `raw` the problem as it came.
    """

    def __init__(self, status: int, raw: Mapping[str, Any], retry_after: float | None = None) -> None:
        errors = raw.get("errors")
        self.status = status
        self.raw = raw
        self.id = str(raw.get("id") or "")
        self.errors = tuple(_problem(error) for error in (errors if isinstance(errors, list) else []))
        self.retryable = raw.get("retryable") is True
        self.retry_after = retry_after
        self.request_id = str(raw.get("instance") or "")
        super().__init__(f"{raw.get('detail') or raw.get('title') or 'refused'} ({self.code})")

    @property
    def code(self) -> str:
        """The precise code of the first problem, such as ``JOB_NOT_FOUND``."""
        return self.errors[0].code if self.errors else self.id or str(self.status)


class Malformed(ProblemError):  # noqa: N818 - the words that callers catch, like those that authors raise
    """400: the request is not written as it should be."""


class Forbidden(ProblemError):  # noqa: N818 - see Malformed
    """401 or 403: the caller may not do that."""


class NotFound(ProblemError):  # noqa: N818 - see Malformed
    """404: there is no such thing, or no such call."""


class Conflict(ProblemError):  # noqa: N818 - see Malformed
    """409: it cannot be done as things stand, such as with a job that runs."""


class Gone(ProblemError):  # noqa: N818 - see Malformed
    """410: the events after the last one that was read are not kept any more."""


class PreconditionFailed(ProblemError):  # noqa: N818 - see Malformed
    """412: it was changed by somebody else since it was read."""


class TooLarge(ProblemError):  # noqa: N818 - see Malformed
    """413, 414 or 431: there is too much of it."""


class Invalid(ProblemError):  # noqa: N818 - see Malformed
    """422: the request is not valid; `errors` has all that is wrong with it."""


class QuotaExceeded(ProblemError):  # noqa: N818 - see Malformed
    """429: there is no room for it, or too much was asked; see `retryable` and `retry_after`."""


class Unavailable(ProblemError):  # noqa: N818 - see Malformed
    """503: the service or its job store cannot answer. A write may or may not have been done."""


_KINDS: dict[int, type[ProblemError]] = {
    400: Malformed,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: PreconditionFailed,
    413: TooLarge,
    414: TooLarge,
    422: Invalid,
    429: QuotaExceeded,
    431: TooLarge,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def problem_error(status: int, raw: Mapping[str, Any], retry_after: float | None) -> ProblemError:
    """Return the error for a problem that the service describes."""
    return _KINDS.get(status, ProblemError)(status, raw, retry_after)


def _problem(raw: Any) -> Problem:
    found: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
    return Problem(str(found.get("pointer", "")), str(found.get("code", "")), str(found.get("detail", "")), found)
