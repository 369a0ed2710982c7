"""The model of requests that a published schema tells of: pydantic checks by it as it does on a node.

A part of a schema is read back into the type that it was made of, so problems have the codes and words of REST. A part
that says more than a type is checked as JSON Schema, whose keywords are the codes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from enum import Enum
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from pydantic import ConfigDict, Field, TypeAdapter, create_model
from pydantic_core import SchemaError, from_json

from mainspring.declared import by_schema, request_model
from mainspring.job import JobRequest
from mainspring.schedule import Duration, When

_SCHEDULING = frozenset(field.alias or name for name, field in JobRequest.model_fields.items())
_WORDS = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"})
"""What checks nothing."""
_OURS = [(TypeAdapter(each).json_schema(), each) for each in (When, Duration)]
_FORMATS = {"uuid": UUID, "date": dt.date, "time": dt.time, "date-time": dt.datetime, "duration": dt.timedelta}
_PLAIN = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}
_LIMITS = {
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "minItems": "min_length",
    "maxItems": "max_length",
    "minProperties": "min_length",
    "maxProperties": "max_length",
}
"""Keywords, and what they are called as limits of a type."""


class _SaysMoreError(Exception):
    """A part of a schema says more than a type does."""


@lru_cache(maxsize=256)
def model_of(name: str, text: bytes, *, is_declared: bool) -> type[JobRequest]:
    """Return the model of a published schema; that of a group that settings declare is checked by it alone."""
    schema = from_json(text)
    own = {field: part for field, part in schema.get("properties", {}).items() if field not in _SCHEDULING}
    required = [field for field in schema.get("required", ()) if field in own]
    if is_declared:
        (whole,) = schema.get("allOf", [{}])
        return request_model(name, {**whole, "properties": own, "required": required})
    fields = _Reader(schema.get("$defs", {})).fields(own, required)
    extra: Literal["allow", "forbid"] = "forbid" if schema.get("additionalProperties") is False else "allow"
    base = type("Published", (JobRequest,), {"model_config": ConfigDict(extra=extra), "__module__": __name__})
    return create_model(schema.get("title", name), __base__=base, **fields)


class _Reader(NamedTuple):
    """Reads parts of a schema: with those that have names, and the names of those that are being read."""

    shared: Mapping[str, Any]
    within: frozenset[str] = frozenset()

    def fields(self, properties: Mapping[str, Any], required: Collection[str]) -> dict[str, Any]:
        """Return fields for a model; their names are ours, as those on the wire may be none of Python."""
        return {
            f"field_{number}": (
                self._type_or_check(name, part),
                Field(alias=name) if name in required else Field(default=part.get("default"), alias=name),
            )
            for number, (name, part) in enumerate(properties.items())
        }

    def _type_or_check(self, name: str, part: Any) -> Any:
        try:
            return self.type_of(part)
        except _SaysMoreError:
            return by_schema(name, {"$defs": self.shared, **part} if isinstance(part, dict) and self.shared else part)

    def type_of(self, part: Any) -> Any:
        """Return the type that a part tells of. Raises `_SaysMoreError`."""
        if not isinstance(part, dict):
            raise _SaysMoreError
        said = {key: value for key, value in part.items() if key not in _WORDS}
        for schema, ours in _OURS:
            if schema == {**said, "examples": part.get("examples")}:
                return ours
        kind = said.pop("type", None)
        match said:
            case {"$ref": str(ref)} if len(said) == 1:
                return self._shared(ref.removeprefix("#/$defs/"))
            case {"anyOf": list(members)} if len(said) == 1:
                return reduce(or_, (self.type_of(member) for member in members))
            case {"const": _} | {"enum": _} if len(said) == 1:
                return _literal(said.get("enum", [said.get("const")]))
        return self._of_kind(kind, said, part.get("title", "Part"))

    def _of_kind(self, kind: Any, said: dict[str, Any], title: str) -> Any:
        if kind == "array":
            return self._list(said)
        if kind == "object":
            return self._object(said, title)
        if kind == "string" and said.keys() == {"format"} and said["format"] in _FORMATS:
            return _FORMATS[said["format"]]
        if kind in _PLAIN:
            return _limited(_PLAIN[kind], said)
        if kind is None and not said:
            return Any
        raise _SaysMoreError

    def _shared(self, name: str) -> Any:
        """Return the type of a part that has a name; one that leads to itself is left to its schema."""
        if name in self.within or name not in self.shared:
            raise _SaysMoreError
        part = self.shared[name]
        if "enum" in part and part.keys() <= _WORDS | {"enum", "type"}:
            return Enum(name, {f"value_{number}": value for number, value in enumerate(part["enum"])})
        return self._replace(within=self.within | {name}).type_of(part)

    def _list(self, said: dict[str, Any]) -> Any:
        if "prefixItems" in said:
            first = said.pop("prefixItems")
            if said != {"minItems": len(first), "maxItems": len(first)}:
                raise _SaysMoreError
            of: Any = tuple
            return of[tuple(self.type_of(each) for each in first)]
        each, is_set = self.type_of(said.pop("items", {})), said.pop("uniqueItems", False)
        return _limited(set[each] if is_set else list[each], said)  # type: ignore[valid-type]

    def _object(self, said: dict[str, Any], title: str) -> Any:
        others = said.pop("additionalProperties", None)
        if "properties" not in said:
            each = Any if others is None or others is True else self.type_of(others)
            return _limited(dict[str, each], said)  # type: ignore[valid-type]
        properties, required = said.pop("properties"), said.pop("required", ())
        if said or not (others is None or isinstance(others, bool)):
            raise _SaysMoreError
        extra: Literal["allow", "forbid", "ignore"] = "ignore" if others is None else "allow" if others else "forbid"
        config = ConfigDict(extra=extra, frozen=True)
        return create_model(title, __config__=config, **self.fields(properties, required))


def _literal(values: list[Any]) -> Any:
    if not all(isinstance(value, str | int | None) for value in values):
        raise _SaysMoreError
    return Literal[tuple(values)]


def _limited(of: Any, said: Mapping[str, Any]) -> Any:
    """Return a type with limits. Raises `_SaysMoreError` for what is none, and for patterns of another engine."""
    if not said:
        return of
    if not said.keys() <= _LIMITS.keys():
        raise _SaysMoreError
    limited = Annotated[of, Field(**{_LIMITS[key]: value for key, value in said.items()})]
    try:
        TypeAdapter(limited)
    except SchemaError:
        raise _SaysMoreError from None
    return limited
