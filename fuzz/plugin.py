"""What is fuzzed besides the example plugin: a job group for each way in which a request can be right or wrong."""

from __future__ import annotations

from mainspring import Binder, SchedulerPluginModule
from tests.web.plugin import BuggyJob, LeftJob, NoteJob, OrderJob, RightJob


class Module(SchedulerPluginModule):
    """Binds them all."""

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`."""
        for job_class in (BuggyJob, LeftJob, NoteJob, OrderJob, RightJob):
            binder.bind_job(job_class)


NAME = f"{__name__}:{Module.__name__}"
"""What ``--plugin`` is given."""
