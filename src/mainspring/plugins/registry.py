"""What the plugins of this process bind: discovered, checked as a whole, and frozen into a `Registry`.

Every problem of every plugin is found before anything starts, and reported together. A stored job names only (product,
job group); which class runs it is looked up here.
"""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType, NoneType
from typing import Any, NamedTuple, get_args, get_type_hints

from dishka import Provider, Scope, make_async_container
from dishka.exception_base import DishkaError

from mainspring.clock import Clock, SystemClock
from mainspring.errors import ConfigError, NotFoundError, Problem
from mainspring.job import SCHEDULING_FIELDS, Backoff, JobKey, JobRequest, RetryPolicy
from mainspring.plugins.author import (
    Binder,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    ServiceBinding,
)

ENTRY_POINTS = "mainspring.plugins"
_UNUSABLE = "The plugins cannot be used:"
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,63}", re.ASCII)


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
    def policy(self) -> RetryPolicy:
        """How failures of the group are retried."""
        return RetryPolicy(self.job_class.max_attempts, self.job_class.backoff, self.job_class.at_most_once)


class BoundGroup(NamedTuple):
    """Who does the work of a job group: a maker of fresh jobs, and the listeners, all with their services.

    `is_async`, and the same beside each listener, says whether its method is ``async def``. All is looked up once: for
    each run it would cost as much as a task.
    """

    binding: Binding
    make_job: Callable[[], SchedulerJob]
    is_async: bool
    listeners: tuple[tuple[SchedulerTriggerListener, bool], ...]


class ServiceScope:
    """Job groups that share services, directly or through other services, and all these services.

    What one of them does to the event loop they share hurts the others, and nobody else.
    """

    def __init__(self, bindings: Sequence[Binding], services: Collection[Any], provider: Provider) -> None:
        self.bindings = bindings
        self.services = services
        self._container = make_async_container(provider)

    async def open(self) -> dict[JobKey, BoundGroup]:
        """Build the services and listeners, on the loop where they will be used.

        Raises `ConfigError` with every one that fails.
        """
        built: dict[Any, Any] = {}
        problems: list[str] = []
        for wanted in self.services:
            with _noting(wanted, problems):
                built[wanted] = await self._container.get(wanted)
        listeners: dict[type[SchedulerTriggerListener], SchedulerTriggerListener] = {}
        for cls in dict.fromkeys(cls for binding in self.bindings for cls in binding.listeners):
            if not built.keys() >= set(_needs(cls, self.services).values()):
                continue  # it needs a service that is a problem already
            with _noting(cls, problems):
                listeners[cls] = cls(**_needed(cls, built))
        _raise_all(problems)
        return {
            binding.key: BoundGroup(
                binding,
                partial(binding.job_class, **_needed(binding.job_class, built)),
                inspect.iscoroutinefunction(binding.job_class.execute),
                tuple(
                    (listeners[cls], inspect.iscoroutinefunction(cls.veto_job_execution)) for cls in binding.listeners
                ),
            )
            for binding in self.bindings
        }

    async def close(self) -> None:
        """Clean up all services."""
        await self._container.close()


class Registry:
    """The bindings of this process and their policies, and once it is open, what was built for each."""

    def __init__(self, bindings: Iterable[Binding], services: Sequence[ServiceBinding], provider: Provider) -> None:
        self.bindings: Mapping[JobKey, Binding] = MappingProxyType({binding.key: binding for binding in bindings})
        self.policies: Mapping[JobKey, RetryPolicy] = {key: binding.policy for key, binding in self.bindings.items()}
        self.bound: dict[JobKey, BoundGroup] = {}
        self._services = {service.provides: service.source for service in services}
        self._provider = provider
        self.scopes = self._scopes()

    def find(self, key: JobKey) -> Binding:
        """Return the binding of a job group. Raises `NotFoundError`."""
        try:
            return self.bindings[key]
        except KeyError:
            detail = f"no plugin has registered the job group {key.job_group[:64]!r} of product {key.product[:64]!r}"
            raise NotFoundError(detail, problems=[Problem("", "UNKNOWN_JOB_GROUP", detail)]) from None

    async def open(self) -> None:
        """Build all services and listeners, on one loop. Raises `ConfigError` with every one that fails."""
        bound: dict[JobKey, BoundGroup] = {}
        problems: list[str] = []
        for scope in self.scopes:
            try:
                bound |= await scope.open()
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
        """Part groups and services so that no two parts need the same service. A service nobody asks for counts too."""
        parts: list[tuple[list[Binding], set[Any]]] = []
        alone: list[tuple[list[Binding], set[Any]]] = [
            *(([], self._required(provides)) for provides in self._services if provides is not Clock),
            *(([binding], self._required(binding.job_class, *binding.listeners)) for binding in self.bindings.values()),
        ]
        for bindings, services in alone:
            kin = [part for part in parts if part[1] & services]
            merged = ([b for part in kin for b in part[0]] + bindings, services.union(*(part[1] for part in kin)))
            parts = [merged if kin and part is kin[0] else part for part in parts if part not in kin[1:]]
            parts += [] if kin else [merged]
        return tuple(self._scope(*part) for part in parts)

    def _required(self, *wanting: Any) -> set[Any]:
        """Return the services that classes need, with what these need, but for the clock, which is everybody's."""
        required: set[Any] = set()
        queue = [*wanting]
        while queue:
            wanted = queue.pop()
            if wanted in self._services:
                if wanted is Clock or wanted in required:
                    continue
                required.add(wanted)
            queue += _needs(self._services.get(wanted, wanted), self._services).values()
        return required

    def _scope(self, bindings: Sequence[Binding], services: Collection[Any]) -> ServiceScope:
        in_order = [provides for provides in self._services if provides in services or provides is Clock]
        return ServiceScope(bindings, in_order, self._provider)


@contextmanager
def _noting(wanted: Any, problems: list[str]) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a constructor of the plugin
        problems.append(f"{_name(wanted)} cannot be built: {_what(error)}")


def load(plugins: Sequence[str]) -> Registry:
    """Find the plugins, let them bind, check everything.

    Plugins are all installed entry points, and those named ``package.module:ClassName``.

    Raises `ConfigError` with all problems of all plugins.
    """
    names = {f"{point.value}": f"entry point {point.name}" for point in entry_points(group=ENTRY_POINTS)}
    names |= {name: f"plugin {name}" for name in plugins if name not in names}
    modules, problems = [], []
    for name, origin in names.items():
        try:
            modules.append((origin, _module(name)))
        except _PluginError as error:
            problems.append(f"{origin}: {error}")
    return build(modules, problems=problems)


def build(
    modules: Iterable[tuple[str, SchedulerPluginModule]], *, clock: Clock | None = None, problems: Sequence[str] = ()
) -> Registry:
    """Let plugin modules (each with a name for messages) bind, and check everything.

    Constructors may also ask for a `Clock`: they get `clock`, by default the machine's.

    Raises `ConfigError` with all problems.
    """
    draft = _Draft(problems=list(problems))
    time = clock or SystemClock()
    draft.services.append(ServiceBinding(lambda: time, Clock))
    for origin, module in modules:
        binder = Binder()
        try:
            module.configure(binder)
        except ConfigError as error:
            draft.problems.append(f"{origin}: {error}")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the plugin's code
            draft.problems.append(f"{origin}: configure failed: {_what(error)}")
        draft.take(origin, binder)
    draft.check_injection()
    _raise_all(draft.problems)
    try:
        return Registry(draft.bindings(), draft.services, draft.provider())
    except DishkaError as error:
        raise ConfigError(f"The services of the plugins cannot be wired up:\n{error}") from error


# --- finding modules


class _PluginError(Exception):
    """A plugin cannot be used; its text says why."""


def _module(name: str) -> SchedulerPluginModule:
    module_name, _, class_name = name.partition(":")
    if not module_name or not class_name:
        raise _PluginError("is not of the form package.module:ClassName")
    try:
        cls = getattr(import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        raise _PluginError(f"cannot be imported: there is no module {error.name!r}") from error
    except AttributeError as error:
        if class_name in str(error):
            raise _PluginError(f"the module {module_name} has no {class_name}") from error
        raise _PluginError(f"cannot be imported: {_what(error)}") from error
    except (Exception, SystemExit) as error:
        raise _PluginError(f"cannot be imported: {_what(error)}") from error
    if not _is_subclass(cls, SchedulerPluginModule):
        raise _PluginError(f"{class_name} is not a subclass of SchedulerPluginModule")
    try:
        module: SchedulerPluginModule = cls()
    except (Exception, SystemExit) as error:
        raise _PluginError(f"{class_name}() failed: {_what(error)}") from error
    return module


def _what(error: BaseException) -> str:
    """Say what was raised, and where in the plugin's code."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _raise_all(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError("\n".join([_UNUSABLE, *(f"  - {problem}" for problem in problems)]))


def raise_together(errors: Sequence[str]) -> None:
    """Raise one `ConfigError` of the texts of several, if there are any."""
    if errors:
        raise ConfigError("\n".join([_UNUSABLE, *(error.removeprefix(f"{_UNUSABLE}\n") for error in errors)]))


# --- checking what they bind


@dataclass(slots=True)
class _Draft:
    """All that was bound, while it is being checked."""

    problems: list[str]
    jobs: dict[JobKey, tuple[str, type[SchedulerJob]]] = field(default_factory=dict)
    listeners: dict[JobKey, list[type[SchedulerTriggerListener]]] = field(default_factory=dict)
    services: list[ServiceBinding] = field(default_factory=list)

    def take(self, origin: str, binder: Binder) -> None:
        for job_class in binder.jobs:
            self._take(origin, job_class, SchedulerJob, "execute", self._take_job)
        for listener in binder.listeners:
            self._take(origin, listener, SchedulerTriggerListener, "veto_job_execution", self._take_listener)
        for service in binder.services:
            self._take_service(origin, service)

    def _take(
        self, origin: str, cls: Any, base: type[Any], method: str, keep: Callable[[str, JobKey, Any], None]
    ) -> None:
        if not _is_subclass(cls, base):
            self.problems.append(f"{origin}: {_name(cls)} is not a subclass of {base.__name__}")
            return
        faults = list(_class_faults(cls, method))
        if base is SchedulerJob:
            faults += _job_faults(cls)
        self.problems += [f"{origin}: {cls.__name__} {fault}" for fault in faults]
        if not faults:
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
            provides = service.provides or _provided(service.source)
        except Exception as error:  # noqa: BLE001 - what an annotation says is the plugin's
            self.problems.append(f"{origin}: service {_name(service.source)}: {error}")
            return
        if any(other.provides == provides for other in self.services):
            self.problems.append(f"{origin}: {_name(provides)} is provided twice")
        else:
            self.services.append(ServiceBinding(service.source, provides))

    def bindings(self) -> Iterator[Binding]:
        for key, (origin, job_class) in self.jobs.items():
            yield Binding(key, job_class, tuple(self.listeners.get(key, ())), origin)

    def check_injection(self) -> None:
        """Find what is asked for but bound nowhere; dishka would stop at the first."""
        provided = {service.provides for service in self.services}
        classes = [job_class for _, job_class in self.jobs.values()] + [
            cls for group in self.listeners.values() for cls in group
        ]
        for source in [*(service.source for service in self.services), *classes]:
            self.problems += [f"{_name(source)} {fault}" for fault in _injection_faults(source, provided)]
        for key, group in self.listeners.items():
            if key not in self.jobs:
                self.problems += [f"{cls.__name__} listens to {key}, for which no job class is bound" for cls in group]

    def provider(self) -> Provider:
        provided = {service.provides for service in self.services}
        provider = Provider(scope=Scope.APP)
        for service in self.services:
            provider.provide(_maker(service.source, provided), provides=service.provides)
        return provider


def _class_faults(cls: type, method: str) -> Iterator[str]:
    for attribute in ("product", "job_group"):
        name = getattr(cls, attribute, None)
        if not isinstance(name, str):
            yield f"lacks @{attribute}(…)"
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


def _job_faults(cls: type[SchedulerJob]) -> Iterator[str]:
    model: Any = cls.Request
    if not _is_subclass(model, JobRequest):
        yield "has a Request that is not a subclass of JobRequest"
        return
    for base in model.__mro__[: model.__mro__.index(JobRequest)]:
        if taken := SCHEDULING_FIELDS & set(inspect.get_annotations(base)):
            yield f"has a Request that redefines {', '.join(sorted(taken))}, which JobRequest itself reads"
    rules: Any = cls
    if not (isinstance(rules.timeout, timedelta) and rules.timeout > timedelta()):
        yield "has a timeout that is not a positive timedelta"
    if not (isinstance(rules.max_attempts, int) and rules.max_attempts >= 1):
        yield "has max_attempts that is not a number from 1"
    for name in ("at_most_once", "exclusive"):
        if not isinstance(getattr(rules, name), bool):
            yield f"has {name} that is neither True nor False"
    if not (isinstance(rules.backoff, Backoff) and _is_sound(rules.backoff)):
        yield "has a backoff that is not a Backoff of two positive timedeltas and a factor from 1"
    yield from _isolation_faults(cls)


def _isolation_faults(rules: Any) -> Iterator[str]:
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


def _injection_faults(source: Callable[..., Any], provided: set[Any]) -> Iterator[str]:
    try:
        parameters, hints = _parameters(source), get_type_hints(_target(source))
    except Exception as error:  # noqa: BLE001 - what an annotation says is the plugin's
        yield f"has annotations that cannot be read: {error}"
        return
    for parameter in parameters:
        if parameter.default is not parameter.empty:
            continue
        if parameter.name not in hints:
            yield f"takes {parameter.name!r} without an annotation, so nothing can be injected"
        elif hints[parameter.name] not in provided:
            yield f"needs {_name(hints[parameter.name])}, which no plugin binds with bind_service"


def _provided(source: Any) -> Any:
    if inspect.isclass(source):
        return source
    if not callable(source):
        raise TypeError("is neither a class nor a function")
    hint = get_type_hints(source).get("return", NoneType)
    if inspect.isgeneratorfunction(source) or inspect.isasyncgenfunction(source):
        hint = next(iter(get_args(hint)), NoneType)
    if hint is NoneType:
        raise TypeError("needs a return annotation, or provides=…")
    return hint


def _maker(source: Callable[..., Any], provided: set[Any]) -> Any:
    """Return a factory for dishka, which asks for what is provided and leaves other parameters to their defaults.

    It is a generator: dishka resumes it at shutdown, when nothing needs the service any more.
    """
    needs = _needs(source, provided)

    async def make(*services: Any) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            yield await _made(source, dict(zip(needs, services, strict=True)), stack)

    maker: Any = make
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    maker.__signature__ = inspect.Signature([inspect.Parameter(name, kind, annotation=needs[name]) for name in needs])
    maker.__annotations__ = {**needs, "return": AsyncIterator[Any]}
    maker.__qualname__ = _name(source)
    return maker


async def _made(source: Any, services: Mapping[str, Any], stack: AsyncExitStack) -> Any:
    """Call what makes a service, and put its clean-up on the stack."""
    if inspect.isasyncgenfunction(source):
        return await stack.enter_async_context(asynccontextmanager(source)(**services))
    if inspect.isgeneratorfunction(source):
        return stack.enter_context(contextmanager(source)(**services))
    made = source(**services)
    if inspect.isclass(source):
        stack.push_async_callback(_clean_up, made)
        return made
    return await made if inspect.isawaitable(made) else made


_CLEAN_UPS = {"__aexit__": (None, None, None), "aclose": (), "__exit__": (None, None, None), "close": ()}


async def _clean_up(instance: Any) -> None:
    """Call the first clean-up that the class of a service has, if any."""
    for name, arguments in _CLEAN_UPS.items():
        if hasattr(type(instance), name):
            answer = getattr(instance, name)(*arguments)
            if inspect.isawaitable(answer):
                await answer
            return


def _needs(source: Callable[..., Any], provided: Collection[Any]) -> dict[str, Any]:
    """Return which of the provided types a constructor or function asks for, by parameter."""
    hints = get_type_hints(_target(source))
    needs = {parameter.name: hints.get(parameter.name) for parameter in _parameters(source)}
    return {name: hint for name, hint in needs.items() if hint in provided}


def _needed(cls: type[Any], built: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the services that a constructor asks for, by parameter."""
    return {name: built[hint] for name, hint in _needs(cls, built).items()}


def _parameters(source: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return what can be injected into a constructor or function."""
    parameters = list(inspect.signature(_target(source)).parameters.values())[1 if inspect.isclass(source) else 0 :]
    variable = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return [parameter for parameter in parameters if parameter.kind not in variable]


def _target(source: Any) -> Callable[..., Any]:
    """Return what takes the arguments; where a class takes none, a function without annotations."""
    target: Callable[..., Any] = source.__init__ if inspect.isclass(source) else source
    return (lambda _self: None) if target is object.__init__ else target


def _is_subclass(thing: Any, base: type) -> bool:
    return inspect.isclass(thing) and issubclass(thing, base)


def _name(thing: Any) -> str:
    return getattr(thing, "__qualname__", None) or str(thing)
