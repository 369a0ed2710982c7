"""The plugin module of all jobs without code: what the settings declare, bound like what any author writes."""

from __future__ import annotations

from mainspring.errors import ConfigError
from mainspring.execution.declared.delivery import WebhooksModule
from mainspring.plugins import Binder, Registry, SchedulerPluginModule, load
from mainspring.settings import Settings

ORIGIN = "settings"
"""Names these groups where others name their plugin."""
OWN = "Mainspring itself"


class DeclaredModule(SchedulerPluginModule):
    """Binds the HTTP jobs and command jobs of settings; `in_worker` says whether this process is a worker."""

    def __init__(self, settings: Settings, *, in_worker: bool = False) -> None:
        self._settings = settings
        self._in_worker = in_worker

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`. Raises `ConfigError` for secrets that cannot be used."""
        settings = self._settings
        if settings.http_jobs:
            self._bind_http(binder)
        if settings.command_jobs:
            from mainspring.execution.declared.command import command_job_class  # noqa: PLC0415 - same as below
            from mainspring.execution.declared.program import Programs  # noqa: PLC0415 - same

            for declared in settings.command_jobs:
                binder.bind_job(command_job_class(declared))
            in_worker = self._in_worker
            binder.bind_service(lambda: Programs(in_worker=in_worker), provides=Programs)

    def _bind_http(self, binder: Binder) -> None:
        from mainspring.execution.declared.http import (  # noqa: PLC0415 - most processes have no such jobs
            Outside,
            http_job_class,
            outside_of,
        )
        from mainspring.execution.declared.secrets import problems_of_secrets  # noqa: PLC0415 - same

        settings = self._settings
        for declared in settings.http_jobs:
            binder.bind_job(http_job_class(declared, settings.allowed_targets.get(declared.product, ())))
        binder.bind_service(outside_of(settings.secrets), provides=Outside)
        if not self._in_worker and (problems := list(problems_of_secrets(settings.secrets))):
            raise ConfigError("; ".join(problems))


def load_all(settings: Settings, *, in_worker: bool = False) -> Registry:
    """Find the plugins and the jobs without code, and check everything. Raises `ConfigError` with all problems."""
    more: list[tuple[str, SchedulerPluginModule]] = [(OWN, WebhooksModule(settings, in_worker=in_worker))]
    if settings.http_jobs or settings.command_jobs:
        more.append((ORIGIN, DeclaredModule(settings, in_worker=in_worker)))
    return load(settings.plugins, settings.plugin_settings, more=more)
