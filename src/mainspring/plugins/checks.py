"""Finds every problem of what the plugins bind, before anything of it is built.

An author is told all of them at once: which plugin, which class, what to do. That includes services that are asked for
but bound nowhere, because dishka would stop at the first (decision 0008).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from mainspring.errors import InvalidRequestError, first_line
from mainspring.job import (
    FIRST_PRIORITY,
    LAST_PRIORITY,
    SCHEDULING_FIELDS,
    Backoff,
    Declaration,
    JobKey,
    JobRequest,
    Limits,
)
from mainspring.plugins.author import (
    Binder,
    SchedulerJob,
    SchedulerTriggerListener,
    ServiceBinding,
    SettingsBinding,
)
from mainspring.plugins.registry import Binding, names_in
from mainspring.plugins.report import name_of
from mainspring.plugins.scheduler import Scheduler
from mainspring.plugins.sections import NAME_WORDS, SECTION_NAME, Sections
from mainspring.plugins.services import parameters_of, provided_by, target_of
from mainspring.problems import problems_of

_DECLARATION = TypeAdapter(Declaration)
_TAKEN = frozenset({
    "actions", "audit", "calendars", "events", "forecast", "jobs", "keys", "limits", "nodes", "pause", "plugins",
    "resume", "roles", "runs", "webhooks",
})  # fmt: skip
"""What stands in paths in the place of a product."""
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,63}", re.ASCII)


@dataclass(slots=True)
class Draft:
    """All that was bound, while it is being checked."""

    problems: list[str]
    sections: Sections
    jobs: dict[JobKey, tuple[str, type[SchedulerJob]]] = field(default_factory=dict)
    listeners: dict[JobKey, list[type[SchedulerTriggerListener]]] = field(default_factory=dict)
    services: list[ServiceBinding] = field(default_factory=list)
    declared: dict[str, list[Declaration]] = field(default_factory=dict)

    def take(self, origin: str, binder: Binder, source: str) -> None:
        """Check what one plugin bound, and keep what is right; jobs are declared in the name of `source`."""
        self.declared.setdefault(source, [])
        for job_class in binder.jobs:
            self._take(origin, job_class, SchedulerJob, "execute", self._take_job)
        for listener in binder.listeners:
            self._take(origin, listener, SchedulerTriggerListener, "veto_job_execution", self._take_listener)
        for service in binder.services:
            self._take_service(origin, service)
        for settings in binder.settings:
            self._take_settings(origin, settings)
        for name, job_class, schedule, options, fields in binder.declared:
            self._take_declared(origin, source, name, job_class, schedule, options, fields)

    def _take_declared(
        self,
        origin: str,
        source: str,
        name: Any,
        job_class: Any,
        schedule: Mapping[str, Any],
        options: Mapping[str, Any],
        fields: Mapping[str, Any],
    ) -> None:
        """Check a declared job, as far as it goes without the store."""
        key = JobKey(getattr(job_class, "product", ""), getattr(job_class, "job_group", ""))
        if key not in self.jobs or self.jobs[key][1] is not job_class:
            self.problems.append(f"{origin}: the job {name!r} is declared of {name_of(job_class)}, which is not bound")
            return
        try:
            binding = Binding(key, job_class, (), origin)
            request = to_jsonable_python(binding.on_the_wire(fields))
            declaration = _DECLARATION.validate_python(
                {**key._asdict(), "name": name, "schedule": schedule, "options": options, "request": request}
            )
            binding.check(declaration)
        except ValidationError as error:
            self.problems += [
                f"{origin}: the declared job {name!r}: {each.pointer} {each.detail}"
                for each in problems_of(error, None)
            ]
        except PydanticSerializationError as error:
            self.problems.append(f"{origin}: the declared job {name!r} cannot be written as JSON: {first_line(error)}")
        except InvalidRequestError as error:
            self.problems += [
                f"{origin}: the declared job {name!r}: {each.pointer} {each.detail}" for each in error.problems
            ]
        else:
            if any(other.job_id == declaration.job_id for others in self.declared.values() for other in others):
                self.problems.append(f"{origin}: the job {declaration} is declared twice")
            self.declared[source].append(declaration)

    def _take(
        self, origin: str, cls: Any, base: type[Any], method: str, keep: Callable[[str, JobKey, Any], None]
    ) -> None:
        if not is_subclass(cls, base):
            self.problems.append(f"{origin}: {name_of(cls)} is not a subclass of {base.__name__}")
            return
        problems = list(_class_problems(cls, method))
        if base is SchedulerJob:
            problems += _job_problems(cls)
        self.problems += [f"{origin}: {cls.__name__} {problem}" for problem in problems]
        if not problems:
            keep(origin, JobKey(cls.product, cls.job_group), cls)

    def _take_job(self, origin: str, key: JobKey, job_class: type[SchedulerJob]) -> None:
        if key in self.jobs:
            other, taken = self.jobs[key]
            self.problems.append(
                f"{origin}: {job_class.__name__} claims {key}, which belongs to {taken.__name__} of {other}; "
                "a job group has one job class"
            )
        else:
            self.jobs[key] = (origin, job_class)

    def _take_listener(self, _origin: str, key: JobKey, listener: type[SchedulerTriggerListener]) -> None:
        self.listeners.setdefault(key, []).append(listener)

    def _take_service(self, origin: str, service: ServiceBinding) -> None:
        try:
            provides = service.provides or provided_by(service.source)
        except Exception as error:  # noqa: BLE001 - what an annotation says is the plugin's
            self.problems.append(f"{origin}: service {name_of(service.source)}: {error}")
            return
        if provides is Scheduler and not service.is_value:
            self.problems.append(f"{origin}: Scheduler cannot be bound: each job gets that of its own product")
        elif any(other.provides == provides for other in self.services):
            self.problems.append(f"{origin}: {name_of(provides)} is provided twice")
        else:
            self.services.append(ServiceBinding(service.source, provides, service.is_value))

    def _take_settings(self, origin: str, binding: SettingsBinding) -> None:
        """Check what settings were bound, and keep their model as a service."""
        section: Any = binding.section
        model: Any = binding.model
        if not is_subclass(model, BaseModel):
            self.problems.append(f"{origin}: the settings {section!r} are bound to {name_of(model)}, no pydantic model")
        elif not (isinstance(section, str) and SECTION_NAME.fullmatch(section)):
            self.problems.append(f"{origin}: the settings {section!r} are no name of {NAME_WORDS}")
        elif section in self.sections.models:
            other = name_of(self.sections.models[section])
            self.problems.append(f"{origin}: the settings {section!r} of {name_of(model)} are bound to {other} already")
        else:
            self.sections.models[section] = model
            self._take_service(origin, ServiceBinding(lambda: self.sections.get(section), model, is_value=True))

    def bindings(self) -> Iterator[Binding]:
        """Return the binding of each group."""
        for key, (origin, job_class) in self.jobs.items():
            yield Binding(key, job_class, tuple(self.listeners.get(key, ())), origin)

    def check_settings(self) -> None:
        """Read all settings, as far as they can be."""
        self.problems += self.sections.read()

    def check_injection(self) -> None:
        """Find what is asked for but bound nowhere.

        Only when all plugins have spoken: one may bind what another needs.
        """
        provided = {service.provides for service in self.services}
        classes = [job_class for _, job_class in self.jobs.values()] + [
            cls for group in self.listeners.values() for cls in group
        ]
        for source in (service.source for service in self.services):
            self.problems += [f"{name_of(source)} {problem}" for problem in _injection_problems(source, provided)]
        for cls in classes:
            problems = _injection_problems(cls, {*provided, Scheduler})
            self.problems += [f"{name_of(cls)} {problem}" for problem in problems]
        for key, group in self.listeners.items():
            if key not in self.jobs:
                self.problems += [f"{cls.__name__} listens to {key}, for which no job class is bound" for cls in group]


def _class_problems(cls: type, method: str) -> Iterator[str]:
    for attribute in ("product", "job_group"):
        name = getattr(cls, attribute, None)
        if not isinstance(name, str):
            yield f"lacks @{attribute}(…)"
        elif attribute == "product" and name in _TAKEN:
            yield f"has @product({name!r}), which is a name of a call of the API; take another"
        elif not _SEGMENT.fullmatch(name):
            yield f"has @{attribute}({name!r}), which is no path segment: up to 64 letters, digits and . _ ~ -"
    if missing := getattr(cls, "__abstractmethods__", None):
        yield f"does not define {', '.join(sorted(missing))}"
        return
    arguments = {"execute": ("context",), "veto_job_execution": ("trigger", "context")}[method]
    function = getattr(cls, method)
    try:
        inspect.signature(function).bind(None, *arguments)
    except TypeError:
        yield f"must define {method}(self, {', '.join(arguments)})"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        yield f"has a yield in {method}, so calling it would run nothing"


def _job_problems(cls: type[SchedulerJob]) -> Iterator[str]:
    model: Any = cls.Request
    if not is_subclass(model, JobRequest):
        yield "has a Request that is not a subclass of JobRequest"
        return
    for base in model.__mro__[: model.__mro__.index(JobRequest)]:
        if taken := SCHEDULING_FIELDS & set(inspect.get_annotations(base)):
            yield f"has a Request that redefines {', '.join(sorted(taken))}, which JobRequest itself reads"
    rules: Any = cls
    if not (type(rules.priority) is int and LAST_PRIORITY <= rules.priority <= FIRST_PRIORITY):
        yield f"has a priority that is not a whole number from {LAST_PRIORITY} to {FIRST_PRIORITY}"
    yield from _limit_problems(rules)
    if not (isinstance(rules.timeout, timedelta) and rules.timeout > timedelta()):
        yield "has a timeout that is not a positive timedelta"
    yield from _retry_problems(rules)
    yield from _isolation_problems(cls)
    if not _names_fields(cls.searchable, model):
        yield "has searchable that is not a tuple of names of fields of its Request"


def _retry_problems(rules: Any) -> Iterator[str]:
    if not (isinstance(rules.max_attempts, int) and rules.max_attempts >= 1):
        yield "has max_attempts that is not a number from 1"
    for name in ("at_most_once", "exclusive"):
        if not isinstance(getattr(rules, name), bool):
            yield f"has {name} that is neither True nor False"
    if not (isinstance(rules.backoff, Backoff) and _is_sound(rules.backoff)):
        yield "has a backoff that is not a Backoff of two positive timedeltas and a factor from 1"


def _names_fields(names: Any, model: type[JobRequest]) -> bool:
    return isinstance(names, Collection) and not isinstance(names, str) and {*names} <= {*model.model_fields}


def _limit_problems(rules: Any) -> Iterator[str]:
    try:
        Limits.check(rules.limits)
    except ValueError as error:
        yield f"has limits that are not right: {error}"
    by = rules.concurrency_key
    if callable(by):
        if not _takes_a_request(by):
            yield "must define concurrency_key(cls, request) as a class method, and without async"
        return
    if by is None:
        return
    try:
        unknown = set(names_in(by)) - rules.Request.model_fields.keys()
    except (TypeError, ValueError):
        yield "has a concurrency_key that is no text with names of fields in braces, and no class method"
        return
    if not by:
        yield "has a concurrency_key that is empty; None is none"
    if unknown:
        yield f"has a concurrency_key with {', '.join(sorted(unknown))}, which its Request does not have"


def _takes_a_request(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind("request")
    except TypeError:
        return False
    except ValueError:  # what is written in C need not tell
        return True
    return not inspect.iscoroutinefunction(function)


def _isolation_problems(rules: Any) -> Iterator[str]:
    if rules.isolation not in ("none", "process"):
        yield "has an isolation that is neither 'none' nor 'process'"
    limit = rules.memory_limit
    if limit is None:
        return
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        yield "has a memory_limit that is not a number of bytes"
    elif rules.isolation != "process":
        yield "has a memory_limit, which only holds with isolation = 'process'"


def _is_sound(backoff: Backoff) -> bool:
    initial, factor, longest = numbers = (backoff.initial, backoff.factor, backoff.longest)
    kinds: tuple[Any, ...] = (timedelta, int | float, timedelta)
    if not all(isinstance(number, kind) for number, kind in zip(numbers, kinds, strict=True)):
        return False
    return initial > timedelta() and factor >= 1 and longest > timedelta()


def _injection_problems(source: Callable[..., Any], provided: set[Any]) -> Iterator[str]:
    try:
        parameters, hints = parameters_of(source), get_type_hints(target_of(source))
    except Exception as error:  # noqa: BLE001 - what an annotation says is the plugin's
        yield f"has annotations that cannot be read: {error}"
        return
    for parameter in parameters:
        if parameter.default is not parameter.empty:
            continue
        if parameter.name not in hints:
            yield f"takes {parameter.name!r} without an annotation, so nothing can be injected"
        elif hints[parameter.name] is Scheduler and Scheduler not in provided:
            yield "needs Scheduler, which has the bounds of a product: only jobs and trigger listeners may ask for it"
        elif hints[parameter.name] not in provided:
            yield f"needs {name_of(hints[parameter.name])}, which no plugin binds with bind_service"


def is_subclass(thing: Any, base: type) -> bool:
    """Tell whether `thing`, which need not be a class, is a subclass of `base`."""
    return inspect.isclass(thing) and issubclass(thing, base)
