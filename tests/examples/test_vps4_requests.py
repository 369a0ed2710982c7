from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from mainspring_vps4.jobs import (
    Vps4BackupJob,
    Vps4CancelAccountJob,
    Vps4DestroyVmJob,
    Vps4PatchJob,
    Vps4RemoveSupportUserJob,
    Vps4SupportUserJob,
    Vps4ZombieCleanupJob,
)

from mainspring import JobRequest, SchedulerJob
from mainspring.errors import InvalidRequestError
from mainspring.job import read

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
VM = "79bfd10c-1529-42de-bd68-1a6e084ee13d"
WHEN = "2026-01-02T12:00:00Z"


def problems_of(model: type[JobRequest], body: dict[str, Any]) -> list[tuple[str, str]]:
    """Answer where a body is wrong and by which rule."""
    with pytest.raises(InvalidRequestError) as refusal:
        read(model, body, now=NOON)
    return [(problem.pointer, problem.code) for problem in refusal.value.problems]


def test_backup_request_takes_all_its_fields() -> None:
    """The names on the wire are those that clients send."""
    body = {
        "vmId": VM,
        "when": WHEN,
        "dataCenter": "ams3",
        "backupName": "nightly",
        "shopperId": "4711",
        "scheduledJobType": "BACKUPS_AUTOMATIC",
    }
    request = read(Vps4BackupJob.Request, body, now=NOON).request
    expected = {
        "vm_id": UUID(VM),
        "data_center": "ams3",
        "backup_name": "nightly",
        "shopper_id": "4711",
        "scheduled_job_type": "BACKUPS_AUTOMATIC",
    }
    assert expected == request.model_dump(include=set(expected))


@pytest.mark.parametrize(
    "job_class",
    [
        Vps4BackupJob,
        Vps4ZombieCleanupJob,
        Vps4PatchJob,
        Vps4CancelAccountJob,
        Vps4DestroyVmJob,
        Vps4RemoveSupportUserJob,
    ],
)
def test_vm_is_all_that_most_jobs_need(job_class: type[SchedulerJob]) -> None:
    """The request of the seed, a VM and a time, is a whole request."""
    request = read(job_class.Request, {"vmId": VM, "when": WHEN}, now=NOON).request
    assert {"vm_id": UUID(VM)} == request.model_dump(include={"vm_id"})


def test_all_faults_of_a_backup_request_are_told_at_once() -> None:
    """Whoever mends a request wants to mend it once."""
    body = {"vmId": "vm-1", "when": "tomorrow", "backupName": "  ", "shopperId": "4" * 65, "size": 3}
    expected = {
        ("/vmId", "UUID_PARSING"),
        ("/when", "WHEN_FORMAT"),
        ("/backupName", "STRING_TOO_SHORT"),
        ("/shopperId", "STRING_TOO_LONG"),
        ("/size", "UNKNOWN_FIELD"),
    }
    assert expected == set(problems_of(Vps4BackupJob.Request, body))


def test_vm_is_required() -> None:
    """No job is about no VM."""
    assert problems_of(Vps4ZombieCleanupJob.Request, {"when": WHEN}) == [("/vmId", "REQD_FIELD_MISSING")]


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "x" * 33])
@pytest.mark.parametrize(
    ("model", "field"),
    [(Vps4SupportUserJob.Request, "supportUserName"), (Vps4RemoveSupportUserJob.Request, "username")],
)
def test_support_user_name_must_be_one(model: type[JobRequest], field: str, name: str) -> None:
    """The name becomes part of a path, so what is no user name goes no further."""
    body = {"vmId": VM, "when": WHEN, field: name}
    assert [pointer for pointer, _ in problems_of(model, body)] == [f"/{field}"]
