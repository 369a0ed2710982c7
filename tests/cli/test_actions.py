"""``mainspring actions``: planned first, done only if somebody says yes."""

import json
import sys
from io import StringIO
from typing import Any

import httpx2
import pytest

from tests.cli.conftest import Run, Service
from tests.cli.test_jobs import ID, JOB, Screen

PLAN = {"action": "pause", "count": 2, "estimated": False, "examples": [JOB], "token": "t0ken"}
DONE = {"id": "7", "action": "pause", "state": "done", "total": 2, "done": 2, "failed": 0, "errors": []}
PATH = "/api/schedulers/vps4/jobs/actions"


class Acting:
    """A service that plans an action, and does it."""

    def __init__(self, service: Service) -> None:
        self.asked = service.asked
        self.plan: dict[str, Any] = dict(PLAN)
        self.done: dict[str, Any] = dict(DONE)
        service.handle = self.handle  # type: ignore[method-assign]  # a test's own service

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as the service would."""
        self.asked.append(request)
        return httpx2.Response(200, json=self.plan if "dryRun" in request.url.params else self.done)

    def bodies(self) -> list[Any]:
        """Return what was sent."""
        return [json.loads(request.content) for request in self.asked]


@pytest.fixture
def acting(service: Service) -> Acting:
    """A service that plans an action, and does it."""
    return Acting(service)


def answering(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let somebody at a terminal answer."""
    keyboard = Screen(text)
    monkeypatch.setattr(sys, "stdin", keyboard)


def test_with_yes(run: Run, acting: Acting) -> None:
    """What is planned is shown and done, by the token of the plan, on the same path."""
    flags = ["--tag", "nightly", "--from", "2026-12-01T00:00:00Z", "--reason", "it burns", "--yes"]
    code, out, err = run("actions", "start", "pause", "vps4/*", *flags)
    assert (0, "2 jobs would be paused:\nand 1 more.\n") == (code, err)
    assert [
        {
            "action": "pause",
            "filter": {"tag": ["nightly"], "from": ["2026-12-01T00:00:00Z"]},
            "with": {"reason": "it burns"},
        },
        {"token": "t0ken"},
    ] == acting.bodies()
    assert [PATH, PATH] == [request.url.path for request in acting.asked]
    assert ID in out
    assert ["7", "pause", "done", "2", "2", "0"] == out.splitlines()[-1].split()


@pytest.mark.parametrize(("answer", "code", "calls"), [("y\n", 0, 2), ("n\n", 1, 1), ("\n", 1, 1)])
def test_question(
    run: Run, acting: Acting, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, calls: int
) -> None:
    """Nothing happens without a yes."""
    answering(monkeypatch, answer)
    assert (code, calls) == (run("actions", "start", "pause", "vps4").code, len(acting.asked))


def test_nobody_to_ask(run: Run, acting: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that forgot --yes changes nothing, and hears of it."""
    monkeypatch.setattr(sys, "stdin", StringIO("y\n"))
    code, _, err = run("actions", "start", "delete", "vps4")
    assert (1, 1, True) == (code, len(acting.asked), "Nothing is done" in err)


def test_plan_alone(run: Run, acting: Acting) -> None:
    """Changes nothing; for programs it comes without the token, which is of no use to them."""
    assert (0, 1) == (run("actions", "start", "pause", "vps4", "--dry-run").code, len(acting.asked))
    out = run("actions", "start", "pause", "vps4", "--dry-run", "--json").out
    assert {name: PLAN[name] for name in PLAN if name != "token"} == json.loads(out)


def test_no_jobs(run: Run, acting: Acting) -> None:
    """There is nothing to do, and nothing to ask."""
    acting.plan |= {"count": 0, "examples": []}
    assert (0, "", "0 jobs would be paused.\n") == run("actions", "start", "pause", "vps4")
    assert 1 == len(acting.asked)


def test_estimate(run: Run, acting: Acting) -> None:
    """That it is one is told."""
    acting.plan |= {"count": 20_000, "estimated": True, "action": "retry"}
    assert "About 20000 jobs would be tried again:" in run("actions", "start", "retry", "--dry-run").err


def test_action_that_goes_on(run: Run, acting: Acting) -> None:
    """How to follow it is told."""
    acting.done |= {"state": "running"}
    ran = run("actions", "start", "pause", "vps4", "--yes")
    assert (0, True) == (ran.code, "It goes on: mainspring actions show 7 --watch\n" in ran.err)


def test_jobs_that_fail(run: Run, acting: Acting) -> None:
    """Each is told, and the exit code says so."""
    acting.done |= {"failed": 1, "errors": [{"id": ID, "code": "JOB_FINISHED", "detail": "the job is \x1bdone"}]}
    ran = run("actions", "start", "pause", "vps4", "--yes")
    told = f"{ID}: the job is \N{REPLACEMENT CHARACTER}done (JOB_FINISHED)\n"
    assert (1, True) == (ran.code, told in ran.err)


def test_action_for_programs(run: Run, acting: Acting) -> None:
    """Only the action is on stdout, and nothing on stderr."""
    code, out, err = run("actions", "start", "pause", "vps4", "--yes", "--json")
    assert (0, DONE, "") == (code, json.loads(out), err)
    assert 2 == len(acting.asked)


def test_moving_many(run: Run, acting: Acting) -> None:
    """Each gets the same time."""
    run("actions", "start", "reschedule", "--yes", "--when", "2026-12-02T00:00:00Z")
    assert {"when": "2026-12-02T00:00:00Z"} == acting.bodies()[0]["with"]


def test_show(run: Run, acting: Acting) -> None:
    """By its id."""
    code, out, _ = run("actions", "show", "7")
    assert (0, "/api/schedulers/actions/7") == (code, acting.asked[0].url.path)
    assert ["7", "pause", "done", "2", "2", "0"] == out.splitlines()[1].split()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["pasue"], "pasue"),
        (["resume", "--reason", "x"], "--reason and --until belong to pause alone"),
        (["reschedule"], "reschedule needs --when"),
        (["cancel", "--when", "now"], "--when belongs to reschedule alone"),
        (["pause", "a/b/c"], "'a/b/c' is not a product"),
    ],
)
def test_wrong_usage(run: Run, acting: Acting, args: list[str], said: str) -> None:
    """Nothing is asked."""
    code, _, err = run("actions", "start", *args)
    assert (2, True, []) == (code, said in err, acting.asked)
