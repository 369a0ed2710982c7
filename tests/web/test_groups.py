"""GET of the base path: which products and job groups there are, and what is in them."""

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import JobKey, Outcome
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at
from tests.web.conftest import Jobs, some_jobs
from tests.web.plugin import BACKUPS, LEFT

NONE = {"scheduled": 0, "running": 0, "paused": 0, "done": 0, "gaveUp": 0}


@pytest.mark.parametrize("base", ["/api/scheduler", "/api/schedulers"])
async def test_all_groups_are_listed_by_name(client: httpx2.AsyncClient, base: str) -> None:
    """Also those without jobs."""
    answer = await client.get(base)

    groups = answer.json()
    assert answer.status_code == 200
    assert groups[0] == {
        "product": "a",
        "jobGroup": "b-c",
        "registered": True,
        "counts": NONE,
        "jobs": "/api/schedulers/a/b-c/jobs",
        "isPaused": False,
        "pausedBy": [],
    }
    names = [(group["product"], group["jobGroup"]) for group in groups]
    assert names == [
        ("a", "b-c"),
        ("a-b", "c"),
        ("shop", "buggy"),
        ("shop", "notes"),
        ("shop", "orders"),
        ("vps4", "backups"),
    ]


async def test_jobs_are_counted_by_state(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """For each group its own."""
    await jobs.ended(BACKUPS, Outcome.SUCCEEDED)
    await jobs.ended(BACKUPS, Outcome.FAILED)
    await jobs.running(BACKUPS)
    await client.post(at(BACKUPS, await jobs.create(BACKUPS), "pause"))
    await jobs.create(LEFT)

    counts = {group["jobs"]: group["counts"] for group in (await client.get("/api/schedulers")).json()}

    assert counts[at(BACKUPS)] == {"scheduled": 0, "running": 1, "paused": 1, "done": 2, "gaveUp": 1}
    assert counts[at(LEFT)] == NONE | {"scheduled": 1}
    assert counts["/api/schedulers/a/b-c/jobs"] == NONE


async def test_group_whose_plugin_is_gone_is_listed(
    client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock
) -> None:
    """Its jobs wait, and whoever looks should see that nobody here can run them."""
    gone = JobKey("vps4", "patching")
    await store.add(some_jobs(gone, 1, clock))

    groups = {group["jobs"]: group for group in (await client.get("/api/schedulers")).json()}

    assert (False, 1) == (groups[at(gone)]["registered"], groups[at(gone)]["counts"]["scheduled"])
