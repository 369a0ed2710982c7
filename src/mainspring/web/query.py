"""Query parameters: each with its JSON Schema and the function that reads it, and all problems of a query at once.

A row names its parameters; what it does not name is refused. What no single parameter can tell, such as two that
contradict each other, the function of the row adds to the same problems before it calls `Query.check`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from starlette.datastructures import QueryParams

from mainspring.errors import InvalidRequestError, Problem
from mainspring.schedule import TimeError, check_range, parse_when
from mainspring.web.schema import TIME, Schema

T = TypeVar("T")


class ParameterError(ValueError):
    """A parameter whose text means nothing legal, with the stable code of the problem."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Parameter(Generic[T]):
    """A query or header parameter as the document shows it, and how the texts given for it are read.

    `read` raises `ParameterError`.
    """

    name: str
    schema: Schema
    read: Callable[[list[str]], T]
    description: str = ""
    example: T | None = None
    """What the form of `/docs` sends unless it is changed. It would send a default of the schema, so none has one."""

    @property
    def may_repeat(self) -> bool:
        """Whether several values may be given, each with the name before it."""
        return bool(self.schema.get("type") == "array")


class Query:
    """The query of one request, read by the parameters of its row."""

    def __init__(self, parameters: Sequence[Parameter[Any]], given: QueryParams | None) -> None:
        self.problems: list[Problem] = []
        self.given: Mapping[str, str] = {}
        """The texts by name; of several with one name the last."""
        self._values: dict[str, Any] = {}
        self._fields: dict[str, dict[str, str]] = {}
        if given is not None:
            self._read(parameters, given)

    def _read(self, parameters: Sequence[Parameter[Any]], given: QueryParams) -> None:
        self.given = given
        known = {parameter.name for parameter in parameters}
        takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
        for name in given:
            if name not in known and not self._is_field(name, known):
                self.add(name[:64], "UNKNOWN_PARAMETER", f"is not a parameter of this call; {takes}")
        for parameter in parameters:
            if parameter.name in given:
                texts = given.getlist(parameter.name)
                if len(texts) > 1 and not parameter.may_repeat:
                    self.add(parameter.name, "REPEATED_PARAMETER", "is given more than once")
                    continue
                try:
                    self._values[parameter.name] = parameter.read(texts)
                except ParameterError as error:
                    self.add(parameter.name, error.code, str(error))

    def _is_field(self, name: str, known: AbstractSet[str]) -> bool:
        """Tell whether a parameter such as ``request.*`` stands for a name; if so, keep its text."""
        kind, dot, field = name.partition(".")
        if f"{kind}.*" not in known or not field or field == "*":
            return False
        self._fields.setdefault(f"{kind}{dot}*", {})[field] = self.given[name]
        return True

    def fields(self, parameter: Parameter[str]) -> Mapping[str, str]:
        """Return the texts that were given under the names which a parameter such as ``request.*`` stands for."""
        return self._fields.get(parameter.name, {})

    def get(self, parameter: Parameter[T]) -> T | None:
        """Return the value of a parameter, `None` when it is not given or cannot be read."""
        return self._values.get(parameter.name)

    def add(self, name: str, code: str, detail: str) -> None:
        """Note what is wrong with a parameter."""
        self.problems.append(Problem(f"?{name}", code, detail))

    def check(self) -> None:
        """Raise `InvalidRequestError` with everything that is wrong, if anything is."""
        if self.problems:
            detail = "; ".join(f"{problem.pointer} {problem.detail}" for problem in self.problems)
            raise InvalidRequestError(detail, problems=self.problems)


# --- kinds of parameters


def number(name: str, description: str = "", *, most: int | None = None, example: int | None = None) -> Parameter[int]:
    """Describe a whole number from 1 to `most`."""
    limit = most or 2**63 - 1

    def read(texts: list[str]) -> int:
        text = texts[-1]
        if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= limit):
            raise ParameterError("NUMBER_RANGE", f"must be a whole number from 1 to {limit}")
        return int(text)

    schema = {"type": "integer", "minimum": 1, "maximum": limit}
    return Parameter(name, schema, read, description, example)


def moment(name: str, description: str = "") -> Parameter[datetime]:
    """Describe a moment with its zone."""

    def read(texts: list[str]) -> datetime:
        try:
            check_range(when := parse_when(texts[-1]))
        except TimeError as error:
            raise ParameterError(error.code, str(error)) from error
        return when

    return Parameter(name, TIME, read, description)


def flag(name: str, description: str = "") -> Parameter[bool]:
    """Describe a parameter that is true or false; without being given it is false."""

    def read(texts: list[str]) -> bool:
        if texts[-1] not in {"true", "false"}:
            raise ParameterError("BOOLEAN_INVALID", "must be true or false")
        return texts[-1] == "true"

    return Parameter(name, {"type": "boolean"}, read, description)


def text(name: str, description: str = "", **schema: Any) -> Parameter[str]:
    """Describe a text that is read elsewhere; `schema` says more about it."""
    return Parameter(name, {"type": "string", **schema}, lambda texts: texts[-1], description)
