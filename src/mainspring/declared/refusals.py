"""Refusals by checks that look at several fields: errors of pydantic that name their place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError


class Refusal(NamedTuple):
    """One thing that is wrong: the place, a code in capitals, and words that follow the place."""

    place: tuple[str | int, ...]
    code: str
    words: str


def refusal(title: str, found: Iterable[Refusal]) -> ValidationError:
    """Return an error of pydantic with all that was found."""
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(each.code, "{words}", {"words": each.words}), loc=each.place, input=None
        )
        for each in found
    ]
    return ValidationError.from_exception_data(title, lines, hide_input=True)
