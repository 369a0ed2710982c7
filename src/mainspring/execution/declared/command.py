"""The job classes of command jobs: a program out of the settings, and an ending out of how it ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from mainspring import logs
from mainspring.declared import CommandJob, own_fields
from mainspring.execution.declared.program import GRACE_SECONDS, Program, ProgramOverdueError, Programs
from mainspring.job import Ending, JobRequest, Outcome
from mainspring.plugins import JobExecutionContext, Retry, SchedulerJob, Signal
from mainspring.schedule import format_time

PASSED_ON = ("HOME", "LANG", "LANGUAGE", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "TZDIR", "USER")
"""The variables of the service that programs get: what they need to find their files. No secret belongs there."""
SPARE = timedelta(seconds=2 * GRACE_SECONDS)
"""How much later than its own deadline a program is ended from outside."""


class CommandRunJob(SchedulerJob):
    """Runs the program that its group declares."""

    declared: ClassVar[CommandJob]

    request: JobRequest

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    async def execute(self, context: JobExecutionContext) -> Any:
        """Run the program; how it ends decides how the run ends."""
        declared = self.declared
        stdin = None if declared.stdin is None else declared.stdin.encode()
        program = Program(
            declared.command, self._environment(context), declared.working_directory, stdin, declared.memory_limit
        )
        seconds = declared.time_limit.total_seconds()
        try:
            code = await self._programs.run(program, logs.kept_by.get() or _lose, seconds)
        except ProgramOverdueError:
            raise Signal(Ending(Outcome.TIMED_OUT, f"took longer than its limit of {seconds:g} s")) from None
        except OSError as error:
            reason = f"the program {declared.command[0]} cannot be started: {error.strerror}"
            raise Retry(reason=reason) from None
        if code < 0:
            raise Retry(reason=f"killed by signal {-code} ({_name_of(-code)})")
        if code not in declared.success:
            raise Retry(reason=f"exit code {code}")
        return {"exitCode": code}

    def _environment(self, context: JobExecutionContext) -> Mapping[str, str]:
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            **self.declared.environment,
            "MAINSPRING_REQUEST": json.dumps(own_fields(self.request)),
            "MAINSPRING_JOB_ID": str(context.job_id),
            "MAINSPRING_RUN": str(context.run),
            "MAINSPRING_OCCURRENCE_ID": str(context.occurrence_id),
            "MAINSPRING_ATTEMPT": str(context.attempt),
            "MAINSPRING_SCHEDULED_FIRE_TIME": format_time(context.scheduled_fire_time),
        }


def command_job_class(declared: CommandJob) -> type[SchedulerJob]:
    """Make the job class of a group of command jobs."""
    attributes = {
        "__doc__": f"Runs {declared.command[0]}.",
        "product": declared.product,
        "job_group": declared.job_group,
        "declared": declared,
        "Request": declared.request_model(),
        "timeout": declared.time_limit + SPARE,
        "max_attempts": declared.max_attempts,
        "isolation": "process",
    }
    return type("CommandRunJob", (CommandRunJob,), attributes)


def _lose(_line: str) -> None:
    """Take a line that nobody keeps."""


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
