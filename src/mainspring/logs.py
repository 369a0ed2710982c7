"""The log: structured lines on stderr, and what each event says there.

Its loggers are Mainspring's own. What plugins tell structlog or the standard library holds for the plugins.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, ExcInfo, FilteringBoundLogger, Processor

from mainspring.job import Job, Outcome, Run, events, limits_to_json
from mainspring.problems import kind_of, plain, words_of
from mainspring.schedule import format_time
from mainspring.settings import Settings

TRACEBACK_LENGTH = 16_000
"""How many characters of a traceback are written: what is raised may say megabytes."""
_LIBRARIES = ("asyncio", "asyncpg", "asyncpg.pool", "psycopg", "uvicorn", "uvicorn.error")
"""Whose warnings are ours too."""
_INDENT = "    "
"""Before each line of what stands below a line of the log, so that it does not look like another."""


class _Logger:
    """A logger of Mainspring: structlog's until `configure` is called, and from then on what that made.

    Modules keep it from when they are imported. A logger that structlog keeps for them follows whoever configures it.
    """

    made: FilteringBoundLogger | None = None
    level = logging.NOTSET
    factory: Callable[[], Any]
    processors: Sequence[Processor] = ()

    def __init__(self, name: str) -> None:
        self._name = name

    def bind(self, **facts: object) -> FilteringBoundLogger:
        bound: FilteringBoundLogger = (self.made or structlog.get_logger(self._name)).bind(**facts)
        return bound

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bind(), name)


def logger(name: str) -> FilteringBoundLogger:
    """Return a logger that says what Mainspring says, whatever plugins do to structlog."""
    return cast("FilteringBoundLogger", _Logger(name))


Keep = Callable[[str], None]
kept_by: ContextVar[Keep | None] = ContextVar("kept_by", default=None)
"""What keeps the lines that are logged in a context: those of a run are kept with it."""
KEPT_LEVEL = logging.INFO
"""From which level on lines are kept, also where the log itself begins higher."""


def run_logger(name: str, keep: Keep | None, facts: Mapping[str, object]) -> FilteringBoundLogger:
    """Return a logger of a run: what it says is kept, and goes to the log with the facts of the run."""
    if keep is None:
        return logger(name).bind(**facts)
    config = structlog.get_config()
    level, factory, processors = _Logger.level, config["logger_factory"], config["processors"]
    if _Logger.made is not None:
        factory, processors = _Logger.factory, _Logger.processors
    wrapper: Any = structlog.make_filtering_bound_logger(min(level, KEPT_LEVEL))
    first = [partial(_keep, keep), partial(_for_the_log, level, facts)]
    bound: FilteringBoundLogger = wrapper(factory(), processors=[*first, *processors], context={})
    return bound


def _keep(keep: Keep, _logger: object, method: str, line: EventDict) -> EventDict:
    """Keep a line as text; it goes on as it was."""
    if _level_of(method) >= KEPT_LEVEL:
        with suppress(Exception):  # what cannot be written is only not kept
            kept: Any = dict(line)
            for processor in _KEPT:
                kept = processor(None, method, kept)
            keep(kept)
    return line


def _keep_here(_logger: object, method: str, line: EventDict) -> EventDict:
    """Keep a line that a plugin logs by structlog itself, if it does so in a run."""
    keep = kept_by.get()
    return line if keep is None else _keep(keep, None, method, line)


def _for_the_log(level: int, facts: Mapping[str, object], _logger: object, method: str, line: EventDict) -> EventDict:
    """Let a line go on to the log if it is of a level that the log shows, with the facts of its run."""
    if _level_of(method) < level:
        raise structlog.DropEvent
    return {**facts, **line}


def _level_of(method: str) -> int:
    return logging.getLevelNamesMapping().get(method.upper(), logging.ERROR)  # `exception` is an error


class _Keeper(logging.Handler):
    """Keeps what is logged through the standard library in a run."""

    def emit(self, record: logging.LogRecord) -> None:
        keep = kept_by.get()
        if keep is not None:
            with suppress(Exception):  # a record may not fit its own arguments
                keep(_KEPT_FORM.format(record))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes what libraries log from the level `wanted` on, by `form`, whatever formatter it is given."""

    form = logging.Formatter()
    wanted = logging.WARNING

    def format(self, record: logging.LogRecord) -> str:
        return self.form.format(record)


_handler = _Handler()
_keeper = _Keeper(KEPT_LEVEL)


def without_locals() -> None:
    """Have what is logged where nobody has configured structlog, as in tests, come with plain tracebacks.

    Its own way shows all local variables, in which secrets of a request may stand.
    """
    if not structlog.is_configured():
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])


def configure(settings: Settings) -> None:
    """Set up our loggers, and write what libraries log through the standard library at warning and above.

    Plugins that log by structlog have the same form, unless they choose another.
    """
    stream: Any = _Lossy(_own_stderr())
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not stream.isatty())
    last: list[Processor] = (
        [structlog.processors.JSONRenderer(default=words_of)]
        if as_json
        else [_for_a_terminal, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    processors = [*_SHARED, *last]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    wrapper: Any = structlog.make_filtering_bound_logger(level)
    factory = structlog.PrintLoggerFactory(stream)
    _Logger.made = wrapper(factory(), processors=processors, context={})
    _Logger.level, _Logger.factory, _Logger.processors = level, factory, processors
    structlog.configure(
        processors=[_keep_here, *processors],
        wrapper_class=wrapper,
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    _handler.setStream(stream)
    _handler.form = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    _handler.wanted = max(level, logging.WARNING)
    listen_to_libraries()


def hears_libraries() -> bool:
    """Tell whether errors of libraries are still written: a plugin may have configured logging as it likes."""
    heard = all(logging.getLogger(name).isEnabledFor(logging.ERROR) for name in _LIBRARIES)
    ours = {_handler: _handler.wanted, _keeper: KEPT_LEVEL}
    return heard and all(
        handler in logging.root.handlers and handler.level == level and not handler.filters
        for handler, level in ours.items()
    )


def listen_to_libraries() -> None:
    """Write what libraries log, as `configure` says, and keep what is logged in runs."""
    logging.disable(logging.NOTSET)
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.disabled, library.propagate = False, True
        library.setLevel(logging.NOTSET)
    # It warns, with a traceback, each time that it cannot connect. `StoreFailed` tells of that once.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    logging.root.setLevel(min(_handler.wanted, KEPT_LEVEL))
    for handler, level in ((_handler, _handler.wanted), (_keeper, KEPT_LEVEL)):
        handler.setLevel(level)
        handler.filters.clear()
        if handler not in logging.root.handlers:
            logging.root.addHandler(handler)


def _own_stderr() -> TextIO | None:
    """Return a stream of our own to where stderr leads: plugins may close theirs, or put another in its place."""
    try:
        number = os.dup(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # it is no file
        return sys.stderr
    return os.fdopen(number, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")


def traceback_of(error: BaseException) -> str:
    """Write the traceback of what a plugin raised, from its own code on, in text that can be stored."""
    trace = error.__traceback__
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("mainspring.execution"):
        trace = trace.tb_next
    text = _traceback((type(error), error, trace))
    return text.replace("\0", "\\0").encode(errors="replace").decode()


def _traceback(exc_info: ExcInfo) -> str:
    """Write the traceback of an exception; one that a plugin has made so that it cannot be written is named."""
    try:
        found = traceback.TracebackException(*exc_info, compact=True)
        _shorten(found)
        text = "".join(found.format()).rstrip("\n")
        return (
            text if len(text) <= TRACEBACK_LENGTH else f"{text[:TRACEBACK_LENGTH]}… and {len(text)} characters in all"
        )
    except BaseException:  # noqa: BLE001 - code of a plugin
        return f"a {kind_of(exc_info[1])} that cannot be printed"


def _shorten(found: traceback.TracebackException) -> None:
    """Cut what exceptions say before it is laid out: a message of a million lines took 0.3 s, for all threads."""
    waiting: list[Any] = [found]
    while waiting:
        each = waiting.pop()
        if each is not None:
            each._str = str(each._str)[:TRACEBACK_LENGTH]  # noqa: SLF001 - there is no other way to it
            waiting += [each.__cause__, each.__context__, *(each.exceptions or ())]


def _for_a_terminal(_logger: object, _method: str, line: EventDict) -> EventDict:
    """Let nothing of a line control the terminal, nor look like a line of its own."""
    blocks = {name: line.pop(name) for name in ("stack", "exception") if line.get(name) is not None}
    shown = {plain(name): _shown(value) for name, value in line.items()}
    for name, block in blocks.items():
        shown[name] = "\n".join(_INDENT + plain(text) for text in words_of(block).split("\n"))
    return shown


def _shown(value: object) -> object:
    """Return a value if it looks harmless, else harmless words for it."""
    if isinstance(value, str):
        return plain(value)
    try:
        words = repr(value)
    except BaseException:  # noqa: BLE001 - code of a plugin
        return f"a {kind_of(value)} that has no words"
    return value if words.isprintable() else plain(words)


class _Lossy:
    """A stream, or none. What it does not take is lost: jobs do not fail because the disk behind the log is full."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, if that is possible."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.write(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.flush()

    def close(self) -> None:
        """Close, if that is possible."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.close()

    def isatty(self) -> bool:
        """Tell whether somebody watches."""
        return self._stream is not None and self._stream.isatty()


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.ExceptionRenderer(_traceback),
]
_PLAIN: list[Processor] = [
    _for_a_terminal,
    structlog.dev.ConsoleRenderer(
        pad_event_to=0, pad_level=False, colors=False, exception_formatter=structlog.dev.plain_traceback
    ),
]
_KEPT = [*_SHARED, *_PLAIN]
_KEPT_FORM = structlog.stdlib.ProcessorFormatter(
    foreign_pre_chain=_SHARED, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_PLAIN]
)


def subscribe(to: events.Events, settings: Settings) -> None:
    """Let the log hear of the events that its level shows. What goes well is told at debug: there may be much of it."""
    log = logger("mainspring").bind()
    shown = logging.getLevelNamesMapping()[settings.log_level.upper()]
    for level, kind, text, facts in _LINES:
        if level >= shown:
            to.subscribe(kind, partial(_write, log, level, text, facts))
    if shown <= logging.INFO:
        to.subscribe(events.RunFinished, partial(_finished, log))


def _write(log: Any, level: int, text: str, facts: Callable[[Any], dict[str, Any]], event: events.Event) -> None:
    log.log(level, text, **facts(event))


def _finished(log: Any, event: events.RunFinished) -> None:
    run, next_run = event.run, event.job.next_run
    level = logging.DEBUG if run.outcome is Outcome.SUCCEEDED else logging.INFO
    if log.is_enabled_for(level):
        facts = {"reason": run.reason, "late": run.lateness.total_seconds(), "next": next_run and format_time(next_run)}
        log.log(level, "run finished", **_run(run), **facts)


def _job(job: Job) -> dict[str, Any]:
    return {"job": str(job.series), "group": str(job.key)}


def _run(run: Run) -> dict[str, Any]:
    return {
        "job": str(run.job_id),
        "group": str(run.key),
        "run": run.number,
        "attempt": run.attempt,
        "outcome": run.outcome.value,
    }


_LINES: list[tuple[int, type[Any], str, Callable[[Any], dict[str, Any]]]] = [
    (logging.INFO, events.NodeStarted, "node started", lambda e: {"node": e.node, "groups": " ".join(e.groups)}),
    (
        logging.INFO,
        events.NodeStopping,
        "node stopping",
        lambda e: {"node": e.node, "runs": e.runs, "grace": e.seconds},
    ),
    (
        logging.INFO,
        events.RunsInterrupted,
        "node interrupts its runs",
        lambda e: {"node": e.node, "runs": e.runs, "reason": e.why},
    ),
    (
        logging.WARNING,
        events.RunLeft,
        "run left behind",
        lambda e: {**_job(e.job), "run": e.job.run, "attempt": e.job.attempt, "reason": e.why},
    ),
    (logging.INFO, events.NodeStopped, "node stopped", lambda e: {"node": e.node}),
    (logging.WARNING, events.NodeLost, "node lost", lambda e: {"node": e.node, "evidence": e.evidence}),
    (logging.ERROR, events.NodeBuried, "node taken for dead; it begins a new life", lambda e: {"node": e.node}),
    (
        logging.ERROR,
        events.TurnFailed,
        "turn failed; it is tried again",
        lambda e: {"loop": e.loop, "error": repr(e.error)},
    ),
    (
        logging.ERROR,
        events.StoreFailed,
        "store failed; it is tried again",
        lambda e: {"loops": ", ".join(e.loops), "error": str(e.error), "seconds": round(e.seconds)},
    ),
    (
        logging.WARNING,
        events.StoreRecovered,
        "store works again",
        lambda e: {"loops": ", ".join(e.loops), "seconds": round(e.seconds)},
    ),
    (logging.ERROR, events.PluginFailed, "request model failed", lambda e: {"group": str(e.key), "exc_info": e.error}),
    (logging.DEBUG, events.JobScheduled, "job scheduled", lambda e: {**_job(e.job), "due": format_time(e.job.due_at)}),
    (logging.INFO, events.JobChanged, "job changed", lambda e: {**_job(e.job), "change": e.what}),
    (
        logging.WARNING,
        events.JobPaused,
        "job paused itself",
        lambda e: {**_job(e.job), "reason": e.job.hold and e.job.hold.reason},
    ),
    (
        logging.WARNING,
        events.ScopePaused,
        "paused",
        lambda e: {
            "scope": str(e.pause.scope),
            "reason": e.pause.hold.reason,
            "until": e.pause.until and format_time(e.pause.until),
        },
    ),
    (
        logging.WARNING,
        events.LimitsChanged,
        "limits changed",
        lambda e: {"scope": str(e.scope), "limits": limits_to_json(e.limits)},
    ),
    (logging.WARNING, events.ScopeResumed, "resumed", lambda e: {"scope": str(e.scope)}),
    (logging.INFO, events.JobDeleted, "job deleted", lambda e: _job(e.job)),
    (
        logging.DEBUG,
        events.RunStarted,
        "run started",
        lambda e: {**_job(e.job), "run": e.job.run, "attempt": e.job.attempt},
    ),
    (
        logging.WARNING,
        events.GaveUp,
        "job gave up",
        lambda e: {**_run(e.run), "reason": e.run.reason, "next": e.job.next_run and format_time(e.job.next_run)},
    ),
    (logging.WARNING, events.RunRefused, "result refused", lambda e: _run(e.run)),
    (
        logging.WARNING,
        events.LoopBlocked,
        "a job blocks its event loop",
        lambda e: {
            "job": e.job and str(e.job.series),
            "group": " ".join(map(str, e.groups)),
            "seconds": round(e.seconds, 1),
            "where": e.where,
            "over": e.over,
        },
    ),
    (
        logging.WARNING,
        events.ThreadsStuck,
        "all threads of a job loop are stuck",
        lambda e: {"group": " ".join(map(str, e.groups)), "threads": e.threads, "where": e.where, "over": e.over},
    ),
]
"""What each kind of event says in the log: from which level on, in which words, with which facts."""
