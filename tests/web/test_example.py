"""Examples of requests: what a model accepts, whatever its fields are."""

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Network, IPv6Address
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    UUID1,
    UUID7,
    AnyUrl,
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    Field,
    FutureDate,
    FutureDatetime,
    Json,
    SecretStr,
    StringConstraints,
    TypeAdapter,
)
from pydantic_core import from_json, to_json

from mainspring.clock import SystemClock
from mainspring.web.example import at, example

NOW = SystemClock().now()


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(gt=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]


class Node(BaseModel):
    name: str
    children: "list[Node]"


def made(kind: Any) -> Any:
    """Return the example of a type, as it is sent."""
    schema = TypeAdapter(kind).json_schema()
    definitions = {f"#/$defs/{name}": part for name, part in schema.get("$defs", {}).items()}
    return from_json(at(NOW, to_json(example(schema, definitions))))


KINDS = [
    str, int, float, bool, Decimal, UUID, UUID1, UUID7, datetime, AwareDatetime, FutureDatetime, date, FutureDate,
    time, timedelta, AnyUrl, IPv6Address, IPv4Network, Base64Bytes, SecretStr, Any, None, Colour, Cat, Node,
    Json[list[int]], Literal["x", 2], Cat | None, str | int, list[str], list[Cat], tuple[int, str], tuple[Cat, ...],
    set[int], dict[str, int], frozenset[Colour],
    Annotated[Cat | Dog, Field(discriminator="kind")],
    Annotated[list[int], Field(min_length=3)],
    Annotated[set[int], Field(min_length=3)],
    Annotated[set[str], Field(min_length=2)],
    Annotated[list[str], Field(max_length=0)],
    Annotated[dict[str, Cat], Field(min_length=2)],
    Annotated[int, Field(gt=41)],
    Annotated[int, Field(lt=0)],
    Annotated[int, Field(ge=-7, le=-5)],
    Annotated[int, Field(multiple_of=7)],
    Annotated[int, Field(multiple_of=7, gt=100)],
    Annotated[int, Field(multiple_of=25, le=-30)],
    Annotated[float, Field(gt=0, lt=1)],
    Annotated[float, Field(gt=3)],
    Annotated[float, Field(lt=-0.5)],
    Annotated[Decimal, Field(gt=10, le=11)],
    Annotated[str, Field(min_length=20)],
    Annotated[str, Field(max_length=3)],
    Annotated[str, Field(min_length=4, max_length=5)],
]  # fmt: skip

PATTERNS = [
    r"^vm-[0-9]+$", r"^[A-Z]{2}$", r"^[^a-z]+$", r"^(web|mail)$", r"^\d{4}-\d{2}$", r"^[a-z]*$", r"^a?b$", r"^.{8}$",
    r"^[A-Za-z_][A-Za-z0-9_-]*$", r"^\w+@\w+\.(com|org)$", r"^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$", r"^\S+\s\D$",
    r"^é[à-ü]$",
    r"[.]", r"^[\w.-]+$", r"^[\]\\^-]$", r"^[^\d\s]$",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_example_is_valid(kind: Any) -> None:
    """By its type, its format and its limits."""
    TypeAdapter(kind).validate_json(to_json(made(kind)))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_example_of_a_pattern_is_found_by_it(pattern: str) -> None:
    """In the words of Python and in those of pydantic."""
    kind = Annotated[str, StringConstraints(pattern=pattern)]

    text = TypeAdapter(kind).validate_python(made(kind))

    assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", [r"^[a-z]*$", r"^vm-[0-9]+$", r"^.+$", r"^(ab)*$"])
def test_example_of_a_pattern_keeps_to_the_lengths(pattern: str) -> None:
    """What may be repeated is repeated until it is long enough."""
    kind = Annotated[str, StringConstraints(pattern=pattern, min_length=7, max_length=8)]

    assert 7 <= len(TypeAdapter(kind).validate_python(made(kind))) <= 8


@given(pattern=st.text("ab01[]^-(|)?*+{,}.$\\dws", max_size=12))
def test_no_pattern_does_harm(pattern: str) -> None:
    """One that is none, or that this cannot spell, has the example of any text."""
    text = example({"type": "string", "pattern": pattern}, {})

    assert isinstance(text, str)
    assert text


def test_author_has_the_first_word() -> None:
    """What is given as an example is taken, also for what is not required."""

    class Order(BaseModel):
        ticket: Annotated[str, Field(examples=["T-1", "T-2"])]
        note: Annotated[str | None, Field(examples=["by hand"])] = None
        size: int = 3

    assert {"ticket": "T-1", "note": "by hand"} == made(Order)


def test_author_may_give_the_whole() -> None:
    """What no schema says, such as fields that go together, only the author knows."""

    class Order(BaseModel, json_schema_extra={"examples": [{"size": 7}]}):
        size: int

    assert {"size": 7} == made(Order)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": ["null", "integer"], "minimum": 3},
        {"type": "array", "items": True, "minItems": 1},
        {"type": "object", "properties": {"a": True}, "required": ["a", "b"]},
        {"$ref": "https://example.com/schema.json"},
        {"anyOf": [{"type": "null"}]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "stone"},
        {"type": "object", "examples": {"one": {"value": {}}}},
    ],
)
def test_no_schema_does_harm(schema: Any) -> None:
    """An author may write any: the service starts, and an example is made of what can be read."""
    assert to_json(example(schema, {}))


@pytest.mark.parametrize(
    ("schema", "expected"), [({"type": ["null", "integer"], "minimum": 3}, 3), ({"enum": ["b", "a"]}, "b")]
)
def test_schema_by_hand_is_read(schema: Any, expected: object) -> None:
    """In the forms that pydantic itself does not write."""
    assert expected == example(schema, {})
