"""``mainspring groups``: what is asked, and what is printed."""

import json

import httpx2

from tests.cli.conftest import Run, Service

COUNTS = {"scheduled": 12, "running": 1, "paused": 0, "done": 3, "gaveUp": 2}
GROUPS = [
    {"product": "shop", "jobGroup": "mail", "registered": True, "counts": COUNTS, "jobs": "/x", "isPaused": True},
    {"product": "vps4", "jobGroup": "old", "registered": False, "counts": COUNTS | {"gaveUp": 0}, "jobs": "/y"},
]


def test_list(run: Run, service: Service) -> None:
    """A line for each group: its jobs by state, how many gave up, and whether a plugin is there to run them."""
    service.answer = httpx2.Response(200, json=GROUPS)

    code, out, err = run("groups", "list")

    assert (code, err, "/api/schedulers") == (0, "", service.asked[0].url.path)
    assert [line.split() for line in out.splitlines()] == [
        ["group", "scheduled", "running", "paused", "done", "gaveUp", "registered", "paused"],
        ["shop/mail", "12", "1", "0", "3", "2", "yes", "yes"],
        ["vps4/old", "12", "1", "0", "3", "0", "no", "no"],
    ]


def test_list_of_none(run: Run, service: Service) -> None:
    """A service without plugins and jobs has no groups."""
    service.answer = httpx2.Response(200, json=[])

    assert run("groups", "list").code == 0


def test_list_as_json(run: Run, service: Service) -> None:
    """Programs get the answer unchanged."""
    service.answer = httpx2.Response(200, json=GROUPS)

    assert json.loads(run("groups", "list", "--json").out) == GROUPS


def test_service_that_does_not_answer(run: Run, service: Service) -> None:
    """As for every other command."""
    service.error = httpx2.ConnectError("refused")

    assert run("groups", "list").code == 69
