"""Examples of values, made from their JSON Schema: what the forms of `/docs` hold before a person has typed anything.

What an author gives as ``examples=`` comes first. Of an object the example has what is required, and what else has an
example of its own.
"""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from typing import Any

from pydantic_core import to_json

from mainspring.schedule import format_time
from mainspring.web.schema import Schema

regex: Any = import_module("re._parser")
"""The only parser of patterns that Python comes with."""

WHEN = "mainspring:when"
"""Stands for a moment that is a little ahead: a full hour, at least one hour from the request for the document."""
DATE = "mainspring:date"
"""Stands for the day after."""
YESTERDAY = "mainspring:yesterday"
"""Stands for the moment at which yesterday began, in UTC."""
TODAY = "mainspring:today"
"""Stands for the moment at which yesterday ended."""

_UUID = "79bfd10c-1529-{}2de-bd68-1a6e084ee13d"
_FORMATS = {
    "uuid": _UUID.format(4),
    **{f"uuid{version}": _UUID.format(version) for version in range(1, 9)},
    "date-time": WHEN,
    "date": DATE,
    "time": "10:00:00Z",
    "duration": "PT5M",
    "email": "someone@example.com",
    "name-email": "Someone <someone@example.com>",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv4interface": "192.0.2.0/24",
    "ipv4network": "192.0.2.0/24",
    "ipv6": "2001:db8::1",
    "ipv6interface": "2001:db8::/32",
    "ipv6network": "2001:db8::/32",
    "ipvanyaddress": "192.0.2.1",
    "ipvanyinterface": "192.0.2.0/24",
    "ipvanynetwork": "192.0.2.0/24",
    "base64": "ZXhhbXBsZQ==",
    "base64url": "ZXhhbXBsZQ==",
    "directory-path": "/",
    "json-string": "{}",
}
_FIXED = ("example", "const", "default")
_CHOICES = ("anyOf", "oneOf", "allOf")
_WORD = "example"
_LONGEST = 64
"""How often a repeated part of a pattern is repeated more than it must, at most."""

Inner = Callable[[Any], Any]
"""Makes the example of a part."""


def at(now: datetime, document: bytes) -> bytes:
    """Put moments in the place of the words that stand for them."""
    midnight, day = now.replace(hour=0, minute=0, second=0, microsecond=0), timedelta(days=1)
    hour = now.replace(minute=0, second=0, microsecond=0)
    moments = {
        WHEN: format_time(hour + timedelta(hours=2)),
        DATE: (now + day).date().isoformat(),
        YESTERDAY: format_time(midnight - day),
        TODAY: format_time(midnight),
    }
    for word, moment in moments.items():
        document = document.replace(word.encode(), moment.encode())
    return document


def example(schema: Any, definitions: Mapping[str, Schema], within: frozenset[str] = frozenset()) -> Any:
    """Return a value of a schema; `definitions` are what it refers to, `within` those that the value is a part of.

    An author may have written the schema: what is not understood is passed over.
    """
    if not isinstance(schema, dict):
        return _WORD  # True, which is anything
    lists = [schema[word] for word in ("examples", "enum") if isinstance(schema.get(word), list)]
    given = [*(value for values in lists for value in values), *(schema[word] for word in _FIXED if word in schema)]
    if given:
        return given[0]
    if target := schema.get("$ref"):
        return example(definitions.get(target, {}), definitions, within | {target})
    inner = partial(example, definitions=definitions, within=within)
    choices = [choice for word in _CHOICES for choice in schema.get(word, ()) if choice.get("type") != "null"]
    if choices:
        return inner(choices[0])
    kinds = schema.get("type", "string")
    kind = next((kind for kind in kinds if kind != "null"), "null") if isinstance(kinds, list) else kinds
    return _MAKERS.get(kind, _text)(schema | {"type": kind}, inner, within)


def _object(schema: Schema, inner: Inner, _within: frozenset[str]) -> dict[str, Any]:
    required = schema.get("required", ())
    members = {
        name: inner(part)
        for name, part in schema.get("properties", {}).items()
        if name in required or not {"examples", "example"}.isdisjoint(part if isinstance(part, dict) else ())
    }
    for number in range(len(members), schema.get("minProperties", 0)):
        rest = schema.get("additionalProperties")
        members[f"{_WORD}{number or ''}"] = inner(rest if isinstance(rest, dict) else {})
    return members


def _array(schema: Schema, inner: Inner, within: frozenset[str]) -> list[Any]:
    first = [inner(part) for part in schema.get("prefixItems", ())]
    items = schema.get("items")
    if not isinstance(items, dict):
        return first
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    wanted = max(least, min(most, 0 if items.get("$ref") in within else 1))
    values = [inner(items) for _ in range(len(first), wanted)]
    if schema.get("uniqueItems"):
        values = [_varied(value, number) for number, value in enumerate(values)]
    return first + values


def _varied(value: Any, number: int) -> Any:
    """Return another value for each number, if that is easily had."""
    if not number or isinstance(value, bool):
        return value
    return f"{value}{number}" if isinstance(value, str) else value + number if isinstance(value, int) else value


def _number(schema: Schema, *_: object) -> float:
    low, above = schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf)
    high, below = schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf)
    step = schema.get("multipleOf") or (1 if schema["type"] == "integer" else 0)
    edges = [edge for edge in (max(low, above), min(high, below)) if math.isfinite(edge)]
    starts = [1, *edges, sum(edges) / 2]
    near = [start + more * (step or 1) for start in starts for more in (0, 1, -1)]
    tries = [math.ceil(number / step) * step for number in near] if step else near
    fitting = (number for number in tries if low <= number <= high and above < number < below)
    return next(fitting, 1)


# --- text


def _text(schema: Schema, inner: Inner, *_: object) -> str:
    if schema.get("contentMediaType") == "application/json":
        return to_json(inner(schema.get("contentSchema", {}))).decode()
    if (word := _FORMATS.get(schema.get("format", ""))) is not None:
        return word
    least: int = schema.get("minLength", 0)
    most: int = schema.get("maxLength", sys.maxsize)
    if "pattern" in schema:
        return _matching(schema["pattern"], least, most) or _WORD
    return (_WORD * (least // len(_WORD) + 1))[: min(max(least, len(_WORD)), most)]


_MAKERS: dict[str, Callable[[Schema, Inner, frozenset[str]], Any]] = {
    "object": _object,
    "array": _array,
    "integer": _number,
    "number": _number,
    "boolean": lambda *_: False,
    "null": lambda *_: None,
}
"""By type; all others are text."""


# --- text that a pattern finds


def _matching(pattern: str, least: int, most: int) -> str | None:
    """Return a text that a pattern finds, of one of the lengths allowed; `None` where that is not easily had."""
    with warnings.catch_warnings(action="ignore"):  # a pattern such as `[[` will mean something else one day
        try:
            parsed, found = regex.parse(pattern), re.compile(pattern)
        except (re.error, OverflowError):
            return None
        texts = (_spelled(parsed, more) for more in range(_LONGEST))
        return next((text for text in texts if max(least, 1) <= len(text) <= most and found.search(text)), None)


def _spelled(parts: Iterable[Any], more: int) -> str:
    return "".join(_part(kind, value, more) for kind, value in parts)


def _part(kind: Any, value: Any, more: int) -> str:
    """Return a text for one part of a pattern; what is repeated comes `more` times than it must."""
    match kind:
        case regex.LITERAL:
            text = chr(value)
        case regex.NOT_LITERAL:
            text = "a" if value != ord("a") else "b"
        case regex.ANY:
            text = "a"
        case regex.IN:
            text = _one_of(value)
        case regex.BRANCH:
            text = _spelled(value[1][0], more)
        case regex.SUBPATTERN:
            text = _spelled(value[-1], more)
        case regex.MAX_REPEAT | regex.MIN_REPEAT | regex.POSSESSIVE_REPEAT:
            low, high, repeated = value
            text = _spelled(repeated, more) * min(low + more, int(high))
        case _:
            text = ""  # a place and no text, or what patterns rarely have
    return text


def _one_of(items: list[tuple[Any, Any]]) -> str:
    """Return a character of a class such as ``[a-z0-9_]``."""
    found = re.compile(f"[{''.join(_written(kind, value) for kind, value in items)}]")
    named = [value for kind, value in items if kind in {regex.LITERAL, regex.RANGE}]
    firsts = (chr(value if isinstance(value, int) else value[0]) for value in named)
    return next(filter(found.fullmatch, ("a", "A", "1", "-", " ", *firsts)), "")


_CATEGORIES = {
    regex.CATEGORY_DIGIT: r"\d",
    regex.CATEGORY_NOT_DIGIT: r"\D",
    regex.CATEGORY_SPACE: r"\s",
    regex.CATEGORY_NOT_SPACE: r"\S",
    regex.CATEGORY_WORD: r"\w",
    regex.CATEGORY_NOT_WORD: r"\W",
}


def _written(kind: Any, value: Any) -> str:
    """Write an item of a class as it stands in a pattern."""
    match kind:
        case regex.NEGATE:
            return "^"
        case regex.LITERAL:
            return re.escape(chr(value))
        case regex.RANGE:
            return "-".join(re.escape(chr(edge)) for edge in value)
        case _:
            return _CATEGORIES[value]
