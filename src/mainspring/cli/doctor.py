"""``mainspring doctor``: check that Mainspring can start here, and list everything that prevents it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import typer

from mainspring.cli.exits import REFUSED
from mainspring.cli.flags import settings_of, warn_of_foreign_code, with_settings
from mainspring.cli.output import print_table
from mainspring.errors import ConfigError, MainspringError, PortTakenError

if TYPE_CHECKING:
    from mainspring.settings import Settings

OLDEST_PYTHON = (3, 11)
ANSWER_SECONDS = 5
"""How long whoever has the port may take to answer."""
MOST_MOVED = 20
"""How many of the jobs that new rules of time zones would move are listed."""


class _Finding(NamedTuple):
    check: str
    verdict: Literal["ok", "warning", "wrong"]
    detail: str


@with_settings("store", "plugins", "host", "port", "allowed_hosts")
def doctor(**flags: Any) -> None:
    """Check that Mainspring can start here, or runs well.

    Looks at Python, SQLite, the settings, the plugins, the machine, the store with its schema and rights, the jobs that
    have no plugin, the time zones, and the port, or who answers there.
    """
    findings = list(_findings(flags))
    print_table(_Finding._fields, findings)
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(REFUSED)


def _findings(flags: Mapping[str, Any]) -> Iterator[_Finding]:
    yield _examine("Python", _python)
    yield _examine("SQLite", _sqlite)
    try:
        settings = settings_of(flags)
    except ConfigError as error:
        yield _Finding("settings", "wrong", str(error))
        return  # what follows depends on them
    from mainspring.launch import compose

    yield _Finding("settings", "ok", f"store {settings.store_shown}, node {settings.node}")
    warn_of_foreign_code(settings)
    plugins = _examine("plugins", lambda: _groups(settings))
    yield plugins
    if plugins.verdict == "ok":
        yield _examine("machine", lambda: compose.check_machine(settings, compose.load_registry(settings)))
    store = _examine("store", lambda: compose.db_check(settings))
    yield store
    if store.verdict == "ok":
        if plugins.verdict == "ok":
            yield _examine("jobs", lambda: _jobs(settings))
        yield _examine("zones", lambda: _zones(settings))
    yield _examine("port", lambda: _port(settings))


class _DoubtfulError(MainspringError):
    """What a check found is legal, but perhaps not meant."""


def _examine(name: str, check: Callable[[], str]) -> _Finding:
    try:
        return _Finding(name, "ok", check())
    except _DoubtfulError as error:
        return _Finding(name, "warning", str(error))
    except MainspringError as error:
        return _Finding(name, "wrong", str(error))


def _python() -> str:
    import platform

    version = platform.python_version()
    if tuple(map(int, version.split(".")[:2])) < OLDEST_PYTHON:
        raise ConfigError(f"{version} is too old: Mainspring needs {_dotted(OLDEST_PYTHON)}")
    return version


def _sqlite() -> str:
    import sqlite3

    from mainspring.store.sqlite import OLDEST_SQLITE

    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigError(f"{sqlite3.sqlite_version} is too old: Mainspring needs {_dotted(OLDEST_SQLITE)}")
    return sqlite3.sqlite_version


def _groups(settings: Settings) -> str:
    from mainspring.launch import compose

    return ", ".join(map(str, compose.load_registry(settings).open_bindings)) or "no job groups"


def _jobs(settings: Settings) -> str:
    """Say that each job has its plugin here. Raises `MainspringError` with what groups have none."""
    from mainspring.launch import compose

    try:
        waiting = compose.jobs_without_plugin(settings, compose.load_registry(settings))
    except ConfigError as error:
        return f"jobs were not looked at: {error}"
    if waiting:
        lines = [f"no plugin here has {key}; jobs that wait there: {count}" for key, count in waiting.items()]
        raise _DoubtfulError("\n".join(lines))
    return "a plugin here has the group of each job"


def _zones(settings: Settings) -> str:
    """Return which rules of time zones are in use. Raises `MainspringError` naming the jobs that they would move."""
    from mainspring.launch import compose
    from mainspring.schedule import format_time, zone_rules

    rules = f"tzdata {zone_rules()}"
    try:
        noted, moved = compose.moved_by_zone_rules(settings)
    except ConfigError as error:
        return f"{rules}; jobs were not looked at: {error}"
    if not moved:
        return rules
    since = f" in place of {noted}" if noted else ""
    lines = [f"{rules}{since} moves the next fire time of {len(moved)} jobs when a node starts:"]
    lines += [
        f"{job.key} {job.id}: {format_time(job.fire_time)} to {format_time(to) if to else 'never'}"
        for job, to in moved[:MOST_MOVED]
    ]
    lines += [f"and {len(moved) - MOST_MOVED} more"] if len(moved) > MOST_MOVED else []
    raise MainspringError("\n".join(lines))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _port(settings: Settings) -> str:
    """Take the address for a moment, as the service would, or find that a service of ours has it and is well."""
    from mainspring.launch.serve import listening

    try:
        with listening(settings):
            return f"{settings.host} port {settings.port} is free"
    except PortTakenError as error:
        if found := _who_answers(settings):
            return found
        raise error from error.__cause__


def _who_answers(settings: Settings) -> str | None:
    """Say which Mainspring answers at the address, if one does. Raises `MainspringError` if it is not ready."""
    from mainspring.client import Client, Retries
    from mainspring.client import MainspringError as CallError

    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - no one answers at these
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    try:
        with Client(url, timeout=ANSWER_SECONDS, retries=Retries(attempts=1)) as client:
            about = client.openapi()["info"]
            if about["title"] != "Mainspring":
                return None
            ready = client.ready()
            found = f"Mainspring {about['version']} answers at {url}"
            if not ready.ready:
                raise MainspringError(f"{found}, but it is not ready: {ready.raw['detail']}")
    except (CallError, LookupError, TypeError):
        return None
    return found
