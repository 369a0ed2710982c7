import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from mainspring.client import Client, Filter, Gone, NoAnswerError, NotMainspringError, Retries, Unavailable, WaitTimeout
from mainspring.clock import ManualClock
from tests.client.conftest import async_client_with, client_with

JOB = {"id": "1", "product": "a", "jobGroup": "b", "state": "scheduled", "version": 1, "later": "kept"}
PROBLEM = {"Content-Type": "application/problem+json", "Retry-After": "2"}
AWAY = {"id": "STORE_UNAVAILABLE", "detail": "away", "errors": [], "retryable": True}


def away(after: str = "2") -> httpx2.Response:
    """Return the answer of a service whose store does not answer."""
    return httpx2.Response(503, json=AWAY, headers=PROBLEM | {"Retry-After": after})


@pytest.mark.usefixtures("no_pauses")
def test_a_post_has_one_key_for_all_its_tries() -> None:
    """And the next call has another."""
    keys: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx2.ReadTimeout("late", request=request)
        return away() if len(keys) == 2 else httpx2.Response(201, json=JOB, headers={"Idempotency-Replayed": "true"})

    client = client_with(handler)
    job = client.create("a", "b", when="now")
    assert job.replayed
    assert "kept" == job.raw["later"]
    client.create("a", "b", when="now")
    assert [4, 2] == [len(keys), len(set(keys))]


@pytest.mark.usefixtures("no_pauses")
def test_what_is_not_safe_is_sent_once() -> None:
    """A patch, a write with a condition, and what asks for a longer pause than was allowed."""
    sent: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.method)
        return away("60" if request.method == "GET" else "1")

    client = client_with(handler)
    with pytest.raises(Unavailable):
        client.change("a/b/1", when="now")
    with pytest.raises(Unavailable):
        client.delete("a/b/1", etag=1)
    with pytest.raises(Unavailable) as refused:
        client.get("a/b/1")
    assert 60 == refused.value.retry_after
    assert ["PATCH", "DELETE", "GET"] == sent


@pytest.mark.usefixtures("no_pauses")
async def test_no_error_of_the_library_comes_out() -> None:
    """What cannot be reached, and what is not ours, have errors of their own."""

    def lost(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    async with async_client_with(lost) as client:
        with pytest.raises(NoAnswerError, match="refused"):
            await client.get("a/b/1")
    with pytest.raises(NotMainspringError):
        client_with(lambda _: httpx2.Response(200, text="<html>")).get("a/b/1")
    with pytest.raises(ValueError, match="no address"):
        Client("ftp:/nowhere")


def test_moments_are_sent_in_utc() -> None:
    """A span counts from the moment of the call; a datetime without a zone is an error."""
    bodies: list[object] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.content))
        return httpx2.Response(201, json=JOB)

    client = client_with(handler)
    client.create("a", "b", {"x": 1}, when=timedelta(minutes=5))
    with pytest.raises(ValueError, match="zone"):
        client.create("a", "b", when=datetime(2026, 6, 1, tzinfo=UTC).replace(tzinfo=None))
    assert [{"x": 1, "when": "2026-06-01T12:05:00Z"}] == bodies


def test_requests_to_calls_of_later_services() -> None:
    """What is sent has the method, the path and the parameters of the contract."""
    sent: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        sent.append(f"{request.method} {request.url.raw_path.decode().removeprefix('/api/schedulers')}")
        if request.headers.get("If-None-Match") == '"1"':
            return httpx2.Response(304)
        empty = request.url.path.endswith(("nodes", "plugins", "runs", "jobs", "webhooks", "deliveries"))
        return httpx2.Response(200, json=[] if empty and request.method == "GET" else JOB)

    client = client_with(handler)
    client.put_job("a", "b", "1", when="now", only_new=True)
    assert client.get_if_changed("a/b/1", '"1"') is None
    list(client.jobs("a", state=["paused"], request={"vmId": "x"}, fields=["id", "state"], payload=False, page_size=5))
    list(client.all_runs(node="n"))
    client.schema("a", "b")
    client.nodes()
    client.drain("n/1")
    client.resume_node("n/1")
    client.plugins()
    client.plan_action("pause", "a", which={"tag": "t"})
    client.apply_action("token", "a")
    client.action("7")
    list(client.webhooks())
    client.set_webhook("w", {})
    list(client.deliveries("w"))
    list(client.deliveries("w", state="dead"))
    client.replay_delivery("w", "3")
    client.replay_deliveries("w")
    assert [
        "PUT /a/b/jobs/1",
        "GET /a/b/jobs/1",
        "GET /a/jobs?limit=5&state=paused&fields=id%2Cstate&payload=false&request.vmId=x",
        "GET /runs?limit=200&node=n",
        "GET /a/b/schema",
        "GET /nodes",
        "POST /nodes/n%2F1/drain",
        "POST /nodes/n%2F1/resume",
        "GET /plugins",
        "POST /a/jobs/actions?dryRun=true",
        "POST /a/jobs/actions",
        "GET /actions/7",
        "GET /webhooks",
        "PUT /webhooks/w",
        "GET /webhooks/w/deliveries",
        "GET /webhooks/w/deliveries?state=dead",
        "POST /webhooks/w/deliveries/3/replay",
        "POST /webhooks/w/replay",
    ] == sent


def test_events_go_on_behind_the_last_one() -> None:
    """An event that a broken connection cut short comes once, whole."""
    asked: list[str | None] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("Last-Event-ID"))
        if len(asked) == 1:
            return httpx2.Response(200, text='id: 1\nevent: job\ndata: {"n": 1}\n\nid: 2\ndata: {"n"')
        if len(asked) == 2:
            return httpx2.Response(200, text='id: 2\nevent: job\ndata: {"n": 2}\n\n')
        return httpx2.Response(410, json={"id": "CURSOR_TOO_OLD"}, headers={"Content-Type": PROBLEM["Content-Type"]})

    seen: list[str] = []
    with pytest.raises(Gone):  # noqa: PT012 - the error comes while it iterates
        for event in client_with(handler, retries=Retries(first_pause=0)).events():
            seen.append(event.id)  # noqa: PERF401 - what came before the error is the point
    assert [["1", "2"], [None, "1", "2"]] == [seen, asked]


def test_waiting_ends() -> None:
    """Looks come soon at first and every five seconds later, and none begins after the timeout."""
    clock = ManualClock(datetime(2026, 6, 1, 12, tzinfo=UTC))
    pauses: list[float] = []

    class Waiting(Client):
        def _sleep(self, seconds: float) -> None:
            pauses.append(seconds)
            clock.advance(seconds=seconds)

    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=JOB))
    with pytest.raises(WaitTimeout):
        Waiting("http://mainspring", transport=transport, clock=clock).wait_for("a/b/1", timeout=100)
    assert 0.1 == pauses[0]
    assert 5 == max(pauses)
    assert 100 == pytest.approx(sum(pauses))


def test_importing_it_loads_no_part_of_the_service() -> None:
    """A program that only asks starts fast: it loads the HTTP library with what that needs, and little else."""
    code = "import sys; {}; print(*{{n for n in sys.modules if n.partition('.')[0] not in sys.stdlib_module_names}})"

    def loaded(statement: str) -> set[str]:
        command = [sys.executable, "-c", code.format(statement)]
        return {*subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()}

    others = loaded("import httpx2")
    ours = loaded("import mainspring.client") - others
    assert {"client", "clock"} == {name.split(".")[1] for name in ours if name.startswith("mainspring.")}
    assert {"uuid_utils"} == {name.partition(".")[0] for name in ours} - {"mainspring"}


def test_a_page_does_not_lead_to_another_host() -> None:
    """The token goes only to the service that the program named."""
    hosts: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        hosts.append(request.url.host)
        link = {"Link": '<http://elsewhere/api/schedulers/jobs?cursor=x>; rel="next"'} if len(hosts) == 1 else {}
        return httpx2.Response(200, json=[JOB], headers=link)

    assert 2 == len(list(client_with(handler, token="secret").jobs()))  # noqa: S106 - an example
    assert ["mainspring", "mainspring"] == hosts


def test_plan_of_an_action_says_which_jobs_and_on_what_terms() -> None:
    """The filter is that of a list; members that it has as several values stay so."""
    bodies: list[object] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.content))
        return httpx2.Response(200, json={"count": 1, "token": "t"})

    client = client_with(handler)
    which: Filter = {"state": ["paused"], "due_to": timedelta(hours=1), "gave_up": True, "request": {"vmId": "x"}}
    client.plan_action("pause", which=which, terms={"reason": "r"})
    client.plan_action("delete", ids=["7"])
    assert [
        {
            "action": "pause",
            "filter": {
                "state": ["paused"],
                "to": ["2026-06-01T13:00:00Z"],
                "gaveUp": ["true"],
                "request": {"vmId": "x"},
            },
            "with": {"reason": "r"},
        },
        {"action": "delete", "ids": ["7"]},
    ] == bodies


def test_version_of_a_service() -> None:
    """It stands in the document."""
    client = client_with(lambda _: httpx2.Response(200, json={"info": {"version": "1"}}))
    assert "1" == client.openapi()["info"]["version"]
