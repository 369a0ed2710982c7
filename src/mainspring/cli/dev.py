"""``mainspring dev``: serve the plugins of a folder while they are being written, and start again when they change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mainspring.cli.flags import with_settings
from mainspring.cli.output import complain
from mainspring.cli.serve import NODE_SETTINGS, run

_INSTEAD = {"store": "memory:", "grace": "PT1S"}
"""What other defaults settings have here: nothing is kept, and a change need not wait for runs."""


@with_settings("host", "port", "allowed_hosts", *NODE_SETTINGS)
def dev(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A package, a folder of modules, or one module.")],
    **flags: Any,
) -> None:
    """Serve the plugins of a folder, and start again when a file of it changes.

    Jobs are kept in memory unless --store says otherwise.
    """
    if not path.exists():
        raise typer.BadParameter(f"{path} does not exist", param_hint="PATH")
    arguments = _arguments(flags)
    config = flags["config"]

    def work() -> int:
        from mainspring.launch.dev import develop

        return develop(path, arguments, also=[] if config is None else [config], tell=complain)

    run(work)


def _arguments(flags: dict[str, Any]) -> list[str]:
    """Return the flags as `serve` takes them."""
    from mainspring.settings import TABLE

    arguments = [] if flags["config"] is None else ["--config", str(flags["config"])]
    for name, row in TABLE.items():
        value = flags.get(name)
        if value is None:
            value = _INSTEAD.get(name)
        for each in value if isinstance(value, list | tuple) else [value]:
            arguments += [] if each is None else [row.flag, str(each)]
    return arguments
