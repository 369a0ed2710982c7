"""``mainspring crontab``: turn the lines of a crontab into settings, and tell what is different then.

What is written goes to stdout or to a file. All that is told about it, such as the next times of each line, goes to
stderr, so that the two can be parted.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mainspring.cli.exits import REFUSED
from mainspring.cli.flags import commands
from mainspring.cli.moments import moment
from mainspring.cli.output import complain

if TYPE_CHECKING:
    from mainspring.schedule import Start
    from mainspring.service.imports import CronJob, Crontab, Plan

app = commands("Turn a crontab into jobs of Mainspring.")

PREVIEWED = 3
"""How many next times of each line are shown if nothing is said."""
MOST_PREVIEWED = 1000
_STDIN = "-"
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,63}", re.ASCII)
_ZONES = "zoneinfo/"


def _product(text: str) -> str:
    if _SEGMENT.fullmatch(text):
        return text
    raise typer.BadParameter(f"{text!r} is no name of a product: up to 64 letters, digits and . _ ~ -")


def _zone(text: str) -> str:
    from mainspring.schedule import TimeError, check_zone

    try:
        return check_zone(text)
    except TimeError as error:
        raise typer.BadParameter(f"{text!r} {error}") from error


@app.command("import")
def import_crontab(  # noqa: PLR0913 - each is a flag
    file: Annotated[str, typer.Argument(metavar="FILE", help="The crontab, or - for stdin.")],
    *,
    user_field: Annotated[
        bool | None,
        typer.Option(
            "--user-field/--no-user-field",
            help="Whether the sixth field of a line is a user, as in /etc/crontab. [default: guessed]",
        ),
    ] = None,
    product: Annotated[
        str, typer.Option(parser=_product, metavar="NAME", help="Product that the jobs belong to.")
    ] = "cron",
    time_zone: Annotated[
        str | None,
        typer.Option(
            parser=_zone,
            metavar="ZONE",
            help="Zone of all lines. [default: CRON_TZ or TZ of the crontab, or the machine]",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write, which must not exist. [default: stdout]")
    ] = None,
    preview: Annotated[
        int, typer.Option(min=0, max=MOST_PREVIEWED, metavar="N", help="How many next times of each line to show.")
    ] = PREVIEWED,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Where the next times begin, as in +1d. [default: now]"),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Write nothing if a line is refused.")] = False,
) -> None:
    """Turn the lines of a crontab into settings, and show their next times and what is different.

    Lines that cannot be imported are named on stderr, and the exit code is 1.
    """
    from mainspring.service.imports import CrontabError, differences, plan, read_crontab, settings_file

    begin = _begin(start)
    content, source = _read(file), _shown(file)
    try:
        crontab = read_crontab(content, user_field=_names_users(content, file, user_field))
    except CrontabError as error:
        raise typer.BadParameter(f"{source} {error}", param_hint="FILE") from error
    made = plan(crontab, time_zone=time_zone, machine=time_zone or machine_zone(), start=begin)
    for refusal in made.refusals:
        complain(f"{source}:{refusal.number}: {refusal.problem}. What to do: {refusal.advice}.")
    if not (strict and made.refusals):
        _write(settings_file(crontab, made, product=product, source=source), output)
        _show_next_times(made.jobs, source, begin, preview)
        _show_differences(differences(crontab, made))
    _sum_up(crontab, made, source)
    if made.refusals:
        complain("Nothing was written, because of --strict." if strict else "The other lines were written.")
        raise typer.Exit(REFUSED)


# --- what goes in -----------------------------------------------------------------------------------------------------


def _read(file: str) -> bytes:
    """Return the content of a file, of one that is too large a part."""
    from mainspring.service.imports import MOST_BYTES

    if file == _STDIN:
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise typer.BadParameter(f"{file} cannot be read: {reason}", param_hint="FILE") from error


def _shown(file: str) -> str:
    return "stdin" if file == _STDIN else file


def _names_users(content: bytes, file: str, said: bool | None) -> bool:  # noqa: FBT001 - a flag with three values
    """Return whether lines name a user: as it was said, or else as it looks."""
    import pwd

    from mainspring.service.imports import guess_user_field

    if said is not None:
        return said
    users = {user.pw_name for user in pwd.getpwall()}
    path = "" if file == _STDIN else str(Path(file).absolute())
    guessed, reason = guess_user_field(content, path, users)
    source = _shown(file)
    if guessed:
        complain(f"{source} is read as a crontab of the system: {reason}. If that is wrong, give --no-user-field.")
    else:
        complain(f"{source} is read as the crontab of one user: {reason}. If they have one, give --user-field.")
    return guessed


def _begin(start: str | None) -> datetime:
    from mainspring.clock import SystemClock
    from mainspring.schedule import TimeError, parse_when

    if start is None:
        return SystemClock().now()
    try:
        return parse_when(moment(start, "--from"))
    except TimeError as error:
        raise typer.BadParameter(f"{start!r} {error}", param_hint="--from") from error


def machine_zone(etc: Path = Path("/etc")) -> str:
    """Return the time zone of this machine, as cron would use it. Raises `typer.BadParameter` if it has no name."""
    from mainspring.schedule import TimeError, check_zone

    local = etc / "localtime"
    names = [os.environ.get("TZ", "").removeprefix(":"), os.path.realpath(local).rpartition(_ZONES)[2]]
    try:
        names.append((etc / "timezone").read_text().strip())
    except (OSError, ValueError):
        names += [] if os.path.lexists(local) else ["UTC"]  # a machine without either has none
    for name in names:
        try:
            return check_zone(name)
        except TimeError:
            continue
    raise typer.BadParameter(
        "is needed: the zone of this machine has no name that can be found", param_hint="--time-zone"
    )


# --- what comes out ---------------------------------------------------------------------------------------------------


def _write(text: str, output: Path | None) -> None:
    """Write the settings. A file is for its owner alone: a crontab may have secrets."""
    if output is None:
        typer.echo(text.encode(), nl=False)
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        complain(f"{output} exists, so nothing was written. Remove it, or name another file.")
        raise typer.Exit(REFUSED) from None
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
        file.write(text.encode())
    complain(f"{output} was written; only you may read it. Look through it before you install it.")


def _show_next_times(jobs: list[CronJob], source: str, begin: datetime, number: int) -> None:
    from mainspring.schedule import format_time

    if not (jobs and number):
        return
    complain(f"\nThe next times from {format_time(begin)} on:")
    for job in jobs:
        complain(f"{source}:{job.entry.number}: {job.name}, {job.entry.times.written} ({job.trigger.time_zone})")
        if job.entry.times.random:
            complain("  at a time that is chosen for the job when it is created")
        else:
            for line in _next_times(job, begin, number):
                complain(f"  {line}")


def _next_times(job: CronJob, begin: datetime, number: int) -> Iterator[str]:
    """Yield the next times of a job by the clocks of its zone, with what is special about them."""
    from uuid import UUID

    from mainspring.schedule import forecast
    from mainspring.schedule import preview as foresee

    lines = foresee(job.trigger, now=begin, job_id=UUID(int=0), calendars={})
    for start in forecast(lines, number, lambda: False).starts:
        yield _local(start) + (f"  {start.note}" if start.note else "")


def _local(start: Start) -> str:
    from datetime import timezone

    offset = start.local - start.fire_time.replace(tzinfo=None)
    return start.local.replace(tzinfo=timezone(offset)).strftime("%a %Y-%m-%d %H:%M %z")


def _show_differences(sentences: list[str]) -> None:
    if sentences:
        complain("\nWhere Mainspring differs from cron:")
    for sentence in sentences:
        complain(f"- {sentence}")


def _sum_up(crontab: Crontab, made: Plan, source: str) -> None:
    """Count every line of the crontab once."""
    counts = {
        "jobs": len(made.jobs),
        "@reboot": len(crontab.reboots),
        "refused": len(made.refusals),
        "variables": len(crontab.variables),
        "comments": crontab.comments,
        "blank": crontab.blanks,
    }
    complain(f"\n{source}: {crontab.lines} lines: {', '.join(f'{name} {number}' for name, number in counts.items())}.")
