"""What a command accepts: settings as flags, and sets of flags that several commands share.

A set is a dataclass whose fields are flags. A command that takes one has its flags, and is called with the set.

`mainspring.settings` is imported only when a command runs or prints its own help, so that `mainspring --help` does not
load pydantic.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption

from mainspring.cli.output import complain

if TYPE_CHECKING:
    from typer._click.core import Context, Parameter

    from mainspring.settings import Settings

WATCH = "--watch"
WATCH_SECONDS = 2
"""How long the pauses of ``--watch`` are, if nothing is said."""

_Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="File with settings. [default: mainspring.toml; env MAINSPRING_CONFIG]"
    ),
]
_Command = TypeVar("_Command", bound=Callable[..., None])


class PlainCommand(TyperCommand):
    """A command that says in plain words what it takes, and what is wrong with a flag or an argument."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        """Return the parameters; an argument that has a name is shown without its type in Python."""
        params = super().get_params(ctx)
        for param in params:
            if isinstance(param, TyperArgument) and param.metavar is not None:
                vars(param)["display_type_rich"] = _no_type
        return params

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Read the command line; what pydantic says of it is put into our words."""
        try:
            return super().parse_args(ctx, [*_with_seconds(args)])
        except typer.BadParameter as error:
            from pydantic import ValidationError

            from mainspring.problems import problems_of

            if isinstance(error.__cause__, ValidationError):
                error.message = problems_of(error.__cause__, None)[0].detail
            raise


def _no_type(ctx: Context) -> None:
    """Show nothing."""


def _with_seconds(args: list[str]) -> Iterator[str]:
    """Write the seconds of a ``--watch`` behind ``=``; they may be left out, which no other value of a flag may be."""
    words = iter(args)
    for word in words:
        if word != WATCH:
            yield word
            continue
        following = next(words, None)
        has_seconds = following is not None and re.fullmatch(r"\d+(\.\d*)?", following)
        yield f"{WATCH}={following if has_seconds else WATCH_SECONDS}"
        if following is not None and not has_seconds:
            yield from _with_seconds([following, *words])


class _Commands(typer.Typer):
    def command(self, name: str | None = None, *, cls: type[TyperCommand] | None = PlainCommand, **named: Any) -> Any:
        register = super().command(name, cls=cls, **named)

        def registered(command: Callable[..., None]) -> Callable[..., None]:
            register(with_sets(command))
            return command

        return registered


def commands(text: str) -> typer.Typer:
    """Return an empty family of commands with its help text."""
    # Plain text, because rich would triple the time of --help (90 ms to 275 ms).
    return _Commands(
        help=text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


# --- settings as flags ------------------------------------------------------------------------------------------------


class SettingsCommand(PlainCommand):
    """A command whose flags take their help from the table of settings."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        """Return the parameters, each setting with the help of its row."""
        from mainspring.settings import TABLE

        params = super().get_params(ctx)
        for param in params:
            if isinstance(param, TyperOption) and (row := TABLE.get(param.name or "")):
                param.help = f"{row.description}: {row.legal}. [default: {row.default}; env {row.env}]"
        return params


def with_settings(*names: str) -> Callable[[_Command], _Command]:
    """Replace a command's ``**flags`` with flags for these settings and ``--config``."""

    def decorate(command: _Command) -> _Command:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        flags = [_flag(name, _annotation(name)) for name in names]
        parameters = [*own, *flags, _flag("config", _Config)]
        vars(command)["__signature__"] = signature.replace(parameters=parameters)
        return command

    return decorate


def _flag(name: str, annotation: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _annotation(name: str) -> object:
    if name == "plugins":
        return Annotated[list[str] | None, typer.Option("--plugin", metavar="VALUE")]
    return Annotated[str | None, typer.Option("--" + name.replace("_", "-"), metavar="VALUE")]


def settings_of(flags: Mapping[str, Any]) -> Settings:
    """Return the settings from a command's flags and all other sources. Raises `ConfigError`."""
    from mainspring.settings import load_settings

    overrides = {name: value for name, value in flags.items() if name != "config"}
    return load_settings(overrides, config=flags["config"])


def warn_of_foreign_code(settings: Settings) -> None:
    """Say that others may have written code of the working directory, before it is run."""
    if not settings.plugins:
        return
    for place in filter(Path.exists, (Path(), Path(settings.plugin_settings.file or ""))):
        facts, name = place.stat(), place.absolute()
        if facts.st_uid not in {os.geteuid(), _ROOT}:
            complain(f"Warning: {name} belongs to another user (uid {facts.st_uid}). {_CODE}")
        elif facts.st_mode & stat.S_IWOTH:
            complain(f"Warning: everybody may write to {name}. {_CODE}")


_ROOT = 0
_CODE = "The plugins that are named may be code from this folder; they are loaded with your rights."


# --- sets of flags ----------------------------------------------------------------------------------------------------


def with_sets(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of each set that it takes. A set that is a context manager is open meanwhile."""
    signature = inspect.signature(command, eval_str=True)
    sets: dict[str, Any] = {
        each.name: each.annotation for each in signature.parameters.values() if is_dataclass(each.annotation)
    }
    if not sets:
        return command

    @functools.wraps(command)
    def called(*args: Any, **named: Any) -> None:
        with ExitStack() as stack:
            for name, kind in sets.items():
                made: Any = kind(**{field.name: named.pop(field.name) for field in fields(kind) if field.init})
                named[name] = stack.enter_context(made) if hasattr(made, "__exit__") else made
            command(*args, **named)

    flags = [flag for kind in sets.values() for flag in _flags_of(kind)]
    own = [each for each in signature.parameters.values() if each.name not in sets]
    rest = [own.pop()] if own and own[-1].kind is inspect.Parameter.VAR_KEYWORD else []
    parameters = [*own, *flags, *rest]
    vars(called)["__signature__"] = signature.replace(parameters=parameters)
    called.__annotations__ = {each.name: each.annotation for each in parameters}  # so that typer reads no text again
    return called


@functools.cache
def _flags_of(kind: type) -> tuple[inspect.Parameter, ...]:
    """Return the flags of a set. Reading its annotations for each command would double the time of --help."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(kind)
        if field.init
    )


# --- a JSON object in arguments ---------------------------------------------------------------------------------------


def read_object(data: str | None, fields: Iterable[str]) -> dict[str, Any]:
    """Return the JSON object of ``--data``, overwritten by the members given as KEY=TEXT and KEY:=JSON."""
    content = {} if data is None else _from_json(data, "--data")
    if not isinstance(content, dict):
        raise typer.BadParameter("must be a JSON object", param_hint="--data")
    for field in fields:
        match = re.fullmatch(r"(.+?)(:?=)(.*)", field, re.DOTALL)
        if not match:
            raise typer.BadParameter(f"{field!r} is neither key=text nor key:=json")
        key, sign, value = match.groups()
        content[key] = value if sign == "=" else _from_json(value, field)
    return content


def read_objects(content: bytes, place: str) -> list[dict[str, Any]]:
    """Return the JSON objects of a file: an array of them, or a line each. Raises `typer.BadParameter`."""
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"is not text in UTF-8: {error}", param_hint=place) from error
    found: list[Any]
    if text.startswith("["):
        found = _from_json(text, place)
        places = [f"{place}, entry {number}" for number, _ in enumerate(found, 1)]
    else:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        places = [f"{place}, line {number}" for number, _ in lines]
        found = [_from_json(line, where) for where, (_, line) in zip(places, lines, strict=True)]
    wrong = [where for where, each in zip(places, found, strict=True) if not isinstance(each, dict)]
    if wrong:
        raise typer.BadParameter("is no JSON object", param_hint="; ".join(wrong[:_MOST_TOLD]))
    return found


_MOST_TOLD = 10


def _from_json(text: str, place: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint=place) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
