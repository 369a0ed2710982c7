"""What pydantic finds wrong with a body, in our words: where, which code, which sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import core_schema

from mainspring.errors import Problem

REFUSED = "is refused by a check of the job group"
_ALL_REFUSED = f"the request {REFUSED}"
_ECHO = 64
"""How many characters of a name or a value that was sent an error repeats."""
_KINDS = frozenset(get_args(core_schema.ErrorType))
"""Pydantic's own rules, whose words are for programmers in Python; those of plugins are left as they are."""
_TEXT, _NUMBER = "must be text", "must be a number"
_WHOLE = "must be a whole number"
_LIST, _OBJECT = "must be a list", "must be an object"
_UUID = "must be a UUID such as 79bf0c2e-7a4c-4bb4-8a3b-3f2a5c8a1d11"
_DATE, _CLOCK = "must be a date such as 2026-12-24", "must be a time of day such as 03:00"
_MOMENT, _LENGTH = "must be a time such as 2026-12-01T10:00:00Z", "must be a length of time such as PT15M"
_URL = "must be a URL such as https://example.com/path"
_WORDS = {
    "none_required": "must be null",
    "string_type": _TEXT, "string_unicode": _TEXT,
    "bool_type": "must be true or false", "bool_parsing": "must be true or false",
    "int_type": _WHOLE, "int_parsing": _WHOLE, "int_parsing_size": _WHOLE, "int_from_float": _WHOLE,
    "float_type": _NUMBER, "float_parsing": _NUMBER, "decimal_type": _NUMBER, "decimal_parsing": _NUMBER,
    "list_type": _LIST, "tuple_type": _LIST, "set_type": _LIST, "frozen_set_type": _LIST, "iterable_type": _LIST,
    "model_attributes_type": _OBJECT, "mapping_type": _OBJECT,
    "uuid_type": _UUID, "uuid_parsing": _UUID, "uuid_version": "must be a UUID of another version",
    "date_type": _DATE, "date_parsing": _DATE, "date_from_datetime_parsing": _DATE, "date_from_datetime_inexact": _DATE,
    "time_type": _CLOCK, "time_parsing": _CLOCK,
    "datetime_type": _MOMENT, "datetime_parsing": _MOMENT, "datetime_from_date_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "timezone_naive": "must have no time zone", "timezone_aware": "must have a time zone",
    "time_delta_type": _LENGTH, "time_delta_parsing": _LENGTH,
    "url_type": _URL, "url_parsing": _URL, "url_syntax_violation": _URL,
}  # fmt: skip
"""What must be, where pydantic says how it failed to read it."""
_TIMEDELTA = re.compile(r"datetime\.timedelta\((?:0|(?:days=(?P<days>\d+))?(?:, )?(?:seconds=(?P<seconds>\d+))?)\)")
_SAID = 3
"""How many problems the sentence of an error names; the list of problems has them all."""


_name_of_class: Any = type.__dict__["__name__"].__get__
"""Asked of `type` itself: a metaclass of a plugin may answer for its classes, or raise."""


def kind_of(thing: object) -> str:
    """Return the name of the class of anything."""
    name: str = _name_of_class(type(thing))
    return name


def words_of(thing: object) -> str:
    """Put anything into words. Never raises, whatever a plugin has made of ``str``."""
    try:
        return str.__str__(f"{thing}")  # text itself, where it is a subclass with methods of its own
    except BaseException:  # noqa: BLE001 - code of a plugin
        return f"a {kind_of(thing)} that has no words"


def plain(text: str) -> str:
    """Write a text in one line in which nothing controls a terminal or turns the direction of writing."""
    text = str.__str__(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def problems_of(error: ValidationError, body: object, *, owner: str | None = None) -> list[Problem]:
    """Return each problem of a body; `owner` is what it was read as, for fields that it does not have."""
    return [
        problem_of(each["loc"], each["type"], each["msg"], body, owner=owner)
        for each in error.errors(include_url=False, include_input=False)
    ]


def problem_of(
    location: tuple[int | str, ...], kind: str, message: str, body: object, *, owner: str | None = None
) -> Problem:
    """Return a problem at a place; `kind` is pydantic's name of the rule, or a code of ours."""
    match kind:
        case "missing":
            code, message = "REQD_FIELD_MISSING", "is required"
        case "extra_forbidden" | "unexpected_keyword_argument":
            code, message = "UNKNOWN_FIELD", f"is not a field of {owner or pointer(location[:-1]) or 'this job group'}"
        case "model_type" | "dataclass_type" | "dict_type":
            code, message = "OBJECT_TYPE", _OBJECT
        case "value_error" | "assertion_error":
            code, message = "INVALID_VALUE", message.partition(", ")[2] or (REFUSED if location else _ALL_REFUSED)
        case _:
            code, message = kind.upper(), _worded(kind, message)
    return Problem(pointer(location), _sound(code), brief(_sound(message), body))


def _sound(text: str) -> str:
    """Return a text that can be written as UTF-8: a plugin's own words may have half a surrogate pair."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _worded(kind: str, message: str) -> str:
    """Say in our words what pydantic says: what must be, and nothing of Python."""
    if kind not in _KINDS:
        return message
    worded = re.sub("^[A-Z][A-Za-z ]* should ", "must ", message, count=1).removeprefix("Input ")
    worded = worded.replace(" a valid ", " a ").replace(" after validation", "")
    return _WORDS.get(kind) or _TIMEDELTA.sub(_iso, worded)


def _iso(match: re.Match[str]) -> str:
    """Write a length of time as people send it."""
    days, seconds = match["days"], match["seconds"]
    date, time = f"{days}D" if days else "", f"T{seconds or 0}S" if seconds or not days else ""
    return f"P{date}{time}"


def brief(message: str, body: object) -> str:
    """Cut a message short, and in it whatever it repeats of the body."""
    if len(message) > _ECHO:
        for text in _texts(body):
            if len(text) > _ECHO:
                message = message.replace(text, f"{text[: _ECHO - 1]}…")
    return message[:200]


def pointer(location: tuple[int | str, ...]) -> str:
    """Write a place in a body as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part)[:_ECHO].replace('~', '~0').replace('/', '~1')}" for part in location)


def sentence(problems: Sequence[Problem]) -> str:
    """Say what is wrong, the first of it in full."""
    said = [named(problem.pointer, problem.code, problem.detail) for problem in problems]
    more = [f"and {len(said) - _SAID} more"] if len(said) > _SAID else []
    return "; ".join(said[:_SAID] + more)


def named(pointer: str, code: str, detail: str) -> str:
    """Say what is wrong, after its place; what a plugin says of a request as a whole is a sentence by itself."""
    return f"{pointer} {detail}" if pointer else f"the request {detail}" if code == "OBJECT_TYPE" else detail


def _texts(value: object) -> Iterator[str]:
    """All text in a JSON value but the names of members."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)
