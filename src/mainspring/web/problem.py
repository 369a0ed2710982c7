"""Errors as ``application/problem+json`` (RFC 9457): the one place where an error becomes an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from math import ceil
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainspring import logs
from mainspring.errors import (
    CalendarInUseError,
    ConflictError,
    EventsForgottenError,
    InvalidRequestError,
    JobExistsError,
    JobFinishedError,
    JobNotDeadError,
    JobNotRecurringError,
    JobNotRunningError,
    JobRunningError,
    KeyTakenError,
    MainspringError,
    NewerJobError,
    NotFoundError,
    OverQuota,
    PreconditionFailedError,
    Problem,
    QuotaExceededError,
    ReceiptTakenError,
    SchemaChangedError,
    StoreUnavailableError,
    TooManyFollowersError,
    UnreadableJobError,
)
from mainspring.job import JobKey
from mainspring.web.codes import TITLES, code_of, type_of
from mainspring.web.paths import group_path
from mainspring.web.schema import ID

PROBLEM_LIMIT = 4 * 1024
log = logs.logger("mainspring.web")


class HttpError(MainspringError):
    """A fault of the request as HTTP, which only this layer knows: the status and the stable code go with it."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, problems=[Problem("", code, detail)])
        self.status = status
        self.id = code
        self.headers = headers or {}


STATUS: dict[type[MainspringError], int] = {
    NotFoundError: 404,
    ConflictError: 409,
    JobRunningError: 409,
    JobNotRunningError: 409,
    KeyTakenError: 409,
    JobExistsError: 409,
    JobFinishedError: 409,
    JobNotDeadError: 409,
    JobNotRecurringError: 409,
    NewerJobError: 409,
    UnreadableJobError: 409,
    CalendarInUseError: 409,
    ReceiptTakenError: 409,
    EventsForgottenError: 410,
    PreconditionFailedError: 412,
    InvalidRequestError: 422,
    QuotaExceededError: 429,
    TooManyFollowersError: 503,
    StoreUnavailableError: 503,
    SchemaChangedError: 503,
}
SENTENCES: dict[type[MainspringError], str] = {
    ConflictError: "other requests kept changing the same thing; nothing was written, try again",
    StoreUnavailableError: "the job store does not answer; a write in progress may or may not have taken effect",
}
"""What is said in place of a store's own words, which may name hosts, tables or SQL; those go to the log."""
_VALIDATION_IDS = {"POST": "JOB_CREATION_ERROR", "PATCH": "JOB_UPDATE_ERROR"}
"""The broad codes that clients of the first hour know; elsewhere the first problem names the whole."""
_HTTP_IDS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457, with the stable code as id.",
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "The page that says what `id` means, relative to the service.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The id of this request."},
        "id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                    "scope": {"type": "string", "description": "Only with QUOTA_EXCEEDED, like all that follows."},
                    "name": {"type": "string", "enum": ["pending", "createsPerMinute", "bytes"]},
                    "used": {"type": "integer"},
                    "asked": {"type": "integer", "description": "How much more the call asks for."},
                    "quota": {"type": "integer"},
                },
            },
        },
        "retryable": {"type": "boolean"},
        "run": {"type": "integer", "description": "The number of the run that is in the way: with JOB_RUNNING."},
        "job": {
            "type": "object",
            "description": "The job in the way: with KEY_TAKEN, JOB_EXISTS, and JOB_RUNNING if it was to be replaced.",
            "properties": {"id": ID, "href": {"type": "string"}},
        },
    },
}


def error_response(request: Request, error: Exception) -> Response:
    """Turn whatever was raised into an answer; what nobody expected goes to the log with its traceback."""
    if isinstance(error, MainspringError):
        return _ours(request, error)
    if isinstance(error, HTTPException):
        response = problem(request, error.status_code, _HTTP_IDS.get(error.status_code, "HTTP_ERROR"), error.detail)
        response.headers.update(error.headers or {})
        return response
    log.error("request failed", request=request.state.request_id, path=request.url.path, exc_info=error)
    return problem(
        request, 500, "INTERNAL_ERROR", "something went wrong here; the log has the details under this request id"
    )


def _ours(request: Request, error: MainspringError) -> Response:
    if isinstance(error, HttpError):
        response = problem(request, error.status, error.id, str(error), error.problems)
        response.headers.update(error.headers)
        return response
    id_, detail = error.code, str(error)
    if isinstance(error, InvalidRequestError):
        method = "POST" if request.method == "PUT" and "/jobs/" in request.scope["path"] else request.method
        id_ = _VALIDATION_IDS.get(method) or error.problems[0].code
    if sentence := SENTENCES.get(type(error)):
        log.warning("request refused", path=request.url.path, code=id_, error=detail)
        detail = sentence.partition(";")[0] if request.method in {"GET", "HEAD"} else sentence  # which writes nothing
    if isinstance(error, KeyTakenError | JobRunningError | JobExistsError):
        return problem(request, 409, id_, detail, error.problems, **_in_the_way(error))
    if isinstance(error, QuotaExceededError):
        wait = error.retry_after
        response = problem(request, 429, id_, detail, error.problems, retryable=wait is not None)
        if wait is not None:
            response.headers["Retry-After"] = str(max(1, ceil(wait.total_seconds())))
        return response
    return problem(request, STATUS.get(type(error), 500), id_, detail, error.problems)


def _in_the_way(error: KeyTakenError | JobRunningError | JobExistsError) -> dict[str, object]:
    """Name the job, and the run, that is in the way."""
    named: dict[str, object] = {}
    if isinstance(error, JobRunningError) and error.run is not None:
        named["run"] = error.run
    if error.other is not None:
        key, job_id = error.other
        named["job"] = {"id": str(job_id), "href": f"{group_path(JobKey(*key))}/jobs/{job_id}"}
    return named


def problem(
    request: Request, status: int, id_: str, detail: str, problems: Sequence[Problem] = (), **more: object
) -> Response:
    """Answer with a problem of at most `PROBLEM_LIMIT` bytes. Without `problems` the whole is the one problem."""
    errors = [_error_json(fault) for fault in islice(problems or [Problem("", id_, detail)], 20)]
    content = {
        "type": type_of(id_),
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail[:500],
        "instance": request.state.request_id,
        "id": id_,
        "errors": errors,
        "retryable": status in {408, 503} or code_of(id_).is_retryable,
        **more,
    }
    headers = {"Retry-After": str(int(StoreUnavailableError.retry_after.total_seconds()))} if status == 503 else None
    while len((response := JSONResponse(content, status, headers, "application/problem+json")).body) > PROBLEM_LIMIT:
        if len(errors) > 1:
            errors.pop()
        else:
            content["detail"] = content["detail"][:-100]
    return response


def _error_json(fault: Problem) -> dict[str, object]:
    written: dict[str, object] = {
        "pointer": fault.pointer[:200],
        "code": fault.code[:64],
        "detail": fault.detail[:200],
    }
    if isinstance(fault, OverQuota):
        written |= {name: getattr(fault, name) for name in ("scope", "name", "used", "asked", "quota")}
    return written
