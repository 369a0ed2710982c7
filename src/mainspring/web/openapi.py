"""The OpenAPI document, derived from the rows.

Each registered job group has its own paths and its own request schema, so that ``/docs`` is a form for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from mainspring.plugins import Binding
from mainspring.schedule import CALENDAR_SCHEMA, WANTED_SCHEMA, Schedule
from mainspring.web import answers, problem
from mainspring.web.endpoint import Endpoint
from mainspring.web.paths import GROUP, group_path
from mainspring.web.query import Parameter
from mainspring.web.schema import ID, REQUEST, Schema, named

_NAMES: dict[str, Schema] = {"jobId": ID, "name": {"type": "string"}}
"""What may stand in a path for each name."""


def document(rows: Iterable[Endpoint], bindings: Iterable[Binding], version: str) -> Schema:
    """Return the OpenAPI 3.1 document of these rows for these job groups. Rows without `answers` are not in it."""
    models = {binding.key: binding.request_model for binding in bindings}
    wanted = [(model, "validation") for model in dict.fromkeys([*models.values(), Schedule])]
    reference = "#/components/schemas/{model}"
    references, definitions = models_json_schema(wanted, by_alias=True, ref_template=reference)  # type: ignore[arg-type]
    ours = {
        **answers.SCHEMAS,
        "Problem": problem.SCHEMA,
        "Schedule": references[(Schedule, "validation")],
        "Backfill": WANTED_SCHEMA,
        "Calendar": {name: part for name, part in CALENDAR_SCHEMA.items() if name != "$defs"},
        **CALENDAR_SCHEMA["$defs"],
    }
    described = [row for row in rows if row.answers]
    paths: dict[str, Schema] = {}
    for row in described:
        if not row.path.startswith(GROUP):
            _describe(paths, row.path, _operation(row, row.tag), row)
    for key, model in models.items():
        request = references[(model, "validation")]
        for row in described:
            if row.path.startswith(GROUP):
                path = row.path.replace(GROUP, group_path(key), 1)
                _describe(paths, path, _with_request(_operation(row, str(key)), request), row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mainspring",
            "version": version,
            "description": "Schedules jobs and runs them at their time.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}) | {f"mainspring.{name}": schema for name, schema in ours.items()}
        },
    }


def _describe(paths: dict[str, Schema], path: str, operation: Schema, row: Endpoint) -> None:
    item = paths.setdefault(path, {})
    item[row.method.lower()] = operation
    if names := re.findall("{(.*?)}", path):
        item["parameters"] = [{"name": name, "in": "path", "required": True, "schema": _NAMES[name]} for name in names]


def _operation(row: Endpoint, tag: str) -> Schema:
    summary = (row.call.__doc__ or "").partition("\n")[0].removesuffix(".")
    operation: Schema = {
        "summary": summary,
        "tags": [tag],
        "responses": {str(status): _answer(schema) for status, schema in row.answers.items()}
        | {
            "default": {
                "description": "An error.",
                "content": {"application/problem+json": {"schema": named("Problem")}},
            }
        },
    }
    if row.body:
        content = {media_type: {"schema": schema} for media_type, schema in row.body.items()}
        operation["requestBody"] = {"required": True, "content": content}
    if parameters := [*_parameters("query", row.query or ()), *_parameters("header", row.headers)]:
        operation["parameters"] = parameters
    return operation


def _answer(schema: Schema | None) -> Schema:
    if schema is None:
        return {"description": "Done."}
    return {"description": "OK", "content": {"application/json": {"schema": schema}}}


def _parameters(place: str, parameters: Sequence[Parameter[Any]]) -> list[Schema]:
    return [
        {"name": parameter.name, "in": place, "schema": parameter.schema}
        | ({"description": parameter.description} if parameter.description else {})
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
