"""The fields of a request as an operator declares them: a JSON Schema, made into the model of a job group.

Each property is a field of the model, so that required, unknown and single wrong fields are told together with what is
wrong about the schedule. What the schema says of the whole is checked when all fields are right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, create_model, model_validator

from mainspring.declared.refusals import Refusal, refusal
from mainspring.job import JobRequest

Check = Callable[[Mapping[str, Any]], Iterable[Refusal]]
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor", "$defs"})
_OF_FIELDS = frozenset({"type", "properties", "required", "$schema", "title", "description", "examples", "default"})
"""What is not checked again of the whole."""
_OWN = JobRequest.model_fields
_TAKEN = frozenset(field.alias or name for name, field in _OWN.items())
_LONGEST_NAME = 64


def check_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema of a request if it can be used. Raises an error of pydantic with what is wrong, at its place."""
    if found := list(_schema_problems(schema)):
        raise refusal("request", found)
    return schema


def _schema_problems(schema: Mapping[str, Any]) -> Iterator[Refusal]:
    if schema.get("type", "object") != "object":
        yield Refusal(("type",), "SCHEMA_TYPE", "must be object: a request is one")
    for place in _references(schema):
        yield Refusal(place, "SCHEMA_REFERENCE", "cannot be used; write the schema where it is needed")
        return  # what it refers to is not there
    properties = schema.get("properties", {})
    for name in properties if isinstance(properties, Mapping) else ():
        if name in _TAKEN:
            yield Refusal(("properties", name), "SCHEMA_TAKEN", "is a scheduling field, which Mainspring itself reads")
        elif not 0 < len(name) <= _LONGEST_NAME or "{" in name or "}" in name:
            yield Refusal(("properties",), "SCHEMA_NAME", "has a name that is empty, too long or has braces")
    required = schema.get("required", [])
    if isinstance(required, list) and isinstance(properties, Mapping):
        for number, name in enumerate(required):
            if name not in properties:
                yield Refusal(("required", number), "SCHEMA_REQUIRED", "names no member of properties")
    try:
        _validator(schema)
    except ValueError as error:  # both what is no schema and a reference that leads nowhere
        place = tuple(getattr(error, "instance_path", ()))
        yield Refusal(place, "SCHEMA_INVALID", "is not as JSON Schema (draft 2020-12) has it")


def _references(part: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Find the places of what would refer to another part of a schema, or be referred to."""
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(part, Mapping):
        items = part.items()
    elif isinstance(part, list):
        items = enumerate(part)
    for name, inner in items:
        if name in _REFERENCES and not (place and place[-1] == "properties"):
            yield (*place, name)
        else:
            yield from _references(inner, (*place, name))


def _validator(schema: Mapping[str, Any]) -> Any:
    """Return what checks values by a schema; nothing is ever fetched. Raises `ValueError`."""
    from jsonschema_rs import Draft202012Validator  # noqa: PLC0415 - most processes have no such jobs

    of_dict: Any = schema  # a mapping or true or false
    return Draft202012Validator(of_dict, mask="it", validate_formats=True, offline=True)


class DeclaredRequest(JobRequest):
    """A request of a group that settings declare: its schema says all of it that other processes can check."""


def request_model(name: str, schema: Mapping[str, Any], check: Check | None = None) -> type[JobRequest]:
    """Make the model of requests that have the fields of a schema that is right.

    Fields that the schema does not name are refused, unless it says ``additionalProperties`` or ``patternProperties``.
    `check` looks at the fields of a request of which each is right, and finds what else is wrong.
    """
    properties, required = schema.get("properties", {}), schema.get("required", ())
    is_open = schema.get("additionalProperties", False) is not False or "patternProperties" in schema
    rest = {key: value for key, value in schema.items() if key not in _OF_FIELDS}
    if not is_open:
        rest.pop("additionalProperties", None)
    whole = _validator({**rest, "properties": dict.fromkeys(properties, True)}) if rest else None

    class Declared(DeclaredRequest):
        model_config = ConfigDict(
            extra="allow" if is_open else "forbid",
            title=schema.get("title", name),
            json_schema_extra={"allOf": [rest]} if rest else None,
        )

        @model_validator(mode="after")
        def is_right_as_a_whole(self) -> Any:
            own = own_fields(self)
            found = [*(_found(whole, own) if whole else ()), *(check(own) if check else ())]
            if found:
                raise refusal(name, found)
            return self

    fields: dict[str, Any] = {
        f"field_{number}": _field(each, properties[each], is_required=each in required)
        for number, each in enumerate(properties)
    }
    return create_model(name, __base__=Declared, **fields)


def _field(name: str, schema: Any, *, is_required: bool) -> Any:
    annotation = by_schema(name, schema)
    if is_required:
        return annotation, Field(alias=name)
    if isinstance(schema, dict) and "default" in schema:
        return annotation, Field(default=schema["default"], alias=name)
    return annotation, Field(default=None, alias=name, json_schema_extra=_without_default)


def by_schema(name: str, schema: Any) -> Any:
    """Return a type of pydantic whose values are what a schema allows; `name` is that of the field."""
    shown = schema if isinstance(schema, dict) else {} if schema else {"not": {}}
    validator = _validator(schema)

    def check(value: Any) -> Any:
        if found := list(_found(validator, value)):
            raise refusal(name, found)
        return value

    return Annotated[Any, AfterValidator(check), WithJsonSchema(shown)]


def _without_default(schema: dict[str, Any]) -> None:
    """An optional field that is not sent is absent, and not null."""
    schema.pop("default", None)


def _found(validator: Any, value: Any) -> Iterator[Refusal]:
    """Say what a validator finds, each at its place."""
    for error in validator.iter_errors(value):
        place, kind = tuple(error.instance_path), error.kind
        match kind.name:
            case "required":
                yield Refusal((*place, kind.property), "REQD_FIELD_MISSING", "is required")
            case "additionalProperties" | "unevaluatedProperties":
                for each in kind.unexpected:
                    yield Refusal((*place, each), "UNKNOWN_FIELD", "is not a field of the request")
            case "falseSchema":
                yield Refusal(place, "FALSE_SCHEMA", "is not allowed")
            case keyword:
                words = str(error.message).removeprefix("it ").replace(" it ", " the value ")
                yield Refusal(place, _code(str(keyword)), words)


def _code(keyword: str) -> str:
    """Write a keyword of JSON Schema as a code: ``maxLength`` is ``MAX_LENGTH``."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in keyword)


def own_fields(request: JobRequest) -> dict[str, Any]:
    """Return the fields of a request beside those of scheduling, by their names on the wire.

    Those that were not sent are there if they have a default. Raises `AttributeError` where one is not there that was
    sent wrong.
    """
    own = [(name, field) for name, field in type(request).model_fields.items() if name not in _OWN]
    values = {name: getattr(request, name) for name, _ in own}
    fields = {
        field.alias or name: values[name]
        for name, field in own
        if name in request.model_fields_set or (not field.is_required() and field.default is not None)
    }
    return {**fields, **(request.model_extra or {})}
