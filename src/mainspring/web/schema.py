"""JSON Schemas that several places of the OpenAPI document share, and how they refer to each other."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TIME: Schema = {"type": "string", "format": "date-time"}
ID: Schema = {"type": "string", "format": "uuid"}
REQUEST: Schema = {"$ref": "the request of the job group"}
"""Stands for the model of each job group: `openapi` puts the group's own in its place."""

TEXT: Schema = {"type": "string"}
"""Of an answer that is plain text, not JSON."""

REFERENCE = "#/components/schemas/{model}"


def named(name: str) -> Schema:
    """Refer to a schema of the document by name."""
    return {"$ref": REFERENCE.format(model=name)}
