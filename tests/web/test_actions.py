"""Actions over REST: planned, then done by the token of the plan."""

from typing import Any

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import Outcome
from tests.web.answers import at, missing, refusal, refused
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, NOTES

ALL, SHOP = "/api/schedulers/jobs/actions", "/api/schedulers/shop/jobs/actions"


async def plan(client: httpx2.AsyncClient, path: str = ALL, /, **body: Any) -> dict[str, Any]:
    """Plan an action; `told` is what it takes `with`."""
    if "told" in body:
        body["with"] = body.pop("told")
    answer = await client.post(f"{path}?dryRun=true", json=body)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


async def test_first_a_plan_then_the_action(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """The plan says how many there are and shows some; nothing is done before the token comes."""
    ids = [str(await jobs.create(NOTES, options={"tags": ["x"]})) for _ in range(3)]
    other = await jobs.create(NOTES)
    planned = await plan(client, action="pause", filter={"tag": "x"}, told={"reason": "work"})
    assert ("pause", 3, False) == (planned["action"], planned["count"], planned["estimated"])
    assert {*ids} == {job["id"] for job in planned["examples"]}
    assert not (await jobs.shown(NOTES, planned["examples"][0]["id"]))["isPaused"]

    answer = await client.post(ALL, json={"token": planned["token"]})

    assert (200, "done", 3, 0, []) == (
        answer.status_code,
        *(answer.json()[n] for n in ("state", "done", "failed", "errors")),
    )
    assert answer.json() == (await client.get(answer.headers["location"])).json()
    assert [True] * 3 == [(await jobs.shown(NOTES, id_))["isPaused"] for id_ in ids]  # type: ignore[arg-type]
    assert not (await jobs.shown(NOTES, other))["isPaused"]
    again = await client.post(ALL, json={"token": planned["token"]})
    assert answer.json() == again.json()


async def test_an_action_stays_within_its_scope(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """A product, a group; ids of others are left out, and a token is good for where it was made."""
    note, backup = await jobs.create(NOTES), await jobs.create(BACKUPS)
    assert 1 == (await plan(client, SHOP, action="delete", filter={}))["count"]
    planned = await plan(client, at(NOTES, "actions"), action="delete", ids=[str(note), str(backup)])
    assert 1 == planned["count"]
    wrong = await client.post(SHOP, json={"token": planned["token"]})
    assert refused(422, "TOKEN_INVALID", "/token", id_="JOB_CREATION_ERROR") == refusal(wrong)
    assert (await client.post(at(NOTES, "actions"), json={"token": planned["token"]})).json()["done"] == 1
    assert missing() == refusal(await client.get(at(NOTES, note)))
    assert (await client.get(at(BACKUPS, backup))).status_code == 200


async def test_a_retry_is_of_dead_jobs(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Nobody has to say so."""
    dead = await jobs.ended(NOTES, Outcome.FAILED)
    await jobs.ended(NOTES, Outcome.SUCCEEDED)
    planned = await plan(client, action="retry", filter={})
    assert 1 == planned["count"]
    await client.post(ALL, json={"token": planned["token"]})
    assert "scheduled" == (await jobs.shown(NOTES, dead))["state"]


async def test_a_plan_grows_old(client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock) -> None:
    """What it counted is not so any more."""
    await jobs.create(NOTES)
    planned = await plan(client, action="pause", filter={})
    clock.advance(hours=1.1)
    answer = await client.post(ALL, json={"token": planned["token"]})
    assert refused(422, "TOKEN_EXPIRED", "/token", id_="JOB_CREATION_ERROR") == refusal(answer)


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, [("/action", "ACTION_INVALID"), ("", "ACTION_INVALID")]),
        ({"action": "explode", "filter": {}, "more": 1}, [("/more", "UNKNOWN_FIELD"), ("/action", "ACTION_INVALID")]),
        ({"action": "pause", "filter": {}, "ids": []}, [("", "ACTION_INVALID")]),
        ({"action": "cancel", "filter": {}, "with": {"reason": "x"}}, [("/with", "ACTION_INVALID")]),
        ({"action": "reschedule", "filter": {}}, [("/with", "ACTION_INVALID")]),
        ({"action": "pause", "filter": 1}, [("/filter", "OBJECT_TYPE")]),
        (
            {"action": "pause", "filter": {"state": "x", "color": "red", "request": {"a": 1}}},
            [
                ("/filter/color", "UNKNOWN_PARAMETER"),
                ("/filter/state", "STATE_INVALID"),
                ("/filter/request/a", "FIELD_NOT_SEARCHABLE"),
            ],
        ),
        ({"action": "pause", "ids": ["x", 1]}, [("/ids/0", "JOB_ID_INVALID"), ("/ids/1", "JOB_ID_INVALID")]),
        ({"action": "pause", "ids": ["x"] * 501}, [("/ids", "TOO_LONG")]),
        ({"action": "pause", "ids": "x"}, [("/ids", "ACTION_INVALID")]),
    ],
)
async def test_plans_that_are_none(
    client: httpx2.AsyncClient, body: dict[str, Any], places: list[tuple[str, str]]
) -> None:
    """Every problem at once."""
    answer = await client.post(f"{ALL}?dryRun=true", json=body)
    assert (422, places) == (answer.status_code, refusal(answer).errors)


@pytest.mark.parametrize("body", [{}, {"token": 1}, {"token": "x"}, {"token": "é"}, {"token": "x", "action": "pause"}])
async def test_tokens_that_are_none(client: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    """Nothing is done without a plan."""
    answer = await client.post(ALL, json=body)
    assert refused(422, "TOKEN_INVALID", "/token", id_="JOB_CREATION_ERROR") == refusal(answer)
    assert missing("ACTION_NOT_FOUND") == refusal(
        await client.get("/api/schedulers/actions/0197c1a6-2b8a-7c3e-9d5f-6a7b8c9d0e1f")
    )
