"""What a job is created with: the `JobRequest` model, and the reading of a body into it with every fault at once.

The scheduling fields stand flat beside the plugin's own. `read` answers what the lifecycle needs: the parsed request,
its trigger and its options; or raises one `InvalidRequestError` that lists all problems: required fields, single
fields, whole object, and schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError

from mainspring.errors import InvalidRequestError, Problem
from mainspring.job.options import NO_OPTIONS, Options
from mainspring.problems import kind_of, pointer, problem_of, problems_of, sentence
from mainspring.schedule import (
    HORIZON,
    Every,
    Once,
    Period,
    Recurring,
    Trigger,
    When,
    kind_problems,
    range_problems,
    schedule_problems,
    to_trigger,
    too_far,
    too_old,
)
from mainspring.schedule import Schedule as Schedule  # noqa: PLC0414 - it is a part of the request

RESERVED = frozenset({
    "id", "product", "jobGroup", "state", "isPaused", "nextRun", "jobRequest", "attempt", "run", "fence", "node",
    "owner", "version", "outcome", "lastRun", "currentRun", "pausedBy", "createdAt", "updatedAt",
})  # fmt: skip
"""Names that the service itself writes about a job.

A body that sets one is refused unless the group declares such a field.
"""


REQUEST_LIMIT = 256 * 1024
"""How large a stored request may become, in bytes of JSON; the same as the limit of a body."""


class JobType(StrEnum):
    """The two kinds of job that clients of the first hour know."""

    ONE_TIME = "ONE_TIME"
    RECURRING = "RECURRING"


_NULL_IS_DEFAULT = BeforeValidator(
    lambda sent: JobType.ONE_TIME if sent is None else sent, json_schema_input_type=JobType | None
)
_ONLY_RECURRING = WithJsonSchema({"description": "Only with RECURRING, which says what it must be; else ignored."})
NOW = "now"
"""What `when` may be in place of a moment: the service puts the store's time there before a request is read."""
_WHEN_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "format": "date-time", "examples": ["2026-12-01T10:00:00Z"]},
            {"const": NOW, "description": "At once, by the time of the job store."},
        ]
    }
)
_NOT_NULL: dict[str, Any] = {"not": {"type": "null"}}
SCHEDULING_SCHEMA: dict[str, Any] = {
    "anyOf": [{"required": [name], "properties": {name: _NOT_NULL}} for name in ("when", "schedule")],
    "if": {"required": ["jobType"], "properties": {"jobType": {"const": JobType.RECURRING}}},
    "then": {
        "required": ["repeatIntervalInDays"],
        "properties": {
            "repeatIntervalInDays": {"type": "integer", "minimum": 1, "maximum": HORIZON.days},
            "repeatCount": {"type": ["integer", "null"], "minimum": 0, "maximum": 2**31 - 1},
        },
    },
}
"""What the scheduling fields of a request must be together, as JSON Schema."""


class AnythingElse(GenerateJsonSchema):
    """Describes what no JSON Schema can describe as anything."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> dict[str, Any]:  # noqa: ARG002
        """See `GenerateJsonSchema.handle_invalid_for_json_schema`."""
        return {}


class JobRequest(BaseModel):
    """The base of every job group's ``Request``: subclass it with the group's own fields (camelCase on the wire).

    `when` is the first (or only) fire time. With ``jobType`` RECURRING the job repeats each `repeat_interval_in_days`
    civil days (UTC), and `repeat_count` times after the first; with ONE_TIME both are ignored. `schedule` is the richer
    form. A scheduling field that is null counts as not sent: typed clients write all fields of a class. Fields that the
    model does not declare are refused, unless the model says ``extra="allow"``.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True
    )

    when: Annotated[When, _WHEN_SCHEMA] | None = None
    job_type: Annotated[JobType, _NULL_IS_DEFAULT] = JobType.ONE_TIME
    repeat_count: Annotated[Any, _ONLY_RECURRING] = None
    repeat_interval_in_days: Annotated[Any, _ONLY_RECURRING] = None
    schedule: Schedule | None = None
    options: Options | None = None


SCHEDULING_FIELDS = frozenset(JobRequest.model_fields)
R = TypeVar("R", bound=JobRequest)


class Reading(NamedTuple):
    """A request that was read: the parsed model, and when and how it wants to be run."""

    request: JobRequest
    trigger: Trigger
    options: Options


def read(
    model: type[JobRequest],
    body: Mapping[str, Any],
    *,
    now: datetime,
    calendars: Collection[str] = (),
    start: datetime | None = None,
) -> Reading:
    """Read the body of a new job; `calendars` are the names that a schedule may use.

    A schedule begins at `start`, by default `now`, if the body does not say when. What checks of the plugin set in
    context variables is seen by no other request, such as the next of a batch.

    Raises `InvalidRequestError` with every problem; a bug in the plugin's own checks is one of them.
    """
    return copy_context().run(_read, model, body, now, calendars, start or now)


def _read(
    model: type[JobRequest], body: Mapping[str, Any], now: datetime, calendars: Collection[str], start: datetime
) -> Reading:
    problems = [] if RESERVED.isdisjoint(body) else [*_reserved(model, body)]
    try:
        request = _parse(model, body)
    except InvalidRequestError as error:
        partial = _valid_part(model, body)
        problems += [*error.problems, *_object_problems(model, partial, body)]
        problems += _scheduling_problems(partial, body, now, calendars)
        raise _refusal(
            _first_of_each_place(problems)
        ) from error.__cause__  # kept in no variable of this frame: see `_parse`
    problems += _scheduling_problems(request, body, now, calendars)
    if problems:
        raise _refusal(_first_of_each_place(problems))
    return Reading(request, _trigger(request, start), request.options or NO_OPTIONS)


def _reserved(model: type[JobRequest], body: Mapping[str, Any]) -> Iterator[Problem]:
    for name in body:
        if name in RESERVED and name not in _wire_names(model):
            yield Problem(pointer((name,)), "RESERVED_FIELD", "is written by the service and cannot be sent")


def parse(model: type[R], body: Mapping[str, Any]) -> R:
    """Parse a body that is taken to be right, as at run time.

    Raises `InvalidRequestError`, caused by what the model raised.
    """
    return copy_context().run(_parse, model, body)


def _parse(model: type[R], body: Mapping[str, Any]) -> R:
    """Parse a body. Whatever a check of the plugin raises is its bug, and ends neither the call nor the service.

    What was raised is kept in no variable: this frame is a part of its traceback, or of what leads to that, and a cycle
    would keep the body and all that the plugin had made until the collector comes by.
    """
    try:
        # The validator itself: `model_validate`, which calls it, costs 0.7 us a run more.
        return cast("R", model.__pydantic_validator__.validate_python(body, by_alias=True, by_name=False))
    except ValidationError as error:
        raise _refusal(_problems_of(error, body)) from error
    except BaseException as error:
        raise _refusal([_bug(error)]) from error  # its author must hear of it


def _problems_of(error: ValidationError, body: Mapping[str, Any]) -> list[Problem]:
    try:
        return problems_of(error, body)
    except BaseException as bug:  # noqa: BLE001 - a check of the plugin raised what has no words
        return [_bug(bug)]


def _bug(error: BaseException) -> Problem:
    return Problem("", "PLUGIN_VALIDATION_ERROR", f"the job group's own check failed with {kind_of(error)}")


def _refusal(problems: Iterable[Problem]) -> InvalidRequestError:
    problems = list(problems)
    return InvalidRequestError(sentence(problems), problems=problems)


# --- all problems at once ---------------------------------------------------------------------------------------------


def _wire_names(model: type[JobRequest]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in model.model_fields.items())


def _first_of_each_place(problems: list[Problem]) -> Iterator[Problem]:
    """Report problems of one kind per field, and each problem once.

    `RESERVED_FIELD` hides `UNKNOWN_FIELD`, a bad value hides what follows from it.
    """
    codes: dict[str | Problem, str] = {}
    for problem in dict.fromkeys(problems):
        if problem.code == codes.setdefault(problem.pointer or problem, problem.code):
            yield problem


@cache
def _probe(model: type[JobRequest]) -> type[JobRequest]:
    """Make a twin of the model that notes each field which is right, also when others are not."""

    def note(value: object, handler: Callable[[object], object], info: ValidationInfo) -> object:
        valid = handler(value)
        cast("dict[str | None, object]", info.context)[info.field_name] = valid
        return valid

    validators: dict[str, Any] = {"note_valid_fields": field_validator("*", mode="wrap")(note)}
    return create_model(f"{model.__name__}Probe", __base__=model, __validators__=validators)


def _valid_part(model: type[JobRequest], body: Mapping[str, Any]) -> JobRequest:
    """Build the model of the fields that are right.

    A field that was sent wrong, or is required and missing, is absent from it.
    """
    valid: dict[str, Any] = {}
    with suppress(BaseException):  # its problems are known already; only what it noted counts
        _probe(model).model_validate(body, by_alias=True, by_name=False, context=valid)
    try:
        partial = model.model_construct(_fields_set=set(valid), **valid)
    except BaseException:  # noqa: BLE001 - its `model_post_init` needs a field that is not there; so no check of the whole can be run
        partial = JobRequest.model_construct(**valid)
    for name, field in model.model_fields.items():
        if name not in valid and (field.alias or name) in body:
            partial.__dict__.pop(name, None)
    return partial


def _object_problems(model: type[JobRequest], partial: JobRequest, body: Mapping[str, Any]) -> Iterator[Problem]:
    """Run the model's ``@model_validator(mode="after")`` checks on the part that is right.

    One that needs an absent field says nothing.
    """
    for check in model.__pydantic_decorators__.model_validators.values():
        if check.info.mode != "after":
            continue
        try:
            getattr(partial, check.cls_var_name)()
        except BaseException as error:  # noqa: BLE001 - code of the plugin
            yield from _found(error, body)


def _found(error: BaseException, body: Mapping[str, Any]) -> list[Problem]:
    """Return what a check of the whole has found: nothing, if it only needs a field that is not there."""
    with suppress(BaseException):  # it cannot say what it found
        match error:
            case ValidationError():
                return problems_of(error, body)
            case PydanticCustomError():
                return [problem_of((), error.type, error.message(), body)]
            case ValueError() | AssertionError():
                return [problem_of((), "value_error", f"Value error, {error}", body)]
            case _:
                pass
    return []


# --- the schedule -----------------------------------------------------------------------------------------------------


def _scheduling_problems(
    request: JobRequest, body: Mapping[str, Any], now: datetime, calendars: Collection[str]
) -> Iterator[Problem]:
    """Check the scheduling fields together, those of them that are right by themselves."""
    if "schedule" in body:
        yield from kind_problems(body["schedule"])
    sent = request.__dict__
    when, schedule, job_type = sent.get("when"), sent.get("schedule"), sent.get("job_type")
    if when is not None:
        yield from range_problems("/when", when)
        yield from too_far("/when", when, now)
    elif schedule is None and {"when", "schedule"} <= sent.keys():
        yield Problem("/when", "REQD_FIELD_MISSING", "is required: when the job is to run, or a schedule")
    if schedule is not None or job_type is JobType.RECURRING:
        yield from too_old("/when", when, now)
    if job_type is JobType.RECURRING:
        if schedule is not None:
            yield Problem(
                "/jobType", "SCHEDULE_CONFLICT", "RECURRING and schedule both say how to repeat; send one of them"
            )
        if not _whole(sent.get("repeat_interval_in_days"), 1, HORIZON.days):
            yield Problem(
                "/repeatIntervalInDays", "INVALID_REPEAT_INTERVAL", "must be a whole number of days from 1 to 3653"
            )
        if sent.get("repeat_count") is not None and not _whole(sent["repeat_count"], 0, 2**31 - 2):
            yield Problem("/repeatCount", "INVALID_REPEAT_COUNT", "must be a whole number from 0 to 2147483646")
    if schedule is not None:
        yield from schedule_problems(schedule, when, now, calendars)


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _trigger(request: JobRequest, now: datetime) -> Trigger:
    if request.schedule:
        return to_trigger(request.schedule, request.when, now)
    assert request.when is not None, "checked above"  # noqa: S101 - for the type checker
    if request.job_type is JobType.ONE_TIME:
        return Once(request.when)
    count = None if request.repeat_count is None else request.repeat_count + 1
    return Recurring(Every(Period(days=request.repeat_interval_in_days)), request.when, count)


@cache
def schema_of(model: type[JobRequest]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of requests of a model, as their bodies are on the wire."""
    schema = model.model_json_schema(schema_generator=AnythingElse)
    scheduling = {} if SCHEDULING_SCHEMA.keys() & schema.keys() else SCHEDULING_SCHEMA
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, **scheduling}
