"""How a Mainspring process is configured: one frozen `Settings`, read from flags, the environment and a TOML file.

The fields of `Settings` are the only table. Their names give the flags, the variables and the keys of the file; their
rules and descriptions give the checks, the error texts, the help of the command line and `docs/configuration.md`.
`load_settings` lets the first source that names a setting win, and reports all that is wrong in one `ConfigError`.

What plugins are told, below ``[plugins]`` and in variables, is only kept here: `mainspring.plugins` reads it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from mainspring import failpoint
from mainspring.declared import (
    SECRET_NAME,
    SEGMENT,
    CommandJob,
    HttpJob,
    Secret,
    Webhook,
    check_entries,
    conflicts,
)
from mainspring.errors import ConfigError
from mainspring.job import Declaration, Limits, Retention, Scope
from mainspring.problems import problems_of
from mainspring.schedule import CALENDAR_NAME, Calendar, Duration, Period, parse_duration

_SEGMENT = "[A-Za-z0-9][A-Za-z0-9._~-]{0,63}"
_SCOPE = re.compile(f"{_SEGMENT}(/{_SEGMENT})?")
DEFAULT_FILE = Path("mainspring.toml")
"""The file that is read from the working directory when none is named."""
_PREFIX = "MAINSPRING_"
_NOT_SETTINGS = ("MAINSPRING_CONFIG", failpoint.VARIABLE, "MAINSPRING_URL", "MAINSPRING_CONTEXT")
_TESTS_PREFIX = "MAINSPRING_TEST_"
PLUGIN_PREFIX = "MAINSPRING_PLUGINS__"
"""How the variables begin that tell plugins something."""
USUAL = "default"
"""Names the retention of what has none of its own below ``[retention]``."""
MODULES = "modules"
"""Names the list of plugins below ``[plugins]``: a file of TOML cannot have a list and a table with one name."""

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]


_HARMLESS = {"host", "port", "dbname", "user", "service", "sslmode", "target_session_attrs", "application_name"}
"""The parameters of a store's URL that are shown."""
_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)((?P<user>[^:@/?#]*)(?P<password>:[^@/?#]*)?@)?"
    r"(?P<place>(\[[^\[\]@/?#]*\]|[^\[\]:@/?#])*(:[0-9]*)?(,([^\[\]:@/?#]*|\[[^\[\]@/?#]*\])(:[0-9]*)?)*(/[^@?#]*)?)"
    r"(\?(?P<query>[^@]*))?"
)


def _check_scope(name: str) -> str:
    if not _SCOPE.fullmatch(name):
        raise ValueError("must be a product such as vps4, or a job group such as vps4/backups")
    return name


def masked(text: str) -> str:
    """Return a URL without its password. Where it is in doubt what belongs to that, all is hidden that may."""
    scheme, _, rest = text.partition("://")
    if not scheme.startswith("postgres"):
        text = re.sub(r"(://[^:@/?]*):.*@", r"\1:***@", text, flags=re.DOTALL)
        return re.sub(r"(?i)(password\s*=\s*).*", r"\1***", text, flags=re.DOTALL)
    if (parts := _ADDRESS.fullmatch(text)) is None:
        user = re.match(r"([^:@/?#]*):", rest)
        return f"{scheme}://{f'{user[1]}:' if user else ''}***"
    login = "" if parts["user"] is None else f"{parts['user']}{':***' if parts['password'] else ''}@"
    return f"{parts['scheme']}{login}{parts['place']}{_masked_query(parts['query'])}"


def _masked_query(query: str | None) -> str:
    """Show parameters up to the first that may be secret: behind it may be a piece of it."""
    if query is None:
        return ""
    shown = list(takewhile(lambda part: part.partition("=")[0] in _HARMLESS, query.split("&")))
    return f"?{'&'.join(shown)}" if len(shown) == query.count("&") + 1 else f"?{''.join(f'{p}&' for p in shown)}***"


# --- what is legal ----------------------------------------------------------------------------------------------------


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - a line of a terminal


@dataclass(frozen=True, slots=True)
class Rule:
    """What is legal for a setting: in words, and as the function that reads a value or raises `ValueError`.

    `show` says what is illegal about a value that was refused, and keeps what is secret.
    """

    words: str
    read: Callable[[object], object]
    show: Callable[[object], str] = _quoted

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Put this rule before pydantic's own check of the type."""
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def _check(self, value: object) -> object:
        try:
            return self.read(value)
        except ValueError:
            raise ValueError(f"is not {self.words}") from None


def _whole(least: int, most: int) -> Rule:
    def read(value: object) -> int:
        if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise ValueError

    return Rule(f"a whole number from {least} to {most}", read)


def _lasting(least: str, most: str) -> Rule:
    shortest, longest = parse_duration(least), parse_duration(most)

    def read(value: object) -> timedelta:
        duration = parse_duration(value) if isinstance(value, str) else value
        if isinstance(duration, timedelta) and shortest <= duration <= longest:
            return duration
        raise ValueError

    return Rule(f"an ISO 8601 duration from {least} to {most}", read)


def _keep(value: object) -> object:
    """Take a table with ``keep`` for what that says."""
    if isinstance(value, Mapping):
        if value.keys() != {"keep"}:
            raise ValueError
        value = value["keep"]
    return _RETENTION.read(value)


_RETENTION = _lasting("PT1H", "P3653D")
_KEPT = Rule(f"{_RETENTION.words}, or a table with such a one as keep", _keep)


def _matching(pattern: str, words: str, show: Callable[[object], str] = _quoted) -> Rule:
    def read(value: object) -> str:
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        raise ValueError

    return Rule(words, read, show)


def _one_of(*choices: str) -> Rule:
    return _matching("|".join(choices), f"{', '.join(choices[:-1])} or {choices[-1]}")


# --- store and plugins ------------------------------------------------------------------------------------------------


def _show_store(value: object) -> str:
    """Say no more of an address that was refused than its scheme: the rest may hold a password anywhere."""
    scheme = re.match("[a-z][a-z0-9+.-]{0,31}://", value) if isinstance(value, str) else None
    return f"'{scheme[0]}...'" if scheme else "the address"


_STORE = _matching(
    r"memory:?|sqlite:///(?!:memory:).+|postgres(?:ql)?://.+",
    "memory:, sqlite:///path or postgresql://user@host/database",
    _show_store,
)


def _listed(value: object) -> tuple[object, ...]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json.loads(value)
    if isinstance(value, str):
        return tuple(part for part in map(str.strip, value.split(",")) if part)
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ValueError


def _list_of(words: str, is_legal: Callable[[object], bool]) -> Rule:
    def read(value: object) -> tuple[object, ...]:
        items = _listed(value)
        if all(map(is_legal, items)):
            return items
        raise ValueError

    def show(value: object) -> str:
        try:
            return ", ".join(_quoted(item) for item in _listed(value) if not is_legal(item))
        except ValueError:
            return _quoted(value)

    return Rule(words, read, show)


def _names_a_class(name: object) -> bool:
    module, _, qualified = name.partition(":") if isinstance(name, str) else ("", "", "")
    return all(part.isidentifier() for part in (*module.split("."), *qualified.split(".")))


_PLUGINS = _list_of("a list of package.module:ClassName", _names_a_class)


# --- hosts ------------------------------------------------------------------------------------------------------------


def _names_a_host(name: object) -> bool:
    if not isinstance(name, str):
        return False
    with suppress(ValueError):
        return bool(ip_address(name))
    return re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}", name) is not None


_HOSTS = _list_of("a list of host names and IP addresses, without ports and brackets", _names_a_host)


def _read_variables(value: object) -> tuple[object, ...]:
    names = _listed(value)
    if all(isinstance(name, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*\*?", name) for name in names):
        return names
    raise ValueError


_VARIABLES = Rule("a list of names of variables, each of which may end with *", _read_variables)


def _host_name() -> str:
    return re.sub("[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "node"


# --- the settings -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """What an operator tells plugins: tables of the file, and the variables that go before it. It may be secret.

    `file` is `None` for what a test says.
    """

    tables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    file: str | None = str(DEFAULT_FILE)


class Settings(BaseModel):
    """Everything that an operator may decide about one Mainspring process. Lengths of time are exact."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    store: Annotated[str, _STORE] = Field("sqlite:///mainspring.db", repr=False, description="Where jobs are kept")
    plugins: Annotated[tuple[str, ...], _PLUGINS] = Field(
        (), description="Plugin modules to load besides those that installed packages announce"
    )
    host: Annotated[str, _matching(r"[\w.:%-]+", "a host name or IP address")] = Field(
        "127.0.0.1", description="Address to listen on"
    )
    port: Annotated[int, _whole(0, 65535)] = Field(8089, description="Port to listen on; 0 takes any free one")
    allowed_hosts: Annotated[tuple[str, ...], _HOSTS] = Field(
        (), description="Hosts that requests may name, besides 127.0.0.1, localhost, ::1 and host"
    )
    node: Annotated[str, _matching("[A-Za-z0-9._-]{1,64}", "a name of 1 to 64 letters, digits, dots, _ or -")] = Field(
        default_factory=_host_name, description="Name of this node in the history of jobs"
    )
    slots: Annotated[int, _whole(1, 100_000)] = Field(100, description="Jobs that this node runs at once")
    threads: Annotated[int, _whole(1, 1000)] = Field(
        20, description="Threads on each job loop, for job classes whose execute is plain def"
    )
    processes: Annotated[int, _whole(1, 1000)] = Field(
        4, description="Worker processes for each job group with isolation, started when they are needed"
    )
    lease: Annotated[Duration, _lasting("PT2S", "PT1H")] = Field(
        timedelta(seconds=10), description="How long a silent node keeps its jobs before other nodes take them"
    )
    poll: Annotated[Duration, _lasting("PT0.01S", "PT1M")] = Field(
        timedelta(seconds=1), description="Longest time between two looks into the store"
    )
    grace: Annotated[Duration, _lasting("PT0S", "PT1H")] = Field(
        timedelta(seconds=10), description="How long a stopping node lets its jobs run"
    )
    retention: Annotated[Duration, _RETENTION] = Field(
        timedelta(days=30), description="How long finished jobs and their history stay readable"
    )
    log_level: Annotated[LogLevel, _one_of(*get_args(LogLevel))] = Field(
        "info", description="Least level that is logged"
    )
    log_format: Annotated[LogFormat, _one_of(*get_args(LogFormat))] = Field(
        "auto", description="Form of the log on stderr; auto is console on a terminal and json elsewhere"
    )

    worker_environment: Annotated[tuple[str, ...], _VARIABLES] = Field(
        (), description="Variables of the environment that worker processes get besides those that they always get"
    )

    calendars: Mapping[Annotated[str, Field(pattern=f"^{CALENDAR_NAME}$")], Calendar] = Field(
        {}, description="Calendars that are written into the store at each start; only in the file"
    )
    limits: Mapping[Annotated[str, AfterValidator(_check_scope)], Limits] = Field(
        {}, description="Limits of job groups and products, in place of those of job classes; only in the file"
    )
    group_retention: Mapping[Annotated[str, AfterValidator(_check_scope)], Annotated[Duration, _KEPT]] = Field(
        {}, description="How long those of some job groups and products do; only in the file, as [retention]"
    )
    jobs: tuple[Declaration, ...] | None = Field(
        None, description="Recurring jobs that are there at each start; only in the file"
    )
    http_jobs: tuple[HttpJob, ...] = Field((), description="Job groups whose jobs are calls by HTTP; only in the file")
    command_jobs: tuple[CommandJob, ...] = Field(
        (), description="Job groups whose jobs run a program; only in the file"
    )
    webhooks: tuple[Webhook, ...] | None = Field(
        None, description="Webhooks that are there at each start; only in the file"
    )
    secrets: Mapping[Annotated[str, Field(pattern=f"^{SECRET_NAME}$")], Secret] = Field(
        {}, description="Where the secrets of calls by HTTP are found; only in the file"
    )
    allowed_targets: Mapping[
        Annotated[str, Field(pattern=SEGMENT)], Annotated[tuple[str, ...], AfterValidator(check_entries)]
    ] = Field({}, description="What calls by HTTP of a product may reach inside; only in the file")
    plugin_settings: PluginSettings = Field(PluginSettings(), repr=False, description="What plugins are told")

    @property
    def history(self) -> Retention:
        """How long finished jobs and their history stay readable."""
        return Retention(self.retention, {Scope.named(name): kept for name, kept in self.group_retention.items()})

    @property
    def store_shown(self) -> str:
        """The address of the store without its password."""
        return masked(self.store)


class Row(NamedTuple):
    """A setting as the sources, the help and the documentation name it. `default` and `legal` are text for humans."""

    name: str
    env: str
    flag: str
    default: str
    legal: str
    description: str


def _rule(field: FieldInfo) -> Rule:
    return next(item for item in field.metadata if isinstance(item, Rule))


def _flag(name: str) -> str:
    return "--plugin" if name == "plugins" else "--" + name.replace("_", "-")


def _default(field: FieldInfo) -> str:
    if field.default_factory:
        return "the host name"
    match field.default:
        case timedelta(days=days) as duration:
            return str(Period(days=days, exact=duration - timedelta(days=days)))
        case ():
            return "none"
        case default:
            return str(default)


def _row(name: str, field: FieldInfo) -> Row:
    env = _PREFIX + name.upper()
    return Row(name, env, _flag(name), _default(field), _rule(field).words, field.description or "")


DECLARED = ("http_jobs", "command_jobs", "webhooks", "secrets", "allowed_targets")
"""The tables that say which jobs there are without code, and who hears of events."""
_TABLES = {
    "calendars": "a calendar",
    "limits": "the limits",
    "group_retention": "the retention",
    "jobs": "a declared job",
    "http_jobs": "an HTTP job",
    "command_jobs": "a command job",
    "webhooks": "a webhook",
    "secrets": "a secret",
    "allowed_targets": "the allowed targets",
}
"""The settings that are tables of the file, or arrays of tables."""
_HEADINGS = {"group_retention": "retention"}
"""How the file calls tables that it calls otherwise."""
TABLE: Mapping[str, Row] = {
    name: _row(name, field)
    for name, field in Settings.model_fields.items()
    if name not in {*_TABLES, "plugin_settings"}
}
"""All settings that have one value, by name, in the order of the documentation."""


# --- the sources ------------------------------------------------------------------------------------------------------


class _Given(NamedTuple):
    value: object
    source: str


def load_settings(
    overrides: Mapping[str, object], *, environ: Mapping[str, str] = os.environ, config: Path | None = None
) -> Settings:
    """Read the settings: `overrides` (the flags; `None` is not given) before `environ` before the file.

    The file is `config`, else what MAINSPRING_CONFIG names, else `mainspring.toml` in the working directory, if any.
    Raises `ConfigError`, whose text lists every problem with its key, its source and what is legal.
    """
    problems: list[str] = []
    named = environ.get("MAINSPRING_CONFIG")
    path = config or (Path(named) if named else DEFAULT_FILE)
    table = _read_file(problems, path, "flag --config" if config else named and "environment MAINSPRING_CONFIG")
    _split_retention(table)
    told = PluginSettings(
        _without_modules(table),
        {key: value for key, value in environ.items() if key.startswith(PLUGIN_PREFIX)},
        str(path),
    )
    given = {
        **_known(problems, table, str(path), {name: name for name in (*TABLE, *_TABLES)}),
        **_from_environment(problems, environ),
        **_from_flags(problems, overrides),
    }
    problems += _illegal(given)
    if problems:
        raise ConfigError("\n  ".join(["The settings are not right:", *problems]))
    return Settings.model_validate({**{name: value for name, (value, _) in given.items()}, "plugin_settings": told})


def _read_file(problems: list[str], path: Path, named_by: str | None) -> dict[str, Any]:
    text = ""
    try:
        text = path.read_bytes().decode()
        return tomllib.loads(text)
    except FileNotFoundError:
        if named_by:
            problems.append(f"{path} does not exist ({named_by})")
    except OSError as error:
        problems.append(f"{path} cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.append(f"{path} is not TOML: line {line} is not UTF-8")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path} is not TOML: {error}{_list_and_tables(text)}")
    return {}


def _list_and_tables(text: str) -> str:
    """Say what to do about a list of plugins beside their tables."""
    if not all(re.search(rf"^\s*{start}", text, re.MULTILINE) for start in (r"plugins\s*=", r"\[plugins\s*[].]")):
        return ""
    return f"; beside [plugins.NAME] write the list of plugins as {MODULES} = [...] below [plugins]"


def _without_modules(table: dict[str, Any]) -> dict[str, Any]:
    """Take the tables of plugins out of the file's table; the list of plugins stays in it."""
    if not isinstance(below := table.get("plugins"), dict):
        return {}
    del table["plugins"]
    if MODULES in below:
        table["plugins"] = below.pop(MODULES)
    return below


def _split_retention(table: dict[str, Any]) -> None:
    """Take the retention of groups out of the file's table; that of all others stays in it."""
    if isinstance(below := table.get("retention"), dict):
        del table["retention"]
        if USUAL in below:
            table["retention"] = below.pop(USUAL)
        table["group_retention"] = below


def _from_environment(problems: list[str], environ: Mapping[str, str]) -> dict[str, _Given]:
    table = {
        key: value
        for key, value in environ.items()
        if key.startswith(_PREFIX) and not key.startswith((_TESTS_PREFIX, PLUGIN_PREFIX)) and key not in _NOT_SETTINGS
    }
    return _known(problems, table, "environment", {row.env: row.name for row in TABLE.values()})


def _from_flags(problems: list[str], overrides: Mapping[str, object]) -> dict[str, _Given]:
    table = {_flag(name): value for name, value in overrides.items() if value is not None}
    return _known(problems, table, "flag", {row.flag: row.name for row in TABLE.values()})


def _known(
    problems: list[str], table: Mapping[str, object], source: str, names: Mapping[str, str]
) -> dict[str, _Given]:
    """Return what `table` says about settings, by their names; every key that is none becomes a problem."""
    problems += [_unknown(key, value, source, names) for key, value in table.items() if key not in names]
    return {
        names[key]: _Given(value, source if key == names[key] else f"{source} {key}")
        for key, value in table.items()
        if key in names
    }


def _unknown(key: str, value: object, source: str, names: Mapping[str, str]) -> str:
    if isinstance(value, Mapping):
        nearest = get_close_matches(key, _TABLES, n=1)
        hint = f"did you mean {nearest[0]}? T" if nearest else "t"
        return f"{key} ({source}) is no setting; {hint}he settings of a plugin stand below [plugins.{key}]"
    keys = {name: key for key, name in names.items()}
    plain = key.removeprefix(_PREFIX).strip("-").replace("-", "_").lower()
    nearest = get_close_matches(plain, keys, n=1)
    hint = f"did you mean {keys[nearest[0]]}?" if nearest else f"the settings are {', '.join(keys.values())}"
    if source == "environment" and not nearest:
        hint += f", and {PLUGIN_PREFIX}NAME__KEY for those of a plugin"
    return f"{key} ({source}) is no setting; {hint}"


def _illegal(given: Mapping[str, _Given]) -> Iterator[str]:
    tables: dict[str, Any] = {"http_jobs": (), "command_jobs": (), "webhooks": (), "secrets": {}, "allowed_targets": {}}
    for name, (value, source) in given.items():
        if name in _TABLES:
            problems, table = _read_table(name, value, source)
            tables[name] = table
            yield from problems
            continue
        rule = _rule(Settings.model_fields[name])
        try:
            rule.read(value)
        except ValueError:
            yield f"{name}: {rule.show(value)} ({source}) is not {rule.words}"
    declared = [tables[name] for name in DECLARED]
    if None not in declared:
        for table, place, words in conflicts(*declared):
            yield f"{table}{_written(place)} ({given[table].source}) {words}"


def _read_table(name: str, value: object, source: str) -> tuple[list[str], Any]:
    """Return what is wrong with a table, and what it says if nothing is."""
    adapter: TypeAdapter[Any] = TypeAdapter(Settings.model_fields[name].rebuild_annotation())
    try:
        return [], adapter.validate_python(value)
    except ValidationError as error:
        found = []
        for problem_of in problems_of(error, value, owner=_TABLES[name]):
            parts = (part.replace("~1", "/").replace("~0", "~") for part in problem_of.pointer.split("/")[1:])
            place: list[str | int] = [
                int(part) if name in DECLARED and part.isdecimal() else part for part in parts if part != "[key]"
            ]
            found.append(f"{_HEADINGS.get(name, name)}{_written(place)} ({source}) {problem_of.detail}")
        return found, None


def _written(place: Sequence[str | int]) -> str:
    """Write a place in a table: a member as ``.name``, an item of a list as ``[0]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
