"""What a published schema is read back into checks as the job class itself does."""

from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, field_validator
from pydantic_core import to_json

from mainspring import Duration, JobRequest, When
from mainspring.declared import CommandJob, HttpJob
from mainspring.enqueueing.published import model_of
from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import read, schema_of
from mainspring.plugins import SchedulerJob
from mainspring.plugins.terms import terms_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Color(Enum):
    """A choice that has a name in the schema."""

    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    """A part that takes nothing else."""

    model_config = ConfigDict(extra="forbid")

    rack: int
    slot: Annotated[int, Ge(1)] = 1


class Tree(BaseModel):
    """A part that leads to itself."""

    leaves: Annotated[list["Tree"], Field(default_factory=list)]


class Everything(JobRequest):
    """A field of each kind."""

    vm_id: UUID | None = None
    number: int | None = None
    ratio: float = 0
    flag: bool = False
    text: Annotated[str, Field(min_length=2, max_length=3, pattern="^a")] = "aa"
    count: Annotated[int, Ge(1), Le(3)] = 1
    even: Annotated[int, Gt(1), Lt(9), MultipleOf(2)] = 2
    items: Annotated[list[int], Field(default_factory=list, min_length=1, max_length=2)]
    names: Annotated[dict[str, int], Field(default_factory=dict, max_length=1)]
    unique: Annotated[set[int], Field(default_factory=set)]
    pair: tuple[int, str] = (1, "")
    day: date | None = None
    clock: time | None = None
    moment: datetime | None = None
    zoned: When | None = None
    patience: Duration = timedelta(minutes=1)
    length: timedelta | None = None
    choice: Literal["x", "y"] = "x"
    only: Literal["x"] = "x"
    color: Color | None = None
    place: Place | None = None
    places: Annotated[list[Place], Field(default_factory=list)]
    either: int | str | None = None
    anything: Any = None


SENT: dict[str, list[Any]] = {
    "vmId": ["no", 5, None, "79BF0C2E-7A4C-4BB4-8A3B-3F2A5C8A1D11"],
    "number": ["x", "5", 1.5, 5.0, [], True, 2**70],
    "ratio": ["x", "1.5", [], 1],
    "flag": ["maybe", "true", 1, [], None],
    "text": ["a", "aaaa", "bb", 5, None, "aä"],
    "count": [0, 4, "2", None],
    "even": [1, 3, 10],
    "items": [[], [1, 2, 3], "x", ["x"], [1, "x"], {}],
    "names": [5, {"a": "x"}, {"a": 1, "b": 2}],
    "unique": ["x", [1, 1], ["x"]],
    "pair": [[1], [1, "", 3], ["x", 1]],
    "day": ["no", 5, "2026-02-30", "2026-01-01"],
    "clock": ["no", "25:00", "03:00"],
    "moment": ["no", "2026-01-01", "2026-01-01T00:00:00Z"],
    "zoned": ["no", "2026-01-01", 5, "2026-01-01T00:00:00Z"],
    "patience": ["no", 5, "P99Y", "PT1M"],
    "length": ["no", [], "PT1M"],
    "choice": ["z", 5],
    "only": ["z"],
    "color": ["green", 5, "red"],
    "place": [{"rack": "x"}, {}, 5, {"rack": 1, "slot": 0}, {"rack": 1, "row": 2}],
    "places": [[{"rack": 1}, {"rack": "x"}], {}],
    "either": [[], 5, "x"],
    "anything": [[], None],
    "nothing": [1],
    "field_0": [1],
    "vm_id": [5],
}


def problems(model: type[JobRequest], body: dict[str, Any]) -> list[Problem]:
    """Return what is wrong with a request."""
    try:
        read(model, {"when": "2026-06-01T00:00:00Z", **body}, now=NOW, calendars={})
    except InvalidRequestError as error:
        return list(error.problems)
    return []


def read_back(model: type[JobRequest], *, is_declared: bool = False) -> type[JobRequest]:
    """Return the model that other processes make of what is published."""
    return model_of("g", to_json(schema_of(model)), is_declared=is_declared)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in SENT.items() for value in values])
def test_problems_are_those_of_the_class(field: str, value: Any) -> None:
    """Places, codes and words are those that REST gives; and nothing is refused that REST takes."""
    assert problems(Everything, {field: value}) == problems(read_back(Everything), {field: value})


def test_many_problems_come_together() -> None:
    """Also with those of the schedule."""
    body = {"when": "no", "vmId": 5, "place": {"rack": "x", "row": 1}, "nothing": 1, "options": {"maxAttempts": 0}}
    assert problems(Everything, body) == problems(read_back(Everything), body)
    assert 6 == len(problems(Everything, body))


class Odd(JobRequest):
    """What is more than types."""

    model_config = ConfigDict(extra="allow")

    tree: Tree | None = None
    form: Annotated[str, Field(json_schema_extra={"format": "ipv4"})] = "127.0.0.1"
    needed: Annotated[int, Field(alias="class")]


def test_what_is_more_than_types_is_checked_by_its_schema() -> None:
    """A part that leads to itself, or has other keywords, is checked by these; names may be none of Python."""
    model = read_back(Odd)
    assert [] == problems(model, {"class": 1, "other": {}, "tree": {"leaves": [{"leaves": []}]}})
    assert [("/tree/leaves/0/leaves", "TYPE"), ("/form", "FORMAT"), ("/class", "REQD_FIELD_MISSING")] == [
        (each.pointer, each.code) for each in problems(model, {"tree": {"leaves": [{"leaves": 5}]}, "form": "x"})
    ]


def test_groups_that_settings_declare_are_checked_by_their_schema() -> None:
    """All that it says is checked, with the codes that REST gives, and no code is missed."""
    request = {
        "required": ["customerId"],
        "properties": {"customerId": {"type": "string", "format": "uuid"}, "size": {"type": "integer", "maximum": 5}},
        "minProperties": 2,
        "patternProperties": {"^x": {"type": "string"}},
    }
    for declared in (
        HttpJob(product="a", job_group="b", url="https://example.com/{customerId}", request=request),
        CommandJob(product="a", job_group="b", command=("ls",), request=request),
    ):
        model = declared.request_model()
        assert terms(model).declared
        assert not terms(model).checked_by_code
        for body in (
            {},
            {"customerId": "no", "size": 6},
            {"customerId": str(UUID(int=5)), "x": 5},
            {"customerId": str(UUID(int=5))},
            {"customerId": str(UUID(int=5)), "size": 5, "x": ""},
        ):
            assert problems(model, body) == problems(read_back(model, is_declared=True), body)


def terms(model: type[JobRequest]) -> Any:
    """Return the terms of a class with such requests."""
    return terms_of(type("Some", (SchedulerJob,), {"Request": model}), (), ())


class Checked(JobRequest):
    """A check by code."""

    name: str

    @field_validator("name")
    @classmethod
    def check(cls, name: str) -> str:
        """Take all."""
        return name


class Strict(JobRequest):
    """A limit that no schema has."""

    number: Annotated[int, Field(strict=True)]


class Stripped(JobRequest):
    """A text that is changed before it is measured."""

    model_config = ConfigDict(str_strip_whitespace=True)
    name: Annotated[str, Field(min_length=1)]


class Later(JobRequest):
    """A limit of days."""

    day: Annotated[date, Ge(date(2026, 1, 1))]


class Linked(JobRequest):
    """A type with rules of its own, inside another."""

    links: list[HttpUrl]


class Ended(JobRequest):
    """What is done after all fields are read."""

    def model_post_init(self, context: Any) -> None:
        """Do nothing."""


class After(JobRequest):
    """A part with a check."""

    class Part(BaseModel):
        """It."""

        name: str

        @field_validator("name")
        @classmethod
        def check(cls, name: str) -> str:
            """Take all."""
            return name

    parts: dict[str, Part | None]


@pytest.mark.parametrize("model", [Checked, Strict, Stripped, Later, Linked, Ended, After])
def test_what_no_schema_tells_is_known_as_code(model: type[JobRequest]) -> None:
    """Checks that other processes cannot make are never left out in silence."""
    assert terms(model).checked_by_code


@pytest.mark.parametrize("model", [Everything, Odd, JobRequest])
def test_what_the_schema_tells_is_not(model: type[JobRequest]) -> None:
    """Also times and lengths of ours, which are functions."""
    assert not terms(model).checked_by_code
