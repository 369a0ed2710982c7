"""A whole node with jobs that misbehave in each way we could think of, and a good neighbour who must not notice."""

import os
import re
import select
import signal
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx2
import pytest

from mainspring.clock import SystemClock
from mainspring.job.retry import POISON
from mainspring.schedule import format_time
from tests.cluster.process import Process
from tests.rogues import BLOCKED_SECONDS, CHECKS, DEEDS

PLUGINS = ("--plugin", "tests.rogues:RogueModule", "--plugin", "tests.rogues:WildModule")
DEATH = 10.0
"""Seconds within which an orphan is dead."""
CALM_RUNS = 40
_ALONE = {"cancels_everybody", "makes_tasks_oddly", "changes_the_process"}
"""What hurts others of its own group, or costs all a second where others compute: let in alone by ``make prove``."""
TOGETHER = [deed for deed in DEEDS if deed.deed not in _ALONE]


class Zoo(Process):
    """A service with all rogues."""

    def add(self, group: str, **body: Any) -> str:
        """Create a job that is due now, unless the body says otherwise, and return its id."""
        answer = self.post(group, **body)
        assert 201 == answer.status_code, answer.text
        return str(answer.json()["id"])

    def post(self, group: str, **body: Any) -> httpx2.Response:
        """Ask for a job that is due now, unless the body says otherwise."""
        return self._client.post(f"{self.url}/api/schedulers/zoo/{group}/jobs", json={"when": soon(0), **body})

    def runs(self, group: str, job: str) -> list[dict[str, Any]]:
        """Return the history of a job, as far as one page goes."""
        path = f"{self.url}/api/schedulers/zoo/{group}/jobs/{job}/runs?limit=1000"
        runs: list[dict[str, Any]] = self._client.get(path).json()
        return runs

    def state(self, group: str, job: str) -> str:
        """Return the state of a job."""
        return str(self._client.get(f"{self.url}/api/schedulers/zoo/{group}/jobs/{job}").json()["state"])

    def status(self, path: str) -> int:
        """Return the status of a path."""
        return self._client.get(self.url + path).status_code


@pytest.fixture
def zoo(tmp_path: Path) -> Iterator[Zoo]:
    """A service with all rogues, on a store in memory."""
    with Zoo.serve("memory:", tmp_path, *PLUGINS) as service:
        yield service


def soon(seconds: float) -> str:
    """Return a `when` that lies that far ahead."""
    return format_time(SystemClock().now() + timedelta(seconds=seconds))


def died(pid: int) -> bool:
    """Wait for the end of any process."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([process], [], [], DEATH)
    os.close(process)
    return bool(ready)


def p99(runs: list[dict[str, Any]]) -> float:
    """Return the lateness that 99 of 100 runs keep, in seconds."""
    late: list[float] = quantiles([run["latenessSeconds"] for run in runs], n=100, method="inclusive")
    return late[-1]


def test_a_zoo_of_rogues_hurts_only_itself(zoo: Zoo, tmp_path: Path) -> None:
    """Each rogue ends as it should; the neighbours keep their time, the node its life, and nothing is left behind.

    The neighbours run ten times a second. What they are allowed is far more than they are late by on a quiet machine
    (2 ms) and on one with four times its load (260 ms), and less than a rogue would cost them: these block for seconds.
    """
    notes = tmp_path / "notes"
    neighbours = [zoo.add("neighbours", when=soon(n / 10), schedule={"every": "PT1S"}) for n in range(10)]
    for _ in range(CALM_RUNS):
        zoo.wait_for("run finished", group="zoo/neighbours")
    rogues = [zoo.add(deed.group, deed=deed.deed, path=str(notes), options=deed.options) for deed in TOGETHER]
    waiting = set(rogues)
    while waiting:
        waiting.discard(zoo.wait_for("run finished", next=None)["job"])
    begun = min(
        run["startedAt"] for job, deed in zip(rogues, TOGETHER, strict=True) for run in zoo.runs(deed.group, job)
    )

    for job, deed in zip(rogues, TOGETHER, strict=True):
        runs = zoo.runs(deed.group, job)
        assert (POISON if deed.kills else 1) == len(runs), (deed, runs)
        for run in runs:
            assert deed.outcome == run["outcome"], (deed, run)
            assert run["reason"] == deed.reason or re.fullmatch(deed.reason or "", run["reason"]), (deed, run)

    runs = [run for job in neighbours for run in zoo.runs("neighbours", job)]
    assert {"succeeded"} == {run["outcome"] for run in runs}
    calm, stormy = ([run for run in runs if (run["startedAt"] < begun) is is_calm] for is_calm in (True, False))
    ended = datetime.fromisoformat(max(run["startedAt"] for run in stormy))
    assert len(stormy) > 0.7 * 10 * (ended - datetime.fromisoformat(begun)).total_seconds()
    assert p99(stormy) <= max(1, 3 * p99(calm))
    assert [200, 200] == [zoo.status("/livez"), zoo.status("/readyz")]

    zoo.signal(signal.SIGTERM)
    assert 0 == zoo.wait()
    assert all(died(int(word)) for word in notes.read_text().split() if word.isdigit())


def test_checks_of_requests_hurt_only_them(zoo: Zoo) -> None:
    """What they raise is told as their bug; jobs go on, and on a signal the service goes in good order."""
    for check, blamed in CHECKS.items():
        answer = zoo.post("checked", deed=check)
        told = f"the job group's own check failed with {blamed}"
        assert (201, None) if blamed is None else (422, told) == (answer.status_code, answer.json().get("detail"))
        zoo.wait_for("run finished", job=zoo.add("neighbours"), outcome="succeeded")
    put_back = zoo.wait_for("a plugin changed the process; it was put back")
    assert ("signal handlers" in put_back["changed"], []) == (True, put_back["lost"])
    zoo.signal(signal.SIGTERM)
    zoo.wait_for("node stopped")
    assert 0 == zoo.wait()


def test_a_plugin_cannot_change_its_host(tmp_path: Path) -> None:
    """Neither when its module is imported nor when its services are cleaned up."""
    with Process.serve("sqlite:///jobs.db", tmp_path, "--plugin", "tests.rude:RudeModule") as service:
        [changed] = [line for line in service.said if line["event"] == "a plugin changed the process; it was put back"]
        assert {"working directory", "umask", "timers", "signal handlers", "logging", "warnings"} <= {
            *changed["changed"]
        }
        assert [] == changed["lost"]
        assert 0o600 == stat.S_IMODE((tmp_path / "jobs.db").stat().st_mode)
        service.signal(signal.SIGTERM)
        lines = [service.wait_for("a service of a plugin could not be cleaned up")["exception"] for _ in range(3)]
        assert all(any(name in line for line in lines) for name in ("CancelledError", "SystemExit", "Doom"))
        assert 0 == service.wait()


def test_a_node_leaves_although_a_job_never_gives_its_loop_back(zoo: Zoo) -> None:
    """The neighbour goes on, and on a signal the node goes, in good order and without waiting for ever."""
    endless = zoo.add("endless", deed="loops")
    zoo.wait_for("run started", job=endless)
    zoo.wait_for("run finished", job=zoo.add("neighbours"), outcome="succeeded")
    zoo.signal(signal.SIGTERM)
    zoo.signal(signal.SIGTERM)
    zoo.wait_for("node stopped")
    assert 0 == zoo.wait()


def test_a_blocked_group_does_not_fill_the_node(tmp_path: Path) -> None:
    """What waits behind a job that blocks its loop is handed back, so that its neighbours find free slots."""
    with Zoo.serve("memory:", tmp_path, *PLUGINS, "--slots", "5") as zoo:
        blockers = [zoo.add("blocker", deed="blocks") for _ in range(20)]
        zoo.wait_for("run started", job=blockers[0])
        neighbour = zoo.add("neighbours")
        zoo.wait_for("run finished", job=neighbour, outcome="succeeded")
        assert {"scheduled", "running"} == {zoo.state("blocker", job) for job in blockers}
        zoo.wait_for("run finished", group="zoo/blocker", outcome="succeeded")
        runs = [run for job in blockers for run in zoo.runs("blocker", job)]
        assert {("succeeded", 1)} == {(run["outcome"], run["attempt"]) for run in runs}, "what did not begin is no run"


def test_a_job_that_blocks_its_loop_is_named_in_the_log(zoo: Zoo) -> None:
    """While it does, even if nothing waits behind it, with the place in its code; and when it is over."""
    blocker = zoo.add("blocker", deed="blocks")
    line = zoo.wait_for("a job blocks its event loop", job=blocker, over=False)
    assert ("warning", "zoo/blocker") == (line["level"], line["group"])
    assert re.search(r"/rogues\.py:\d+ \(Wild\.blocks\) > .*threading\.py:\d+ ", line["where"])
    over = zoo.wait_for("a job blocks its event loop", job=blocker, over=True)
    assert BLOCKED_SECONDS - 2 < over["seconds"] < BLOCKED_SECONDS + 1


@pytest.mark.parametrize("deed", ["leaves_child_and_loops", "holds_the_lock"])
def test_workers_die_with_their_node(zoo: Zoo, tmp_path: Path, deed: str) -> None:
    """After SIGKILL of the node no job goes on, nor what it started; even if it lets no other code of Python run."""
    os.mkfifo(tmp_path / "pipe")
    zoo.add("async", deed=deed, path=str(tmp_path / "pipe"))
    pid = int((tmp_path / "pipe").read_text().split()[0])
    zoo.kill()
    assert died(pid)
