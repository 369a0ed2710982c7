"""``mainspring webhooks``: what is sent and what is printed."""

import json

import httpx2
import pytest

from tests.cli.conftest import Run, Service
from tests.cli.test_jobs import asked, body, cells

PATH = "/api/schedulers/webhooks"
HOOK = {"name": "hook", "url": "https://x.example/", "filter": {}, "isPaused": True, "reason": "gone"}
DELIVERY = {
    "id": "7",
    "event": {"type": "run.ended"},
    "state": "dead",
    "failures": 24,
    "nextTry": None,
    "endedAt": "2026-06-01T12:00:00Z",
    "reason": "timed out",
}


def test_list(run: Run, service: Service) -> None:
    """Each with its URL, and why it is paused."""
    service.answer = httpx2.Response(200, json=[HOOK, HOOK | {"name": "b", "isPaused": False}])

    code, out, err = run("webhooks", "list")

    assert (0, "", ("GET", PATH)) == (code, err, asked(service))
    assert [
        ["name", "url", "filter", "paused"],
        ["hook", "https://x.example/", "{}", "gone"],
        ["b", "https://x.example/", "{}", "no"],
    ] == cells(out)


def test_put(run: Run, service: Service) -> None:
    """The webhook is made as a request is: of JSON and of single members."""
    service.answer = httpx2.Response(201, json=HOOK)

    code, out, _ = run("webhooks", "put", "hook", "url=https://x.example/", 'filter:={"tag": ["a"]}', "--data", "{}")

    assert (0, ("PUT", f"{PATH}/hook")) == (code, asked(service))
    assert {"url": "https://x.example/", "filter": {"tag": ["a"]}} == body(service)
    assert ["reason", "gone"] in cells(out)


def test_delete(run: Run, service: Service) -> None:
    """Deleting is one call, and is told."""
    assert run("webhooks", "delete", "hook") == (0, "Webhook hook is deleted.\n", "")
    assert asked(service) == ("DELETE", f"{PATH}/hook")


def test_deliveries(run: Run, service: Service) -> None:
    """Where each stands, and why."""
    service.answer = httpx2.Response(200, json=[DELIVERY])

    code, out, _ = run("webhooks", "deliveries", "hook", "--state", "dead", "--limit", "5")

    assert 0 == code
    assert {"state": "dead", "limit": "5"} == dict(service.asked[0].url.params)
    assert f"{PATH}/hook/deliveries" == service.asked[0].url.path
    assert ["7", "run.ended", "dead", "24", "2026-06-01T12:00:00Z", "timed", "out"] == cells(out)[1]


def test_replay(run: Run, service: Service) -> None:
    """One delivery, or all that were given up."""
    service.answer = httpx2.Response(200, json=DELIVERY)

    assert 0 == run("webhooks", "replay", "hook", "7").code
    assert asked(service) == ("POST", f"{PATH}/hook/deliveries/7/replay")
    assert 0 == run("webhooks", "replay", "hook").code
    assert f"{PATH}/hook/replay" == service.asked[-1].url.path


@pytest.mark.parametrize("command", [["put", "a/b"], ["delete", ".."], ["deliveries", ""], ["replay", "a", "b/c"]])
def test_what_names_nothing_is_not_asked_for(run: Run, service: Service, command: list[str]) -> None:
    """It would be another call."""
    assert 2 == run("webhooks", *command).code
    assert [] == service.asked


def test_json_is_what_the_service_answered(run: Run, service: Service) -> None:
    """Programs get the answer unchanged."""
    service.answer = httpx2.Response(200, json=[HOOK])

    assert [HOOK] == json.loads(run("webhooks", "list", "--json").out)
