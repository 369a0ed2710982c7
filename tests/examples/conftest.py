"""What the tests of the plugin vps4 share."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from mainspring import JobExecutionContext, JobRequest, Once

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def a_context() -> Callable[[JobRequest], JobExecutionContext]:
    """Make what a job or a listener is told about its first run."""

    def make(request: JobRequest) -> JobExecutionContext:
        return JobExecutionContext(
            job_id=UUID(int=1),
            product="vps4",
            job_group="backups",
            request=request,
            scheduled_fire_time=NOON,
            fire_time=NOON,
            attempt=1,
            run=1,
            occurrence_id=UUID(int=2),
            trigger=Once(NOON),
        )

    return make
