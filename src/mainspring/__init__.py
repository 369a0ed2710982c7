"""Mainspring: a job scheduler service. This is the surface for plugin authors, and nothing else.

Names are loaded when they are first asked for, so that `import mainspring` (and with it every command) starts fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainspring.clock import Clock
    from mainspring.errors import ConfigError
    from mainspring.model import Backoff, Outcome
    from mainspring.plugin import (
        Binder,
        Busy,
        Cancel,
        JobExecutionContext,
        JobRequest,
        Retry,
        SchedulerJob,
        SchedulerPluginModule,
        SchedulerTriggerListener,
        Verdict,
        job_group,
        product,
    )
    from mainspring.trigger import AnyOf, Cron, Duration, Every, Once, Recurring, RRule, Trigger, When

__all__ = [
    "AnyOf",
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
    "Once",
    "Outcome",
    "RRule",
    "Recurring",
    "Retry",
    "SchedulerJob",
    "SchedulerPluginModule",
    "SchedulerTriggerListener",
    "Trigger",
    "Verdict",
    "When",
    "job_group",
    "product",
]

_ELSEWHERE = {
    "AnyOf": "trigger",
    "Backoff": "model",
    "Clock": "clock",
    "ConfigError": "errors",
    "Cron": "trigger",
    "Duration": "trigger",
    "Every": "trigger",
    "Once": "trigger",
    "Outcome": "model",
    "RRule": "trigger",
    "Recurring": "trigger",
    "Trigger": "trigger",
    "When": "trigger",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'mainspring' has no attribute {name!r}")
    value = getattr(import_module(f"mainspring.{_ELSEWHERE.get(name, 'plugin')}"), name)
    globals()[name] = value
    return value
