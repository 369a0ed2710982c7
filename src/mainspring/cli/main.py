"""The command ``mainspring``: its families of commands put together, and `main`, which turns errors into exit codes.

A command is a few lines in the file of its family: the work is done by `mainspring.launch`, or asked of a running
service by `mainspring.cli.client`. A command imports what it needs when it runs, so that ``--help`` costs no more than
typer itself. The package exports the function `main`, which hides this module: constants and helpers live in the
other files.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from mainspring.cli import calendars, db, groups, jobs, plugins
from mainspring.cli.doctor import doctor
from mainspring.cli.exits import INTERRUPTED, exit_code
from mainspring.cli.flags import SettingsCommand, commands
from mainspring.cli.output import complain
from mainspring.cli.serve import node, serve
from mainspring.errors import MainspringError

app = commands("Mainspring: products schedule jobs over REST, plugins run each of them at its time.")
for _command in (serve, node, doctor):
    app.command(cls=SettingsCommand)(_command)
app.add_typer(db.app, name="db")
app.add_typer(groups.app, name="groups")
app.add_typer(jobs.app, name="jobs")
app.add_typer(calendars.app, name="calendars")
app.add_typer(plugins.app, name="plugins")


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command (of `args`, else of the process) and exit with its code."""
    try:
        app(args=args)
    except MainspringError as error:
        complain(str(error))
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit()


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the form that typer calls
    from importlib.metadata import PackageNotFoundError, version

    if wanted:
        try:
            typer.echo(f"mainspring {version('mainspring')}")
        except PackageNotFoundError:
            typer.echo("mainspring, not installed as a package")
        raise typer.Exit


@app.callback()
def _everywhere(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
