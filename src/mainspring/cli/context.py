"""``mainspring context``: services by name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from mainspring.cli.candidates import contexts as names
from mainspring.cli.contexts import Context, read_contexts, write_contexts
from mainspring.cli.flags import commands
from mainspring.cli.form import Form

app = commands("Name the services that commands talk to.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the context.", autocompletion=names)]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@app.command("add")
def add_context(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the context.")],
    *,
    url: Annotated[str, typer.Option("--url", metavar="URL", help="Address of the service.")],
    token_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="File that holds the token for the service.")
    ] = None,
    token_env: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="Environment variable that holds the token.")
    ] = None,
) -> None:
    """Name a service, or write what a name means in a new way.

    The first that is added is in use at once.
    """
    if not _NAME.fullmatch(name):
        raise typer.BadParameter(
            f"{name!r} is no name of a context: use up to 64 letters, digits, dots, - and _", param_hint="'NAME'"
        )
    if token_file is not None and token_env is not None:
        raise typer.BadParameter("--token-file and --token-env name two tokens: leave one out")
    _check_url(url)
    before = read_contexts()
    path = None if token_file is None else os.path.abspath(Path(token_file).expanduser())  # noqa: PTH100 - keeps links
    after = before.with_context(Context(name, url, path, token_env))
    write_contexts(after)
    typer.echo(f"The context {name} is {'replaced' if name in before.all else 'added'}.")
    if after.current == name != before.current:
        typer.echo("It is in use.")


@app.command("list")
def list_contexts(form: Form) -> None:
    """List the contexts, with where each finds its token."""
    contexts = read_contexts()
    rows = [
        {
            "name": each.name,
            "inUse": each.name == contexts.current,
            "url": _masked(each.url),
            "token": _where(each),
        }
        for each in contexts.all.values()
    ]
    form.show(rows, lambda found: form.table(("name", "inUse", "url", "token"), found))


@app.command("use")
def use_context(name: _Name) -> None:
    """Let commands talk to the service of a context."""
    write_contexts(read_contexts().using(name))
    typer.echo(f"The context {name} is in use.")


@app.command("remove")
def remove_context(name: _Name) -> None:
    """Forget a context."""
    write_contexts(read_contexts().without(name))
    typer.echo(f"The context {name} is removed.")


def _where(context: Context) -> str | None:
    """Say where the token is found, never what it is."""
    return context.token_file or (context.token_env and f"${context.token_env}")


def _check_url(url: str) -> None:
    from mainspring.client import AddressError, Client

    try:
        Client(url).close()
    except AddressError as error:
        raise typer.BadParameter(
            f"{_masked(url)!r} is not an address such as http://127.0.0.1:8089", param_hint="--url"
        ) from error


def _masked(url: str) -> str:
    from mainspring.settings import masked

    return masked(url)
