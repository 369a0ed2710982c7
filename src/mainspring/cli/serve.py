"""``mainspring serve`` and ``mainspring node``: run until stopped, then exit with the code that they return."""

from __future__ import annotations

from typing import Any

import typer

from mainspring.cli.flags import settings_of, with_settings

_NODE_SETTINGS = (
    "store", "plugins", "node", "slots", "threads", "processes", "lease", "poll", "grace", "retention", "log_level",
    "log_format", "worker_environment",
)  # fmt: skip


@with_settings("host", "port", *_NODE_SETTINGS)
def serve(**flags: Any) -> None:
    """Run a node with the REST API."""
    from mainspring.launch import compose

    raise typer.Exit(compose.serve(settings_of(flags)))


@with_settings(*_NODE_SETTINGS)
def node(**flags: Any) -> None:
    """Run a node alone, beside others on one store."""
    from mainspring.launch import compose

    raise typer.Exit(compose.node(settings_of(flags)))
