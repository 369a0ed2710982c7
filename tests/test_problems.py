"""What is wrong with a request, in words for people who do not write Python."""

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import pytest
from pydantic import AnyUrl, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

from mainspring.problems import problem_of, problems_of, sentence
from mainspring.schedule import Duration


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = 1


class Model(BaseModel):
    """A model that refuses as a whole."""

    model_config = ConfigDict(extra="forbid")

    inner: Inner = Inner()

    @model_validator(mode="after")
    def check(self) -> "Model":
        if self.inner.size == 2:
            raise ValueError("a refund needs a reference")
        if self.inner.size == 3:
            raise PydanticCustomError("refund", "a refund needs a reference")
        return self


def said(kind: Any, value: object) -> str:
    """Return the sentence about a value that is not of a kind."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return sentence(problems_of(caught.value, value))


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (UUID, "79bf", "must be a UUID such as 79bf0c2e-7a4c-4bb4-8a3b-3f2a5c8a1d11"),
        (UUID, 7, "must be a UUID such as 79bf0c2e-7a4c-4bb4-8a3b-3f2a5c8a1d11"),
        (int, "seven", "must be a whole number"),
        (int, 7.5, "must be a whole number"),
        (float, "x", "must be a number"),
        (Decimal, "x", "must be a number"),
        (str, 7, "must be text"),
        (bool, "perhaps", "must be true or false"),
        (list[int], 7, "must be a list"),
        (dict[str, int], 7, "must be an object"),
        (date, "tomorrow", "must be a date such as 2026-12-24"),
        (time, "noon", "must be a time of day such as 03:00"),
        (datetime, "tomorrow", "must be a time such as 2026-12-01T10:00:00Z"),
        (AwareDatetime, datetime(2026, 1, 1), "must have a time zone"),  # noqa: DTZ001 - that is the point
        (timedelta, "long", "must be a length of time such as PT15M"),
        (Annotated[Duration, Field(gt=timedelta())], "PT0S", "must be greater than PT0S"),
        (Annotated[Duration, Field(ge=timedelta(seconds=90))], "PT1S", "must be greater than or equal to PT90S"),
        (Annotated[Duration, Field(lt=timedelta(days=31))], "P31D", "must be less than P31D"),
        (Annotated[Duration, Field(le=timedelta(days=1.5))], "P2D", "must be less than or equal to P1DT43200S"),
        (AnyUrl, "nowhere", "must be a URL such as https://example.com/path"),
        (Annotated[int, Field(ge=1)], 0, "must be greater than or equal to 1"),
        (Annotated[str, Field(min_length=1)], "", "must have at least 1 character"),
        (Annotated[str, Field(pattern="^a$")], "b", "must match pattern '^a$'"),
        (Annotated[list[int], Field(max_length=1)], [1, 2], "must have at most 1 item, not 2"),
        (Literal["a", "b"], "c", "must be 'a' or 'b'"),
        (Annotated[Decimal, Field(max_digits=2)], "1.234", "must have no more than 2 digits in total"),
    ],
)
def test_rules_of_pydantic_are_told_in_our_words(kind: Any, value: object, words: str) -> None:
    """Each says what must be, behind its place."""
    assert said(kind, value).removeprefix("the request ") == words
    assert said(dict[str, kind], {"x": value}) == f"/x {words}"


FACTS: dict[str, Any] = {
    **dict.fromkeys(["min_length", "max_length", "actual_length", "gt", "ge", "lt", "le", "whole_digits"], 1),
    **dict.fromkeys(
        ["tz_expected", "tz_actual", "expected_version", "max_digits", "decimal_places", "whole_digits"], 1
    ),
    **dict.fromkeys(["pattern", "expected", "expected_tags", "tag", "discriminator", "error"], "x"),
    **dict.fromkeys(["class", "class_name", "expected_schemes", "encoding", "encoding_error", "method_name"], "x"),
    "attribute": "x",
    "multiple_of": 1,
    "field_type": "List",
}


@pytest.mark.parametrize("kind", get_args(core_schema.ErrorType))
def test_no_rule_speaks_of_what_should_be(kind: Any) -> None:
    """None of the sentences that begin as those of pydantic do reaches a client."""
    told = problem_of((), kind, PydanticKnownError(kind, FACTS).message(), None).detail

    assert not re.search("^Input|^Value error|^Assertion failed| should |a valid (?!complex)", told), told


def test_words_of_a_plugin_are_left_alone() -> None:
    """Also where they look like pydantic's."""
    assert problem_of((), "own_rule", "Input should be nicer", None).detail == "Input should be nicer"


@pytest.mark.parametrize("size", [2, 3])
def test_what_a_plugin_says_of_the_whole_is_a_sentence_by_itself(size: int) -> None:
    """No place is put before it."""
    assert said(Model, {"inner": {"size": size}}) == "a refund needs a reference"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"colour": "red"}, "/colour is not a field of this job group"),
        ({"inner": {"colour": "red"}}, "/inner/colour is not a field of /inner"),
        (7, "the request must be an object"),
        ({"inner": 7}, "/inner must be an object"),
    ],
)
def test_place_of_a_problem(value: object, words: str) -> None:
    """A field is unknown to what it stands in, which need not be the job group."""
    assert said(Model, value) == words
