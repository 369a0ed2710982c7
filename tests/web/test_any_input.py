"""Any bytes get an answer: a documented status and, unless it is a success, a well-formed error."""

import json
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.answers import at, refusal
from tests.web.plugin import BACKUPS, NOTES, ORDERS

# The store and the clock may well be shared by all examples: nothing that one sends decides over another.
SOME = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HEADERS = {"Content-Type": "application/json"}

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=20
)
times = st.from_regex(
    r"\A[0-9]{4}-?[W0-9]?[0-9]-?[0-9]{1,2}T[0-9:]{4,8}([.,][0-9]{1,12})?(Z|[+-][0-9:]{2,5})?\Z"
) | st.just("2026-12-01T10:00:00Z")
durations = st.from_regex(r"\AP([0-9]{1,4}[YMWD]){0,3}(T([0-9]{1,4}[HMS]){0,3})?\Z")
schedules = st.fixed_dictionaries(
    {},
    optional={
        "every": durations | anything,
        "start": times | anything,
        "end": times | anything,
        "count": st.integers() | anything,
        "timeZone": st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]) | text | anything,
        "x": anything,
    },
)
options = st.fixed_dictionaries(
    {},
    optional={
        "maxAttempts": st.integers() | anything,
        "timeout": durations | anything,
        "backoff": durations | st.dictionaries(st.sampled_from(["initial", "factor", "longest"]), scalars) | anything,
    },
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "when": times | anything,
        "schedule": schedules | anything,
        "options": options | anything,
        "jobType": st.sampled_from(["ONE_TIME", "RECURRING"]) | anything,
        "repeatCount": st.integers() | anything,
        "repeatIntervalInDays": st.integers(0, 5000) | anything,
        "vmId": st.uuids().map(str) | anything,
        "orderId": st.uuids().map(str) | anything,
        "amount": st.integers(0, 2000) | anything,
        "giftNote": anything,
        "channel": anything,
        "id": anything,
    },
)


def check(answer: httpx2.Response, good: int, *others: int) -> None:
    """See that an answer is one of those that are documented for the call."""
    if answer.status_code == good:
        assert answer.headers["content-type"] == "application/json"
    else:
        assert refusal(answer).status in {400, 422, *others}


@SOME
@given(body=st.binary(max_size=200) | anything.map(json.dumps).map(str.encode))
async def test_any_bytes_get_an_answer(client: httpx2.AsyncClient, body: bytes) -> None:
    """Whether they are JSON or not."""
    check(await client.post(at(NOTES), content=body, headers=HEADERS), 201)


@SOME
@given(body=requests, key=st.sampled_from([BACKUPS, ORDERS, NOTES]))
async def test_any_request_gets_an_answer(client: httpx2.AsyncClient, body: Any, key: tuple[str, str]) -> None:
    """And a job that was created from it can be shown, listed and changed by it."""
    created = await client.post(f"/api/schedulers/{'/'.join(key)}/jobs", json=body)

    check(created, 201)
    if created.status_code == 201:
        path = created.headers["location"]
        shown = await client.get(path)
        assert (200, body) == (shown.status_code, shown.json()["jobRequest"])
        check(await client.patch(path, json=body), 200)
        assert (await client.delete(path)).status_code == 204


@SOME
@given(first=requests, patch=requests | anything)
async def test_any_patch_gets_an_answer(client: httpx2.AsyncClient, first: Any, patch: Any) -> None:
    """Of a job that is what it may be."""
    created = await client.post(at(NOTES), json={"when": "2026-12-01T10:00:00Z"} | first)
    if created.status_code == 201:
        body = json.dumps(patch)
        check(await client.patch(created.headers["location"], content=body, headers=HEADERS), 200)


@SOME
@given(body=requests)
async def test_dry_run_says_what_would_be(client: httpx2.AsyncClient, body: Any) -> None:
    """It is refused if and only if the request would be."""
    created = await client.post(at(NOTES), json=body)
    dry = await client.post(f"{at(NOTES)}?dryRun=true&next=3", json=body)

    assert (200 if created.status_code == 201 else created.status_code) == dry.status_code
    if created.status_code == 201:
        path = created.headers["location"]
        assert 200 == (await client.get(f"{path}/preview")).status_code
        await client.delete(path)


days = st.dates().map(str) | anything
calendars = st.fixed_dictionaries(
    {},
    optional={
        "dates": st.lists(days, max_size=3) | anything,
        "ranges": st.lists(st.fixed_dictionaries({"first": days, "last": days}), max_size=3) | anything,
        "weekly": st.lists(
            st.fixed_dictionaries(
                {"days": st.lists(st.sampled_from(["MO", "TU", "SU"]), max_size=2)},
                optional={"start": st.sampled_from(["00:00", "24:00", "7:00"]) | anything},
            )
        )
        | anything,
        "holidays": st.fixed_dictionaries({"country": st.from_regex(r"\A[A-Z]{2}\Z")}) | anything,
        "timeZone": st.sampled_from(["UTC", "Europe/Berlin"]) | anything,
        "x": anything,
    },
)


@SOME
@given(body=calendars | anything)
async def test_any_calendar_gets_an_answer(client: httpx2.AsyncClient, body: Any) -> None:
    """And a schedule can keep to one that was taken."""
    answer = await client.put("/api/schedulers/calendars/any", content=json.dumps(body), headers=HEADERS)

    check(answer, 200 if answer.status_code == 200 else 201)
    if answer.is_success:
        use = {"name": "any", "days": "exclude"}
        schedule = {
            "cron": "0 3 * * *",
            "calendar": use,
            "start": "2026-06-01T00:00:00Z",
            "end": "2027-06-01T00:00:00Z",
        }
        check(await client.post(f"{at(NOTES)}?dryRun=true", json={"schedule": schedule}), 200)


@SOME
@given(
    body=st.fixed_dictionaries(
        {},
        optional={"from": times | anything, "to": times | anything, "cap": st.integers(1, 3) | anything, "x": anything},
    )
    | anything
)
async def test_any_backfill_gets_an_answer(client: httpx2.AsyncClient, body: Any) -> None:
    """Of a job that recurs."""
    created = await client.post(at(NOTES), json={"schedule": {"every": "P1D", "start": "2026-01-01T00:00:00Z"}})
    path = created.headers["location"]

    check(await client.post(f"{path}/backfill", content=json.dumps(body), headers=HEADERS), 202)
    await client.delete(path)


@SOME
@given(
    query=st.dictionaries(
        st.sampled_from(["limit", "cursor", "state", "from", "to"]) | text,
        text | times | st.integers().map(str) | st.sampled_from(["scheduled", "done", "dead,done", "paused,running"]),
        max_size=4,
    )
)
async def test_any_query_gets_an_answer(client: httpx2.AsyncClient, query: dict[str, str]) -> None:
    """Of a list of jobs."""
    check(await client.get(at(BACKUPS), params=query), 200)
