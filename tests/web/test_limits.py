"""The limits of groups and products: shown, written, and declared."""

from typing import Any

import httpx2
import pytest

from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, missing, refusal, refused, uncreatable
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, NOTES, NoteJob

BASE = "/api/schedulers"
GROUP, PRODUCT = f"{BASE}/vps4/backups/limits", f"{BASE}/vps4/limits"
LIMITS = {
    "concurrency": [{"limit": 50}, {"limit": 5, "by": "key"}],
    "rates": [{"limit": 100, "per": "PT1M"}, {"limit": 10, "per": "PT1S", "by": "key"}],
}
NONE: dict[str, Any] = {"concurrency": [], "rates": []}
WHEN = {"when": "2026-06-01T13:00:00Z"}


@pytest.mark.parametrize("path", [GROUP, PRODUCT])
async def test_limits_are_written_shown_and_forgotten(client: httpx2.AsyncClient, path: str) -> None:
    """They can be sent as they were shown."""
    before = await client.get(path)
    assert (200, NONE, "declared") == (before.status_code, before.json(), before.headers["Mainspring-Source"])

    put = await client.put(path, json=LIMITS)
    assert (200, LIMITS, "api") == (put.status_code, put.json(), put.headers["Mainspring-Source"])
    shown = await client.get(path)
    assert (LIMITS, put.headers["ETag"], "api") == (
        shown.json(),
        shown.headers["ETag"],
        shown.headers["Mainspring-Source"],
    )
    assert before.headers["ETag"] != put.headers["ETag"]
    assert put.headers["ETag"] == (await client.put(path, json=shown.json())).headers["ETag"]

    gone = await client.delete(path)
    assert (200, NONE, before.headers["ETag"]) == (gone.status_code, gone.json(), gone.headers["ETag"])
    assert (200, NONE) == ((await client.delete(path)).status_code, (await client.get(path)).json())


async def test_group_and_product_have_limits_of_their_own(client: httpx2.AsyncClient) -> None:
    """Both hold; each is shown by itself."""
    await client.put(PRODUCT, json={"concurrency": [{"limit": 9}]})
    await client.put(GROUP, json={"rates": [{"limit": 1, "per": "PT1H"}]})

    assert [{"limit": 9}] == (await client.get(PRODUCT)).json()["concurrency"]
    assert {"concurrency": [], "rates": [{"limit": 1, "per": "PT1H"}]} == (await client.get(GROUP)).json()
    assert NONE == (await client.get(f"{BASE}/shop/limits")).json()


async def test_weight_is_written_too(client: httpx2.AsyncClient) -> None:
    """Alone, or with limits."""
    await client.put(PRODUCT, json={"weight": 3})
    assert NONE | {"weight": 3} == (await client.get(PRODUCT)).json()
    await client.put(PRODUCT, json=LIMITS | {"weight": 3})
    assert LIMITS | {"weight": 3} == (await client.get(PRODUCT)).json()


async def test_writes_go_by_the_tag(client: httpx2.AsyncClient) -> None:
    """Who saw other limits than those that hold hears of it."""
    old = (await client.get(GROUP)).headers["ETag"]
    new = (await client.put(GROUP, json=LIMITS, headers={"If-Match": old})).headers["ETag"]

    late = {"If-Match": old}
    for answer in (await client.put(GROUP, json=NONE, headers=late), await client.delete(GROUP, headers=late)):
        assert refused(412, "PRECONDITION_FAILED") == refusal(answer)
    assert LIMITS == (await client.get(GROUP)).json()
    assert 200 == (await client.delete(GROUP, headers={"If-Match": new})).status_code
    assert 200 == (await client.put(GROUP, json=LIMITS, headers={"If-Match": "*"})).status_code
    bad = await client.put(GROUP, json=LIMITS, headers={"If-Match": "W/x"})
    assert refused(400, "IF_MATCH_INVALID") == refusal(bad)


async def test_every_problem_of_limits_is_told(client: httpx2.AsyncClient) -> None:
    """And nothing is written."""
    wrong = {
        "concurrency": [{"limit": 0}, {"limit": 5, "by": "dataCenter"}, {}],
        "rates": [{"limit": 1, "per": "PT0.5S"}, {"limit": 1, "per": "soon"}],
        "weight": 0,
        "quota": [],
    }
    answer = await client.put(GROUP, json=wrong)

    assert 422 == answer.status_code
    assert {
        "/concurrency/0/limit",
        "/concurrency/1/by",
        "/concurrency/2/limit",
        "/rates/0/per",
        "/rates/1/per",
        "/weight",
        "/quota",
    } == {pointer for pointer, _ in refusal(answer).errors}
    assert "must be greater than or equal to PT1S" in {error["detail"] for error in answer.json()["errors"]}
    assert NONE == (await client.get(GROUP)).json()


@pytest.mark.parametrize("path", [f"{BASE}/nobody/limits", f"{BASE}/vps4/nothing/limits"])
async def test_limits_of_what_is_unknown(client: httpx2.AsyncClient, path: str) -> None:
    """As for pauses."""
    for answer in (await client.get(path), await client.put(path, json=LIMITS), await client.delete(path)):
        assert missing("UNKNOWN_JOB_GROUP") == refusal(answer)


async def test_limits_that_cannot_be_read_are_none(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """They take nothing with them, and can be written anew."""
    await store.note("limits", "vps4/backups", {"concurrency": "many"})
    await client.put(PRODUCT, json=LIMITS)

    assert NONE == (await client.get(GROUP)).json()
    assert LIMITS == (await client.get(PRODUCT)).json()
    assert 200 == (await client.put(GROUP, json=LIMITS)).status_code
    assert LIMITS == (await client.get(GROUP)).json()


# --- keys of jobs


async def test_job_says_its_concurrency_key(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """That of its options, or else none; a PATCH may change it."""
    job_id = await jobs.create(NOTES, **WHEN, options={"concurrencyKey": "dc:ams"})
    assert "dc:ams" == (await jobs.shown(NOTES, job_id))["concurrencyKey"]

    answer = await client.patch(at(NOTES, job_id), json={"options": {"concurrencyKey": "dc:fra"}})
    assert "dc:fra" == answer.json()["concurrencyKey"]
    answer = await client.patch(at(NOTES, job_id), json={"options": None})
    assert answer.json()["concurrencyKey"] is None


async def test_key_of_the_options_stands_in_for_that_of_the_class(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the class has none for such a request, or a bug."""
    monkeypatch.setattr(NoteJob, "concurrency_key", classmethod(lambda _cls, request: request.data_center))

    answer = await client.post(at(NOTES), json=WHEN)
    assert uncreatable("PLUGIN_VALIDATION_ERROR") == refusal(answer)
    answer = await client.post(at(NOTES), json={**WHEN, "options": {"concurrencyKey": "dc:ams"}})
    assert (201, "dc:ams") == (answer.status_code, answer.json()["concurrencyKey"])


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", 5])
async def test_what_is_no_concurrency_key(client: httpx2.AsyncClient, key: object) -> None:
    """Keys are short texts on one line."""
    answer = await client.post(at(BACKUPS), json={**WHEN, "options": {"concurrencyKey": key}})

    assert "/options/concurrencyKey" in {pointer for pointer, _ in refusal(answer).errors}
