"""What a command accepts: settings as flags, and the arguments that several families of commands share.

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
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from typer.core import TyperCommand, TyperOption

from mainspring.cli.output import complain

if TYPE_CHECKING:
    from typer._click.core import Context, Parameter

    from mainspring.settings import Settings

DEFAULT_URL = "http://127.0.0.1:8089"
Url = Annotated[str, typer.Option("--url", metavar="URL", envvar="MAINSPRING_URL", help="Address of the service.")]
Form = Literal["table", "wide", "json"]
"""How a command prints what it has to tell."""
_Output = Annotated[
    Form, typer.Option("--output", "-o", help="A table that fits the terminal, one with everything, or JSON.")
]
_AsJson = Annotated[bool, typer.Option("--json", help="The same as -o json.")]

_Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="File with settings. [default: mainspring.toml; env MAINSPRING_CONFIG]"
    ),
]
_Command = TypeVar("_Command", bound=Callable[..., None])


class PlainCommand(TyperCommand):
    """A command that says in plain words what is wrong with a flag or an argument."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Read the command line; what pydantic says of it is put into our words."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            from pydantic import ValidationError

            from mainspring.problems import problems_of

            if isinstance(error.__cause__, ValidationError):
                error.message = problems_of(error.__cause__, None)[0].detail
            raise


class _Commands(typer.Typer):
    def command(self, name: str | None = None, *, cls: type[TyperCommand] | None = PlainCommand, **named: Any) -> Any:
        return super().command(name, cls=cls, **named)


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


# --- how to print -----------------------------------------------------------------------------------------------------


def with_form(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags ``-o`` and ``--json``; it is called with the `form` that they say."""

    @functools.wraps(command)
    def called(*args: Any, output: Form, as_json: bool, **named: Any) -> None:
        command(*args, form="json" if as_json else output, **named)

    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "form" and p.kind is not p.VAR_KEYWORD]
    rest = [p for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
    ours = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in (("output", "table", _Output), ("as_json", False, _AsJson))
    ]
    vars(called)["__signature__"] = signature.replace(parameters=[*own, *ours, *rest])
    return called


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


def _from_json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint=place) from error
