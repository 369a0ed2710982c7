"""``mainspring plugins``: look at the plugins that a node would load."""

from __future__ import annotations

import json
from typing import Any

import typer

from mainspring.cli.flags import (
    Form,
    SettingsCommand,
    commands,
    settings_of,
    warn_of_foreign_code,
    with_form,
    with_settings,
)
from mainspring.cli.output import print_table

app = commands("Look at the plugins that a node would load.")

_COLUMNS = ("product", "jobGroup", "jobClass", "listeners", "plugin")


@app.command("list", cls=SettingsCommand)
@with_settings("plugins")
@with_form
def list_plugins(*, form: Form = "table", **flags: Any) -> None:
    """List the job groups and their classes."""
    from mainspring.launch import compose

    settings = settings_of(flags)
    warn_of_foreign_code(settings)
    registry = compose.load_registry(settings)
    rows = [
        (*key, _name(binding.job_class), [_name(listener) for listener in binding.listeners], binding.plugin)
        for key, binding in sorted(registry.bindings.items())
    ]
    if form == "json":
        typer.echo(json.dumps([dict(zip(_COLUMNS, row, strict=True)) for row in rows]))
    else:
        print_table(_COLUMNS, rows)


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
