"""Builds the services that plugins bind, and cleans them up: dishka, behind `Binder`.

dishka orders the building, keeps one instance of each service and closes them in the opposite order. Its factories are
ours (decision 0008). It is imported when services are wired, not before: that takes 0.29 s, and an author who imports
`mainspring.plugins` need not wait for it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from mainspring.errors import ConfigError
from mainspring.job import JobKey
from mainspring.plugins.author import SchedulerTriggerListener, ServiceBinding
from mainspring.plugins.report import describe, name_of, raise_all
from mainspring.plugins.scheduler import Calls, Scheduler

if TYPE_CHECKING:
    from dishka import Provider

    from mainspring.plugins.registry import Binding, BoundGroup


class ServiceScope:
    """Job groups that share services, directly or through other services, and all these services.

    What one of them does to the event loop they share hurts the others, and nobody else.
    """

    def __init__(self, bindings: Sequence[Binding], services: Collection[Any], provider: Provider) -> None:
        from dishka import make_async_container  # noqa: PLC0415 - it takes 0.29 s to import

        self.bindings = bindings
        self.services = services
        with _wiring():
            self._container = make_async_container(provider)

    async def open(self, calls: Calls) -> dict[JobKey, BoundGroup]:
        """Build the services and listeners, on the loop where they will be used.

        Each group and each listener that asks for one gets a `Scheduler` of its own, for its product: it is no service
        of the scope, so that groups do not share a loop because of it.

        Raises `ConfigError` with every one that fails.
        """
        built: dict[Any, Any] = {}
        problems: list[str] = []
        for wanted in self.services:
            with _noting(wanted, problems):
                built[wanted] = await self._container.get(wanted)
        listeners: dict[type[SchedulerTriggerListener], SchedulerTriggerListener] = {}
        for cls in dict.fromkeys(cls for binding in self.bindings for cls in binding.listeners):
            if not built.keys() >= set(needs_of(cls, self.services).values()):
                continue  # it needs a service that is a problem already
            with _noting(cls, problems):
                listeners[cls] = cls(**needed(cls, with_scheduler(built, cls.product, calls)))
        raise_all(problems)
        return {
            binding.key: binding.bound(with_scheduler(built, binding.key.product, calls), listeners)
            for binding in self.bindings
        }

    async def close(self) -> None:
        """Clean up all services."""
        await self._container.close()


def provider_of(services: Sequence[ServiceBinding]) -> Provider:
    """Return dishka's list of services and how each is made. Raises `ConfigError`."""
    from dishka import Provider, Scope  # noqa: PLC0415 - it takes 0.29 s to import

    provided = {service.provides for service in services}
    provider = Provider(scope=Scope.APP)
    with _wiring():
        for service in services:
            provider.provide(_maker(service.source, provided), provides=service.provides)
    return provider


@contextmanager
def _wiring() -> Iterator[None]:
    """Turn the errors of dishka, such as services that need each other, into `ConfigError`."""
    from dishka.exception_base import DishkaError  # noqa: PLC0415 - it takes 0.29 s to import

    try:
        yield
    except DishkaError as error:
        raise ConfigError(f"The services of the plugins cannot be wired up:\n{error}") from error


@contextmanager
def _noting(wanted: Any, problems: list[str]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if _is_told_to_stop():
            raise
        problems.append(f"{name_of(wanted)} cannot be built: {describe(error)}")


def _is_told_to_stop() -> bool:
    """Tell whether our own task was cancelled: else `CancelledError` comes from code of a plugin, as others do."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


# --- how a service is made and cleaned up


def _maker(source: Callable[..., Any], provided: set[Any]) -> Any:
    """Return a factory for dishka, which asks for what is provided and leaves other parameters to their defaults.

    It is a generator: dishka resumes it at shutdown, when nothing needs the service any more.
    """
    needs = needs_of(source, provided)

    async def make(*services: Any) -> AsyncIterator[Any]:
        stack = AsyncExitStack()
        try:
            yield await _made(source, dict(zip(needs, services, strict=True)), stack)
        finally:
            await _unmade(stack, source)

    maker: Any = make
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    maker.__signature__ = inspect.Signature([inspect.Parameter(name, kind, annotation=needs[name]) for name in needs])
    maker.__annotations__ = {**needs, "return": AsyncIterator[Any]}
    maker.__qualname__ = name_of(source)
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


async def _unmade(stack: AsyncExitStack, source: Any) -> None:
    """Clean up what was made. Whatever that raises is an `Exception`: others would end more than this clean-up."""
    try:
        await stack.aclose()
    except Exception:
        raise
    except BaseException as error:
        if _is_told_to_stop():
            raise
        raise RuntimeError(f"the clean-up of {name_of(source)} raised {describe(error)}") from error


_CLEAN_UPS = {"__aexit__": (None, None, None), "aclose": (), "__exit__": (None, None, None), "close": ()}


async def _clean_up(instance: Any) -> None:
    """Call the first clean-up that the class of a service has, if any."""
    for name, arguments in _CLEAN_UPS.items():
        if hasattr(type(instance), name):
            answer = getattr(instance, name)(*arguments)
            if inspect.isawaitable(answer):
                await answer
            return


# --- what a constructor or function asks for, and provides


def needs_of(source: Callable[..., Any], provided: Collection[Any]) -> dict[str, Any]:
    """Return which of the provided types a constructor or function asks for, by parameter."""
    hints = get_type_hints(target_of(source))
    needs = {parameter.name: hints.get(parameter.name) for parameter in parameters_of(source)}
    return {name: hint for name, hint in needs.items() if hint in provided}


def needed(cls: type[Any], built: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the services that a constructor asks for, by parameter."""
    return {name: built[hint] for name, hint in needs_of(cls, built).items()}


def with_scheduler(built: Mapping[Any, Any], product: str, calls: Calls) -> Mapping[Any, Any]:
    """Return services and the scheduler for a product, unless there is one: a test's own."""
    return {Scheduler: Scheduler(product, calls), **built}


def parameters_of(source: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return what can be injected into a constructor or function."""
    parameters = list(inspect.signature(target_of(source)).parameters.values())[1 if inspect.isclass(source) else 0 :]
    variable = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return [parameter for parameter in parameters if parameter.kind not in variable]


def target_of(source: Any) -> Callable[..., Any]:
    """Return what takes the arguments; where a class takes none, a function without annotations."""
    target: Callable[..., Any] = source.__init__ if inspect.isclass(source) else source
    return (lambda _self: None) if target is object.__init__ else target


def provided_by(source: Any) -> Any:
    """Return the type that a class or function provides. Raises `TypeError`."""
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
