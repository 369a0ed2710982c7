"""Mainspring: a job scheduler service. This is the surface for plugin authors, and for programs that enqueue jobs.

Names are loaded when they are first asked for, so that `import mainspring` (and with it every command) starts fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainspring.clock import Clock
    from mainspring.enqueueing import enqueue, enqueue_many
    from mainspring.errors import ConfigError
    from mainspring.job import Backoff, Limit, Outcome, Quota, Rate
    from mainspring.plugins.author import (
        Binder,
        Busy,
        Cancel,
        JobRequest,
        Retry,
        SchedulerJob,
        SchedulerPluginModule,
        SchedulerTriggerListener,
        Verdict,
        job_group,
        product,
    )
    from mainspring.plugins.context import JobExecutionContext
    from mainspring.plugins.scheduler import Scheduler
    from mainspring.schedule import AnyOf, At, Cron, Duration, Every, Once, Recurring, RRule, Trigger, When

__all__ = [
    "AnyOf",
    "At",
    "Backoff",
    "Binder",
    "Busy",
    "Cancel",
    "Clock",
    "ConfigError",
    "Cron",
    "Duration",
    "Every",
    "JobExecutionContext",
    "JobRequest",
    "Limit",
    "Once",
    "Outcome",
    "Quota",
    "RRule",
    "Rate",
    "Recurring",
    "Retry",
    "Scheduler",
    "SchedulerJob",
    "SchedulerPluginModule",
    "SchedulerTriggerListener",
    "Trigger",
    "Verdict",
    "When",
    "enqueue",
    "enqueue_many",
    "job_group",
    "product",
]

_ROOMS = {
    "Backoff": "job",
    "JobRequest": "job",
    "Limit": "job",
    "Quota": "job",
    "Rate": "job",
    "Clock": "clock",
    "ConfigError": "errors",
    "Outcome": "job",
    "enqueue": "enqueueing",
    "enqueue_many": "enqueueing",
}
_SCHEDULE = frozenset({"AnyOf", "At", "Cron", "Duration", "Every", "Once", "RRule", "Recurring", "Trigger", "When"})


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'mainspring' has no attribute {name!r}")
    value = getattr(
        import_module(f"mainspring.{_ROOMS.get(name, 'schedule' if name in _SCHEDULE else 'plugins')}"), name
    )
    globals()[name] = value
    return value
