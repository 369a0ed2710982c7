"""What a process has only once, so that code of plugins changes it for all: taken down, and put back.

A node puts back what could hurt the node and the jobs of others. A worker process puts back all that one job might
leave to the next. docs/plugins.md lists both, and what is left to plugins.
"""

from __future__ import annotations

import faulthandler
import gc
import locale
import os
import resource
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from operator import eq
from pathlib import Path
from typing import Any, NamedTuple

from mainspring import logs

_LIMITS = tuple(sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}))
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_SIGNALS = sorted(signal.valid_signals())
_RINGS = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF)


class Thing(NamedTuple):
    """A thing of the process: its name, how it is, how it is put back, and what counts as the same."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    same: Callable[[Any, Any], bool] = eq


class Host:
    """How things are at first."""

    def __init__(self, things: Sequence[Thing]) -> None:
        self._were = [(thing, thing.read()) for thing in things]

    def put_back(self) -> tuple[list[str], list[str]]:
        """Put back what has changed; name what was changed, and what of that cannot be put back."""
        changed = [(thing, was) for thing, was in self._were if not _is(thing, was)]
        for thing, was in changed:
            try:
                thing.write(was)
            except Exception:  # noqa: BLE001, S112 - it cannot be put back, which is told
                continue
        return [thing.name for thing, _ in changed], [thing.name for thing, was in changed if not _is(thing, was)]


def _is(thing: Thing, was: object) -> bool:
    try:
        return thing.same(was, thing.read())
    except OSError:  # the working directory was removed, a descriptor was closed
        return False


def ring_in_vain() -> None:
    """Let timers that code of plugins sets in a node ring for nobody, where by default they end the process.

    Unlike a signal that is ignored, a handler is not inherited by what is started.
    """
    for number in _RINGS:
        signal.signal(number, lambda *_: None)


def _directory() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed, or is not ours to see
        return None


def _go_to(directory: str | None) -> None:
    if directory is not None:
        os.chdir(directory)


def _umask() -> int:
    os.umask(mask := os.umask(0o077))
    return mask


def _timers() -> tuple[bool, ...]:
    return tuple(signal.getitimer(timer) != (0.0, 0.0) for timer in _TIMERS)


def _stop_timers(_: object) -> None:
    for timer in _TIMERS:
        signal.setitimer(timer, 0)


def _handlers() -> list[Any]:
    return [signal.getsignal(number) for number in _SIGNALS]


def _put_handlers(handlers: Sequence[Any]) -> None:
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        if handler is not None and signal.getsignal(number) is not handler:  # else it is none of Python's
            signal.signal(number, handler)


def _identical(were: Sequence[object], now: Sequence[object]) -> bool:
    return all(one is other for one, other in zip(were, now, strict=True))


def _limits() -> dict[int, tuple[int, int]]:
    return {number: resource.getrlimit(number) for number in _LIMITS}


def _put_limits(limits: dict[int, tuple[int, int]]) -> None:
    for number, limit in limits.items():
        if resource.getrlimit(number) != limit:
            resource.setrlimit(number, limit)


def _are_no_lower(were: dict[int, tuple[int, int]], now: dict[int, tuple[int, int]]) -> bool:
    high = float("inf")
    soft = ((were[number][0], now[number][0]) for number in were)
    return all(
        (high if later == resource.RLIM_INFINITY else later) >= (high if limit == resource.RLIM_INFINITY else limit)
        for limit, later in soft
    )


def _environment() -> dict[str, str]:
    return dict(os.environ)


def _put_environment(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()


def _streams() -> list[object]:
    return [sys.stdin, sys.stdout, sys.stderr, sys.stdout.closed, sys.stderr.closed]


def _put_streams(were: Sequence[Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = were[:3]  # one that was closed stays so


def _descriptors() -> list[tuple[int, int]]:
    return [(status.st_dev, status.st_ino) for status in map(os.fstat, (0, 1, 2))]


def _cannot(_: object) -> None:
    raise OSError("nothing leads back")


def _collector() -> tuple[bool, tuple[int, int, int]]:
    return gc.isenabled(), gc.get_threshold()


def _put_collector(was: tuple[bool, tuple[int, int, int]]) -> None:
    is_enabled, threshold = was
    if is_enabled:
        gc.enable()
    else:
        gc.disable()
    gc.set_threshold(*threshold)


def _is_error_for_all(rule: Sequence[Any]) -> bool:
    action, message, category, module, line = rule
    return action == "error" and message is None and module is None and not line and issubclass(Warning, category)


def _rules() -> list[Any]:
    return [rule for rule in warnings.filters if _is_error_for_all(rule)]


def _drop_rules(were: Sequence[Any]) -> None:
    kept = [rule for rule in warnings.filters if rule in were or not _is_error_for_all(rule)]
    with warnings.catch_warnings():  # which has what is remembered of earlier rules forgotten
        pass
    warnings.filters[:] = kept  # type: ignore[index]


def _signal_mask() -> set[Any]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _put_signal_mask(mask: set[Any]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _put_import_path(path: Sequence[str]) -> None:
    sys.path[:] = path


def _put_trace(functions: Sequence[Any]) -> None:
    sys.settrace(functions[0])
    sys.setprofile(functions[1])


_LINUX: tuple[Thing, ...] = ()
if sys.platform == "linux":
    _LINUX = (Thing("processors", lambda: os.sched_getaffinity(0), lambda was: os.sched_setaffinity(0, was)),)
_BOTH = (
    Thing("working directory", _directory, _go_to),
    Thing("umask", _umask, os.umask),
    Thing("timers", _timers, _stop_timers),
    Thing("crash timer", faulthandler.cancel_dump_traceback_later, lambda _: None),  # it cannot be read
    Thing("signal handlers", _handlers, _put_handlers, _identical),
    Thing("switch interval", sys.getswitchinterval, sys.setswitchinterval),
    Thing("collector", _collector, _put_collector),
    Thing("socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
)
NODE = (
    *_BOTH,
    Thing("resource limits", _limits, _put_limits, _are_no_lower),
    Thing("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, lambda was, now: now >= was),
    Thing("warnings", _rules, _drop_rules),
    Thing("logging", logs.hears_libraries, lambda _: logs.listen_to_libraries()),
)
"""What a node keeps. More than there was, such as a higher limit, hurts nobody."""
WORKER = (
    *_BOTH,
    Thing("resource limits", _limits, _put_limits),
    Thing("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Thing("environment", _environment, _put_environment),
    Thing("locale", lambda: locale.setlocale(locale.LC_ALL), lambda was: locale.setlocale(locale.LC_ALL, was)),
    Thing("signal mask", _signal_mask, _put_signal_mask),
    Thing("import path", lambda: [*sys.path], _put_import_path),
    Thing("streams", _streams, _put_streams, _identical),
    Thing("descriptors", _descriptors, _cannot),
    Thing("trace function", lambda: [sys.gettrace(), sys.getprofile()], _put_trace, _identical),
    Thing("priority", lambda: os.getpriority(os.PRIO_PROCESS, 0), lambda was: os.setpriority(os.PRIO_PROCESS, 0, was)),
    Thing("user", lambda: (os.getuid(), os.geteuid(), os.getgid(), os.getegid()), _cannot),
    *_LINUX,
)
"""What a worker keeps from one job to the next."""
