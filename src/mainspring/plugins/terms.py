"""What a job class asks of a new job that no schema says, for processes that do not have the class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from mainspring.job import JobRequest, Terms
from mainspring.plugins.author import SchedulerJob

_ALIKE = frozenset({str, int, UUID, NoneType})
"""What is put into a template alike, as Python has it and as JSON has it."""


def terms_of(job_class: type[SchedulerJob], searchable: tuple[str, ...], named_by: Iterable[str]) -> Terms:
    """Return the terms of a job class; `named_by` are the fields in the template of its concurrency key."""
    model, template = job_class.Request, job_class.concurrency_key
    checked = _is_checked_by_code(model)
    portable = not callable(template) and not checked and all(_is_alike(model, name) for name in named_by)
    return Terms(
        priority=job_class.priority,
        concurrency_key=template if portable else None,
        keyed_by_code=template is not None and not portable,
        checked_by_code=checked,
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
    """Tell whether functions look at requests of a model: validators, and types that have some of their own."""
    schema: Any = model.__pydantic_core_schema__
    shared = {each["ref"]: each for each in schema.get("definitions", ())}
    return _calls(schema, shared, frozenset(JobRequest.model_fields))


def _calls(part: Any, shared: dict[str, Any], without: frozenset[str] = frozenset()) -> bool:
    """Look for functions in a schema of pydantic's core, but in fields `without` which it is; `shared`: parts."""
    if isinstance(part, list | tuple):
        return any(_calls(each, shared, without) for each in part)
    if not isinstance(part, Mapping):
        return False
    kind = str(part.get("type", ""))
    if kind.startswith("function-") or part.get("post_init"):
        return True
    if kind == "definition-ref":
        return _calls(shared.pop(part["schema_ref"], None), shared)  # looked at once: parts may refer to themselves
    if kind == "model-fields":
        return any(_calls(field, shared) for name, field in part["fields"].items() if name not in without)
    return any(_calls(value, shared, without) for name, value in part.items() if name not in _NOT_LOOKED_AT)


_NOT_LOOKED_AT = frozenset({"serialization", "metadata", "default", "cls", "definitions"})
