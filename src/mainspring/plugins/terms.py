"""What a job class asks of a new job that no schema says, for processes that do not have the class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import TypeAdapter

from mainspring.declared import DeclaredRequest
from mainspring.job import JobRequest, Terms
from mainspring.plugins.author import SchedulerJob
from mainspring.schedule import Duration, When

_ALIKE = frozenset({str, int, UUID, NoneType})
"""What is put into a template alike, as Python has it and as JSON has it."""


def terms_of(job_class: type[SchedulerJob], searchable: tuple[str, ...], named_by: Iterable[str]) -> Terms:
    """Return the terms of a job class; `named_by` are the fields in the template of its concurrency key."""
    model, template = job_class.Request, job_class.concurrency_key
    declared = issubclass(model, DeclaredRequest)
    checked = not declared and _is_checked_by_code(model)
    portable = not callable(template) and not checked and all(_is_alike(model, name) for name in named_by)
    return Terms(
        priority=job_class.priority,
        concurrency_key=template if portable else None,
        keyed_by_code=template is not None and not portable,
        checked_by_code=checked,
        declared=declared,
        searchable=searchable,
        names={
            name: field.alias or name
            for name, field in model.model_fields.items()
            if name not in JobRequest.model_fields
        },
    )


def _is_alike(model: type[JobRequest], name: str) -> bool:
    field = model.model_fields[name]
    return field.default_factory is None and {*_types(field.annotation)} <= _ALIKE


def _types(annotation: Any) -> Iterator[Any]:
    """Return the types that a union has, or the one that an annotation is."""
    if get_origin(annotation) in {Union, UnionType}:
        for member in get_args(annotation):
            yield from _types(member)
    else:
        yield annotation


def _is_checked_by_code(model: type[JobRequest]) -> bool:
    """Tell whether requests of a model are checked beyond its schema: by functions, or by limits that no schema has."""
    schema: Any = model.__pydantic_core_schema__
    shared = {each["ref"]: each for each in schema.get("definitions", ())}
    return _is_more(schema, shared, frozenset(JobRequest.model_fields))


def _is_more(part: Any, shared: dict[str, Any], without: frozenset[str] = frozenset()) -> bool:
    """Look for checks in a schema of pydantic's core, but in fields `without` which it is; `shared` are its parts."""
    if isinstance(part, list | tuple):
        return any(_is_more(each, shared, without) for each in part)
    if not isinstance(part, Mapping):
        return False
    match str(part.get("type", "")):
        case kind if kind.startswith("function-"):
            return part["function"]["function"] not in _OURS
        case "definition-ref" as kind:
            inner: Any = [shared.pop(part["schema_ref"], None)]  # looked at once: parts may refer to themselves
        case "model-fields" as kind:
            inner = [field for name, field in part["fields"].items() if name not in without]
            without = frozenset()
        case kind:
            inner = [value for name, value in part.items() if name not in _NOT_LOOKED_AT]
    hidden = (part.get(name) for name in (*_HIDDEN.get(kind, ()), *_ALWAYS_HIDDEN))
    return any(each not in {None, False} for each in hidden) or _is_more(inner, shared, without)


_OURS = frozenset(TypeAdapter[Any](each).core_schema["function"]["function"] for each in (When, Duration))
"""Functions of types that whoever reads the schema has too."""
_OF_TIMES = ("le", "ge", "lt", "gt", "now_op", "tz_constraint")
_HIDDEN = {
    "str": ("strip_whitespace", "to_lower", "to_upper"),
    "date": _OF_TIMES,
    "time": _OF_TIMES,
    "datetime": _OF_TIMES,
    "timedelta": _OF_TIMES,
    "decimal": ("max_digits", "decimal_places"),
}
"""What a kind of value may have to be that pydantic writes into no schema."""
_ALWAYS_HIDDEN = ("strict", "post_init", "str_strip_whitespace", "str_to_lower", "str_to_upper")
_NOT_LOOKED_AT = frozenset({"serialization", "metadata", "default", "cls", "definitions"})
