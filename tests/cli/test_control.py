"""``mainspring pause`` and ``resume``, and what the commands on one job ask."""

import json
from typing import Any

import httpx2
import pytest

from tests.cli.conftest import Run, Service
from tests.cli.test_jobs import ID, JOB, PATH, asked, body

HOLD = {"level": "product", "by": None, "at": "2026-06-01T12:00:00Z", "reason": "it burns", "until": None}
PAUSED = {"product": "vps4", "jobGroup": None, "isPaused": True, "pausedBy": [HOLD], "history": []}
GOING_ON = PAUSED | {"isPaused": False, "pausedBy": []}


@pytest.mark.parametrize(
    ("args", "path"),
    [([], "/api/schedulers"), (["vps4"], "/api/schedulers/vps4"), (["vps4/backups"], "/api/schedulers/vps4/backups")],
)
def test_pause_and_resume(run: Run, service: Service, args: list[str], path: str) -> None:
    """What holds now is a table; programs get the answer unchanged."""
    service.answer = httpx2.Response(200, json=PAUSED)
    code, out, err = run("pause", *args, "--reason", "it burns", "--until", "2026-06-02T06:00:00Z")
    assert (0, "", ("POST", f"{path}/pause")) == (code, err, asked(service))
    assert {"reason": "it burns", "until": "2026-06-02T06:00:00Z"} == body(service)
    assert ["vps4 is paused.", "level    at                    by  reason    until"] == [
        line.rstrip() for line in out.splitlines()[:2]
    ]

    service.asked.clear()
    service.answer = httpx2.Response(200, json=GOING_ON)
    assert (0, "vps4 is not paused.\n", "") == run("resume", *args)
    assert ("POST", f"{path}/resume") == asked(service)
    assert GOING_ON == json.loads(run("resume", *args, "--json").out)


def test_pause_of_everything_is_called_so(run: Run, service: Service) -> None:
    """It has no other name."""
    service.answer = httpx2.Response(200, json=PAUSED | {"product": None})
    assert run("pause").out.startswith("everything is paused.")


@pytest.mark.parametrize("scope", ["", "a/", "/b", "a/b/c", "..", "a/.."])
def test_what_is_no_scope_is_refused(run: Run, scope: str) -> None:
    """Nothing is asked: the path might lead elsewhere."""
    assert 2 == run("pause", scope).code


def test_until_is_a_moment_from_now_too(run: Run, service: Service) -> None:
    """As with --when; what is no length of time is told."""
    service.answer = httpx2.Response(200, json=JOB)
    assert 0 == run("jobs", "pause", "vps4/backups", ID, "--until", "+2h").code
    assert str(body(service)["until"]).endswith("Z")
    code, _, err = run("jobs", "pause", "vps4/backups", ID, "--until", "+2x")
    assert (2, True) == (code, "--until" in err)


@pytest.mark.parametrize("command", ["fire", "cancel"])
def test_fire_and_cancel(run: Run, service: Service, command: str) -> None:
    """The job is shown as it is then."""
    service.answer = httpx2.Response(200, json=JOB)
    code, out, _ = run("jobs", command, "vps4/backups", ID)
    assert (0, True, ("POST", f"{PATH}/{ID}/{command}")) == (code, ID in out, asked(service))


def test_list_by_tags(run: Run, service: Service) -> None:
    """Each is a parameter."""
    answer: list[Any] = []
    service.answer = httpx2.Response(200, json=answer)
    run("jobs", "list", "--tag", "a", "--tag", "b c")
    assert ["a", "b c"] == service.asked[0].url.params.get_list("tag")


def test_why(run: Run, service: Service) -> None:
    """A line for each fact; where there is none, a sentence."""
    fact: dict[str, Any] = {
        "code": "LIMIT",
        "text": "5 jobs run.",
        "since": None,
        "clears": None,
        "by": None,
        "links": [],
    }
    service.answer = httpx2.Response(200, json=[fact])
    code, out, err = run("jobs", "why", "vps4/backups", ID)
    assert (0, "", ("GET", f"{PATH}/{ID}/why")) == (code, err, asked(service))
    assert "LIMIT  5 jobs run." == out.splitlines()[1].rstrip()

    service.answer = httpx2.Response(200, json=[])
    assert "Nothing holds the job back: it begins within moments.\n" == run("jobs", "why", "vps4/backups", ID).out
    assert [] == json.loads(run("jobs", "why", "vps4/backups", ID, "--json").out)
