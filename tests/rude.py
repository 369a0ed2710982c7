"""A plugin whose module changes the process when it is imported, and whose services cannot be cleaned up."""

import asyncio
import logging.config
import os
import signal
import sys
import warnings
from typing import NoReturn

import structlog

from mainspring import Binder, JobExecutionContext, SchedulerJob, SchedulerPluginModule, job_group, product
from tests.rogues import drop

structlog.configure(processors=[drop])
logging.config.dictConfig({"version": 1})
logging.disable(logging.CRITICAL)
warnings.simplefilter("error")
sys.setswitchinterval(10)
os.umask(0)
os.chdir("/")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)


class Doom(BaseException):
    """Not even an `Exception`."""


class Cancelled:
    """A service."""

    async def aclose(self) -> NoReturn:
        raise asyncio.CancelledError


class Exited:
    """Another service."""

    def close(self) -> NoReturn:
        sys.exit(3)


class Doomed:
    """The last service."""

    def close(self) -> NoReturn:
        raise Doom


@product("rude")
@job_group("jobs")
class RudeJob(SchedulerJob):
    """Does nothing."""

    async def execute(self, context: JobExecutionContext) -> None: ...


class RudeModule(SchedulerPluginModule):
    """Binds them all."""

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`."""
        binder.bind_job(RudeJob)
        for service in (Cancelled, Exited, Doomed):
            binder.bind_service(service)
