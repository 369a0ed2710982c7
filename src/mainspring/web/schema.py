"""JSON Schemas that several places of the OpenAPI document share, and how they refer to each other."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TIME: Schema = {"type": "string", "format": "date-time"}
ID: Schema = {"type": "string", "format": "uuid"}
REQUEST: Schema = {"$ref": "the request of the job group"}
"""Stands for the model of each job group: `openapi` puts the group's own in its place."""


def named(name: str) -> Schema:
    """Refer to a schema of ours by name.

    Names with a dot are ours alone: a plugin's model is named after its class.
    """
    return {"$ref": f"#/components/schemas/mainspring.{name}"}
