"""The command ``mainspring``: serve, node, db, jobs, calendars, plugins and doctor.

A command is a few lines: the work is done by `mainspring.launch`, or asked of a running service over HTTP. `main` is
the only place that turns errors into exit codes: 78 for a wrong configuration, 69 for a store that does not answer. A
service that does not answer is 69 too, one that refuses is 1, wrong usage is 2, and Ctrl-C is 130.
"""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that --help costs no more than typer itself

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NoReturn, TypeVar
from urllib.parse import quote
from uuid import UUID

import typer
from typer.core import TyperCommand, TyperOption

from mainspring.errors import ConfigError, MainspringError, PortTakenError, StoreUnavailableError

if TYPE_CHECKING:
    import httpx2
    from typer._click.core import Context, Parameter

    from mainspring.settings import Settings

REFUSED = 1
UNAVAILABLE = 69
INTERRUPTED = 130
MOST_MOVED = 20
"""How many jobs `doctor` lists that the rules of time zones would move."""
OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 37, 0)
"""The first SQLite with strict tables."""

Command = TypeVar("Command", bound=Callable[..., None])


def _commands(text: str) -> typer.Typer:
    # Plain text, because rich would triple the time of --help (90 ms to 275 ms).
    return typer.Typer(
        help=text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


app = _commands("Mainspring: products schedule jobs over REST, plugins run each of them at its time.")
db = _commands("Look after the schema of the job store.")
jobs = _commands("Work with the jobs of a running service.")
calendars = _commands("Work with the calendars of a running service.")
plugins = _commands("Look at the plugins that a node would load.")


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command (of `args`, else of the process) and leave with its exit code."""
    try:
        app(args=args)
    except MainspringError as error:
        _complain(str(error))
        sys.exit(_exit_code(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit()


def _exit_code(error: MainspringError) -> int:
    match error:
        case ConfigError():
            return error.exit_code
        case StoreUnavailableError():
            return UNAVAILABLE
        case _:
            return REFUSED


def _complain(text: str) -> None:
    typer.echo(_plain(text), err=True)


def _plain(text: str) -> str:
    """Take from text what would command the terminal: the words of others may hold escape sequences."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


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


# --- settings as flags ------------------------------------------------------------------------------------------------

_NODE_SETTINGS = (
    "store", "plugins", "node", "slots", "threads", "processes", "lease", "poll", "grace", "retention", "log_level",
    "log_format",
)  # fmt: skip
_CONFIG = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="File with settings. [default: mainspring.toml; env MAINSPRING_CONFIG]"
    ),
]


class _SettingsCommand(TyperCommand):
    """A command whose flags take their help from the table of settings, which is imported when somebody asks for it."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        from mainspring.settings import TABLE

        params = super().get_params(ctx)
        for param in params:
            if isinstance(param, TyperOption) and (row := TABLE.get(param.name or "")):
                param.help = f"{row.description}: {row.legal}. [default: {row.default}; env {row.env}]"
        return params


def _with_settings(*names: str) -> Callable[[Command], Command]:
    """Put flags for these settings, and ``--config``, in the place of a command's ``**flags``."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        flags = [_flag(name, _annotation(name)) for name in names]
        parameters = [*own, *flags, _flag("config", _CONFIG)]
        vars(command)["__signature__"] = signature.replace(parameters=parameters)
        return command

    return decorate


def _flag(name: str, annotation: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _annotation(name: str) -> object:
    if name == "plugins":
        return Annotated[list[str] | None, typer.Option("--plugin", metavar="VALUE")]
    return Annotated[str | None, typer.Option("--" + name.replace("_", "-"), metavar="VALUE")]


def _settings(flags: Mapping[str, Any]) -> Settings:
    from mainspring.settings import load_settings

    overrides = {name: value for name, value in flags.items() if name != "config"}
    return load_settings(overrides, config=flags["config"])


# --- serve and node ---------------------------------------------------------------------------------------------------


@app.command(cls=_SettingsCommand)
@_with_settings("host", "port", *_NODE_SETTINGS)
def serve(**flags: Any) -> None:
    """Run a node with the REST API."""
    from mainspring.launch import compose

    raise typer.Exit(compose.serve(_settings(flags)))


@app.command(cls=_SettingsCommand)
@_with_settings(*_NODE_SETTINGS)
def node(**flags: Any) -> None:
    """Run a node alone, beside others on one store."""
    from mainspring.launch import compose

    raise typer.Exit(compose.node(_settings(flags)))


# --- db ---------------------------------------------------------------------------------------------------------------


@db.command(cls=_SettingsCommand)
@_with_settings("store")
def upgrade(**flags: Any) -> None:
    """Bring the schema up to date."""
    from mainspring.launch import compose

    typer.echo(compose.db_upgrade(_settings(flags)))


@db.command(cls=_SettingsCommand)
@_with_settings("store")
def check(**flags: Any) -> None:
    """Say whether the schema is up to date."""
    from mainspring.launch import compose

    typer.echo(compose.db_check(_settings(flags)))


@db.command(cls=_SettingsCommand)
@_with_settings("store")
def rebuild(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    **flags: Any,
) -> None:
    """Delete everything and make the store anew."""
    from rich.prompt import Confirm

    from mainspring.launch import compose

    settings = _settings(flags)
    question = f"All jobs and all history in {_plain(settings.store_shown)} will be gone. Rebuild?"
    if not yes and not Confirm.ask(question, default=False):
        raise typer.Abort
    typer.echo(compose.db_rebuild(settings))


# --- jobs -------------------------------------------------------------------------------------------------------------

_Group = Annotated[str, typer.Argument(metavar="PRODUCT/GROUP", help="Product and job group, as in vps4/backups.")]
_JobId = Annotated[UUID, typer.Argument(metavar="ID", help="Id of the job.")]
_When = Annotated[
    str | None, typer.Option(metavar="TIME", help="Time to run, as in 2026-12-01T10:00:00Z, or from now, as in +1h30m.")
]
_Url = Annotated[str, typer.Option("--url", metavar="URL", envvar="MAINSPRING_URL", help="Address of the service.")]
_Json = Annotated[bool, typer.Option("--json", help="Print what the service answers.")]
_URL = "http://127.0.0.1:8089"

_JOB_COLUMNS = ("id", "state", "nextRun", "outcome")
_START_COLUMNS = ("utc", "local", "at", "note")
_PASSED_COLUMNS = ("first", "last", "occurrences", "fate", "reason")
_CALENDARS = "/api/schedulers/calendars"
_RUN_COLUMNS = (
    "run", "outcome", "attempt", "scheduledFireTime", "startedAt", "finishedAt", "latenessSeconds", "node", "reason",
)  # fmt: skip


@jobs.command("list")
def list_jobs(
    group: _Group,
    *,
    state: Annotated[
        Literal["scheduled", "running", "paused", "done", "dead"] | None,
        typer.Option(help="Only jobs that stand here."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many jobs.")] = None,
    url: _Url = _URL,
    as_json: _Json = False,
) -> None:
    """List the jobs of a group, by next run.

    Without --state these are the jobs that are not yet done; dead are those that gave up.
    """
    query = {"state": state, "limit": limit}
    answer = _ask(url, "GET", _path(group), params={name: value for name, value in query.items() if value is not None})
    _print_answer(answer, _JOB_COLUMNS, as_json=as_json)


@jobs.command("show")
def show_job(group: _Group, job_id: _JobId, *, url: _Url = _URL, as_json: _Json = False) -> None:
    """Show everything about one job."""
    answer = _ask(url, "GET", _path(group, job_id))
    if as_json:
        typer.echo(answer.text)
    else:
        _print_table(("field", "value"), [fact for job in _objects(answer) for fact in _facts(job)])


@jobs.command("create")
def create_job(
    group: _Group,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD", help="Fields of the request: KEY=TEXT or KEY:=JSON."),
    ] = None,
    *,
    when: _When = None,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="The request as a JSON object; fields and --when win.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Create nothing; show what the job would do.")] = False,
    url: _Url = _URL,
    as_json: _Json = False,
) -> None:
    """Schedule a new job."""
    request = _request(data, fields or [])
    if when is not None:
        request["when"] = _moment(when)
    if dry_run:
        _print_preview(_ask(url, "POST", _path(group), params={"dryRun": "true"}, body=request), as_json=as_json)
        return
    _print_answer(_ask(url, "POST", _path(group), body=request), _JOB_COLUMNS, as_json=as_json)


@jobs.command("reschedule")
def reschedule_job(
    group: _Group,
    job_id: _JobId,
    *,
    when: Annotated[
        str,
        typer.Option(metavar="TIME", help="New time to run, as in 2026-12-01T10:00:00Z, or from now, as in +1h30m."),
    ],
    url: _Url = _URL,
    as_json: _Json = False,
) -> None:
    """Move a job to another time."""
    answer = _ask(url, "PATCH", _path(group, job_id), body={"when": _moment(when)})
    _print_answer(answer, _JOB_COLUMNS, as_json=as_json)


@jobs.command("pause")
def pause_job(group: _Group, job_id: _JobId, *, url: _Url = _URL) -> None:
    """Hold a job back until it is resumed."""
    _ask(url, "POST", _path(group, job_id, "pause"))
    typer.echo(f"Job {job_id} is paused.")


@jobs.command("resume")
def resume_job(group: _Group, job_id: _JobId, *, url: _Url = _URL) -> None:
    """Let a paused job run again."""
    _ask(url, "POST", _path(group, job_id, "resume"))
    typer.echo(f"Job {job_id} is resumed.")


@jobs.command("delete")
def delete_job(group: _Group, job_id: _JobId, *, url: _Url = _URL) -> None:
    """Delete a job.

    A run that is under way is asked to stop, and its result is refused.
    """
    _ask(url, "DELETE", _path(group, job_id))
    typer.echo(f"Job {job_id} is deleted.")


@jobs.command("retry")
def retry_job(group: _Group, job_id: _JobId, *, url: _Url = _URL, as_json: _Json = False) -> None:
    """Let a job that gave up try again."""
    _print_answer(_ask(url, "POST", _path(group, job_id, "retry")), _JOB_COLUMNS, as_json=as_json)


@jobs.command("runs")
def list_runs(group: _Group, job_id: _JobId, *, url: _Url = _URL, as_json: _Json = False) -> None:
    """List the runs of a job."""
    _print_answer(_ask(url, "GET", _path(group, job_id, "runs")), _RUN_COLUMNS, as_json=as_json)


@jobs.command("preview")
def preview_job(
    group: _Group,
    job_id: _JobId,
    *,
    number: Annotated[int | None, typer.Option("--next", min=1, help="How many starts to show. [default: 10]")] = None,
    outage_from: Annotated[
        str | None, typer.Option(metavar="TIME", help="Suppose that nothing starts from here")
    ] = None,
    outage_to: Annotated[str | None, typer.Option(metavar="TIME", help="to here.")] = None,
    url: _Url = _URL,
    as_json: _Json = False,
) -> None:
    """Show what a job will do."""
    params = {} if number is None else {"next": str(number)}
    if outage_from is not None:
        params["outageFrom"] = _moment(outage_from, "--outage-from")
    if outage_to is not None:
        params["outageTo"] = _moment(outage_to, "--outage-to")
    _print_preview(_ask(url, "GET", _path(group, job_id, "preview"), params=params), as_json=as_json)


@jobs.command("backfill")
def backfill_job(  # noqa: PLR0913 - each is a flag
    group: _Group,
    job_id: _JobId,
    *,
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="The first fire time to run.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="The last one.")],
    cap: Annotated[int | None, typer.Option(min=1, help="At most this many. [default: 1000]")] = None,
    spacing: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How far apart they start, as in PT30S. [default: PT1S]")
    ] = None,
    url: _Url = _URL,
    as_json: _Json = False,
) -> None:
    """Run a past range of a job's schedule."""
    terms = {"from": begin, "to": end, "cap": cap, "spacing": spacing}
    body = {name: value for name, value in terms.items() if value is not None}
    answer = _ask(url, "POST", _path(group, job_id, "backfill"), body=body)
    if as_json:
        typer.echo(answer.text)
        return
    for facts in _objects(answer):
        left = f" {facts['left']} more are beyond the cap." if facts.get("left") else ""
        typer.echo(f"{facts.get('created')} runs are scheduled.{left}")


# --- calendars --------------------------------------------------------------------------------------------------------

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the calendar.")]


@calendars.command("list")
def list_calendars(*, url: _Url = _URL, as_json: _Json = False) -> None:
    """List the calendars."""
    answer = _ask(url, "GET", _CALENDARS)
    if as_json:
        typer.echo(answer.text)
    else:
        rows = [(name, calendar) for each in _objects(answer) for name, calendar in each.items()]
        _print_table(("name", "calendar"), rows)


@calendars.command("show")
def show_calendar(name: _Name, *, url: _Url = _URL, as_json: _Json = False) -> None:
    """Show a calendar."""
    _print_calendar(_ask(url, "GET", _calendar_path(name)), as_json=as_json)


@calendars.command("put")
def put_calendar(
    name: _Name,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD", help="Members of the calendar: KEY=TEXT or KEY:=JSON."),
    ] = None,
    *,
    data: Annotated[str | None, typer.Option(metavar="JSON", help="The calendar as a JSON object; fields win.")] = None,
    url: _Url = _URL,
    as_json: _Json = False,
) -> None:
    """Write a calendar, in the place of the one before; jobs that keep to it follow."""
    answer = _ask(url, "PUT", _calendar_path(name), body=_request(data, fields or []))
    _print_calendar(answer, as_json=as_json)


@calendars.command("delete")
def delete_calendar(name: _Name, *, url: _Url = _URL) -> None:
    """Delete a calendar that no job keeps to."""
    _ask(url, "DELETE", _calendar_path(name))
    typer.echo(f"Calendar {_plain(name)} is deleted.")


def _calendar_path(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name:
        raise typer.BadParameter(f"{name!r} is not the name of a calendar")
    return f"{_CALENDARS}/{quote(name, safe='', errors='surrogateescape')}"


def _print_calendar(answer: httpx2.Response, *, as_json: bool) -> None:
    if as_json:
        typer.echo(answer.text)
    else:
        _print_table(("member", "value"), [fact for calendar in _objects(answer) for fact in calendar.items()])


# --- what is sent -----------------------------------------------------------------------------------------------------


def _path(group: str, *rest: object) -> str:
    product, _, job_group = group.partition("/")
    segments = (product, job_group)
    if not all(segments) or "/" in job_group or {".", ".."} & {*segments}:
        raise typer.BadParameter(f"{group!r} is not a product and a job group such as vps4/backups")
    owner = "/".join(quote(segment, safe="", errors="surrogateescape") for segment in segments)
    return "/".join([f"/api/schedulers/{owner}/jobs", *map(str, rest)])


def _request(data: str | None, fields: Iterable[str]) -> dict[str, Any]:
    request = {} if data is None else _from_json(data, "--data")
    if not isinstance(request, dict):
        raise typer.BadParameter("must be a JSON object", param_hint="--data")
    for field in fields:
        match = re.fullmatch(r"(.+?)(:?=)(.*)", field, re.DOTALL)
        if not match:
            raise typer.BadParameter(f"{field!r} is neither key=text nor key:=json")
        key, sign, value = match.groups()
        request[key] = value if sign == "=" else _from_json(value, field)
    return request


def _from_json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint=place) from error


def _moment(text: str, flag: str = "--when") -> str:
    """Turn ``+1h30m`` into the moment that far from now; every other text is for the service to judge."""
    if not text.startswith("+"):
        return text
    from mainspring.clock import SystemClock
    from mainspring.schedule import TimeError, format_time, parse_duration

    try:
        return format_time(SystemClock().now() + parse_duration(_iso_duration(text[1:].upper())))
    except TimeError as error:
        raise typer.BadParameter(
            f"{text!r} is not a length of time such as +30s, +5m, +2h or +1d", param_hint=flag
        ) from error


def _iso_duration(text: str) -> str:
    if text.startswith("P"):
        return text
    date = "".join(re.findall(r"\d+[WD]", text))
    time = text.removeprefix(date).removeprefix("T")
    return f"P{date}T{time}" if time else f"P{date}"


def open_client(url: str) -> httpx2.Client:
    """Return a client of the service at `url`. Tests put their own in its place."""
    import httpx2

    return httpx2.Client(base_url=url, timeout=30)


def _ask(url: str, method: str, path: str, *, params: Any = None, body: Any = None) -> httpx2.Response:
    """Ask the service; when it refuses or does not answer, say so on stderr and leave."""
    import httpx2

    content = None if body is None else json.dumps(body)  # ASCII, so that nothing a shell hands over cannot be sent
    try:
        with open_client(url) as client:
            headers = {"Content-Type": "application/json"} if content else {}
            answer = client.request(method, path, params=params, content=content, headers=headers)
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise typer.BadParameter(f"{_masked(url)!r} is not an address such as {_URL}", param_hint="--url") from error
    except httpx2.RequestError as error:
        reason = str(error).rstrip(".") or type(error).__name__
        _complain(f"Mainspring does not answer at {_masked(url)}: {reason}. Is the service running?")
        raise typer.Exit(UNAVAILABLE) from error
    if not answer.is_success:
        _refuse(answer)
    return answer


def _masked(url: str) -> str:
    from mainspring.settings import masked

    return masked(url)


# --- what is answered -------------------------------------------------------------------------------------------------


def _refuse(answer: httpx2.Response) -> NoReturn:
    """Print the problem that the service describes, and leave."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if kind != "application/problem+json":
        _not_mainspring(answer)
    for problem in _objects(answer):
        _complain(f"{problem.get('detail') or problem.get('title')} ({problem.get('id') or answer.status_code})")
        for error in problem.get("errors") or ():
            _complain(f"  {error.get('pointer') or 'the request'} {error.get('code')}: {error.get('detail')}")
        if problem.get("retryable"):
            _complain("The same call may succeed later.")
    raise typer.Exit(REFUSED)


def _not_mainspring(answer: httpx2.Response) -> NoReturn:
    url = _masked(str(answer.url))
    _complain(f"{url} answered {answer.status_code} {answer.reason_phrase}, but not as Mainspring does.")
    raise typer.Exit(REFUSED)


def _objects(answer: httpx2.Response) -> list[dict[str, Any]]:
    """Return the JSON object, or the array of objects, that was answered."""
    try:
        content = answer.json()
    except ValueError:
        _not_mainspring(answer)
    objects = content if isinstance(content, list) else [content]
    if not all(isinstance(item, dict) for item in objects):
        _not_mainspring(answer)
    return objects


def _print_answer(answer: httpx2.Response, columns: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(answer.text)
        return
    items = _objects(answer)
    _print_table(columns, [[item.get(column) for column in columns] for item in items])
    _print_warnings(items)


def _print_warnings(items: Iterable[Mapping[str, Any]]) -> None:
    for warning in (warning for item in items for warning in item.get("warnings") or ()):
        _complain(f"Warning: {warning.get('detail')} ({warning.get('code')})")


def _print_preview(answer: httpx2.Response, *, as_json: bool) -> None:
    """Print a schedule in English, what starts, and what does not."""
    if as_json:
        typer.echo(answer.text)
        return
    for preview in _objects(answer):
        typer.echo(_plain(str(preview.get("schedule"))))
        for member, columns in (("fireTimes", _START_COLUMNS), ("passed", _PASSED_COLUMNS)):
            if rows := preview.get(member):
                typer.echo()
                _print_table(columns, [[row.get(column) for column in columns] for row in rows])
        _print_warnings([preview])


def _facts(job: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in job.items():
        if name == "lastRun" and isinstance(value, dict):
            yield from ((f"lastRun.{part}", fact) for part, fact in value.items())
        else:
            yield name, value


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; where no terminal sets a width, no cell is broken."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 10_000)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return _plain(value)
        case _:
            return _plain(json.dumps(value, ensure_ascii=False))


# --- plugins ----------------------------------------------------------------------------------------------------------

_PLUGIN_COLUMNS = ("product", "jobGroup", "jobClass", "listeners", "plugin")


@plugins.command("list", cls=_SettingsCommand)
@_with_settings("plugins")
def list_plugins(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    **flags: Any,
) -> None:
    """List the job groups and their classes."""
    from mainspring.launch import compose

    registry = compose.load_registry(_settings(flags))
    rows = [
        (*key, _name(binding.job_class), [_name(listener) for listener in binding.listeners], binding.plugin)
        for key, binding in sorted(registry.bindings.items())
    ]
    if as_json:
        typer.echo(json.dumps([dict(zip(_PLUGIN_COLUMNS, row, strict=True)) for row in rows]))
    else:
        _print_table(_PLUGIN_COLUMNS, rows)


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


# --- doctor -----------------------------------------------------------------------------------------------------------


class _Finding(NamedTuple):
    check: str
    verdict: Literal["ok", "wrong"]
    detail: str


@app.command(cls=_SettingsCommand)
@_with_settings("store", "plugins", "host", "port")
def doctor(**flags: Any) -> None:
    """Check that Mainspring can start here.

    Looks at Python, SQLite, the settings, the plugins, the store with its schema, the time zones, and the port.
    """
    findings = list(_findings(flags))
    _print_table(_Finding._fields, findings)
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(1)


def _findings(flags: Mapping[str, Any]) -> Iterator[_Finding]:
    yield _examine("Python", _python)
    yield _examine("SQLite", _sqlite)
    try:
        settings = _settings(flags)
    except ConfigError as error:
        yield _Finding("settings", "wrong", str(error))
        return  # what follows depends on them
    from mainspring.launch import compose

    yield _Finding("settings", "ok", f"store {settings.store_shown}, node {settings.node}")
    yield _examine("plugins", lambda: ", ".join(map(str, compose.load_registry(settings).bindings)) or "no job groups")
    store = _examine("store", lambda: compose.db_check(settings))
    yield store
    if store.verdict == "ok":
        yield _examine("zones", lambda: _zones(settings))
    yield _examine("port", lambda: _free(settings.host, settings.port))


def _examine(name: str, check: Callable[[], str]) -> _Finding:
    try:
        return _Finding(name, "ok", check())
    except MainspringError as error:
        return _Finding(name, "wrong", str(error))


def _python() -> str:
    import platform

    version = platform.python_version()
    if tuple(map(int, version.split(".")[:2])) < OLDEST_PYTHON:
        raise ConfigError(f"{version} is too old: Mainspring needs {_dotted(OLDEST_PYTHON)}")
    return version


def _sqlite() -> str:
    import sqlite3

    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigError(f"{sqlite3.sqlite_version} is too old: Mainspring needs {_dotted(OLDEST_SQLITE)}")
    return sqlite3.sqlite_version


def _zones(settings: Settings) -> str:
    """Say which rules of time zones are in use. Raises `MainspringError` naming the jobs that they would move."""
    from mainspring.launch import compose
    from mainspring.schedule import format_time, zone_rules

    rules = f"tzdata {zone_rules()}"
    try:
        noted, moved = compose.moved_by_zone_rules(settings)
    except ConfigError as error:
        return f"{rules}; jobs were not looked at: {error}"
    if not moved:
        return rules
    since = f" in place of {noted}" if noted else ""
    lines = [f"{rules}{since} moves the next fire time of {len(moved)} jobs when a node starts:"]
    lines += [
        f"{job.key} {job.id}: {format_time(job.fire_time)} to {format_time(to) if to else 'never'}"
        for job, to in moved[:MOST_MOVED]
    ]
    lines += [f"and {len(moved) - MOST_MOVED} more"] if len(moved) > MOST_MOVED else []
    raise MainspringError("\n".join(lines))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _free(host: str, port: int) -> str:
    """Take the address for a moment, as the service would. Raises `PortTakenError`."""
    import socket

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        raise PortTakenError(f"{host} port {port} cannot be listened on: {error.strerror or error}") from error
    return f"{host} port {port} is free"


app.add_typer(db, name="db")
app.add_typer(jobs, name="jobs")
app.add_typer(calendars, name="calendars")
app.add_typer(plugins, name="plugins")
