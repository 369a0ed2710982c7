"""The calls on webhooks and their deliveries."""

from typing import Any
from uuid import UUID

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.execution import WebhooksModule
from mainspring.job import DELIVERIES, Ending, Events, Outcome, RetryPolicy, history, lifecycle
from mainspring.plugins import Registry, build
from mainspring.service import SchedulerService
from mainspring.settings import Settings
from mainspring.store import Answer, NodeBeat, Notes
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import Refusal, at, refusal, refused
from tests.web.conftest import Jobs
from tests.web.plugin import NOTES, Module

PATH = "/api/schedulers/webhooks"
URL = "https://receiver.example/hook"
HOOK: dict[str, Any] = {
    "name": "hook",
    "url": URL,
    "filter": {},
    "secret": None,
    "timeLimit": "PT15S",
    "isPaused": False,
    "reason": None,
}


@pytest.fixture(scope="session")
def registry() -> Registry:
    """With the group of deliveries, as each service has it."""
    return build([("test", Module()), ("Mainspring itself", WebhooksModule(Settings()))])


class Deliveries:
    """Hands events on, and lets deliveries end."""

    def __init__(self, store: SqliteStore, registry: Registry, clock: ManualClock) -> None:
        self._store = store
        self._clock = clock
        self._service = SchedulerService(
            store=store, notes=Notes(store, clock), registry=registry, clock=clock, events=Events()
        )

    async def hand_on(self) -> None:
        """Make deliveries of what has happened."""
        await self._service.delivering.turn("node-2")

    async def end(self, outcome: Outcome, reason: str | None = None) -> UUID:
        """End a delivery for good."""
        (claim,) = (await self._store.claim("node-2", {DELIVERIES: 1}, 1)).claims
        now, ending = self._clock.now(), Ending(outcome, reason)
        run = history.ended(claim.job, ending, started_at=now, now=now)
        change = lifecycle.after(claim.job, run, ending, policy=RetryPolicy(1), now=now, chance=0, calendars={})
        assert [Answer.DONE] == await self._store.finish([change])
        return claim.job.id


@pytest.fixture
async def deliveries(store: SqliteStore, registry: Registry, clock: ManualClock) -> Deliveries:
    """What happens to deliveries."""
    await store.join(NodeBeat("node-2", groups=(DELIVERIES,), slots=9))
    return Deliveries(store, registry, clock)


async def test_a_webhook_is_written_shown_and_deleted(client: httpx2.AsyncClient) -> None:
    """It can be sent as it is shown."""
    assert [] == (await client.get(PATH)).json()

    made = await client.put(f"{PATH}/hook", json={"url": URL})
    shown = await client.get(f"{PATH}/hook")

    assert (201, f"{PATH}/hook", HOOK) == (made.status_code, made.headers["location"], made.json())
    assert (200, HOOK) == (shown.status_code, shown.json())
    assert made.headers["etag"] == shown.headers["etag"]
    assert 304 == (await client.get(f"{PATH}/hook", headers={"If-None-Match": made.headers["etag"]})).status_code
    again = await client.put(f"{PATH}/hook", json=shown.json() | {"isPaused": True, "reason": "it is being moved"})
    assert (200, True) == (again.status_code, again.json()["isPaused"])
    assert made.headers["etag"] != again.headers["etag"]
    assert [again.json()] == (await client.get(PATH)).json()
    assert 204 == (await client.delete(f"{PATH}/hook")).status_code
    for answer in (await client.get(f"{PATH}/hook"), await client.delete(f"{PATH}/hook")):
        assert refused(404, "WEBHOOK_NOT_FOUND", id_="NOT_FOUND") == refusal(answer)


async def test_a_filter_is_shown_as_it_was_sent(client: httpx2.AsyncClient) -> None:
    """Without what it does not say."""
    choice = {
        "product": "vps4",
        "jobGroup": "backups",
        "type": ["run.ended"],
        "outcome": ["failed", "timed_out"],
        "state": ["done"],
        "tag": ["nightly"],
        "key": "k",
        "concurrencyKey": "c",
        "node": "n",
    }

    answer = await client.put(f"{PATH}/hook", json={"url": URL, "filter": choice | {"request": None}})

    assert choice == answer.json()["filter"]


async def test_conditions(client: httpx2.AsyncClient) -> None:
    """A write by what was believed."""
    first = await client.put(f"{PATH}/hook", json={"url": URL}, headers={"If-None-Match": "*"})
    tag = {"If-Match": first.headers["etag"]}

    assert 412 == (await client.put(f"{PATH}/hook", json={"url": URL}, headers={"If-None-Match": "*"})).status_code
    assert 200 == (await client.put(f"{PATH}/hook", json={"url": URL, "isPaused": True}, headers=tag)).status_code
    assert 412 == (await client.put(f"{PATH}/hook", json={"url": URL}, headers=tag)).status_code
    assert 412 == (await client.delete(f"{PATH}/hook", headers=tag)).status_code
    assert refused(400, "IF_MATCH_INVALID") == refusal(await client.delete(f"{PATH}/hook", headers={"If-Match": "W/3"}))
    assert refused(400, "IF_NONE_MATCH_INVALID") == refusal(
        await client.put(f"{PATH}/hook", json={"url": URL}, headers={"If-None-Match": '"a"'})
    )
    assert 204 == (await client.delete(f"{PATH}/hook", headers={"If-Match": "*"})).status_code


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("hook", {}, [("/url", "REQD_FIELD_MISSING")]),
        ("-", {"url": URL}, [("", "WEBHOOK_NAME_INVALID")]),
        ("hook", {"url": "https://localhost/"}, [("/url", "HTTP_TARGET_FORBIDDEN")]),
        ("hook", {"url": URL, "secret": "none"}, [("/secret", "SECRET_UNKNOWN")]),
        ("hook", {"url": URL, "filter": {"type": ["x"]}}, [("/filter/type/0", "ENUM")]),
    ],
)
async def test_what_is_wrong_has_a_place(
    client: httpx2.AsyncClient, name: str, body: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """And a code."""
    assert Refusal(422, expected[0][1], expected) == refusal(await client.put(f"{PATH}/{name}", json=body))


async def test_deliveries(client: httpx2.AsyncClient, jobs: Jobs, deliveries: Deliveries, clock: ManualClock) -> None:
    """They are listed by where they stand, page by page."""
    await client.put(f"{PATH}/hook", json={"url": URL, "filter": {"type": ["job.created"]}})
    job = await jobs.create(NOTES)
    await jobs.create(NOTES)
    await deliveries.hand_on()
    clock.advance(seconds=1)
    dead = await deliveries.end(Outcome.FAILED, "the receiver answered 500")

    both = (await client.get(f"{PATH}/hook/deliveries")).json()
    assert ["scheduled", "dead"] == [each["state"] for each in both]
    assert [[str(dead)]] == [
        [each["id"] for each in (await client.get(f"{PATH}/hook/deliveries?state={state}")).json()]
        for state in ("dead",)
    ]
    assert both[:1] == (await client.get(f"{PATH}/hook/deliveries?state=scheduled,running")).json()
    page = await client.get(f"{PATH}/hook/deliveries?limit=1")
    assert both == page.json() + (await client.get(page.links["next"]["url"])).json()
    assert {
        "id": str(dead),
        "webhook": "hook",
        "state": "dead",
        "failures": 1,
        "outcome": "failed",
        "reason": "the receiver answered 500",
        "nextTry": None,
        "endedAt": "2026-06-01T12:00:01Z",
        "job": f"/api/schedulers/mainspring/webhooks/jobs/{dead}",
    }.items() <= both[1].items()
    assert str(job) in {each["event"]["jobId"] for each in both}
    assert 200 == (await client.get(both[1]["job"])).status_code


async def test_replays(client: httpx2.AsyncClient, jobs: Jobs, deliveries: Deliveries, clock: ManualClock) -> None:
    """One, or all that were given up."""
    await client.put(f"{PATH}/hook", json={"url": URL, "filter": {"type": ["job.created"]}})
    for _ in range(3):
        await jobs.create(NOTES)
    await deliveries.hand_on()
    clock.advance(seconds=1)
    first, *_ = [await deliveries.end(Outcome.FAILED) for _ in range(3)]

    one = await client.post(f"{PATH}/hook/deliveries/{first}/replay")
    rest = await client.post(f"{PATH}/hook/replay")

    assert (200, "scheduled") == (one.status_code, one.json()["state"])
    assert (200, "retry", "done", 2) == (rest.status_code, *(rest.json()[each] for each in ("action", "state", "done")))
    assert ["scheduled"] * 3 == [each["state"] for each in (await client.get(f"{PATH}/hook/deliveries")).json()]
    arrived = await deliveries.end(Outcome.SUCCEEDED)
    assert refused(409, "JOB_NOT_DEAD") == refusal(await client.post(f"{PATH}/hook/deliveries/{arrived}/replay"))
    for wrong in (UUID(int=1), "x"):
        answer = await client.post(f"{PATH}/hook/deliveries/{wrong}/replay")
        assert refused(404, "DELIVERY_NOT_FOUND", id_="NOT_FOUND") == refusal(answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "none/deliveries"), ("POST", "none/replay"), ("POST", f"none/deliveries/{UUID(int=1)}/replay")],
)
async def test_no_webhook(client: httpx2.AsyncClient, method: str, path: str) -> None:
    """Nothing was sent to it."""
    answer = await client.request(method, f"{PATH}/{path}")
    assert refused(404, "WEBHOOK_NOT_FOUND", id_="NOT_FOUND") == refusal(answer)


async def test_the_group_of_deliveries_is_shown_when_it_has_jobs(
    client: httpx2.AsyncClient, jobs: Jobs, deliveries: Deliveries
) -> None:
    """It can be looked into and paused like others; nobody makes jobs of it, and no form asks for any."""
    path = f"/api/schedulers/{DELIVERIES.product}/{DELIVERIES.job_group}"
    groups = {(group["product"], group["jobGroup"]) for group in (await client.get("/api/schedulers")).json()}
    assert DELIVERIES not in groups
    assert not any(path in each for each in (await client.get("/openapi.json")).json()["paths"])
    await client.put(f"{PATH}/hook", json={"url": URL})
    await jobs.create(NOTES)
    await deliveries.hand_on()

    groups = {(group["product"], group["jobGroup"]) for group in (await client.get("/api/schedulers")).json()}
    assert DELIVERIES in groups
    (job,) = (await client.get(f"{path}/jobs")).json()
    assert 200 == (await client.get(f"{path}/jobs/{job['id']}/why")).status_code
    assert 200 == (await client.post(f"{path}/pause", json={})).status_code
    for answer in (
        await client.post(f"{path}/jobs", json={"when": "now"}),
        await client.patch(f"{path}/jobs/{job['id']}", json={"event": {}}),
    ):
        assert refused(404, "UNKNOWN_JOB_GROUP", id_="NOT_FOUND") == refusal(answer)


async def test_a_webhook_that_is_deleted_cancels_what_waits(
    client: httpx2.AsyncClient, jobs: Jobs, deliveries: Deliveries, clock: ManualClock
) -> None:
    """Nothing is sent to it any more."""
    await client.put(f"{PATH}/hook", json={"url": URL})
    await jobs.create(NOTES)
    await deliveries.hand_on()
    assert 204 == (await client.delete(f"{PATH}/hook")).status_code

    clock.advance(days=1)
    await deliveries.hand_on()

    assert [] == (await client.get(at(DELIVERIES))).json()
