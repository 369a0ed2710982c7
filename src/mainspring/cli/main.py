"""The command ``mainspring``: its families of commands put together, and `main`, which turns errors into exit codes.

A command is a few lines in the file of its family: the work is done by `mainspring.launch`, or asked of a running
service by `mainspring.client`. A command imports what it needs when it runs, so that ``--help`` costs no more than
typer itself. The package exports the function `main`, which hides this module: constants and helpers live in the
other files.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from mainspring.cli import (
    actions,
    calendars,
    context,
    crontab,
    db,
    groups,
    jobs,
    limits,
    new,
    nodes,
    plugins,
    runs,
    webhooks,
)
from mainspring.cli.completion import completion
from mainspring.cli.control import pause, pauses, resume
from mainspring.cli.dev import dev
from mainspring.cli.doctor import doctor
from mainspring.cli.events import events
from mainspring.cli.exits import INTERRUPTED, UNAVAILABLE, exit_code
from mainspring.cli.flags import SettingsCommand, commands
from mainspring.cli.groups import schema
from mainspring.cli.output import complain
from mainspring.cli.problems import problems
from mainspring.cli.serve import node, serve
from mainspring.cli.status import status
from mainspring.errors import MainspringError

app = commands("Mainspring: products schedule jobs over REST, plugins run each of them at its time.")
for _command in (serve, node, dev, doctor):
    app.command(cls=SettingsCommand)(_command)
for _plain in (status, pause, resume, pauses, schema, problems, events, completion):
    app.command()(_plain)
for _name, _family in (
    ("groups", groups), ("jobs", jobs), ("runs", runs), ("actions", actions), ("limits", limits),
    ("calendars", calendars), ("webhooks", webhooks), ("nodes", nodes), ("plugins", plugins),
    ("context", context), ("db", db), ("crontab", crontab), ("new", new),
):  # fmt: skip
    app.add_typer(_family.app, name=_name)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command (of `args`, else of the process) and exit with its code."""
    try:
        app(args=args)
    except MainspringError as error:
        complain(str(error))
        sys.exit(exit_code(error))
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # who reads has seen enough
            _complain_of_machine(error)
        sys.exit(UNAVAILABLE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        _give_up_printing()
    sys.exit()


def _give_up_printing() -> None:
    """See that what could not be printed is not tried again at the end, which would change the exit code."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _complain_of_machine(error: OSError) -> None:
    """Say what the system has against what we do, and what helps."""
    place = f"{error.filename}: " if error.filename else ""
    advice = _ADVICE.get(error.errno or 0, "")
    with suppress(OSError):
        complain(f"The system refuses: {place}{error.strerror or error}{advice}")


_ADVICE = {
    errno.EMFILE: "; raise the limit of open files, with ulimit -n or LimitNOFILE= of systemd",
    errno.ENFILE: "; the whole machine has too many files open",
    errno.ENOSPC: "; make room on the disk",
    errno.EDQUOT: "; make room on the disk",
    errno.EAGAIN: "; raise the limit of processes and threads, with ulimit -u or TasksMax= of systemd",
    errno.ENOMEM: "; there is no memory left",
}


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
