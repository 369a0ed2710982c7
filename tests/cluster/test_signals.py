"""Stores that go silent, and signals: every wait has an end, and a process stops when it is told to, whenever."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainspring.store.postgres.schema import upgrade_schema
from tests.cluster.process import Process
from tests.cluster.test_startup import EX_UNAVAILABLE, mainspring, refused
from tests.postgres import PostgresServer, temporary_database
from tests.silent import silent

SERVE = ("serve", "--port", "0", "--log-format", "json")
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database with the schema."""
    with temporary_database(postgres.url()) as url:
        upgrade_schema(url)
        yield url


# --- every wait has an end


COMMANDS = ["serve --port 0", "node", "db check", "db upgrade", "db rebuild --yes"]
SILENCES = [(moment, command) for moment in ("at once", "after the log-in") for command in COMMANDS]
SILENCES += [("after the check", command) for command in ("serve --port 0", "node")]


@pytest.mark.parametrize(("moment", "command"), SILENCES)
def test_silent_server_holds_up_nobody(tmp_path: Path, database: str, moment: str, command: str) -> None:
    """Each command gives up by itself and says why, at whatever moment the server falls silent."""
    with silent(database, talks=moment == "after the check", welcomes=moment != "at once") as server:
        ended = mainspring(*command.split(), "--store", server.url, cwd=tmp_path)

    refused(ended, EX_UNAVAILABLE, "did not answer in time")


@pytest.mark.parametrize("welcomes", [False, True])
def test_doctor_waits_for_no_silent_server(tmp_path: Path, database: str, welcomes: bool) -> None:  # noqa: FBT001
    """It names the row, and goes on with the others."""
    with silent(database, welcomes=welcomes) as server:
        ended = mainspring("doctor", "--store", server.url, "--port", "0", cwd=tmp_path)

    assert ended.returncode == 1, ended
    assert "did not answer in time" in ended.stdout
    assert "port" in ended.stdout


def test_server_that_falls_silent_during_an_upgrade(tmp_path: Path, postgres: PostgresServer) -> None:
    """What may take long has no limit as long as the server answers others, and ends when it does not."""
    with temporary_database(postgres.url()) as url, silent(url, talks=1) as server:  # the look before
        refused(mainspring("db", "upgrade", "--store", server.url, cwd=tmp_path), EX_UNAVAILABLE, "stopped answering")


# --- signals

HANGING = """
import sys, threading
from mainspring import Binder, SchedulerPluginModule
{}
class Hanging(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        {}
"""
HANG = "print('hanging', file=sys.stderr, flush=True); threading.Event().wait()"
SERVICES = """
import asyncio, sys
from collections.abc import AsyncIterator
from mainspring import Binder, JobExecutionContext, SchedulerJob, SchedulerPluginModule, job_group, product
class Service:
    pass
async def build() -> AsyncIterator[Service]:
    print('hanging', file=sys.stderr, flush=True)
    await asyncio.Event().wait()
    yield Service()
@product("test")
@job_group("hanging")
class Job(SchedulerJob):
    def __init__(self, service: Service) -> None:
        self.service = service
    async def execute(self, context: JobExecutionContext) -> None:
        pass
class Hanging(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        binder.bind_service(build)
        binder.bind_job(Job)
"""
STARTS = {
    "while a plugin is imported": HANGING.format(HANG, "pass"),
    "while a plugin binds": HANGING.format("", HANG),
    "while services are built": SERVICES,
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("moment", STARTS)
def test_signal_stops_a_service_that_starts(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    """It need not be up to be stopped, and that is no failure."""
    (tmp_path / "hanging.py").write_text(STARTS[moment])
    with Process(*SERVE, "--store", "memory:", "--plugin", "hanging:Hanging", cwd=tmp_path) as service:
        service.wait_for("hanging")
        service.signal(number)
        assert service.wait() == 0


@pytest.mark.parametrize("talks", [0, 1])
def test_signal_stops_a_service_whose_store_is_silent(tmp_path: Path, database: str, talks: int) -> None:
    """It does not wait until the store is given up."""
    with silent(database, talks) as server, Process(*SERVE, "--store", server.url, cwd=tmp_path) as service:
        assert server.met.wait(60)
        service.signal(signal.SIGTERM)
        assert service.wait() == 0


@pytest.mark.parametrize(("ignored", "number"), [("HUP", signal.SIGHUP), ("INT", signal.SIGINT)])
def test_signal_that_was_ignored_at_the_start_stays_ignored(
    tmp_path: Path, ignored: str, number: signal.Signals
) -> None:
    """As nohup wants it, and a shell for what it starts in the background."""
    under = ("sh", "-c", f'trap "" {ignored}; exec "$@"', "sh")
    with Process(*SERVE, "--store", "memory:", cwd=tmp_path, under=under) as service:
        service.url = service.wait_for("serving")["url"]
        service.wait_for("node started")
        service.signal(number)
        assert all(service.ready() == 200 for _ in range(100))
        service.signal(signal.SIGTERM)
        assert service.wait() == 0


# --- process 1

ORPHANS = """
import subprocess
from mainspring import Binder, JobExecutionContext, SchedulerJob, SchedulerPluginModule, job_group, product
@product("test")
@job_group("records")
class Job(SchedulerJob):
    def execute(self, context: JobExecutionContext) -> None:
        subprocess.run(["sh", "-c", "true & true & true &"], check=True)
        assert subprocess.run(["sh", "-c", "exit 3"], check=False).returncode == 3
class Orphans(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        binder.bind_job(Job)
"""


@pytest.fixture
def namespace() -> tuple[str, ...]:
    """A command under which a process is process 1."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no PID namespace can be made here: unshare needs root")
    return NAMESPACE


def children(pid: int) -> list[int]:
    """Return the children of a process, those that nobody has reaped too."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_process_one_reaps_what_is_left_to_it(tmp_path: Path, namespace: tuple[str, ...]) -> None:
    """Orphans of jobs do not stay as zombies, and no job misses a child of its own."""
    (tmp_path / "orphans.py").write_text(ORPHANS)
    flags = ("--store", "memory:", "--plugin", "orphans:Orphans", "--log-level", "debug")
    with Process(*SERVE, *flags, cwd=tmp_path, under=namespace) as service:
        service.url = service.wait_for("serving")["url"]
        service.wait_for("node started")
        for _ in range(3):
            service.create(when="2001-01-01T00:00:00Z")
        for _ in range(3):
            service.wait_for("run finished", outcome="succeeded")
        [first] = children(service.pid)
        assert any(len(children(first)) == 1 for _ in range(100_000))
        os.kill(first, signal.SIGTERM)
        assert service.wait() == 0


def test_process_one_ends_as_its_service_does(tmp_path: Path, namespace: tuple[str, ...]) -> None:
    """A killed service is no success, nor one that cannot start."""
    with Process(*SERVE, "--store", "memory:", cwd=tmp_path, under=namespace) as service:
        service.wait_for("node started")
        [first] = children(service.pid)
        [itself] = children(first)
        os.kill(itself, signal.SIGKILL)
        assert service.wait() == 128 + signal.SIGKILL
    with Process(*SERVE, "--store", "nonsense", cwd=tmp_path, under=namespace) as service:
        assert service.wait() == 78


def test_process_one_is_stopped_while_it_starts(tmp_path: Path, namespace: tuple[str, ...]) -> None:
    """The kernel would ignore a signal that process 1 has no handler for."""
    (tmp_path / "hanging.py").write_text(HANGING.format(HANG, "pass"))
    flags = ("--store", "memory:", "--plugin", "hanging:Hanging")
    with Process(*SERVE, *flags, cwd=tmp_path, under=namespace) as service:
        service.wait_for("hanging")
        [first] = children(service.pid)
        os.kill(first, signal.SIGTERM)
        assert service.wait() == 0
