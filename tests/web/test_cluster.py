"""The calls on nodes and plugins, and on schemas of requests."""

import httpx2
import jsonschema_rs
import pytest

from mainspring.clock import ManualClock
from mainspring.job import Events
from mainspring.plugins import build
from mainspring.service import SchedulerService
from mainspring.store import Notes
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, missing, refusal
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, ORDERS, Module

NODES = "/api/schedulers/nodes"


async def test_nodes_are_listed(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """What they may run, and what they run."""
    await jobs.running(BACKUPS)
    [node] = (await client.get(NODES)).json()
    assert {
        "node": "node-1",
        "host": "",
        "slots": 9,
        "running": 1,
        "isDrained": False,
        "connected": True,
        "groups": [{"product": "vps4", "jobGroup": "backups"}],
        "stuck": [],
    } == node


async def test_a_node_is_drained_and_resumed(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Twice is as once; `why` says that nobody is left."""
    job_id = await jobs.create(BACKUPS)
    drained = [(await client.post(f"{NODES}/node-1/drain")).json() for _ in range(2)]
    assert [True, True] == [node["isDrained"] for node in drained]
    [fact] = [fact for fact in (await client.get(at(BACKUPS, job_id, "why"))).json() if fact["code"] == "NO_NODE"]
    assert "node-1" in fact["text"]
    assert not (await client.post(f"{NODES}/node-1/resume")).json()["isDrained"]
    assert [] == [fact for fact in (await client.get(at(BACKUPS, job_id, "why"))).json() if fact["code"] == "NO_NODE"]


async def test_a_node_that_is_not_there(client: httpx2.AsyncClient) -> None:
    """Nothing is written."""
    assert missing("NODE_NOT_FOUND") == refusal(await client.post(f"{NODES}/node-7/drain"))
    assert [] == (await client.get(NODES)).json()


@pytest.mark.usefixtures("jobs")
async def test_plugins_are_listed(client: httpx2.AsyncClient) -> None:
    """Each job group, with who runs it."""
    plugins = {
        (each["product"], each["jobGroup"]): each for each in (await client.get("/api/schedulers/plugins")).json()
    }
    assert {
        "product": "vps4",
        "jobGroup": "backups",
        "registered": True,
        "plugin": "test",
        "maxAttempts": 5,
        "timeout": "PT1H",
        "isolation": "none",
        "priority": 5,
        "nodes": ["node-1"],
        "schema": "/api/schedulers/vps4/backups/schema",
    } == plugins[BACKUPS]
    assert [] == plugins[ORDERS]["nodes"]


async def test_a_schema_says_what_a_request_is(client: httpx2.AsyncClient) -> None:
    """What it allows is accepted, and what it forbids is not."""
    schema = (await client.get("/api/schedulers/shop/orders/schema")).json()
    validator = jsonschema_rs.Draft202012Validator(schema)
    order = {"when": "2026-12-01T10:00:00Z", "orderId": "79bfd10c-1529-42de-bd68-1a6e084ee13d"}
    for body, is_right in ((order, True), (order | {"amount": 0}, False), ({"orderId": order["orderId"]}, False)):
        assert is_right == validator.is_valid(body)
        assert is_right == (await client.post(at(ORDERS), json=body)).is_success
    assert missing("UNKNOWN_JOB_GROUP") == refusal(await client.get("/api/schedulers/shop/none/schema"))


async def test_a_schema_is_published(store: SqliteStore, clock: ManualClock) -> None:
    """For a service that has not got the plugin."""
    notes = Notes(store, clock)
    parts = {"store": store, "notes": notes, "clock": clock, "events": Events()}
    with_plugin = SchedulerService(registry=build([("test", Module())]), **parts)  # type: ignore[arg-type]
    without = SchedulerService(registry=build([]), **parts)  # type: ignore[arg-type]
    number = await store.noted()
    await with_plugin.cluster.publish()
    assert await with_plugin.cluster.schema(ORDERS) == await without.cluster.schema(ORDERS)
    assert number == await store.noted()  # nobody decides by it
