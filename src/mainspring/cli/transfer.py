"""``mainspring jobs export`` and ``jobs import``: move jobs from one service to another, as lines of JSON."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from mainspring.cli.contexts import Place
from mainspring.cli.exits import REFUSED
from mainspring.cli.output import complain
from mainspring.cli.scope import EVERYTHING, AnyScope
from mainspring.cli.service import AWAY, Service

if TYPE_CHECKING:
    from mainspring.cli.job_line import Held, JobLine
    from mainspring.client import AsyncClient, Job, ProblemError

CALLS = 12
"""How many calls of an import are under way at once."""
PAGE = 1000
_STDIN = "-"
Advance = Callable[[int], object]
"""Is told how many bytes of a file are dealt with."""


# --- out of a service -------------------------------------------------------------------------------------------------


def export_jobs(
    service: Service,
    scope: AnyScope = None,
    *,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="File to write, which must not exist. [default: stdout]")
    ] = None,
) -> None:
    """Write all jobs that are not done, one line of JSON each, for `jobs import`."""
    from mainspring.cli.job_line import line_of
    from mainspring.client import Client

    counts: Counter[str] = Counter()
    with _telling(service), _writing(to) as file, Client(service.place.url, token=service.place.token) as client:
        for job in client.jobs(*scope or EVERYTHING, order="created", page_size=PAGE):
            line = None if _is_damaged(job) else line_of(job, client)
            if line is None:
                counts["damaged" if _is_damaged(job) else "running"] += 1
                continue
            file.write(line.text() + "\n")
            counts["written"] += 1
    complain(f"{counts['written']} jobs were written.")
    if counts["running"]:
        complain(f"{counts['running']} more are in their last run, and were left out.")
    if counts["damaged"]:
        complain(f"{counts['damaged']} more cannot be read, and were left out: mainspring jobs list shows them.")
        raise typer.Exit(REFUSED)


def _is_damaged(job: Job) -> bool:
    return "damage" in job.raw


@contextmanager
def _writing(to: Path | None) -> Iterator[IO[str]]:
    """Open what is written to. A file is there when it is whole, and for its owner alone: requests may have secrets."""
    if to is None:
        yield sys.stdout
        return
    if to.exists():
        complain(f"{to} exists, so nothing was written. Remove it, or name another file.")
        raise typer.Exit(REFUSED)
    part = to.with_name(f"{to.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{to} cannot be written: {error.strerror}", param_hint="--to") from error
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor has no path
            yield file
            file.flush()
            os.fsync(descriptor)
        part.replace(to)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


# --- into a service ---------------------------------------------------------------------------------------------------


def import_jobs(
    service: Service,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What jobs export wrote, or - for stdin.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Create nothing; tell what would be refused, and why.")
    ] = False,
) -> None:
    """Create the jobs of an export under their own ids.

    What is there already is left as it is, so an import that was stopped is simply run again. Lines that are refused
    are named on stderr, and the exit code is 1.
    """
    import asyncio

    with _telling(service), _reading(file) as opened, _progress(opened) as advance:
        transfer = _Import(_shown(file), advance, dry_run=dry_run)
        asyncio.run(transfer.run(service.place, opened))
    counts = transfer.counts
    verb = "would be created" if dry_run else "created"
    typer.echo(f"{counts['created']} {verb}, {counts['there']} there already, {counts['refused']} refused.")
    if counts["refused"]:
        raise typer.Exit(REFUSED)


class _Import:
    """Carries out the lines of a file, several at once, and counts what came of them."""

    def __init__(self, source: str, advance: Advance, *, dry_run: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._source = source
        self._advance = advance
        self._do = _would if dry_run else _create
        self._waiting: list[tuple[int, bytes, ProblemError]] = []
        """Lines of jobs that wait for others, which may come later in the file."""

    async def run(self, place: Place, file: IO[bytes]) -> None:
        """Carry out all lines. Raises `MainspringError` if the service does not answer."""
        from mainspring.client import AsyncClient

        async with AsyncClient(place.url, token=place.token) as client:
            await self._all(client, enumerate(file, 1))
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                await self._all(client, iter([(number, text) for number, text, _ in waiting]))
                if len(self._waiting) == len(waiting):
                    break
        for number, _, error in sorted(self._waiting, key=lambda each: each[0]):
            self._refuse(number, _sentences(error))

    async def _all(self, client: AsyncClient, lines: Iterator[tuple[int, bytes]]) -> None:
        import asyncio

        tasks = [asyncio.create_task(self._some(client, lines)) for _ in range(CALLS)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _some(self, client: AsyncClient, lines: Iterator[tuple[int, bytes]]) -> None:
        for number, text in lines:
            if text.strip():
                await self._one(client, number, text)
            self._advance(len(text))

    async def _one(self, client: AsyncClient, number: int, text: bytes) -> None:
        from mainspring.cli.job_line import read_line
        from mainspring.client import ProblemError

        try:
            line = read_line(text)
        except ValueError as error:
            self._refuse(number, _wrong_with(error))
            return
        try:
            self.counts["created" if await self._do(client, line) else "there"] += 1
        except ProblemError as error:
            if error.status == _UNAUTHORIZED or error.status in AWAY:
                raise
            if any(each.code == "UNKNOWN_JOB" for each in error.errors):
                self._waiting.append((number, text, error))
            else:
                self._refuse(number, _sentences(error))

    def _refuse(self, number: int, sentences: list[str]) -> None:
        self.counts["refused"] += 1
        for sentence in sentences:
            complain(f"{self._source}:{number}: {sentence}")


_UNAUTHORIZED = 401


async def _create(client: AsyncClient, line: JobLine) -> bool:
    """Create a job as it stood, if it is not there; tell whether it is new."""
    job = await client.put_job(line.product, line.job_group, line.id, line.job_request, fires_from=line.fires_from)
    if line.pause is not None and job.version == 1:  # an import may have been stopped between the two calls
        await _hold(client, job, line.pause)
    return job.created


async def _hold(client: AsyncClient, job: Job, held: Held) -> None:
    """Give a job that was created paused the reason and the end of its pause; one that is over by now goes on."""
    if held.until is None and held.reason in {None, *(pause.reason for pause in job.paused_by)}:
        return  # its creation says the same
    from mainspring.client import Conflict
    from mainspring.schedule import parse_when

    with suppress(Conflict):  # somebody else has it by now
        if held.until is not None and parse_when(held.until) <= client.clock.now():
            await client.resume(job)
        else:
            await client.pause(job, reason=held.reason, until=held.until)


async def _would(client: AsyncClient, line: JobLine) -> bool:
    """Tell whether a job would be created. Raises what its creation would, but for what other jobs do to it."""
    from mainspring.client import NotFound

    try:
        await client.get(line.ref)
    except NotFound as error:
        if error.code != "JOB_NOT_FOUND":
            raise
    else:
        return False
    await client.dry_run(line.product, line.job_group, line.job_request, starts=1)
    return True


# --- what is told -----------------------------------------------------------------------------------------------------


@contextmanager
def _telling(service: Service) -> Iterator[None]:
    """Say also, where a call goes wrong, that nothing is lost by it."""
    from mainspring.client import AddressError, MainspringError

    try:
        with service:
            yield
    except typer.Exit as end:
        if isinstance(end.__cause__, MainspringError) and not isinstance(end.__cause__, AddressError):
            complain("What is done stays done: run the same again to go on.")
        raise


def _sentences(error: ProblemError) -> list[str]:
    """Return all that the service says is wrong with a line."""
    return [f"{each.pointer} {each.detail} ({each.code})".strip() for each in error.errors] or [str(error)]


def _wrong_with(error: ValueError) -> list[str]:
    """Return all that is wrong with a line that is none."""
    from pydantic import ValidationError

    from mainspring.problems import problems_of

    if isinstance(error, ValidationError):
        return [f"{each.pointer} {each.detail} ({each.code})".strip() for each in problems_of(error, None)]
    return [f"is not a line of jobs export: {error}"]


def _shown(file: str) -> str:
    return "stdin" if file == _STDIN else file


@contextmanager
def _reading(file: str) -> Iterator[IO[bytes]]:
    if file == _STDIN:
        yield sys.stdin.buffer
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115 - what goes wrong with its reading is no matter of its name
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise typer.BadParameter(f"{file} cannot be read: {reason}", param_hint="FILE") from error
    with opened:
        yield opened


@contextmanager
def _progress(file: IO[bytes]) -> Iterator[Advance]:
    """Show on a terminal how much of a file is done; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=_size(file))
        yield lambda size: progress.advance(task, size)


def _size(file: IO[bytes]) -> int | None:
    try:
        return os.fstat(file.fileno()).st_size or None
    except OSError:
        return None
