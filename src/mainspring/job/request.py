"""What a job is created with: the `JobRequest` model, and the reading of a body into it with every fault at once.

The scheduling fields stand flat beside the plugin's own. `read` answers what the lifecycle needs: the parsed request,
its trigger and its options; or raises one `InvalidRequestError` that lists all problems: required fields, single
fields, whole object, and schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
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
from pydantic_core import PydanticCustomError

from mainspring.errors import InvalidRequestError, Problem
from mainspring.job.options import Options
from mainspring.problems import pointer, problem_of, problems_of, sentence
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
    "owner", "version", "outcome", "lastRun", "createdAt", "updatedAt",
})  # fmt: skip
"""Names that the service itself writes about a job.

A body that sets one is refused unless the group declares such a field.
"""


class JobType(StrEnum):
    """The two kinds of job that clients of the first hour know."""

    ONE_TIME = "ONE_TIME"
    RECURRING = "RECURRING"


_NULL_IS_DEFAULT = BeforeValidator(
    lambda sent: JobType.ONE_TIME if sent is None else sent, json_schema_input_type=JobType | None
)
_ONLY_RECURRING = WithJsonSchema({"description": "Only with RECURRING, which says what it must be; else ignored."})
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

    when: When | None = None
    job_type: Annotated[JobType, _NULL_IS_DEFAULT] = JobType.ONE_TIME
    repeat_count: Annotated[Any, _ONLY_RECURRING] = None
    repeat_interval_in_days: Annotated[Any, _ONLY_RECURRING] = None
    schedule: Schedule | None = None
    options: Options | None = None


_OPEN = Options()
SCHEDULING_FIELDS = frozenset(JobRequest.model_fields)
_BUGS = (Exception, SystemExit)
"""What a check of the plugin may raise that it should not. ``sys.exit`` in one must not end the service either."""
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

    A schedule begins at `start`, by default `now`, if the body does not say when.

    Raises `InvalidRequestError` with every problem; a bug in the plugin's own checks is one of them.
    """
    problems = [
        Problem(pointer((name,)), "RESERVED_FIELD", "is written by the service and cannot be sent")
        for name in body
        if name in RESERVED and name not in _wire_names(model)
    ]
    request, cause = None, None
    try:
        request = parse(model, body)
    except InvalidRequestError as error:
        cause = error.__cause__
        problems += error.problems
        partial = _valid_part(model, body)
        problems += _object_problems(model, partial, body)
    else:
        partial = request
    if "schedule" in body:
        problems += kind_problems(body["schedule"])
    problems += _schedule_problems(partial, now, calendars)
    if problems or request is None:
        problems = list(_first_of_each_place(problems))
        raise InvalidRequestError(sentence(problems), problems=problems) from cause
    return Reading(request, _trigger(request, start or now), request.options or _OPEN)


def parse(model: type[R], body: Mapping[str, Any]) -> R:
    """Parse a body that is taken to be right, as at run time.

    Raises `InvalidRequestError`, caused by what the model raised.
    """
    cause: BaseException
    try:
        # The validator itself: `model_validate`, which calls it, costs 0.7 us a run more.
        return cast("R", model.__pydantic_validator__.validate_python(body, by_alias=True, by_name=False))
    except ValidationError as error:
        cause = error
        problems = problems_of(error, body)
    except _BUGS as error:  # its author must hear of it, the service goes on
        cause = error
        problems = [
            Problem("", "PLUGIN_VALIDATION_ERROR", f"the job group's own check failed with {type(error).__name__}")
        ]
    raise InvalidRequestError(sentence(problems), problems=problems) from cause


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
    with suppress(*_BUGS):  # its problems are known already; only what it noted counts
        _probe(model).model_validate(body, by_alias=True, by_name=False, context=valid)
    try:
        partial = model.model_construct(_fields_set=set(valid), **valid)
    except _BUGS:  # its `model_post_init` needs a field that is not there; so no check of the whole can be run
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
        except PydanticCustomError as error:
            yield problem_of((), error.type, error.message(), body)
        except (ValueError, AssertionError) as error:
            with suppress(*_BUGS):  # it cannot say what it found
                yield problem_of((), "value_error", f"Value error, {error}", body)
        except _BUGS:  # it needs a field that is not there
            continue


# --- the schedule -----------------------------------------------------------------------------------------------------


def _schedule_problems(request: JobRequest, now: datetime, calendars: Collection[str]) -> Iterator[Problem]:
    """Check the scheduling fields together, those of them that are right by themselves."""
    sent = request.__dict__
    when, schedule, job_type = sent.get("when"), sent.get("schedule"), sent.get("job_type")
    if when is None and schedule is None and {"when", "schedule"} <= sent.keys():
        yield Problem("/when", "REQD_FIELD_MISSING", "is required: when the job is to run, or a schedule")
    yield from range_problems("/when", when)
    yield from too_far("/when", when, now)
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
