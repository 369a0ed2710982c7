"""Whole processes: killed, restarted, side by side on one database."""

import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from mainspring.clock import SystemClock
from mainspring.schedule import format_time
from mainspring.store.postgres.schema import rebuild_schema
from tests.cluster.process import Process
from tests.postgres import PostgresServer, temporary_database


def soon(seconds: float) -> str:
    """Return a `when` that lies that far ahead."""
    return format_time(SystemClock().now() + timedelta(seconds=seconds))


def lines(record: Path, what: str) -> list[list[str]]:
    """Return what jobs recorded: (job, attempt, run, pid) of each start or end."""
    return [words[1:] for line in record.read_text().splitlines() if (words := line.split())[0] == what]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Where jobs record what they do, outside the store."""
    return tmp_path / "record.txt"


def test_a_job_survives_kill_9_right_after_its_201(tmp_path: Path, record: Path) -> None:
    """What was answered 201 is there after SIGKILL, and runs once."""
    store = f"sqlite:///{tmp_path}/jobs.db"
    with Process.serve(store, tmp_path) as service:
        job = service.create(when=soon(1), path=str(record))
        service.kill()
    with Process.serve(store, tmp_path) as service:
        service.wait_for("run finished", job=job, outcome="succeeded")
        assert "done" == service.get(f"/{job}")["state"]
        service.signal(signal.SIGTERM)
        assert 0 == service.wait()
    assert [[job, "1"]] == [words[:2] for words in lines(record, "start")]


def test_a_job_whose_process_was_killed_runs_again(tmp_path: Path, record: Path) -> None:
    """A run cut off by SIGKILL is lost in history, and the job runs again when the service is back."""
    store = f"sqlite:///{tmp_path}/jobs.db"
    with Process.serve(store, tmp_path) as service:
        job = service.create(when=soon(0), path=str(record), hold=True)
        service.wait_for("run started", job=job)
        service.kill()
    with Process.serve(store, tmp_path) as service:
        service.wait_for("run finished", job=job, outcome="succeeded")
        assert ["succeeded", "lost"] == [run["outcome"] for run in service.get(f"/{job}/runs")]
    assert [[job, "2"]] == [words[:2] for words in lines(record, "end")]


def test_two_nodes_on_one_database_run_each_job_once(tmp_path: Path, record: Path, postgres: PostgresServer) -> None:
    """Jobs due together are shared by the nodes; none runs twice, none is left."""
    with temporary_database(postgres.url()) as url:
        rebuild_schema(url)
        with Process.serve(url, tmp_path, "--slots", "5") as one, Process.node(url, tmp_path, "--slots", "5") as two:
            due = soon(2)
            jobs = [one.create(when=due, path=str(record), seconds=0.2) for _ in range(100)]
            while one.get("?limit=1"):
                pass
            one.signal(signal.SIGTERM)
            two.signal(signal.SIGTERM)
            assert [0, 0] == [one.wait(), two.wait()]
        assert Counter(jobs) == Counter(job for job, *_ in lines(record, "start"))
        assert 2 == len({pid for *_, pid in lines(record, "end")})


def test_a_node_that_dies_loses_its_job_to_another(tmp_path: Path, record: Path, postgres: PostgresServer) -> None:
    """After SIGKILL of the node that runs it, the job runs again on another one when the lease is over."""
    with temporary_database(postgres.url()) as url:
        rebuild_schema(url)
        with Process.serve(url, tmp_path, "--lease", "PT2S") as doomed:
            job = doomed.create(when=soon(0), path=str(record), hold=True)
            doomed.wait_for("run started", job=job)
            with Process.serve(url, tmp_path, "--lease", "PT2S") as heir:
                doomed.kill()
                heir.wait_for("node lost")
                heir.wait_for("run finished", job=job, outcome="succeeded")
                assert ["succeeded", "lost"] == [run["outcome"] for run in heir.get(f"/{job}/runs")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    """The service leaves with 0 and says that its node stopped."""
    with Process.serve("memory:", tmp_path) as service:
        service.signal(number)
        service.wait_for("node stopped")
        assert 0 == service.wait()
