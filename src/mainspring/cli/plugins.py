"""``mainspring plugins``: look at the plugins that a node would load here, and at those of a running service."""

from __future__ import annotations

from typing import Any

from mainspring.cli.flags import SettingsCommand, commands, settings_of, warn_of_foreign_code, with_settings
from mainspring.cli.form import Form, Watched
from mainspring.cli.service import Service

app = commands("Look at the plugins that a node would load here, and at those of a running service.")

_COLUMNS = ("product", "jobGroup", "jobClass", "listeners", "plugin")
_SERVED = ("product", "jobGroup", "registered", "plugin", "nodes")
_WIDE = (*_SERVED[:-1], "maxAttempts", "timeout", "isolation", "priority", "nodes")


@app.command("list", cls=SettingsCommand)
@with_settings("plugins")
def list_plugins(form: Form, **flags: Any) -> None:
    """List the job groups and their classes."""
    from mainspring.launch import compose

    settings = settings_of(flags)
    warn_of_foreign_code(settings)
    registry = compose.load_registry(settings)
    rows: list[tuple[Any, ...]] = [
        (*key, _name(binding.job_class), [_name(listener) for listener in binding.listeners], binding.plugin)
        for key, binding in sorted(registry.open_bindings.items())
    ]
    form.show([dict(zip(_COLUMNS, row, strict=True)) for row in rows], lambda found: form.table(_COLUMNS, found))


@app.command("served")
def list_served(service: Service, form: Watched) -> None:
    """List the job groups that a running service can run, with their plugins and nodes."""
    form.follow(service.client.plugins, lambda found: form.table(_WIDE if form.is_wide else _SERVED, found))


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
