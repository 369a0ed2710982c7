"""``mainspring serve`` and ``mainspring node``: run until stopped, then exit with the code that they return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import typer

from mainspring.cli.flags import settings_of, with_settings

NODE_SETTINGS = (
    "store", "plugins", "node", "slots", "threads", "processes", "lease", "poll", "grace", "retention", "log_level",
    "log_format", "worker_environment",
)  # fmt: skip
"""The settings of a process that runs jobs."""


@with_settings("host", "port", "allowed_hosts", *NODE_SETTINGS)
def serve(**flags: Any) -> None:
    """Run a node with the REST API."""

    def work() -> int:
        from mainspring.launch import compose

        return compose.serve(settings_of(flags))

    run(work)


@with_settings(*NODE_SETTINGS)
def node(**flags: Any) -> None:
    """Run a node alone, beside others on one store."""

    def work() -> int:
        from mainspring.launch import compose

        return compose.node(settings_of(flags))

    run(work)


def run(work: Callable[[], int]) -> NoReturn:
    """Do the work of a service or node until a signal stops it, and exit with the code that it returns."""
    from mainspring.launch.signals import until_stopped

    raise typer.Exit(until_stopped(work))
