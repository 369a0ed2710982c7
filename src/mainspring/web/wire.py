"""Between the wire and the facts.

Bodies read strictly, jobs and runs written, errors turned into problem+json (RFC 9457) at one place.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, timezone
from functools import lru_cache, partial
from itertools import islice
from typing import Any
from urllib.parse import quote
from uuid import UUID

import structlog
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainspring.errors import (
    CalendarInUseError,
    ConflictError,
    InvalidRequestError,
    JobFinishedError,
    JobNotDeadError,
    JobNotRecurringError,
    JobRunningError,
    MainspringError,
    NotFoundError,
    PreconditionFailedError,
    Problem,
    StoreUnavailableError,
)
from mainspring.job import Job, JobKey, Position, Run, options_to_json
from mainspring.schedule import Forecast, Once, Start, describe, format_time, parse_when, trigger_to_json

BASE = "/api/schedulers"
BODY_LIMIT = 256 * 1024
BATCH_LIMIT = 64 * 1024 * 1024
BATCH_JOBS = 100_000
PROBLEM_LIMIT = 4 * 1024
DEPTH_LIMIT = 32
MEMBER_LIMIT = 1000
log = structlog.get_logger("mainspring.web")

_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
_JSON_LIKE = re.compile(r"application/[\w.-]+\+json", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


class HttpError(MainspringError):
    """A fault of the request as HTTP, which only this layer knows: the status and the stable code go with it."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail, problems=[Problem("", code, detail)])
        self.status = status
        self.id = code


STATUS: dict[type[MainspringError], int] = {
    NotFoundError: 404,
    ConflictError: 409,
    JobRunningError: 409,
    JobFinishedError: 409,
    JobNotDeadError: 409,
    JobNotRecurringError: 409,
    CalendarInUseError: 409,
    PreconditionFailedError: 412,
    InvalidRequestError: 422,
    StoreUnavailableError: 503,
}
_TITLES = {
    400: "Malformed request",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    412: "Precondition failed",
    413: "Body too large",
    414: "URL too long",
    415: "Unsupported media type",
    422: "Invalid request",
    500: "Internal error",
    503: "Service unavailable",
}
_SENTENCES: dict[type[MainspringError], str] = {
    ConflictError: "somebody else kept writing to the same place; nothing was written, try again",
    StoreUnavailableError: "the job store does not answer; a write that was under way may or may not have been done",
}
"""What is said in place of a store's own words, which may name hosts, tables or SQL; those go to the log."""
_VALIDATION_IDS = {"POST": "JOB_CREATION_ERROR", "PATCH": "JOB_UPDATE_ERROR"}
"""The broad codes that clients of the first hour know; elsewhere the first problem names the whole."""


# --- errors


def problem_response(request: Request, error: MainspringError) -> Response:
    """Answer an error of ours."""
    if isinstance(error, HttpError):
        return problem(request, error.status, error.id, str(error), error.problems)
    id_, detail = error.code, str(error)
    if isinstance(error, InvalidRequestError):
        id_ = _VALIDATION_IDS.get(request.method) or error.problems[0].code
    if sentence := _SENTENCES.get(type(error)):
        log.warning("request refused", path=request.url.path, code=id_, error=detail)
        detail = sentence
    return problem(request, STATUS.get(type(error), 500), id_, detail, error.problems)


def problem(request: Request, status: int, id_: str, detail: str, problems: Sequence[Problem] = ()) -> Response:
    """Answer with ``application/problem+json`` (RFC 9457), of at most `PROBLEM_LIMIT` bytes.

    Without `problems` the whole is the one problem.
    """
    errors = [
        {"pointer": fault.pointer[:200], "code": fault.code[:64], "detail": fault.detail[:200]}
        for fault in islice(problems or [Problem("", id_, detail)], 20)
    ]
    content = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail[:500],
        "instance": request.state.request_id,
        "id": id_,
        "errors": errors,
        "retryable": status == 503 or id_ == ConflictError.code,
    }
    headers = {"Retry-After": str(int(StoreUnavailableError.retry_after.total_seconds()))} if status == 503 else None
    while len((response := JSONResponse(content, status, headers, "application/problem+json")).body) > PROBLEM_LIMIT:
        if len(errors) > 1:
            errors.pop()
        else:
            content["detail"] = content["detail"][:-100]
    return response


# --- reading


def read_key(request: Request) -> JobKey:
    """Return the job group that the path names."""
    return JobKey(request.path_params["product"], request.path_params["job_group"])


def read_job_id(request: Request) -> UUID:
    """Return the job id of the path.

    Only the canonical form names a job (`uuid.UUID` would take braces, ``urn:`` and more).
    """
    text = request.path_params["job_id"]
    if not _UUID.fullmatch(text):
        detail = f"there is no job {text[:64]!r}"
        raise NotFoundError(detail, problems=[Problem("", "JOB_NOT_FOUND", detail)])
    return UUID(text)


def read_version(request: Request) -> int | None:
    """Return the version that ``If-Match`` names, `None` without the header or for ``*``."""
    tags = request.headers.getlist("if-match")
    if tags in ([], ["*"]):
        return None
    tag = ",".join(tags)
    if re.fullmatch(r'"\d{1,18}"', tag, re.ASCII):
        return int(tag[1:-1])
    raise HttpError(400, "IF_MATCH_INVALID", 'If-Match must be one ETag of this job, such as "3"')


async def read_body(request: Request) -> dict[str, Any]:
    """Read the body as one JSON object, strictly: see `parse_json`.

    Raises for a wrong media type or a body that is too large.
    """
    if not _is_json(_media_type(request)):
        raise HttpError(415, "UNSUPPORTED_MEDIA_TYPE", "send the body as application/json")
    value = parse_json(await _read_bytes(request, BODY_LIMIT))
    if not isinstance(value, dict):
        raise _invalid("", "BODY_NOT_OBJECT", "must be a JSON object")
    return value


async def read_batch(request: Request) -> list[dict[str, Any]]:
    """Read the body as many JSON objects: one array, or a line each (NDJSON), by its media type.

    Each object is held to what `read_body` asks of one. Raises like that.
    """
    media_type = _media_type(request)
    if not _is_json(media_type) and media_type not in _NDJSON:
        raise HttpError(415, "UNSUPPORTED_MEDIA_TYPE", "send the body as application/json or application/x-ndjson")
    data = await _read_bytes(request, BATCH_LIMIT)
    # In a thread: 100,000 objects take a second to parse, in which others want their turns.
    return await asyncio.to_thread(_parse_lines if media_type in _NDJSON else _parse_array, data)


def _parse_array(data: bytes) -> list[dict[str, Any]]:
    values = _parse(data)
    if not isinstance(values, list):
        raise _invalid("", "BODY_NOT_ARRAY", "must be a JSON array of objects")
    _not_too_many(values)
    if not _is_flat(data, values):
        for number, value in enumerate(values):
            _one_of_many(number, partial(_checked, value))
    return values


def _is_flat(data: bytes, values: list[Any]) -> bool:
    """Tell whether these are small objects without containers in them, and `_check` can find nothing in their text.

    That spares the walk, a tenth of the time of a batch.
    """
    return (
        b"\\u" not in data
        and data.count(b"{") + data.count(b"[") == len(values) + 1
        and all(isinstance(value, dict) and len(value) <= MEMBER_LIMIT for value in values)
    )


def _checked(value: Any) -> Any:
    _check(value)
    return value


def _parse_lines(data: bytes) -> list[dict[str, Any]]:
    lines = [line for line in data.split(b"\n") if line.strip()]
    return [_one_of_many(number, partial(parse_json, line)) for number, line in enumerate(_not_too_many(lines))]


def _not_too_many(items: list[Any]) -> list[Any]:
    if len(items) > BATCH_JOBS:
        raise HttpError(413, "BATCH_TOO_LARGE", f"a batch has at most {BATCH_JOBS} jobs, this one has {len(items)}")
    return items


def _one_of_many(number: int, parse: Callable[[], Any]) -> dict[str, Any]:
    """Parse and check one object of a batch; what is wrong with it says which it is, from 0."""
    try:
        value = parse()
        if not isinstance(value, dict):
            raise _invalid("", "BODY_NOT_OBJECT", "must be a JSON object")
    except HttpError as error:
        raise HttpError(error.status, error.id, f"number {number} of the batch: {error}") from error
    except InvalidRequestError as error:
        problems = [Problem(f"/{number}{fault.pointer}", fault.code, fault.detail) for fault in error.problems]
        raise InvalidRequestError(f"/{number}: {error}", problems=problems) from error
    return value


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or bool(_JSON_LIKE.fullmatch(media_type))


async def _read_bytes(request: Request, limit: int) -> bytes:
    """Read the body. As a stream of Starlette's it took 2.5 us more."""
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise _malformed("BODY_INCOMPLETE", "the body was cut off")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise HttpError(413, "BODY_TOO_LARGE", f"the body is larger than {limit // 1024} KiB")
    return bytes(body)


def parse_json(data: bytes) -> Any:
    """Parse JSON as RFC 8259 has it and no more: no NaN, no duplicate keys, nothing that a store could not keep.

    Raises `HttpError` for what is no JSON and `InvalidRequestError` for values out of bounds.
    """
    value = _parse(data)
    if not _is_plain(data):
        _check(value)
    return value


def _is_plain(data: bytes) -> bool:
    """Tell from the bytes of a body whether `_check` can find nothing.

    There are at most as many members as commas and brackets, and what it refuses in text can only be an escape.
    """
    opened = data.count(b"{") + data.count(b"[")
    return opened <= DEPTH_LIMIT and opened + data.count(b",") <= MEMBER_LIMIT and b"\\u" not in data


def _parse(data: bytes) -> Any:
    try:
        return _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise _malformed("INVALID_ENCODING", "the body is not UTF-8") from error
    except RecursionError as error:
        raise _malformed("JSON_TOO_DEEP", f"the body nests deeper than {DEPTH_LIMIT} levels") from error
    except ValueError as error:
        raise _malformed("MALFORMED_JSON", f"the body is not JSON: {str(error)[:100]}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name comes twice in one object")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > 1000:
        raise _invalid("", "NUMBER_RANGE", "has a number of more than 1000 digits")
    return int(digits)


def _number(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise _invalid("", "NUMBER_RANGE", "has a number beyond the range of a double")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer, parse_float=_number
)


def _check(value: Any) -> None:
    """Walk a parsed value without recursion and refuse what is too deep, too wide, or text that no store keeps."""
    waiting = [(value, 1)]
    members = 0
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, dict | list):
            if depth > DEPTH_LIMIT:
                raise _malformed("JSON_TOO_DEEP", f"the body nests deeper than {DEPTH_LIMIT} levels")
            members += len(item)
            if members > MEMBER_LIMIT:
                raise _invalid("", "TOO_MANY_MEMBERS", f"has more than {MEMBER_LIMIT} members and elements")
            if isinstance(item, dict):
                for name in item:
                    _check_text(name)
                item = item.values()
            waiting += [(inner, depth + 1) for inner in item]


def _check_text(text: str) -> None:
    if "\0" in text:
        raise _invalid("", "NUL_IN_STRING", "has text with a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _invalid("", "INVALID_UNICODE", "has text with half a surrogate pair")


def _malformed(code: str, detail: str) -> HttpError:
    return HttpError(400, code, detail)


def _invalid(pointer: str, code: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"{pointer or 'the body'} {detail}", problems=[Problem(pointer, code, detail)])


# --- writing


def job_path(job: Job) -> str:
    """Return the path of a job."""
    return f"{group_path(job.key)}/jobs/{job.id}"


@lru_cache(1000)
def group_path(key: JobKey) -> str:
    """Return the path of a job group."""
    return f"{BASE}/{quote(key.product, safe='')}/{quote(key.job_group, safe='')}"


def job_json(job: Job) -> dict[str, Any]:
    """Write a job as it stands on the wire."""
    next_run, created_at = job.next_run, format_time(job.created_at)
    return {
        "id": str(job.id),
        "product": job.key.product,
        "jobGroup": job.key.job_group,
        "state": job.state.value,
        "isPaused": job.paused,
        "nextRun": next_run and format_time(next_run),
        "jobRequest": job.request,
        "schedule": None if isinstance(job.trigger, Once) else trigger_to_json(job.trigger),
        "options": options_to_json(job.options),
        "attempt": job.attempt,
        "outcome": job.outcome and job.outcome.value,
        "lastRun": job.last_run and run_json(job.last_run),
        "version": job.version,
        "createdAt": created_at,
        "updatedAt": created_at if job.updated_at == job.created_at else format_time(job.updated_at),
    }


def run_json(run: Run) -> dict[str, Any]:
    """Write a row of history as it stands on the wire."""
    return {
        "run": run.number,
        "jobId": str(run.job_id),
        "scheduledFireTime": format_time(run.fire_time),
        "dueAt": format_time(run.due_at),
        "startedAt": format_time(run.started_at),
        "finishedAt": format_time(run.finished_at),
        "latenessSeconds": run.lateness.total_seconds(),
        "attempt": run.attempt,
        "outcome": run.outcome.value,
        "reason": run.reason,
        "node": run.node,
        "occurrences": run.occurrences,
        "lastScheduledFireTime": format_time(run.last_fire_time or run.fire_time),
        "backfill": run.backfill,
    }


def forecast_json(job: Job, forecast: Forecast, warnings: list[dict[str, str]]) -> dict[str, Any]:
    """Write what a job will do as it stands on the wire."""
    return {
        "valid": True,
        "schedule": describe(job.trigger),
        "fireTimes": [
            {
                "utc": format_time(start.fire_time),
                "local": _local(start),
                "at": format_time(start.at),
                "note": start.note,
            }
            for start in forecast.starts
        ],
        "passed": [
            {
                "first": format_time(unrun.first),
                "last": format_time(unrun.last),
                "occurrences": unrun.number,
                "fate": unrun.fate.value,
                "reason": unrun.reason,
            }
            for unrun in forecast.unrun
        ],
        "warnings": warnings,
    }


def _local(start: Start) -> str:
    """Write a fire time as the clocks of its zone show it, with their offset from UTC."""
    offset = start.local.replace(tzinfo=UTC) - start.fire_time
    return start.local.replace(tzinfo=timezone(offset)).isoformat()


def job_response(
    job: Job, status: int = 200, *, warnings: list[dict[str, str]] | None = None, **headers: str
) -> Response:
    """Answer with a job and its version as ETag; where it was written, also with `warnings`."""
    content = job_json(job) if warnings is None else job_json(job) | {"warnings": warnings}
    return json_response(content, status, {"ETag": f'"{job.version}"', **headers})


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON. Starlette's `JSONResponse` took 4 us more for a job."""
    return Response(to_json(content), status, headers, "application/json")


# --- cursors


def write_cursor(key: JobKey, position: Position) -> str:
    """Write a place in a group's list as an opaque cursor; it is good for that group only."""
    payload = f"{format_time(position.due_at)} {position.id} {position.run}".encode()
    return base64.urlsafe_b64encode(_seal(key, payload) + payload).decode().rstrip("=")


def read_cursor(key: JobKey, cursor: str) -> Position:
    """Read what `write_cursor` wrote for this group. Raises `InvalidRequestError` for anything else."""
    problem = Problem("?cursor", "CURSOR_INVALID", "is none that this list gave out")
    error = InvalidRequestError("the cursor is none that this list gave out", problems=[problem])
    try:
        data = base64.b64decode(cursor[:200].encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        seal, payload = data[:8], data[8:]
        due_at, id_, run = payload.decode().split(" ")
        position = Position(parse_when(due_at), UUID(id_), int(run))
    except ValueError:
        raise error from None
    if not hmac.compare_digest(seal, _seal(key, payload)):
        raise error
    return position


def _seal(key: JobKey, payload: bytes) -> bytes:
    """Tell a cursor of ours from an accident or one of another group.

    It protects nothing: a cursor shows no more than the list does.
    """
    return hashlib.sha256("\0".join(key).encode() + b"\0" + payload).digest()[:8]
