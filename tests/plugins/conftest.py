"""What plugins are made of, and how a test builds a registry of them."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol

import pytest

from mainspring.clock import Clock
from mainspring.errors import ConfigError
from mainspring.job import JobKey
from mainspring.plugins import (
    Binder,
    JobExecutionContext,
    Registry,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    build,
)
from mainspring.plugins.author import job_group, product
from mainspring.schedule import Trigger

BACKUPS = JobKey("vps4", "backups")
NOBODY = JobKey("vps4", "nobody")
SECOND = timedelta(seconds=1)
Configure = Callable[[Binder], object]
anything: Any = object
"""What an author without a type checker may bind or set."""
SEGMENT = "which is no path segment: up to 64 letters, digits and . _ ~ -"


class Work(SchedulerJob):
    async def execute(self, context: JobExecutionContext) -> None: ...


class Check(SchedulerTriggerListener):
    async def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> bool:  # noqa: ARG002
        return False


def a_job_class(base: Any = Work, key: JobKey = BACKUPS, name: str = "Job", **attributes: Any) -> type[SchedulerJob]:
    """Make the job class of a group."""
    return product(key.product)(job_group(key.job_group)(type(name, (base,), attributes)))


def a_listener(
    base: Any = Check, key: JobKey = BACKUPS, name: str = "Listener", **attributes: Any
) -> type[SchedulerTriggerListener]:
    """Make a trigger listener of a group."""
    return product(key.product)(job_group(key.job_group)(type(name, (base,), attributes)))


class Module(SchedulerPluginModule):
    def __init__(self, configure: Configure) -> None:
        self._configure = configure

    def configure(self, binder: Binder) -> None:
        self._configure(binder)


def binds(*jobs: Any, listeners: Iterable[Any] = (), services: Mapping[Any, Any] | Iterable[Any] = ()) -> Configure:
    """Bind job classes, listeners, and services: a mapping says what each provides."""

    def configure(binder: Binder) -> None:
        for job in jobs:
            binder.bind_job(job)
        for listener in listeners:
            binder.bind_trigger_listener(listener)
        for service in services:
            binder.bind_service(service, provides=services[service] if isinstance(services, Mapping) else None)

    return configure


def a_registry(*configures: Configure, clock: Clock | None = None) -> Registry:
    """Build the registry of some plugins: one, two, three."""
    names = ("one", "two", "three")
    return build([(name, Module(configure)) for name, configure in zip(names, configures, strict=False)], clock=clock)


def sentences(error: ConfigError) -> list[str]:
    """Take the report of all problems apart."""
    head, *lines = str(error).splitlines()
    assert head == "The plugins cannot be used:"
    return [line.removeprefix("  - ") for line in lines]


def problems_of(*configures: Configure) -> list[str]:
    """List what is wrong with plugins."""
    with pytest.raises(ConfigError) as caught:
        a_registry(*configures)
    return sentences(caught.value)


@asynccontextmanager
async def opened(*configures: Configure, clock: Clock | None = None) -> AsyncIterator[Registry]:
    """Open a registry, and close it in the end."""
    registry = a_registry(*configures, clock=clock)
    await registry.open()
    yield registry
    await registry.close()


class Vms(Protocol):
    """What jobs ask for."""


class HttpVms:
    """What they get."""


class Quota:
    """Another service."""


class NeedsVms(Work):
    def __init__(self, vms: Vms) -> None:
        self.vms = vms


class ListensWithVms(Check):
    def __init__(self, vms: Vms) -> None:
        self.vms = vms


class Keeper:
    """Keeps what it was given."""

    def __init__(self, vms: Vms, quota: Quota = anything, size: int = 3) -> None:
        self.given = (vms, quota, size)


class NeedsClock(Work):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
