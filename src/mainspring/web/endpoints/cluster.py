"""The calls on nodes and plugins, and on what requests of a job group look like."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from mainspring.schedule import format_duration
from mainspring.service import NodeState, Runnable
from mainspring.web.answers import json_response
from mainspring.web.endpoint import Call, Endpoint
from mainspring.web.paths import BASE, GROUP, group_path
from mainspring.web.schema import Schema


async def list_nodes(call: Call) -> Response:
    """List the nodes."""
    return json_response([_node_json(node) for node in await call.services.jobs.cluster.nodes()])


async def drain_node(call: Call) -> Response:
    """Have a node begin no more jobs.

    What it runs goes on.
    """
    return json_response(_node_json(await call.services.jobs.cluster.drain(call.path["node"], is_drained=True)))


async def resume_node(call: Call) -> Response:
    """Let a drained node begin jobs again."""
    return json_response(_node_json(await call.services.jobs.cluster.drain(call.path["node"], is_drained=False)))


async def list_plugins(call: Call) -> Response:
    """List the job groups that can run, with their plugins and nodes."""
    return json_response([_plugin_json(runnable) for runnable in await call.services.jobs.cluster.runnables()])


async def show_schema(call: Call) -> Response:
    """Show the JSON Schema of a request."""
    return json_response(await call.services.jobs.cluster.schema(call.key))


def _node_json(node: NodeState) -> dict[str, Any]:
    beat, running, is_drained = node
    return {
        "node": beat.name,
        "host": beat.host,
        "slots": beat.slots,
        "running": running,
        "isDrained": is_drained,
        "connected": beat.connected,
        "groups": [{"product": key.product, "jobGroup": key.job_group} for key in beat.groups],
        "stuck": [{"product": key.product, "jobGroup": key.job_group} for key in beat.stuck],
    }


def _plugin_json(runnable: Runnable) -> dict[str, Any]:
    key, binding, nodes = runnable
    told: dict[str, Any] = {"plugin": None, "maxAttempts": None, "timeout": None, "isolation": None, "priority": None}
    if binding is not None:
        job_class = binding.job_class
        told = {
            "plugin": binding.plugin,
            "maxAttempts": job_class.max_attempts,
            "timeout": format_duration(job_class.timeout),
            "isolation": job_class.isolation,
            "priority": job_class.priority,
        }
    return {
        "product": key.product,
        "jobGroup": key.job_group,
        "registered": binding is not None,
        **told,
        "nodes": list(nodes),
        "schema": f"{group_path(key)}/schema",
    }


_GROUP: Schema = {
    "type": "object",
    "properties": {"product": {"type": "string"}, "jobGroup": {"type": "string"}},
}
_NODE: Schema = {
    "type": "object",
    "properties": {
        "node": {"type": "string", "description": "Its name; each life of a process has another."},
        "host": {"type": "string"},
        "slots": {"type": "integer", "description": "How many jobs it runs at once."},
        "running": {"type": "integer"},
        "isDrained": {"type": "boolean", "description": "Whether it begins no more jobs."},
        "connected": {"type": "boolean", "description": "Whether its session with the store is there."},
        "groups": {"type": "array", "items": _GROUP, "description": "Whose jobs it runs."},
        "stuck": {
            "type": "array",
            "items": _GROUP,
            "description": "The groups for which it has no thread left.",
        },
    },
}
_PLUGIN: Schema = {
    "type": "object",
    "properties": {
        "product": {"type": "string"},
        "jobGroup": {"type": "string"},
        "registered": {"type": "boolean", "description": "Whether a plugin of this service runs its jobs."},
        "plugin": {"type": ["string", "null"], "description": "Null, like all that follows, if no plugin here has it."},
        "maxAttempts": {"type": ["integer", "null"]},
        "timeout": {"type": ["string", "null"]},
        "isolation": {"type": ["string", "null"]},
        "priority": {"type": ["integer", "null"]},
        "nodes": {"type": "array", "items": {"type": "string"}},
        "schema": {"type": "string", "description": "The path of the JSON Schema of its requests."},
    },
}

ROWS = [
    Endpoint(
        "GET",
        f"{BASE}/nodes",
        list_nodes,
        answers={200: {"type": "array", "items": _NODE}},
        may="jobs:read",
    ),
    Endpoint("POST", f"{BASE}/nodes/{{node}}/drain", drain_node, answers={200: _NODE}, may="jobs:control"),
    Endpoint("POST", f"{BASE}/nodes/{{node}}/resume", resume_node, answers={200: _NODE}, may="jobs:control"),
    Endpoint(
        "GET",
        f"{BASE}/plugins",
        list_plugins,
        answers={200: {"type": "array", "items": _PLUGIN}},
        may="jobs:read",
    ),
    Endpoint("GET", f"{GROUP}/schema", show_schema, answers={200: {"type": "object"}}, may="jobs:read"),
]
