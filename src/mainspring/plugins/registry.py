"""The job groups of this process, checked and frozen: which class runs each, and once it is open, with which services.

A stored job names only (product, job group); its class is looked up here. Groups that share no service are
scopes of their own, so that each can have its own loop (decision 0020).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache, partial
from string import Formatter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from mainspring.errors import ConfigError, InvalidRequestError, NotFoundError, Problem
from mainspring.job import (
    DELIVERIES,
    LONGEST_KEY,
    NOW,
    Declaration,
    Job,
    JobKey,
    JobRequest,
    Limits,
    OnConflict,
    RetryPolicy,
    Scope,
    Terms,
    is_key,
    lifecycle,
    read,
    schema_of,
)
from mainspring.plugins.author import SchedulerJob, SchedulerTriggerListener, ServiceBinding
from mainspring.plugins.report import raise_together
from mainspring.plugins.scheduler import Calls, NoCalls, Scheduler
from mainspring.plugins.services import ServiceScope, needed, needs_of
from mainspring.plugins.terms import terms_of
from mainspring.problems import kind_of, words_of
from mainspring.schedule import Once, format_time

if TYPE_CHECKING:
    from dishka import Provider


@dataclass(frozen=True, slots=True)
class Binding:
    """How the jobs of one (product, job group) are run, and which plugin says so."""

    key: JobKey
    job_class: type[SchedulerJob]
    listeners: tuple[type[SchedulerTriggerListener], ...]
    plugin: str

    @property
    def request_model(self) -> type[JobRequest]:
        """The model of the group's requests."""
        return self.job_class.Request

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of a request of the group."""
        return schema_of(self.request_model)

    @property
    def policy(self) -> RetryPolicy:
        """How failures of the group are retried."""
        return RetryPolicy(self.job_class.max_attempts, self.job_class.backoff, self.job_class.at_most_once)

    @property
    def searchable(self) -> tuple[str, ...]:
        """The fields of requests by which jobs can be found, by their names on the wire."""
        return _wire_names(self.job_class)

    def concurrency_key(self, request: JobRequest) -> str | None:
        """Return the concurrency key of a job, by its request. Raises `InvalidRequestError` for a bug of the plugin."""
        by: Any = self.job_class.concurrency_key
        if by is None:
            return None
        try:
            key = by(request) if callable(by) else _filled_in(by, request)
        except BaseException as error:
            raise _no_key(f"failed with {kind_of(error)}") from error  # its author must hear of it
        if key is None or is_key(key):
            return key
        raise _no_key(f"is {words_of(key)[:100]!r}, and no text of 1 to {LONGEST_KEY} characters")

    @property
    def terms(self) -> Terms:
        """What the group asks of a new job that its schema does not say."""
        by: Any = self.job_class.concurrency_key
        return terms_of(self.job_class, self.searchable, names_in(by) if isinstance(by, str) else ())

    def on_the_wire(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request in which fields that are named as in Python have their names on the wire."""
        names = {name: field.alias or name for name, field in self.request_model.model_fields.items()}
        return {names.get(name, name): value for name, value in body.items()}

    def check(self, declaration: Declaration) -> None:
        """Raise `InvalidRequestError` unless a job can be declared so; its calendar is not looked at."""
        read(self.request_model, declaration.body, now=_A_MOMENT, calendars=_AnyName())

    def follow_up(self, body: dict[str, Any], job_id: UUID, now: datetime) -> Job:
        """Return the job of a request that another job has made. Whether its calendar is there is not looked at.

        One that is to run ``now`` says so in its request: `lifecycle.follow_up` puts in when that is.

        Raises `InvalidRequestError` with every problem.
        """
        at_once = body | {"when": format_time(now)} if body.get("when") == NOW else body
        reading = read(self.request_model, at_once, now=now, calendars=_AnyName())
        body = body if isinstance(reading.trigger, Once) else at_once
        options = reading.options
        if options.on_conflict is OnConflict.REPLACE:
            detail = "can be reject or keep for a job that follows another: where its key is taken, it is not made"
            raise InvalidRequestError(detail, problems=[Problem("/options/onConflict", "REPLACE_IN_BATCH", detail)])
        if options.after:
            detail = "cannot be used for a job that follows another: whether these jobs are there is not looked up"
            raise InvalidRequestError(detail, problems=[Problem("/options/after", "AFTER_BY_JOB", detail)])
        job, _ = lifecycle.create(
            job_id=job_id, key=self.key, request=body, trigger=reading.trigger, options=options, now=now, calendars={}
        )
        return lifecycle.ranked(job, self.job_class.priority, self.concurrency_key(reading.request), self.searchable)

    @property
    def uses_threads(self) -> bool:
        """Whether a method of the group is plain ``def``, which runs in a thread."""
        methods = [self.job_class.execute, *(cls.veto_job_execution for cls in self.listeners)]
        return not all(map(inspect.iscoroutinefunction, methods))

    def bound(
        self,
        services: Mapping[Any, Any],
        listeners: Mapping[type[SchedulerTriggerListener], SchedulerTriggerListener],
    ) -> BoundGroup:
        """Return the group with the services, its scheduler among them, and listeners that were built."""
        return BoundGroup(
            self,
            partial(self.job_class, **needed(self.job_class, services)),
            inspect.iscoroutinefunction(self.job_class.execute),
            tuple((listeners[cls], inspect.iscoroutinefunction(cls.veto_job_execution)) for cls in self.listeners),
        )


@cache
def _wire_names(job_class: type[SchedulerJob]) -> tuple[str, ...]:
    fields = job_class.Request.model_fields
    return tuple(fields[name].alias or name for name in job_class.searchable)


_A_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
"""When declarations are read to see whether they are right: what is wrong with them is so at any time."""


class _AnyName(tuple[str, ...]):
    """Names of calendars of which each is one."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return True


def _no_key(what: str) -> InvalidRequestError:
    detail = f"the job group's own concurrency key {what}"
    return InvalidRequestError(detail, problems=[Problem("", "PLUGIN_VALIDATION_ERROR", detail)])


def _filled_in(template: str, request: JobRequest) -> str | None:
    """Put fields of a request into a template such as ``"dc:{data_center}"``; `None` where one of them is `None`."""
    values = {name: getattr(request, name) for name in names_in(template)}
    return None if None in values.values() else template.format_map(values)


def names_in(template: str) -> list[str]:
    """Return the names in braces of a template. Raises `ValueError` for anything else in braces."""
    fields = [(name, form, conversion) for _, name, form, conversion in Formatter().parse(template) if name is not None]
    if any(form or conversion or not name.isidentifier() for name, form, conversion in fields):
        raise ValueError("only names of fields stand in braces")
    return [name for name, _, _ in fields]


class BoundGroup(NamedTuple):
    """Who does the work of a job group: a maker of fresh jobs, and the listeners, all with their services.

    `is_async`, and the same beside each listener, says whether its method is ``async def``. All is looked up once: for
    each run it would cost as much as a task.
    """

    binding: Binding
    make_job: Callable[[], SchedulerJob]
    is_async: bool
    listeners: tuple[tuple[SchedulerTriggerListener, bool], ...]


class Registry:
    """The bindings of this process and their policies, and once it is open, what was built for each."""

    def __init__(
        self,
        bindings: Iterable[Binding],
        services: Sequence[ServiceBinding],
        provider: Provider,
        unbound: Collection[str] = (),
        declared: Mapping[str, Sequence[Declaration]] = MappingProxyType({}),
    ) -> None:
        self.bindings: Mapping[JobKey, Binding] = MappingProxyType({binding.key: binding for binding in bindings})
        self.open_bindings: Mapping[JobKey, Binding] = {
            key: binding for key, binding in self.bindings.items() if key != DELIVERIES
        }
        """Those of groups whose jobs anybody makes."""
        self.policies: Mapping[JobKey, RetryPolicy] = {key: binding.policy for key, binding in self.bindings.items()}
        self.limits: dict[Scope, Limits] = {
            Scope(*key): Limits.of(binding.job_class.limits) for key, binding in self.bindings.items()
        }
        """The limits that job classes, or settings in their place, say of groups and products."""
        self.bound: dict[JobKey, BoundGroup] = {}
        self.declared: dict[str, Sequence[Declaration]] = dict(declared)
        """The recurring jobs that are declared, by who declares them: plugins, and settings if they say anything."""
        self.unbound = tuple(unbound)
        """The sections of settings that no plugin of this process has bound."""
        self._services = {service.provides: service.source for service in services}
        self._values = {service.provides for service in services if service.is_value}
        self._provider = provider
        self.scopes = self._scopes()

    def find(self, key: JobKey) -> Binding:
        """Return the binding of a job group whose jobs anybody makes. Raises `NotFoundError`."""
        try:
            return self.open_bindings[key]
        except KeyError:
            if key == DELIVERIES:
                detail = f"the jobs of {key} are deliveries to webhooks, which Mainspring alone makes"
                raise NotFoundError(detail, problems=[Problem("", "UNKNOWN_JOB_GROUP", detail)]) from None
            detail = f"no plugin has registered the job group {key.job_group[:64]!r} of product {key.product[:64]!r}"
            if near := get_close_matches(str(key)[:129], map(str, self.open_bindings), n=1):
                detail += f"; did you mean {near[0]}?"
            raise NotFoundError(detail, problems=[Problem("", "UNKNOWN_JOB_GROUP", detail)]) from None

    @property
    def asks_for_scheduler(self) -> bool:
        """Whether a job class or trigger listener asks for a `Scheduler`."""
        classes = (cls for binding in self.bindings.values() for cls in (binding.job_class, *binding.listeners))
        return any(needs_of(cls, {Scheduler}) for cls in classes)

    async def open(self, calls: Calls | None = None) -> None:
        """Build all services and listeners, on one loop; `calls` takes what they call their scheduler for.

        Raises `ConfigError` with every one that fails.
        """
        bound: dict[JobKey, BoundGroup] = {}
        problems: list[str] = []
        for scope in self.scopes:
            try:
                bound |= await scope.open(calls or NoCalls())
            except ConfigError as error:
                problems.append(str(error))
        raise_together(problems)
        self.bound |= bound

    async def close(self) -> None:
        """Clean up all services; an `ExceptionGroup` says what failed."""
        errors: list[Exception] = []
        for scope in reversed(self.scopes):
            try:
                await scope.close()
            except Exception as error:  # noqa: BLE001 - a clean-up of the plugin
                errors.append(error)
        if errors:
            raise ExceptionGroup("services could not be cleaned up", errors)

    def alone(self, key: JobKey) -> ServiceScope:
        """Return one group with the services that it needs and no others, for a process of its own."""
        binding = self.bindings[key]
        return self._scope([binding], self._required(binding.job_class, *binding.listeners))

    def _scopes(self) -> tuple[ServiceScope, ...]:
        """Divide groups and services into scopes that share no service. A service that nobody needs gets one too."""
        parts: list[tuple[list[Binding], set[Any]]] = []
        alone: list[tuple[list[Binding], set[Any]]] = [
            *(([], self._required(provides)) for provides in self._services if provides not in self._values),
            *(([binding], self._required(binding.job_class, *binding.listeners)) for binding in self.bindings.values()),
        ]
        for bindings, services in alone:
            kin = [part for part in parts if part[1] & services]
            merged = ([b for part in kin for b in part[0]] + bindings, services.union(*(part[1] for part in kin)))
            parts = [merged if kin and part is kin[0] else part for part in parts if part not in kin[1:]]
            parts += [] if kin else [merged]
        return tuple(self._scope(*part) for part in parts)

    def _required(self, *wanting: Any) -> set[Any]:
        """Return the services that classes need, directly or through others, without mere values, which all share."""
        required: set[Any] = set()
        queue = [*wanting]
        while queue:
            wanted = queue.pop()
            if wanted in self._services:
                if wanted in self._values or wanted in required:
                    continue
                required.add(wanted)
            queue += needs_of(self._services.get(wanted, wanted), self._services).values()
        return required

    def _scope(self, bindings: Sequence[Binding], services: Collection[Any]) -> ServiceScope:
        in_order = [provides for provides in self._services if provides in services or provides in self._values]
        return ServiceScope(bindings, in_order, self._provider)
