"""``mainspring new``: make the files of something that works, to be changed into what is wanted."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from mainspring.cli.exits import REFUSED
from mainspring.cli.flags import commands
from mainspring.cli.output import complain, plain

app = commands("Make the files of something that works, to go on from.")

LONGEST_NAME = 40
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*", re.ASCII)
_NO_PRODUCT = frozenset(
    {
        "access", "audit", "calendars", "events", "forecast", "jobs", "keys", "nodes", "pause", "plugins", "resume",
        "roles", "runs", "webhooks",
    }
)  # fmt: skip
"""Paths of the API, which a product cannot have for its name."""


@app.command("plugin")
def new_plugin(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Its name, as in acme-reports; the product is called so too.")
    ],
    *,
    directory: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where to make it. [default: NAME in the working directory]")
    ] = None,
) -> None:
    """Make a plugin: a package with a job, its check, its service, and tests that pass.

    It writes over no file.
    """
    _check_name(name)
    folder = Path(name) if directory is None else directory
    files = dict(plugin_files(name))
    if taken := [path for path in files if (folder / path).exists()]:
        complain(
            f"{folder} has {', '.join(map(str, taken))} already, so nothing was written. Choose another --directory."
        )
        raise typer.Exit(REFUSED)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("x", encoding="utf-8") as file:
            file.write(text)
    typer.echo(plain(f"{folder} is a plugin. Go on there:"))
    for line in ("pip install -e .", "python -m pytest", "mainspring dev ."):
        typer.echo(f"  {line}")


def _check_name(name: str) -> None:
    """Raise `typer.BadParameter` for a name that would make no package, with one that would."""
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST_NAME].rstrip("-")
        hint = f": try {words}" if _NAME.fullmatch(words) else ""
        raise typer.BadParameter(
            f"{name!r} is no name for a package: up to {LONGEST_NAME} small letters and digits, with single - or _ "
            f"between them, and a letter first{hint}",
            param_hint="NAME",
        )
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module in {"mainspring", "test", "tests"}:
        raise typer.BadParameter(
            f"{name!r} is the name of something that Python or Mainspring has: try {name}-jobs", param_hint="NAME"
        )
    if name in _NO_PRODUCT:
        raise typer.BadParameter(
            f"{name!r} is a path of the API, so no product is called so: try {name}-jobs", param_hint="NAME"
        )


def plugin_files(name: str) -> Iterator[tuple[Path, str]]:
    """Yield the files of a plugin, by their paths in its folder."""
    from importlib.resources import files

    module = name.replace("-", "_")
    words = {"@NAME@": name, "@MODULE@": module, "@CLASS@": "".join(part.capitalize() for part in module.split("_"))}
    paths = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "plugin.py": f"src/{module}/__init__.py",
        "tests.py": f"tests/test_{module}.py",
    }
    for template, path in paths.items():
        text = files("mainspring.cli").joinpath("plugin_template", f"{template}.txt").read_text("utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        yield Path(path), text
    yield Path(f"src/{module}/py.typed"), ""
