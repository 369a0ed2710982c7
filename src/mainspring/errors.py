"""The one family of exceptions of Mainspring.

Every class carries a stable ``code`` (UPPER_SNAKE) that clients may rely on and a sentence for a human. Nothing in here
knows HTTP: `mainspring.web.problem` turns these into `application/problem+json` at one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request.

    It says where (RFC 6901 JSON pointer, ``?name`` for a query parameter), which rule, what to do.
    """

    pointer: str
    code: str
    detail: str


class MainspringError(Exception):
    """Base of all errors that Mainspring raises on purpose. ``str()`` of it is a sentence for a human."""

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, detail: str, *, problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail)
        self.problems = tuple(problems)


class NotFoundError(MainspringError):
    """The product, job group or job of the request does not exist (any more)."""

    code = "NOT_FOUND"


class InvalidRequestError(MainspringError):
    """The request was parsed but asks for nothing legal; `problems` names every fault at once."""

    code = "VALIDATION_ERROR"


Other = tuple[tuple[str, str], UUID]
"""A job that stands in the way of a request: its product and job group, and its id."""


class JobRunningError(MainspringError):
    """The job has started its only run and can no longer be changed.

    `other` is that job where the request does not name it, but its key; `run` is the number of the run under way.
    """

    code = "JOB_RUNNING"

    def __init__(self, detail: str, *, run: int | None = None, other: Other | None = None) -> None:
        super().__init__(detail)
        self.run = run
        self.other = other


class JobFinishedError(MainspringError):
    """The job is done; only a dead job can be retried, nothing else changes it."""

    code = "JOB_FINISHED"


class UnreadableJobError(MainspringError):
    """The job's row in the store cannot be read: only what writes it anew, or deletes it, is possible."""

    code = "JOB_UNREADABLE"


class NewerJobError(MainspringError):
    """A later version of Mainspring wrote the job: this one must leave it alone."""

    code = "JOB_OF_NEWER_VERSION"


class JobNotDeadError(MainspringError):
    """`retry` was asked for a job that has not given up."""

    code = "JOB_NOT_DEAD"


class JobNotRunningError(MainspringError):
    """`cancel` was asked for a job that goes on and has no run under way."""

    code = "JOB_NOT_RUNNING"


class JobNotRecurringError(MainspringError):
    """What was asked for is for jobs with a schedule, and the job runs once."""

    code = "JOB_NOT_RECURRING"


class CalendarInUseError(MainspringError):
    """The calendar cannot be deleted: jobs keep to it."""

    code = "CALENDAR_IN_USE"


class ConflictError(MainspringError):
    """Somebody else kept changing the same job; nothing was written and the call may be repeated."""

    code = "CONFLICT"


class KeyTakenError(ConflictError):
    """Another job of the group that is not done has the key of this one.

    `other` is that job, where it is known.
    """

    code = "KEY_TAKEN"

    def __init__(self, detail: str, *, problems: Sequence[Problem] = (), other: Other | None = None) -> None:
        super().__init__(detail, problems=problems)
        self.other = other


class ReceiptTakenError(ConflictError):
    """The call was answered before, under the same key; nothing was written."""

    code = "RECEIPT_TAKEN"


class JobExistsError(MainspringError):
    """Another job has the id that this one was to have. `other` is that job."""

    code = "JOB_EXISTS"

    def __init__(self, detail: str, *, problems: Sequence[Problem] = (), other: Other | None = None) -> None:
        super().__init__(detail, problems=problems)
        self.other = other


@dataclass(frozen=True, slots=True)
class OverQuota(Problem):
    """A quota that a call would exceed: of which group or product, which one, and in its unit what it is about.

    `wait` is how long it is until it may fit; `None` if the call asks for more than the quota by itself.
    """

    scope: str
    name: str
    used: int
    asked: int
    quota: int
    wait: timedelta | None


class QuotaExceededError(MainspringError):
    """The jobs would exceed quotas of their group or product, of which each is an `OverQuota` in `problems`."""

    code = "QUOTA_EXCEEDED"

    def __init__(self, detail: str, *, problems: Sequence[OverQuota]) -> None:
        super().__init__(detail, problems=problems)
        waits = [problem.wait for problem in problems]
        self.retry_after = None if None in waits else max(wait for wait in waits if wait is not None)


class PreconditionFailedError(MainspringError):
    """The version the caller believed in (``If-Match``) is not the job's version."""

    code = "PRECONDITION_FAILED"


class EventsForgottenError(MainspringError):
    """Events behind a place in the feed are not kept any more."""

    code = "EVENTS_FORGOTTEN"


class TooManyFollowersError(MainspringError):
    """As many follow events here as may."""

    code = "TOO_MANY_FOLLOWERS"


class StoreUnavailableError(MainspringError):
    """The job store does not answer, or not in time. Nothing is known about the write that was under way."""

    code = "STORE_UNAVAILABLE"
    retry_after: ClassVar[timedelta] = timedelta(seconds=2)


class SchemaChangedError(StoreUnavailableError):
    """The store's schema was brought to another version while this process used it; a restart of it helps."""

    code = "SCHEMA_CHANGED"


class ConfigError(MainspringError):
    """Mainspring cannot start as configured: settings, plugins, store address or schema.

    The process exits with 78 (EX_CONFIG).
    """

    code = "CONFIG_ERROR"
    exit_code: ClassVar[int] = 78


class SchemaError(ConfigError):
    """The store's schema is missing, older or newer than this version of Mainspring needs."""

    code = "SCHEMA_ERROR"


class NodesAliveError(SchemaError):
    """The store's schema would be upgraded under nodes that work with it. The process exits with 1."""

    code = "NODES_ALIVE"
    exit_code = 1


class PortTakenError(ConfigError):
    """The address to listen on cannot be bound. The process exits with 69 (EX_UNAVAILABLE)."""

    code = "PORT_TAKEN"
    exit_code = 69


def first_line(error: BaseException) -> str:
    """Say in a line what an error has to say."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return (str(error).strip() or type(error).__name__).splitlines()[0]
