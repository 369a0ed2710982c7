"""``mainspring status``: what counts as well, and what one screen shows."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from tests.cli.conftest import Run, Service
from tests.cli.test_jobs import ID, JOB, problem

NODE = {
    "node": "n1:aa",
    "host": "h",
    "slots": 10,
    "running": 1,
    "isDrained": False,
    "connected": True,
    "groups": [{"product": "vps4", "jobGroup": "backups"}],
    "stuck": [],
}
HOLD = {"level": "group", "by": None, "at": "2026-12-01T09:00:00Z", "reason": "it burns", "until": None}
GROUP: dict[str, Any] = {
    "product": "vps4",
    "jobGroup": "backups",
    "registered": True,
    "counts": {"scheduled": 2, "running": 1},
    "isPaused": False,
    "pausedBy": [],
}
LATE = JOB | {"nextRun": "2026-12-01T09:21:00Z"}


class Cluster:
    """A service that is well, until a test says otherwise."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.ready = httpx2.Response(200, json={"status": "ok", "durable": True})
        self.nodes: list[Any] = [NODE]
        self.groups: list[Any] = [GROUP]
        self.pauses: list[Any] = []
        self.late: list[Any] = []
        self.due: list[Any] = []
        self.paused: list[Any] = []
        service.handle = self.handle  # type: ignore[method-assign]  # a test's own service

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as the service would."""
        path, asked = request.url.path.removeprefix("/api/schedulers"), request.url.params
        if path == "/readyz":
            return self.ready
        jobs = self.paused if asked.get("state") == "paused" else self.late if "to" in asked else self.due
        why = {"code": "LIMIT", "text": "all \x1bslots are taken"}
        pause = {"isPaused": bool(self.pauses), "pausedBy": self.pauses, "history": []}
        answers = {"/nodes": self.nodes, "": self.groups, "/pause": pause, "/jobs": jobs}
        return httpx2.Response(200, json=[why] if path.endswith("/why") else answers[path])


@pytest.fixture
def cluster(service: Service) -> Cluster:
    """A service that is well."""
    return Cluster(service)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is half past nine."""
    monkeypatch.setattr("mainspring.clock.SystemClock.now", lambda _: datetime(2026, 12, 1, 9, 30, tzinfo=UTC))


def test_all_is_well(run: Run, cluster: Cluster) -> None:
    """One screen: counts, what is due, nodes; and exit code 0."""
    cluster.due = [JOB]
    code, out, err = run("status")
    assert (0, "") == (code, err)
    assert out.startswith("Mainspring is well.\nJobs: 2 scheduled, 1 running\n\nDue next\n")
    assert ["in", "30m", "vps4/backups", ID, "vmId=79bf"] in [line.split() for line in out.splitlines()]
    assert ["n1:aa", "h", "1", "10", "ok"] == out.splitlines()[-1].split()
    assert "Late" not in out
    assert "Paused" not in out


def test_what_is_late_is_told_with_why(run: Run, cluster: Cluster) -> None:
    """What is paused is due too, but not late; what a service says cannot command the terminal."""
    cluster.late = [LATE | {"isPaused": True}, LATE]
    code, out, _ = run("status")
    assert 3 == code
    assert out.startswith("Mainspring is not well:\n  1 job is late\n")
    (row,) = [line for line in out.splitlines() if ID in line]
    assert row.split(maxsplit=4) == ["9m", "ago", "vps4/backups", ID, "all \N{REPLACEMENT CHARACTER}slots are taken"]


def test_many_late_jobs_still_fit(run: Run, cluster: Cluster) -> None:
    """Five are shown, and that there are more."""
    cluster.late = [LATE] * 9
    code, out, _ = run("status")
    assert (3, 5, True) == (code, out.count(ID), "  more than 5 jobs are late\n" in out)


def test_patience_is_asked_for(run: Run, service: Service, cluster: Cluster) -> None:
    """A minute, if nothing is said."""
    asked: list[str] = []
    answer = cluster.handle

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.extend(request.url.params.get_list("to"))
        return answer(request)

    service.handle = handle  # type: ignore[method-assign]  # a test's own service
    run("status")
    run("status", "--late-after", "1h")
    assert ["2026-12-01T09:29:00Z", "2026-12-01T08:30:00Z"] == asked
    assert 2 == run("status", "--late-after", "soon").code


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([], "no node begins jobs"),
        ([NODE | {"isDrained": True}], "no node begins jobs"),
        ([NODE, NODE | {"node": "n2:bb", "connected": False}], "the node n2:bb is away"),
        ([NODE | {"stuck": NODE["groups"]}], "the node n1:aa is stuck: vps4/backups"),
    ],
)
def test_nodes_that_are_not_well(run: Run, cluster: Cluster, nodes: list[Any], said: str) -> None:
    """Nobody takes jobs, or somebody cannot."""
    cluster.nodes = nodes
    code, out, _ = run("status")
    assert (3, True) == (code, f"  {said}\n" in out)


def test_one_drained_node_is_well(run: Run, cluster: Cluster) -> None:
    """Another begins jobs."""
    cluster.nodes = [NODE, NODE | {"node": "n2:bb", "isDrained": True}]
    code, out, _ = run("status")
    assert (0, "drained") == (code, out.split()[-1])


def test_service_that_is_not_ready(run: Run, cluster: Cluster) -> None:
    """It says why."""
    cluster.ready = problem(503, detail="the service is starting or stopping", id="NOT_READY")
    code, out, _ = run("status")
    assert (3, True) == (code, "  the service is not ready: the service is starting or stopping\n" in out)


def test_who_is_paused(run: Run, cluster: Cluster) -> None:
    """Each pause once, at its level; it is no illness."""
    everything = HOLD | {"level": "everything", "reason": "incident"}
    product = HOLD | {"level": "product", "until": "2026-12-01T10:30:00Z"}
    cluster.pauses = [everything]
    cluster.groups = [
        GROUP | {"pausedBy": [HOLD, product, everything]},
        GROUP | {"jobGroup": "mail", "pausedBy": [product, everything]},
    ]
    cluster.paused = [JOB | {"pausedBy": [HOLD | {"level": "job"}, everything]}]
    code, out, _ = run("status")
    assert 0 == code
    table = out.split("Paused\n")[1].split("\n\n")[0].splitlines()[1:]
    assert [
        ["everything", "everything", "incident"],
        ["vps4/backups", "group", "it", "burns"],
        ["vps4", "product", "it", "burns", "in", "1h"],
        ["vps4/backups", ID, "job", "it", "burns"],
    ] == [line.split() for line in table]


def test_programs_get_it_as_one_object(run: Run, cluster: Cluster) -> None:
    """With the same exit code."""
    cluster.late = [LATE]
    code, out, _ = run("status", "--json")
    found = json.loads(out)
    assert (3, False, ["1 job is late"]) == (code, found["well"], found["problems"])
    assert ["all \x1bslots are taken"] == [job["why"] for job in found["late"]]


def test_store_that_is_away(run: Run, cluster: Cluster) -> None:
    """There is nothing to show."""
    cluster.ready = problem(503, detail="the job store does not answer", id="NOT_READY")
    cluster.service.handle = lambda request: (  # type: ignore[method-assign]  # a test's own service
        cluster.ready if request.url.path == "/readyz" else problem(503, title="The store is away", id="STORE")
    )
    code, out, err = run("status")
    assert (69, "", "The store is away (STORE)\n") == (code, out, err)
