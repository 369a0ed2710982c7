"""The log: structured lines on stderr, and what each event says there."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TextIO

import structlog

from mainspring.job import Job, Outcome, Run, events
from mainspring.schedule import format_time
from mainspring.settings import Settings


def configure(settings: Settings) -> None:
    """Set up structlog, and hand it what libraries log through the standard library at warning and above."""
    stderr: Any = _Lossy(sys.stderr)
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not stderr.isatty())
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback  # the default shows variables, so payloads
        )
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        shared.append(structlog.processors.format_exc_info)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    # It warns, with a traceback, each time that it cannot connect. `StoreFailed` tells of that once.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


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

    def isatty(self) -> bool:
        """Tell whether somebody watches."""
        return self._stream is not None and self._stream.isatty()


def subscribe(to: events.Events, settings: Settings) -> None:
    """Let the log hear of the events that its level shows. What goes well is told at debug: there may be much of it."""
    log = structlog.get_logger("mainspring")
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
]
"""What each kind of event says in the log: from which level on, in which words, with which facts."""
