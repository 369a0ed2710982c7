"""How problems of plugins are told: what was raised, where in the plugin's code, and all in one `ConfigError`."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from mainspring.errors import ConfigError
from mainspring.problems import kind_of, words_of

_UNUSABLE = "The plugins cannot be used:"


def raise_all(problems: Sequence[str]) -> None:
    """Raise one `ConfigError` that lists all problems, if there are any."""
    if problems:
        raise ConfigError("\n".join([_UNUSABLE, *(f"  - {problem}" for problem in problems)]))


def raise_together(errors: Sequence[str]) -> None:
    """Raise one `ConfigError` that joins the texts of several, if there are any."""
    if errors:
        raise ConfigError("\n".join([_UNUSABLE, *(error.removeprefix(f"{_UNUSABLE}\n") for error in errors)]))


def describe(error: BaseException) -> str:
    """Say what was raised, and where in the plugin's code."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{kind_of(error)}: {words_of(error)}{where}"


def name_of(thing: Any) -> str:
    """Return the name by which an author knows a class, a function or a type."""
    return getattr(thing, "__qualname__", None) or str(thing)
