"""What is asked for: a body as Python has it, made into one as REST takes it, and checked by what nodes published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import PydanticSerializationError, from_json, to_json

from mainspring.declared import own_fields
from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import (
    NOW,
    REQUEST_LIMIT,
    Job,
    JobKey,
    JobRequest,
    OnConflict,
    Options,
    Terms,
    is_key,
    lifecycle,
    read,
)
from mainspring.problems import sentence
from mainspring.schedule import Calendars, format_time


def refused(problems: list[Problem]) -> InvalidRequestError:
    """Return the error that names every problem."""
    return InvalidRequestError(sentence(problems), problems=problems)


class Known(NamedTuple):
    """What the database says before a job is made: its time, what the group's requests are like, and calendars."""

    now: datetime
    model: type[JobRequest]
    terms: Terms
    calendars: Calendars


def new_job(key: JobKey, known: Known, sent: Mapping[str, Any], job_id: UUID, *, checks_later: bool) -> Job:
    """Return the job of a body. Raises `InvalidRequestError` with every problem."""
    now, model, terms, calendars = known
    body = _on_the_wire(sent, terms, now)
    problems = [] if checks_later or not terms.checked_by_code else [_CHECKED_BY_CODE]
    try:
        reading = read(model, body, now=now, calendars=calendars)
    except InvalidRequestError as error:
        raise refused([*error.problems, *problems]) from None
    problems += _not_here(reading.options, terms)
    if problems:
        raise refused(problems)
    made = lifecycle.create(
        job_id=job_id,
        key=key,
        request=body,
        trigger=reading.trigger,
        options=reading.options,
        now=now,
        calendars=calendars,
    )
    return lifecycle.ranked(made.job, terms.priority, _concurrency_key(reading.request, terms), terms.searchable)


_CHECKED_BY_CODE = Problem(
    "",
    "CHECKED_BY_CODE",
    "the job group checks requests by code, which only nodes have. With checks_later=True it is created, and a "
    "request that they refuse fails when it is due; or create it by REST",
)
_KEYED_BY_CODE = Problem(
    "/options/concurrencyKey",
    "KEYED_BY_CODE",
    "is required: the job group makes it by code, which only nodes have; or create the job by REST",
)


def _not_here(options: Options, terms: Terms) -> Iterator[Problem]:
    """Say what only a service or a node can do."""
    if terms.keyed_by_code and options.concurrency_key is None:
        yield _KEYED_BY_CODE
    if options.on_conflict is OnConflict.REPLACE:
        detail = "can be reject or keep in a transaction of yours; to replace a job use REST"
        yield Problem("/options/onConflict", "REPLACE_IN_BATCH", detail)
    if options.after:
        detail = "cannot be used in a transaction of yours: whether these jobs are there may not be looked up; use REST"
        yield Problem("/options/after", "AFTER_BY_JOB", detail)


def _on_the_wire(sent: Mapping[str, Any], terms: Terms, now: datetime) -> dict[str, Any]:
    """Return a body as JSON has it. Raises `InvalidRequestError` for what could not be kept."""
    try:
        text = to_json({terms.names.get(name, name): value for name, value in sent.items()}, inf_nan_mode="constants")
        body: dict[str, Any] = from_json(text, allow_inf_nan=False)
    except (PydanticSerializationError, ValueError) as error:
        raise refused([Problem("", "NOT_JSON", f"the request cannot be written as JSON: {error}")]) from None
    problems = []
    if len(text) > REQUEST_LIMIT:
        problems.append(Problem("", "REQUEST_TOO_LARGE", f"the request is larger than {REQUEST_LIMIT // 1024} KiB"))
    if b"\\u0000" in text:
        problems.append(Problem("", "NOT_JSON", "the request has a NUL character, which PostgreSQL cannot keep"))
    if problems:
        raise refused(problems)
    return {**body, "when": format_time(now)} if body.get("when") == NOW else body


def _concurrency_key(request: JobRequest, terms: Terms) -> str | None:
    """Fill in the template of the group; `None` where there is none, or a field of it has no value.

    Raises `InvalidRequestError` if what comes out is no key.
    """
    if terms.concurrency_key is None:
        return None
    fields = own_fields(request)
    values = {name: fields.get(wire) for name, wire in terms.names.items() if f"{{{name}}}" in terms.concurrency_key}
    if None in values.values():
        return None
    key = terms.concurrency_key.format_map(values)
    if not is_key(key):
        detail = f"the job group's own concurrency key is {key[:100]!r}, which is no key"
        raise refused([Problem("", "PLUGIN_VALIDATION_ERROR", detail)])
    return key
