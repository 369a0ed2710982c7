"""Mainspring: a job scheduler service. This is the surface for plugin authors, and nothing else."""

from mainspring.model import Outcome
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
from mainspring.trigger import Every, Once, Trigger

__all__ = [
    "Binder",
    "Busy",
    "Cancel",
    "Every",
    "JobExecutionContext",
    "JobRequest",
    "Once",
    "Outcome",
    "Retry",
    "SchedulerJob",
    "SchedulerPluginModule",
    "SchedulerTriggerListener",
    "Trigger",
    "Verdict",
    "job_group",
    "product",
]
