"""The plugin that benchmarks run: a job that does nothing, behind a trigger listener that lets it through."""

from mainspring import (
    Binder,
    JobExecutionContext,
    JobRequest,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    Trigger,
    job_group,
    product,
)


@product("bench")
@job_group("noop")
class NoopJob(SchedulerJob):
    """Does nothing."""

    class Request(JobRequest):
        """A small request, as products send them."""

        a: int
        b: str

    async def execute(self, context: JobExecutionContext) -> None:
        """Return."""


@product("bench")
@job_group("noop")
class NoopListener(SchedulerTriggerListener):
    """Lets everything through."""

    async def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> bool:  # noqa: ARG002
        """Return that nothing speaks against the run."""
        return False


class NoopModule(SchedulerPluginModule):
    """Binds both."""

    def configure(self, binder: Binder) -> None:
        """Bind."""
        binder.bind_job(NoopJob)
        binder.bind_trigger_listener(NoopListener)
