"""Finds the plugins of this process, by entry point and by name, lets them bind, and has everything checked.

A module that cannot be found or imported is a problem like any other: it is told together with those that
`mainspring.plugins.checks` finds in the modules that can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import entry_points

from mainspring.clock import Clock, SystemClock
from mainspring.errors import ConfigError
from mainspring.plugins.author import Binder, SchedulerPluginModule, ServiceBinding
from mainspring.plugins.checks import Draft, is_subclass
from mainspring.plugins.registry import Registry
from mainspring.plugins.report import describe, raise_all
from mainspring.plugins.sections import Sections
from mainspring.plugins.services import provider_of
from mainspring.problems import words_of
from mainspring.settings import PluginSettings

ENTRY_POINTS = "mainspring.plugins"
_NOTHING = PluginSettings()


def load(
    plugins: Sequence[str],
    told: PluginSettings = _NOTHING,
    *,
    more: Iterable[tuple[str, SchedulerPluginModule]] = (),
) -> Registry:
    """Find the plugins, let them bind, check everything.

    Plugins are all installed entry points, and those named ``package.module:ClassName``; `told` are their settings.
    `more` are modules that are there already, each with a name for messages.

    Raises `ConfigError` with all problems of all plugins.
    """
    names = {f"{point.value}": f"entry point {point.name}" for point in entry_points(group=ENTRY_POINTS)}
    names |= {name: f"plugin {name}" for name in plugins if name not in names}
    modules, problems = [*more], []
    for name, origin in names.items():
        try:
            modules.append((origin, _module(name)))
        except _PluginError as error:
            problems.append(f"{origin}: {error}")
    return build(modules, told=told, problems=problems)


def build(
    modules: Iterable[tuple[str, SchedulerPluginModule]],
    *,
    clock: Clock | None = None,
    told: PluginSettings = _NOTHING,
    problems: Sequence[str] = (),
) -> Registry:
    """Let plugin modules (each with a name for messages) bind, and check everything.

    Constructors may also ask for a `Clock`: they get `clock`, by default the machine's.

    Raises `ConfigError` with all problems.
    """
    draft = Draft(problems=list(problems), sections=Sections(told))
    time = clock or SystemClock()
    draft.services.append(ServiceBinding(lambda: time, Clock, is_value=True))
    for origin, module in modules:
        binder = Binder()
        try:
            module.configure(binder)
        except ConfigError as error:
            draft.problems.append(f"{origin}: {error}")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the plugin's code
            draft.problems.append(f"{origin}: configure failed: {describe(error)}")
        draft.take(origin, binder, f"{type(module).__module__}:{type(module).__qualname__}")
    draft.check_settings()
    draft.check_injection()
    raise_all(draft.problems)
    return Registry(
        draft.bindings(), draft.services, provider_of(draft.services), draft.sections.unbound, draft.declared
    )


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
        if class_name in words_of(error):
            raise _PluginError(f"the module {module_name} has no {class_name}") from error
        raise _PluginError(f"cannot be imported: {describe(error)}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _PluginError(f"cannot be imported: {describe(error)}") from error
    if not is_subclass(cls, SchedulerPluginModule):
        raise _PluginError(f"{class_name} is not a subclass of SchedulerPluginModule")
    try:
        module: SchedulerPluginModule = cls()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _PluginError(f"{class_name}() failed: {describe(error)}") from error
    return module
