"""The OpenAPI document, derived from the rows.

Each registered job group has its own paths and its own request schema, so that ``/docs`` is a form for it. The names of
operations and schemas come from product and job group: they stay when an author renames or moves code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import count
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from mainspring.job import SCHEDULING_SCHEMA, AnythingElse, JobKey, JobRequest
from mainspring.plugins import Binding
from mainspring.schedule import CALENDAR_NAME, CALENDAR_SCHEMA, WANTED_SCHEMA
from mainspring.web import answers, problem
from mainspring.web.codes import CODES, TITLES
from mainspring.web.endpoint import Endpoint
from mainspring.web.example import WHEN, example
from mainspring.web.idempotency import IDEMPOTENCY_KEY
from mainspring.web.paths import GROUP, group_path
from mainspring.web.query import Parameter
from mainspring.web.schema import ID, REFERENCE, REQUEST, TEXT, Schema, named

_NAMES: dict[str, Schema] = {
    "jobId": ID,
    "name": {"type": "string", "pattern": f"^{CALENDAR_NAME}$"},
    "action": ID,
    "delivery": ID,
    "node": {"type": "string"},
    "product": {"type": "string"},
    "run": {"type": "integer", "minimum": 1},
    "problem": {"type": "string", "enum": [code.slug for code in CODES.values()]},
}
"""What may stand in a path for each name."""
_ALWAYS = (400, 406, 414, 421, 422, 503)
"""Statuses of errors that no call is free of: hosts, paths and parameters can be wrong, and the store away."""


def document(rows: Iterable[Endpoint], bindings: Iterable[Binding], version: str) -> Schema:
    """Return the OpenAPI 3.1 document of these rows for these job groups. Rows without `answers` are not in it.

    Its examples lack their moments; `mainspring.web.example.at` puts them in.
    """
    models = {binding.key: binding.request_model for binding in bindings}
    names = group_names(models)
    base, shared = _with_names(*_schema_of(JobRequest))
    schemas = {
        **shared,
        **answers.SCHEMAS,
        "Problem": problem.SCHEMA,
        "Backfill": WANTED_SCHEMA | {"title": "Backfill"},
        "Calendar": _calendar(),
        **CALENDAR_SCHEMA["$defs"],
    }
    described = [row for row in rows if row.answers]
    paths: dict[str, Schema] = {}
    for row in described:
        if not row.path.startswith(GROUP):
            _describe(paths, row.path, _operation(row, row.tag), row)
    for key, model in models.items():
        request, parts, sample = _request(model, names[key], base)
        schemas |= {f"{names[key]}Request": request, **parts}
        for row in described:
            if row.path.startswith(GROUP):
                path = row.path.replace(GROUP, group_path(key), 1)
                operation = _operation(row, str(key), names[key], sample)
                _describe(paths, path, _with_request(operation, named(f"{names[key]}Request")), row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mainspring",
            "version": version,
            "description": "Schedules jobs and runs them at their time.",
        },
        "paths": paths,
        "components": {"schemas": _as_taken(schemas), "responses": _ERRORS},
    }


# --- names


def _calendar() -> Schema:
    """Describe a calendar, with how far its jobs follow it; a body may have that too, and it is ignored."""
    properties = CALENDAR_SCHEMA["properties"] | {
        "replanning": {
            "description": "How many of its jobs follow it (`done`) of how many (`of`); only as long as not all do.",
            "readOnly": True,
        }
    }
    return {name: part for name, part in CALENDAR_SCHEMA.items() if name != "$defs"} | {"properties": properties}


def group_names(keys: Collection[JobKey]) -> dict[JobKey, str]:
    """Return a name for each job group, such as ``Vps4Backups``.

    Groups whose names would be the same, such as ``a-b/c`` and ``a/b-c``, have some of a hash in theirs.
    """
    plain = {key: "".join(word[0].upper() + word[1:] for word in re.findall("[A-Za-z0-9]+", str(key))) for key in keys}
    times = Counter(name.lower() for name in plain.values())
    return {
        key: name if times[name.lower()] == 1 else name + sha256(str(key).encode()).hexdigest()[:6]
        for key, name in plain.items()
    }


def _operation_id(row: Endpoint, group: str) -> str:
    verb, *rest = row.call.__name__.split("_")
    return verb + group + "".join(word.capitalize() for word in rest)


# --- schemas


def _request(model: type[JobRequest], group: str, base: Schema) -> tuple[Schema, dict[str, Schema], Any]:
    """Return the schema of a group's request, those of the models in it by name, and an example.

    The scheduling fields are those of `base`, so that all groups share what these refer to.
    """
    schema, definitions = _schema_of(model)
    scheduling = {
        model.model_fields[name].alias or name: base["properties"][field.alias or name]
        for name, field in JobRequest.model_fields.items()
    }
    own = {name: part for name, part in schema["properties"].items() if name not in scheduling}
    schema |= {"title": f"{group}Request", "properties": own}
    sample = example(schema, definitions)
    if not isinstance(sample, dict):  # an author's, which no request can be
        sample = {}
    if sample.keys().isdisjoint({"when", "schedule"}):
        sample = {"when": WHEN, **sample}
    schema, parts = _with_names(schema, definitions, f"{group}_")
    schema["properties"] = scheduling | schema["properties"]
    if SCHEDULING_SCHEMA.keys().isdisjoint(schema):  # else its author has said something in these words
        schema |= SCHEDULING_SCHEMA
    return schema, parts, sample


def _schema_of(model: type[BaseModel]) -> tuple[Schema, dict[str, Schema]]:
    """Return the schema of a model, and what it refers to by reference."""
    schema = model.model_json_schema(ref_template=REFERENCE, schema_generator=AnythingElse)
    definitions = {REFERENCE.format(model=name): part for name, part in schema.pop("$defs", {}).items()}
    return dict(definitions[schema["$ref"]]) if "$ref" in schema else schema, definitions


def _with_names(
    schema: Schema, definitions: Mapping[str, Schema], prefix: str = ""
) -> tuple[Schema, dict[str, Schema]]:
    """Return a schema, and those that it refers to by their names here: the prefix and their titles.

    The name becomes the title, too: some generators of clients name a class after the one, some after the other.
    pydantic puts the name of the module before a name that comes twice; here the second gets a number, in the order of
    the fields.
    """
    targets: dict[str, None] = {}
    _find_targets(schema, definitions, targets)
    names: dict[str, str] = {}
    for target in targets:
        title = prefix + re.sub("[^A-Za-z0-9]", "", definitions[target].get("title", target.rpartition("__")[2]))
        numbered = (title if number == 1 else f"{title}{number}" for number in count(1))
        names[target] = next(name for name in numbered if name not in names.values())
    references = {target: REFERENCE.format(model=name) for target, name in names.items()}
    parts = {name: {**_renamed(definitions[target], references), "title": name} for target, name in names.items()}
    return _renamed(schema, references), parts


def _find_targets(part: Any, definitions: Mapping[str, Schema], found: dict[str, None]) -> None:
    """Find what a schema refers to, and what that refers to, in the order in which it stands there."""
    if isinstance(part, dict):
        target = part.get("$ref")
        if isinstance(target, str) and target in definitions and target not in found:
            found[target] = None
            _find_targets(definitions[target], definitions, found)
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            _find_targets(inner, definitions, found)


def _renamed(part: Any, references: Mapping[str, str]) -> Any:
    """Put new references in the place of others; the discriminator of a union has some as plain text."""
    if isinstance(part, str):
        return references.get(part, part)
    if isinstance(part, dict):
        return {name: _renamed(inner, references) for name, inner in part.items()}
    if isinstance(part, list):
        return [_renamed(inner, references) for inner in part]
    return part


def _as_taken(part: Any) -> Any:
    """Leave out that items must differ, which pydantic says of sets: they are taken all the same, and count once."""
    if isinstance(part, dict):
        return {name: _as_taken(inner) for name, inner in part.items() if (name, inner) != ("uniqueItems", True)}
    if isinstance(part, list):
        return [_as_taken(inner) for inner in part]
    return part


# --- operations


def _describe(paths: dict[str, Schema], path: str, operation: Schema, row: Endpoint) -> None:
    item = paths.setdefault(path, {})
    item[row.method.lower()] = operation
    if names := re.findall("{(.*?)}", path):
        item["parameters"] = [{"name": name, "in": "path", "required": True, "schema": _NAMES[name]} for name in names]


def _operation(row: Endpoint, tag: str, group: str = "", sample: Any = None) -> Schema:
    """Describe a row: for a job group of that name, and with that request as its example."""
    summary = (row.call.__doc__ or "").partition("\n")[0].removesuffix(".")
    operation: Schema = {
        "operationId": _operation_id(row, group),
        "summary": summary,
        "tags": [tag],
        "responses": {str(status): _answer(schema, _also(row)) for status, schema in row.answers.items()}
        | {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in sorted(_errors(row))},
    }
    if row.body:
        content = {media_type: _content(media_type, schema, sample) for media_type, schema in row.body.items()}
        operation["requestBody"] = {"required": not row.body_is_optional, "content": content}
    headers = (*row.headers, *([IDEMPOTENCY_KEY] if row.method == "POST" else ()))
    if parameters := [*_parameters("query", row.query or ()), *_parameters("header", headers)]:
        operation["parameters"] = parameters
    return operation


_ERRORS = {
    f"Error{status}": {
        "description": f"{title}: {', '.join(code.name for code in CODES.values() if code.status == status)}.",
        "content": {"application/problem+json": {"schema": named("Problem")}},
    }
    for status, title in TITLES.items()
    if status != 500
}


def _errors(row: Endpoint) -> set[int]:
    """Return the statuses with which a call may be refused."""
    statuses = {*_ALWAYS}
    if row.method != "GET":
        statuses.add(403)
    if "{" in row.path.removeprefix(GROUP):
        statuses.add(404)
    if row.conflicts or row.method == "POST":  # a call with a key may be under way
        statuses.add(409)
    if row.creates:
        statuses.add(429)
    if row.path.endswith("/events"):
        statuses.add(410)
    if any(header.name == "If-Match" for header in row.headers):
        statuses.add(412)
    if row.body:
        statuses |= {413, 415}
    return statuses


def _content(media_type: str, schema: Schema, sample: Any) -> Schema:
    """Describe a body, with what its form begins with; lines of JSON are text to a form."""
    value = example(schema, {REQUEST["$ref"]: {"examples": [sample]}})
    is_json = media_type == "application/json"
    return {"schema": schema, "example": value if is_json else f"{to_json(value).decode()}\n"}


def _also(row: Endpoint) -> dict[str, Schema]:
    """Return in which other forms a row answers."""
    return {**row.also, **({"text/html": {"type": "string"}} if row.has_page else {})}


def _answer(schema: Schema | None, also: Mapping[str, Schema]) -> Schema:
    if schema is None:
        return {"description": "Done."}
    media_type = "text/plain" if schema is TEXT else "application/json"
    others = {name: {"schema": each} for name, each in also.items()}
    return {"description": "OK", "content": {media_type: {"schema": schema}, **others}}


def _parameters(place: str, parameters: Sequence[Parameter[Any]]) -> list[Schema]:
    return [
        {"name": parameter.name, "in": place, "schema": parameter.schema}
        | ({"description": parameter.description} if parameter.description else {})
        | ({} if parameter.example is None else {"example": parameter.example})
        for parameter in parameters
    ]


def _with_request(part: Any, request: Schema) -> Any:
    """Put the request of a group in the place of `REQUEST`."""
    if part == REQUEST:
        return request
    if isinstance(part, dict):
        return {name: _with_request(inner, request) for name, inner in part.items()}
    if isinstance(part, list):
        return [_with_request(inner, request) for inner in part]
    return part
