"""The log: structured lines on stderr, and what each event says there."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import structlog

from mainspring import events
from mainspring.settings import Settings
from mainspring.trigger import format_time


def configure(settings: Settings) -> None:
    """Set up structlog, and hand it what libraries log through the standard library at warning and above."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


def subscriber() -> Callable[[events.Event], None]:  # noqa: C901 - one clause an event
    """Return a subscriber that writes events to the log."""
    log = structlog.get_logger("mainspring")

    def write(event: events.Event) -> None:  # noqa: C901 - one clause an event
        match event:
            case events.NodeStarted(node, groups):
                log.info("node started", node=node, groups=" ".join(groups) or "none")
            case events.NodeStopped(node):
                log.info("node stopped", node=node)
            case events.NodeLost(node):
                log.warning("node lost", node=node)
            case events.NodeBuried(node):
                log.error("this node was taken for dead; it begins a new life", node=node)
            case events.TurnFailed(loop, error):
                log.error("a turn failed and is tried again", loop=loop, error=f"{type(error).__name__}: {error}")
            case events.PluginFailed(key, error):
                log.error("a request model failed", group=str(key), exc_info=error)
            case events.JobScheduled(job):
                log.info("job scheduled", job=str(job.id), group=str(job.key), due=format_time(job.due_at))
            case events.JobChanged(job, what):
                log.info("job changed", job=str(job.id), group=str(job.key), change=what)
            case events.JobDeleted(job):
                log.info("job deleted", job=str(job.id), group=str(job.key))
            case events.RunStarted(job):
                log.debug("run started", job=str(job.id), group=str(job.key), run=job.run, attempt=job.attempt)
            case events.RunFinished(run, job):
                log.info(
                    "run finished",
                    job=str(run.job_id),
                    group=str(run.key),
                    run=run.number,
                    attempt=run.attempt,
                    outcome=run.outcome.value,
                    reason=run.reason,
                    late=run.lateness.total_seconds(),
                    next=None if job.next_run is None else format_time(job.next_run),
                )
            case events.RunRefused(run):
                log.warning(
                    "result refused", job=str(run.job_id), group=str(run.key), run=run.number, outcome=run.outcome.value
                )

    return write
