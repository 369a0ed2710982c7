"""A day of an operator on the command line, against the real application."""

import json
from collections.abc import Callable

import anyio.to_thread
import httpx2
import pytest
from starlette.types import ASGIApp

from mainspring.cli.contexts import Place
from mainspring.client import Client, Retries
from mainspring.clock import ManualClock
from tests.cli.conftest import Run
from tests.client.conftest import FromThread
from tests.web.conftest import app, clock, events, make_app, registry, store

__all__ = ["app", "clock", "events", "make_app", "registry", "store"]
GROUP = "vps4/backups"


@pytest.fixture
def done(run: Run, app: ASGIApp, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command against the application, see it end well, and return what it printed."""
    transport = FromThread(httpx2.ASGITransport(app))

    def open_client(place: Place) -> Client:
        return Client(place.url, retries=Retries(attempts=1), transport=transport, clock=clock)

    monkeypatch.setattr("mainspring.cli.service.open_client", open_client)
    monkeypatch.setattr("mainspring.clock.SystemClock.now", lambda _: clock.now())

    def done(*args: str, code: int = 0) -> str:
        ran = run(*args)
        assert code == ran.code, ran.err
        return ran.out or ran.err

    return done


def use(done: Callable[..., str]) -> None:
    """Do everything once."""

    def created(*flags: str) -> str:
        return str(json.loads(done("jobs", "create", GROUP, *flags, "--json"))["id"])

    first, second = created("--when", "in 2h"), created("--when", "+3h")
    repeating = created("--every", "15m", "--from", "+1h", "--count", "5")
    assert "Every 15 minutes" in done("jobs", "create", GROUP, "--every", "15m", "--next", "3")
    assert 3 == len(json.loads(done("jobs", "list", "*", "--json")))
    between = done("jobs", "list", "vps4", "--from", "+90m", "--to", "in 150 minutes", "--ndjson")
    assert [first] == [json.loads(line)["id"] for line in between.splitlines()]
    assert first == json.loads(done("jobs", "show", "*", first, "--json"))["id"]
    assert "the ids of several jobs begin" in done("jobs", "show", GROUP, first[:6], code=1)
    assert f"did you mean {GROUP} " in done("jobs", "show", GROUP, first[:8] + "-ffff", code=1)
    assert "did you mean vps4?" in done("jobs", "list", "vsp4", code=1)
    assert "did you mean vps4/backups?" in done("jobs", "list", "vps4/bakcups", code=1)
    moved = done("jobs", "reschedule", GROUP, first, second, "--cron", "0 3 * * *", "--tz", "Europe/Berlin", "--json")
    assert ["0 3 * * *"] * 2 == [job["jobRequest"]["schedule"]["cron"] for job in json.loads(moved)]
    again = json.loads(done("jobs", "reschedule", GROUP, repeating, "--rrule", "FREQ=DAILY", "--json"))
    assert {"rrule", "start", "count"} == {*again["jobRequest"]["schedule"]}
    changed = done("jobs", "change", GROUP, first, 'options:={"tags": ["night"]}', "--if-version", "2", "--json")
    assert ["night"] == json.loads(changed)["options"]["tags"]
    assert f"Job {second} is paused." in done("jobs", "pause", GROUP, second, "--until", "in 5 days")
    assert "PAUSED" in done("jobs", "why", GROUP, second)
    assert f"{GROUP} is paused." in done("pause", GROUP, "--reason", "moving")
    assert "moving" in done("status", code=3)  # no node runs here
    assert "moving" in done("pauses", GROUP)
    assert f"{GROUP} is not paused." in done("resume", GROUP)
    planned = done("actions", "start", "pause", "vps4/*", "--tag", "night", "--dry-run")
    assert (True, False) == (first in planned, second in planned)
    action = json.loads(done("actions", "start", "pause", "*", "--tag", "night", "--reason", "r", "--yes", "--json"))
    assert ("done", 1, 0) == (action["state"], action["done"], action["failed"])
    assert action["id"] in done("actions", "show", action["id"])
    outage = ("--outage-from", "+1h", "--outage-to", "+2h")
    assert "every day (UTC)" in done("jobs", "preview", GROUP, repeating, "--next", "2", *outage)
    assert [] == json.loads(done("runs", "list", "--outcome", "failed", "--from", "1 day ago", "--json"))
    assert [] == json.loads(done("jobs", "runs", GROUP, first, "--json"))
    assert [] == json.loads(done("nodes", "list", "--json"))
    assert {"backups"} <= {each["jobGroup"] for each in json.loads(done("plugins", "served", "--json"))}
    assert "object" == json.loads(done("schema", GROUP))["type"]
    assert ["100", "all"] == done("limits", "set", GROUP, "--rate", "100/1m").split()[-2:]
    done("limits", "show", GROUP)
    assert "Look at what is there" in done("problems", "job-not-dead")
    assert "JOB_NOT_FOUND" in {each["code"] for each in json.loads(done("problems", "--json"))}
    assert "did you mean JOB_NOT_FOUND" in done("problems", "JOB_NOT_FUOND", code=1)
    done("limits", "reset", "vps4/backups")
    done("calendars", "put", "freeze", 'ranges:=[{"first": "2026-12-21", "last": "2027-01-06"}]')
    assert ["freeze"] == [*json.loads(done("calendars", "list", "--json"))]
    done("calendars", "delete", "freeze")
    deleted = done("jobs", "delete", "*", first, second, repeating)
    assert 3 == deleted.count("is deleted.")


async def test_a_day_of_an_operator(done: Callable[..., str]) -> None:
    """Every command does what it says, by the calls that the service has."""
    await anyio.to_thread.run_sync(use, done)
