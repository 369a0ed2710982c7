"""``mainspring serve`` and ``mainspring node``: run until stopped, then exit with the code that they return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import typer

from mainspring.cli.flags import settings_of, with_settings

_NODE_SETTINGS = (
    "store", "plugins", "node", "slots", "threads", "processes", "lease", "poll", "grace", "retention", "log_level",
    "log_format", "worker_environment",
)  # fmt: skip


@with_settings("host", "port", "allowed_hosts", *_NODE_SETTINGS)
def serve(**flags: Any) -> None:
    """Run a node with the REST API."""

    def work() -> int:
        from mainspring.launch import compose

        return compose.serve(settings_of(flags))

    _run(work)


@with_settings(*_NODE_SETTINGS)
def node(**flags: Any) -> None:
    """Run a node alone, beside others on one store."""

    def work() -> int:
        from mainspring.launch import compose

        return compose.node(settings_of(flags))

    _run(work)


def _run(work: Callable[[], int]) -> NoReturn:
    from mainspring.launch.signals import until_stopped

    raise typer.Exit(until_stopped(work))
