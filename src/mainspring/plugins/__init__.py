"""What authors write, and how it is found, checked and wired."""

from mainspring.plugins.author import (
    Binder,
    Busy,
    Cancel,
    JobExecutionContext,
    Retry,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    Signal,
    Stopping,
    Verdict,
    job_group,
    product,
)
from mainspring.plugins.registry import (
    Binding,
    BoundGroup,
    Registry,
    ServiceScope,
    load,
    raise_together,
)

__all__ = [
    "Binder",
    "Binding",
    "BoundGroup",
    "Busy",
    "Cancel",
    "JobExecutionContext",
    "Registry",
    "Retry",
    "SchedulerJob",
    "SchedulerPluginModule",
    "SchedulerTriggerListener",
    "ServiceScope",
    "Signal",
    "Stopping",
    "Verdict",
    "job_group",
    "load",
    "product",
    "raise_together",
]
