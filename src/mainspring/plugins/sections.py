"""What operators tell plugins: reads each section of settings into the model that a plugin bound for it.

A section is the table ``[plugins.NAME]`` of the file, with the variables ``MAINSPRING_PLUGINS__NAME__KEY`` put in its
place. All that is wrong is told at once, each with its key and where it stands. No value is ever repeated, because it
may be secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from mainspring.problems import REFUSED, kind_of, problem_of
from mainspring.settings import MODULES, PLUGIN_PREFIX, PluginSettings

SECTION_NAME = re.compile(rf"(?!{MODULES}$)[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
"""Without capitals and two _ beside each other, so that a variable names one section only."""
NAME_WORDS = f"small letters, digits and single _, other than {MODULES}"


class Sections:
    """The sections of settings, and by `models` what reads them."""

    def __init__(self, told: PluginSettings) -> None:
        self.models: dict[str, type[BaseModel]] = {}
        self._is_test = told.file is None
        self._file = told.file or "settings of the test"
        self._tables = _plain(told.tables)
        self._variables = told.variables
        self._read: dict[str, BaseModel] = {}

    @property
    def unbound(self) -> list[str]:
        """The sections that no plugin has bound."""
        return sorted(self._tables.keys() - self.models.keys())

    def get(self, section: str) -> BaseModel:
        """Return the settings of a section that was read."""
        return self._read[section]

    def read(self) -> Iterator[str]:
        """Read all sections that have a model; answer what is wrong."""
        yield from self._take_variables()
        for name, table in self._tables.items():
            if not SECTION_NAME.fullmatch(name):
                yield f"plugins.{name} ({self._file}) is no name of {NAME_WORDS}"
            elif not isinstance(table, Mapping):
                yield f"plugins.{name} ({self._file}) is no table; what a plugin is told stands below [plugins.{name}]"
        for section, model in self.models.items():
            if isinstance(table := self._tables.get(section, {}), Mapping):
                yield from self._read_section(section, model, table)

    def _take_variables(self) -> Iterator[str]:
        """Put what variables say into the tables, in the place of what the file says; answer what is wrong."""
        for variable in sorted(self._variables):
            section, *path = variable.removeprefix(PLUGIN_PREFIX).lower().split("__")
            if variable != variable.upper() or not SECTION_NAME.fullmatch(section) or not all(path) or not path:
                yield f"{variable} (environment) is no setting of a plugin; these are {PLUGIN_PREFIX}NAME__KEY"
                continue
            if (whole := self._said_by(section, path[:-1])) is not None:
                yield f"{variable} (environment) is a part of {whole}, which is set too"
                continue
            _put(self._tables, [section, *path], self._variables[variable])

    def _read_section(self, section: str, model: type[BaseModel], table: Mapping[str, Any]) -> Iterator[str]:
        try:
            try:
                self._read[section] = _validated(model, table)
            except ValidationError as error:
                self._read[section] = _validated(model, self._with_lists(section, table, error))
        except ValidationError as error:
            for each in error.errors(include_url=False, include_input=False):
                yield self._sentence(section, model, each["loc"], each["type"], each["msg"])
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a check of the plugin; its words may repeat a secret
            yield f"plugins.{section} ({self._file}): a check of {model.__name__} failed with {kind_of(error)}"

    def _with_lists(self, section: str, table: Mapping[str, Any], error: ValidationError) -> Mapping[str, Any]:
        """Return the table with the JSON of variables in the place of their text, where this text was refused."""
        tree: dict[str, Any] = _plain(table)
        for each in error.errors(include_url=False, include_input=False):
            if (variable := self._said_by(section, each["loc"])) is not None:
                text = self._variables[variable]
                path = variable.removeprefix(PLUGIN_PREFIX).lower().split("__")[1:]
                _put(tree, path, _list_or_table(text))
        return tree

    def _said_by(self, section: str, location: Sequence[object]) -> str | None:
        """Return the variable that a value comes from, if it comes from one."""
        variables = (_variable(section, location[:depth]) for depth in range(len(location), 0, -1))
        return next((variable for variable in variables if variable in self._variables), None)

    def _part_of(self, section: str, location: Sequence[object]) -> str | None:
        """Return the first variable that makes a part of what stands at a place, if one does."""
        below = f"{_variable(section, location)}__"
        return min((name for name in self._variables if location and name.startswith(below)), default=None)

    def _sentence(
        self, section: str, model: type[BaseModel], location: tuple[int | str, ...], kind: str, message: str
    ) -> str:
        place = ".".join(["plugins", section, *map(str, location)])
        variable = self._said_by(section, location) or self._part_of(section, location)
        source = self._file if variable is None else f"environment {variable}"
        match kind:
            case "missing":
                variable = "" if self._is_test else f", or {_variable(section, location)}"
                return f"{place} ({self._file}{variable}) is required"
            case "extra_forbidden" if len(location) == 1:
                keys = [field.alias or name for name, field in model.model_fields.items()]
                nearest = get_close_matches(str(location[0]), keys, n=1)
                hint = f"did you mean {nearest[0]}?" if nearest else f"{model.__name__} has {', '.join(keys)}"
                return f"{place} ({source}) is no setting; {hint}"
            case "extra_forbidden":
                return f"{place} ({source}) is no setting"
            case _:
                detail = problem_of(location or (section,), kind, message, None).detail
                return f"{place} ({source}) {detail if detail != REFUSED else f'is refused by {model.__name__}'}"


def _validated(model: type[BaseModel], table: Mapping[str, Any]) -> BaseModel:
    """Read a table. A key that the model does not have is wrong, whatever pydantic thinks of it by default."""
    return model.model_validate(table, extra=None if model.model_config.get("extra") == "allow" else "forbid")


def _variable(section: str, location: Sequence[object]) -> str:
    return PLUGIN_PREFIX + "__".join([section, *map(str, location)]).upper()


def _put(tree: dict[str, Any], path: Sequence[str], value: object) -> None:
    """Put a value into a tree, in the place of what is there."""
    *inner, last = path
    for name in inner:
        if not isinstance(tree.get(name), dict):
            tree[name] = {}
        tree = tree[name]
    tree[last] = value


def _list_or_table(text: str) -> object:
    """Return the list or object that a text of JSON holds, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, list | dict) else text


def _plain(value: Any) -> Any:
    """Copy a value of TOML as JSON has it, which is how it gets to worker processes: dates and times are text."""
    match value:
        case Mapping():
            return {name: _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case date() | time():
            return value.isoformat()
        case _:
            return value
