"""The contexts of a user: services by name, in a file that only the user may write.

A context holds the address of a service, and where its token is found, but never the token itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import typer

from mainspring.cli.output import complain
from mainspring.errors import ConfigError

DEFAULT_URL = "http://127.0.0.1:8089"
_MEMBERS = frozenset({"url", "token_file", "token_env"})
_ROOT = 0
_LOOSE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is, what says so, and the token for it."""

    url: str
    origin: str = "--url"
    token: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The address without its password."""
        from mainspring.settings import masked

        return masked(self.url)


@dataclass(frozen=True, slots=True)
class Context:
    """A service by name."""

    name: str
    url: str
    token_file: str | None = None
    token_env: str | None = None

    def token(self) -> str | None:
        """Return the token. Raises `ConfigError` if it is not where it should be, or others could have put it there."""
        if self.token_env is not None:
            if not (found := os.environ.get(self.token_env)):
                raise ConfigError(f"the context {self.name} takes its token from {self.token_env}, which is not set")
            return _checked(found, self.token_env)
        if self.token_file is None:
            return None
        try:
            return _checked(_read_own(Path(self.token_file)).decode("ascii").strip(), self.token_file)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text in ASCII"
            raise ConfigError(
                f"the token of the context {self.name} cannot be read: {self.token_file}: {reason}"
            ) from error


@dataclass(frozen=True, slots=True)
class Contexts:
    """All contexts, and the name of the one in use, if any is."""

    all: Mapping[str, Context]
    current: str | None = None

    def find(self, name: str) -> Context:
        """Return a context. Raises `ConfigError` if there is none of that name."""
        if name not in self.all:
            from difflib import get_close_matches

            near = get_close_matches(name, self.all)
            hint = f"; did you mean {', '.join(near)}?" if near else "; 'mainspring context list' shows which there are"
            raise ConfigError(f"there is no context {name!r}{hint}")
        return self.all[name]

    def with_context(self, context: Context) -> Contexts:
        """Return these with one more; the first is in use at once."""
        return replace(self, all={**self.all, context.name: context}, current=self.current or context.name)

    def without(self, name: str) -> Contexts:
        """Return these with one less; if it was in use, none is."""
        self.find(name)
        left = {each: context for each, context in self.all.items() if each != name}
        return Contexts(left, None if self.current == name else self.current)

    def using(self, name: str) -> Contexts:
        """Return these with another in use."""
        return replace(self, current=self.find(name).name)


def place_of(url: str | None, name: str | None) -> Place:
    """Return where the service is: at a URL, else where a context says, else on this machine. Raises `ConfigError`."""
    if url is not None:
        if name is not None:
            complain(f"Warning: --url or MAINSPRING_URL names the service, so the context {name} does not count.")
        return Place(url)
    named = name or os.environ.get("MAINSPRING_CONTEXT")
    if not named and not _has_home():
        return Place(DEFAULT_URL)
    contexts = read_contexts()
    if wanted := named or contexts.current:
        context = contexts.find(wanted)
        return Place(context.url, f"the context {context.name}", context.token())
    return Place(DEFAULT_URL)


# --- the file ---------------------------------------------------------------------------------------------------------


def contexts_path() -> Path:
    """Return where the file is. Raises `ConfigError` if the user has no home."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        root = Path(home) if home.startswith("/") else Path("~/.config").expanduser()
    except RuntimeError as error:
        raise ConfigError("this user has no home directory: say with XDG_CONFIG_HOME where contexts are") from error
    return root / "mainspring" / "contexts.toml"


def _has_home() -> bool:
    """Whether there can be contexts: a container may run as a user that nobody has heard of."""
    try:
        contexts_path()
    except ConfigError:
        return False
    return True


def read_contexts() -> Contexts:
    """Return what the file says; nothing, if there is none. Raises `ConfigError` with all that is wrong with it."""
    import tomllib

    path = contexts_path()
    try:
        text = _read_own(path)
    except (FileNotFoundError, NotADirectoryError):
        return Contexts({})
    try:
        return _contexts(tomllib.loads(text.decode()), path)
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def write_contexts(contexts: Contexts) -> None:
    """Write the file in one step, such that only its user may read it."""
    import tempfile

    path = contexts_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".contexts-")  # with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_toml(contexts))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read_own(path: Path) -> bytes:
    """Read a file. Raises `ConfigError` if another user may have written it: what it says is where tokens are sent."""
    with path.open("rb") as file:
        facts = os.fstat(file.fileno())
        if facts.st_uid not in {os.geteuid(), _ROOT}:
            raise ConfigError(f"{path} belongs to another user (uid {facts.st_uid}): make one of your own")
        if facts.st_mode & _LOOSE:
            raise ConfigError(f"others may write to {path}: look at what it says, then chmod 600 it")
        return file.read()


def _contexts(content: Mapping[str, Any], path: Path) -> Contexts:
    found, current = content.get("contexts", {}), content.get("current")
    problems = [f"{name}: there is no such member" for name in content.keys() - {"contexts", "current"}]
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise ConfigError(f"{path}: contexts: must be tables")
    for name, members in found.items():
        problems += [f"contexts.{name}.{each}: there is no such member" for each in members.keys() - _MEMBERS]
        problems += [
            f"contexts.{name}.{each}: must be text"
            for each in sorted(_MEMBERS)
            if not isinstance(members.get(each, "" if each != "url" else None), str)
        ]
        if {"token_file", "token_env"} <= members.keys():
            problems.append(f"contexts.{name}: has both token_file and token_env; leave one out")
    if not isinstance(current, str | None) or (current is not None and current not in found):
        problems.append("current: must be the name of a context")
    if problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems))
    return Contexts({name: Context(name, **members) for name, members in found.items()}, current)


def _toml(contexts: Contexts) -> str:
    lines = [] if contexts.current is None else [f"current = {_quoted(contexts.current)}", ""]
    for context in contexts.all.values():
        lines.append(f"[contexts.{_quoted(context.name)}]")
        members = {"url": context.url, "token_file": context.token_file, "token_env": context.token_env}
        lines += [f"{name} = {_quoted(value)}" for name, value in members.items() if value is not None]
        lines.append("")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Write text as a basic string of TOML."""
    if any(not character.isprintable() for character in text):
        raise typer.BadParameter(f"{text!r} has characters that cannot be printed")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _checked(token: str, place: str) -> str:
    """Refuse what no header can carry, without printing it."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"{place} holds no token: it must be one word of visible ASCII characters")
    return token
