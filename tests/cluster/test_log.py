"""What an operator reads of a whole process: an outage, a stop, jobs that gave up."""

import asyncio
import signal
from pathlib import Path
from uuid import UUID

import pytest

from mainspring.clock import SystemClock
from mainspring.job import Events, JobKey
from mainspring.launch.compose import load_registry
from mainspring.schedule import format_time
from mainspring.service import SchedulerService
from mainspring.settings import Settings
from mainspring.store import Notes
from mainspring.store.postgres.schema import rebuild_schema
from mainspring.store.sqlite.store import SqliteStore
from tests.cluster.process import Process
from tests.postgres import PostgresServer

ROGUES = ("tests.rogues:RogueModule", "tests.rogues:WildModule")


def now() -> str:
    """Return a `when` that is due."""
    return format_time(SystemClock().now())


def test_outage_of_the_store_is_a_line_at_each_end(tmp_path: Path) -> None:
    """And nothing else, whatever the driver has to say; only calls that are refused have their own lines."""
    with PostgresServer() as server:
        url = server.create_database("jobs")
        rebuild_schema(url)
        with Process.serve(url, tmp_path) as service:
            server.stop()
            service.wait_for("store failed; it is tried again", level="error", seconds=0)
            while "claims" not in service.readiness():
                pass  # it says so when they have failed for three seconds
            server.start()
            end = service.wait_for("store works again", level="warning")
            assert end["seconds"] >= 3
            assert {"claim", "beat"} <= set(end["loops"].split(", "))
            service.signal(signal.SIGTERM)
            service.wait_for("node stopped")
            loud = [line["event"] for line in service.said if line.get("level") not in {"debug", "info"}]
            assert ["store failed; it is tried again", "store works again"] == [
                event for event in loud if event != "request refused"
            ]


@pytest.mark.parametrize(
    ("grace", "signals", "reason"),
    [("PT1S", 1, "the grace period is over"), ("PT1H", 2, "it was told to stop again")],
    ids=["grace", "again"],
)
def test_stop_says_what_is_waited_for(tmp_path: Path, grace: str, signals: int, reason: str) -> None:
    """How many runs, how long, and when that is over and why."""
    with Process.serve("memory:", tmp_path, "--grace", grace) as service:
        job = service.create(when=now(), path=str(tmp_path / "record.txt"), hold=True)
        service.wait_for("run started", job=job)
        service.signal(signal.SIGTERM)
        service.wait_for("node stopping", level="info", runs=1, grace={"PT1S": 1.0, "PT1H": 3600.0}[grace])
        for _ in range(signals - 1):
            service.signal(signal.SIGTERM)
        service.wait_for("node interrupts its runs", runs=1, reason=reason)
        service.wait_for("run finished", job=job, outcome="interrupted")
        service.wait_for("node stopped")
        assert 0 == service.wait()


async def _create(store_path: Path, group: str, deed: str) -> UUID:
    clock = SystemClock()
    store = SqliteStore(store_path, clock)
    await store.open()
    service = SchedulerService(
        store=store,
        notes=Notes(store, clock),
        registry=load_registry(Settings(plugins=ROGUES)),
        clock=clock,
        events=Events(),
    )
    body = {"when": now(), "deed": deed, "options": {"maxAttempts": 2, "backoff": "PT1S", "timeout": "PT2S"}}
    job = await service.create_job(JobKey("zoo", group), body)
    await store.close()
    return job.id


@pytest.mark.parametrize(
    ("group", "deed", "outcome", "reason"),
    [
        ("async", "loops", "timed_out", "took longer than its limit of 2 s"),
        ("async", "kills_itself", "failed", "the worker process was killed by signal 9"),
        ("threads", "sleeps", "timed_out", "took longer than its limit of 2 s"),
    ],
)
def test_job_that_gave_up_is_a_warning(tmp_path: Path, group: str, deed: str, outcome: str, reason: str) -> None:
    """After the last attempt, also where no code of the job raised anything."""
    store = tmp_path / "jobs.db"
    job = str(asyncio.run(_create(store, group, deed)))
    flags = (
        "--store",
        f"sqlite:///{store}",
        *(f"--plugin={name}" for name in ROGUES),
        "--log-format",
        "json",
        "--log-level",
        "warning",
    )
    with Process("node", *flags, cwd=tmp_path) as node:
        line = node.wait_for("job gave up", level="warning", job=job, group=f"zoo/{group}", outcome=outcome)
        assert reason in line["reason"]
        assert line["next"] is None
        node.signal(signal.SIGTERM)
        assert 0 == node.wait()
    assert [] == [line for line in node.said if line["level"] in {"debug", "info"}]
