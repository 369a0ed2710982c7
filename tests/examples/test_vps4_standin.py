from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import anyio
import httpx2
import pytest
from anyio.lowlevel import checkpoint
from mainspring_vps4.standin.app import Standin
from mainspring_vps4.standin.cloud import Cloud, first_vms
from mainspring_vps4.vms import Backup, DataCenterFullError, HttpVmService, RefusedError, VmServiceError

from mainspring.clock import ManualClock

pytestmark = pytest.mark.anyio

WEB, DATABASE, MAIL = (vm.id for vm in first_vms())
KEY, OTHER_KEY = UUID(int=1), UUID(int=2)
BACKUP_SECONDS = 30


@dataclass
class World:
    """A stand-in that runs, and those who talk to it."""

    clock: ManualClock
    product: httpx2.AsyncClient
    vms: HttpVmService

    async def backups(self, vm_id: UUID) -> list[tuple[str | None, str]]:
        answer = await self.product.get(f"/api/vms/{vm_id}/backups")
        return [(backup["name"], backup["status"]) for backup in answer.json()]


@asynccontextmanager
async def a_world(dc_limit: int = 1) -> AsyncIterator[World]:
    """Start a stand-in, and stop it again."""
    clock = ManualClock()
    standin = Standin(Cloud(dc_limit, first_vms()), clock, BACKUP_SECONDS)
    transport = httpx2.ASGITransport(standin.app)
    async with (
        standin.app.router.lifespan_context(standin.app),
        httpx2.AsyncClient(base_url="http://127.0.0.1:8090", transport=transport) as client,
    ):
        yield World(clock, client, HttpVmService(client))


# --- who may ask


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Host": "localhost:8090"}, 202),
        ({"Host": "evil.example:8090"}, 421),
        ({"Host": "0.0.0.0:8090"}, 421),
        ({"Host": ""}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_web_pages_change_nothing(headers: dict[str, str], status: int) -> None:
    """Neither from another origin nor by a name of their own, also without a body."""
    async with a_world() as world:
        answer = await world.product.post(f"/api/vms/{WEB}/patches", headers=headers)
        (patches,) = [vm["patches"] for vm in (await world.product.get("/api/vms")).json() if vm["id"] == str(WEB)]

    assert (status, int(status == 202)) == (answer.status_code, patches)
    assert status == 202 or {"id", "message"} == answer.json().keys()


async def test_web_pages_read_nothing() -> None:
    """By a name of their own."""
    async with a_world() as world:
        assert 421 == (await world.product.get("/api/vms", headers={"Host": "evil.example"})).status_code


# --- what the jobs ask for


async def test_backup_is_taken_on() -> None:
    """A backup runs in the product, which says where; the job does not wait for its end."""
    async with a_world() as world:
        backup = await world.vms.create_backup(WEB, key=KEY, name="nightly")
        assert await world.backups(WEB) == [("nightly", "running")]
        (shown,) = (await world.product.get(f"/api/vms/{WEB}/backups")).json()
    assert Backup(shown["id"], "ams3") == backup


async def test_backup_that_is_asked_for_again_is_the_same_backup() -> None:
    """A run that is repeated makes no second backup, and does not fail at the limit that its own backup fills."""
    async with a_world(dc_limit=1) as world:
        for _ in range(2):
            await world.vms.create_backup(WEB, key=KEY)
        assert await world.backups(WEB) == [(None, "running")]


async def test_full_data_centre_takes_no_more() -> None:
    """The limit counts the running backups of one data centre; another one has room."""
    async with a_world(dc_limit=1) as world:
        await world.vms.create_backup(WEB, key=KEY)
        with pytest.raises(DataCenterFullError) as full:
            await world.vms.create_backup(DATABASE, key=OTHER_KEY)
        assert full.value.data_center == "ams3"
        await world.vms.create_backup(MAIL, key=OTHER_KEY)


async def test_unknown_vm_is_refused() -> None:
    """There is nothing that a further try could change."""
    async with a_world() as world:
        with pytest.raises(RefusedError, match="there is no VM"):
            await world.vms.create_backup(UUID(int=9), key=KEY)


async def test_malformed_vm_is_refused() -> None:
    """An id that is none is answered like one that is unknown."""
    async with a_world() as world:
        answer = await world.product.post("/api/vms/web/backups")
        assert (answer.status_code, answer.json()["id"]) == (422, "INVALID_REQUEST")


async def test_support_user_that_is_gone_is_fine() -> None:
    """What the job wants is that the user is gone."""
    async with a_world() as world:
        for _ in range(2):
            await world.vms.remove_support_user(WEB, "support", key=KEY)
        assert (await world.product.get("/api/vms")).json()[0]["supportUsers"] == []


async def test_all_support_users_can_be_removed() -> None:
    """Without a name nobody keeps access."""
    async with a_world() as world:
        await world.vms.remove_support_user(WEB, None, key=KEY)
        vms = (await world.product.get("/api/vms")).json()
        assert {str(WEB): [], str(DATABASE): ["support"], str(MAIL): ["support"]} == {
            vm["id"]: vm["supportUsers"] for vm in vms
        }


async def test_account_is_cancelled_and_the_vm_destroyed() -> None:
    """A VM without an account is a zombie; one that is gone already is fine."""
    async with a_world() as world:
        await world.vms.cancel_account(WEB, key=KEY)
        vms = (await world.product.get("/api/vms")).json()
        assert {str(WEB): True, str(DATABASE): False, str(MAIL): False} == {vm["id"]: vm["zombie"] for vm in vms}
        for _ in range(2):
            await world.vms.destroy(WEB, key=OTHER_KEY)
        assert {str(DATABASE), str(MAIL)} == {vm["id"] for vm in (await world.product.get("/api/vms")).json()}


async def test_patches_and_clean_up() -> None:
    """A patched VM says so, a cleaned up one is gone."""
    async with a_world() as world:
        await world.vms.patch(WEB, key=KEY)
        await world.vms.clean_up_zombie(MAIL, key=OTHER_KEY)
        vms = (await world.product.get("/api/vms")).json()
        assert {str(WEB): 1, str(DATABASE): 0} == {vm["id"]: vm["patches"] for vm in vms}


async def test_created_vm_can_be_backed_up() -> None:
    """The stand-in is not limited to the VMs of its start."""
    async with a_world() as world:
        vm = (await world.product.post("/api/vms", json={"name": "shop", "dataCenter": "sin1"})).json()
        await world.vms.create_backup(UUID(vm["id"]), key=KEY)
        assert await world.backups(UUID(vm["id"])) == [(None, "running")]


async def test_backup_comes_to_its_end() -> None:
    """The product completes it by itself; then the data centre has room for another."""
    async with a_world(dc_limit=1) as world:
        await world.vms.create_backup(
            WEB, key=KEY, name="nightly", shopper_id="4711", scheduled_job_type="BACKUPS_AUTOMATIC"
        )
        await checkpoint()
        world.clock.advance(seconds=BACKUP_SECONDS)
        await complete(world, WEB)
        (backup,) = (await world.product.get(f"/api/vms/{WEB}/backups")).json()
        await world.vms.create_backup(DATABASE, key=OTHER_KEY)
    expected = {
        "vmId": str(WEB),
        "dataCenter": "ams3",
        "name": "nightly",
        "shopperId": "4711",
        "scheduledJobType": "BACKUPS_AUTOMATIC",
        "status": "complete",
    }
    assert {"id": backup["id"], **expected} == backup


async def complete(world: World, vm_id: UUID) -> None:
    """Wait until the backups of a VM are complete."""
    with anyio.fail_after(5):
        while ("nightly", "complete") not in await world.backups(vm_id):
            await checkpoint()


# --- what only other products would answer


async def failing(response: httpx2.Response | Exception) -> Exception:
    """Answer what `create_backup` raises when the product answers so."""

    def answer(_request: httpx2.Request) -> httpx2.Response:
        if isinstance(response, Exception):
            raise response
        return response

    client = httpx2.AsyncClient(base_url="http://vps4", transport=httpx2.MockTransport(answer))
    vms = HttpVmService(client)
    with pytest.raises((VmServiceError, httpx2.HTTPError)) as failure:
        await vms.create_backup(WEB, key=KEY)
    await vms.aclose()
    assert client.is_closed
    return failure.value


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (httpx2.Response(503), "answered 503: Service Unavailable"),
        (httpx2.Response(502, text="<h1>Bad Gateway</h1>"), "answered 502: Bad Gateway"),
        (httpx2.Response(500, json=["no object"]), "answered 500: Internal Server Error"),
        (httpx2.Response(409, json={"id": "VM_LOCKED", "message": "locked"}), "answered 409: locked"),
        (httpx2.Response(404, json={"message": "no such path"}), "answered 404: no such path"),
    ],
)
async def test_other_answers_are_told_as_they_are(response: httpx2.Response, expected: str) -> None:
    """Neither a full data centre nor a refusal is made of what is neither."""
    error = await failing(response)
    assert (VmServiceError, f"POST /api/vms/{WEB}/backups {expected}") == (type(error), str(error))


@pytest.mark.parametrize(
    ("said", "expected"),
    [({}, None), ({"dataCenter": None}, None), ({"dataCenter": 7}, None), ({"dataCenter": "ams3"}, "ams3")],
)
async def test_full_data_centre_may_have_no_name(said: dict[str, object], expected: str | None) -> None:
    """What is no name is not taken for one."""
    full = await failing(httpx2.Response(409, json={"id": "SNAPSHOT_DC_LIMIT_REACHED", "message": "full", **said}))
    assert isinstance(full, DataCenterFullError)
    assert expected == full.data_center


async def test_product_may_say_nothing_of_a_backup() -> None:
    """That it has taken it on is all that counts."""
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(202))
    async with httpx2.AsyncClient(base_url="http://vps4", transport=transport) as client:
        assert Backup() == await HttpVmService(client).create_backup(WEB, key=KEY)


async def test_connection_error_is_passed_on() -> None:
    """That the product cannot be reached is told as the client tells it."""
    lost = httpx2.ConnectError("refused")
    assert lost is await failing(lost)
