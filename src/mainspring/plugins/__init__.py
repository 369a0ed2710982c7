"""What authors write, and how it is found, checked and wired."""

from mainspring.plugins.author import (
    Binder,
    Busy,
    Cancel,
    Retry,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    Signal,
    Verdict,
    job_group,
    product,
)
from mainspring.plugins.context import (
    JobExecutionContext,
    Stopping,
)
from mainspring.plugins.discovery import (
    build,
    load,
)
from mainspring.plugins.registry import (
    Binding,
    BoundGroup,
    Registry,
)
from mainspring.plugins.report import (
    raise_together,
)
from mainspring.plugins.scheduler import (
    Answer,
    Call,
    Calls,
    NoCalls,
    Scheduler,
    ask,
    read_error,
    under_way,
    write_error,
)
from mainspring.plugins.services import (
    ServiceScope,
)

__all__ = [
    "Answer",
    "Binder",
    "Binding",
    "BoundGroup",
    "Busy",
    "Call",
    "Calls",
    "Cancel",
    "JobExecutionContext",
    "NoCalls",
    "Registry",
    "Retry",
    "Scheduler",
    "SchedulerJob",
    "SchedulerPluginModule",
    "SchedulerTriggerListener",
    "ServiceScope",
    "Signal",
    "Stopping",
    "Verdict",
    "ask",
    "build",
    "job_group",
    "load",
    "product",
    "raise_together",
    "read_error",
    "under_way",
    "write_error",
]
