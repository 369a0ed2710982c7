"""What the tests of the plugin vps4 share."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from mainspring import JobExecutionContext, JobRequest, Once
from mainspring.job import Job, JobKey

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def a_context() -> Callable[[JobRequest], JobExecutionContext]:
    """Make what a job or a listener is told about its first run."""

    def make(request: JobRequest) -> JobExecutionContext:
        job = Job(UUID(int=1), JobKey("vps4", "backups"), {}, Once(NOON), NOON, NOON, NOON, NOON, attempt=1, run=1)
        return JobExecutionContext(job, request, NOON)

    return make
