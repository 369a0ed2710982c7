"""What pydantic finds wrong with a body, in our words: where, which code, which sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from mainspring.errors import Problem

REFUSED = "is refused by a check of the job group"
_ALL_REFUSED = f"the request {REFUSED}"
_ECHO = 64
"""How many characters of a name or a value that was sent an error repeats."""
_SAID = 3
"""How many problems the sentence of an error names; the list of problems has them all."""


def problems_of(error: ValidationError, body: object, *, owner: str = "this job group") -> list[Problem]:
    """Return each problem of a body; `owner` is what it was read as, for fields that it does not have."""
    return [
        problem_of(each["loc"], each["type"], each["msg"], body, owner=owner)
        for each in error.errors(include_url=False, include_input=False)
    ]


def problem_of(
    location: tuple[int | str, ...], kind: str, message: str, body: object, *, owner: str = "this job group"
) -> Problem:
    """Return a problem at a place; `kind` is pydantic's name of the rule, or a code of ours."""
    match kind:
        case "missing":
            code, message = "REQD_FIELD_MISSING", "is required"
        case "extra_forbidden" | "unexpected_keyword_argument":
            code, message = "UNKNOWN_FIELD", f"is not a field of {owner}"
        case "model_type" | "dataclass_type" | "dict_type":
            code, message = "OBJECT_TYPE", "must be an object"
        case "value_error" | "assertion_error":
            code, message = "INVALID_VALUE", message.partition(", ")[2] or (REFUSED if location else _ALL_REFUSED)
        case _:
            code = kind.upper()
    return Problem(pointer(location), code, brief(message, body))


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
    """Say what is wrong, the first of it in full; what is wrong with the whole is a sentence of its own."""
    said = [f"{problem.pointer} {problem.detail}".lstrip() for problem in problems]
    more = [f"and {len(said) - _SAID} more"] if len(said) > _SAID else []
    return "; ".join(said[:_SAID] + more)


def _texts(value: object) -> Iterator[str]:
    """All text in a JSON value but the names of members."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)
