"""A group's own fields: all that is wrong is told at once, in the words of whose rule it is."""

from typing import Any

import httpx2
import pytest
import structlog

from mainspring.job import Events, PluginFailed
from mainspring.job.events import Event
from tests.web.answers import Refusal, at, refusal, uncreatable
from tests.web.plugin import BUGGY, NOTES, ORDERS

RIGHT = {"when": "2026-12-01T10:00:00Z", "orderId": "79bfd10c-1529-42de-bd68-1a6e084ee13d"}


async def order(client: httpx2.AsyncClient, **more: Any) -> httpx2.Response:
    """POST an order that is right but for `more`; a field that is to be absent is given as ``...``."""
    body = {name: value for name, value in (RIGHT | more).items() if value is not ...}
    return await client.post(at(ORDERS), json=body)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"orderId": ...}, uncreatable("REQD_FIELD_MISSING", "/orderId")),
        ({"orderId": None}, uncreatable("UUID_TYPE", "/orderId")),
        ({"orderId": "79bfd10c"}, uncreatable("UUID_PARSING", "/orderId")),
        ({"amount": "2"}, uncreatable("INT_TYPE", "/amount")),
        ({"amount": 0}, uncreatable("GREATER_THAN_EQUAL", "/amount")),
        ({"price": 10**400}, uncreatable("FLOAT_TYPE", "/price")),
        ({"giftNote": "x" * 301}, uncreatable("STRING_TOO_LONG", "/giftNote")),
        ({"channel": "fax"}, uncreatable("INVALID_VALUE", "/channel")),
        ({"run": {"afterHours": True}}, uncreatable("UNKNOWN_FIELD", "/run/afterHours")),
        ({"run": {"after/hours~": 1}}, uncreatable("UNKNOWN_FIELD", "/run/after~1hours~0")),
        ({"run": []}, uncreatable("OBJECT_TYPE", "/run")),
        ({"colour": "red"}, uncreatable("UNKNOWN_FIELD", "/colour")),
        ({"order_id": RIGHT["orderId"]}, uncreatable("UNKNOWN_FIELD", "/order_id")),
        ({"__proto__": {}}, uncreatable("UNKNOWN_FIELD", "/__proto__")),
        ({"amount": 1001}, uncreatable("ORDER_TOO_LARGE")),
        ({"giftNote": "Hi", "channel": "mail"}, uncreatable("INVALID_VALUE")),
    ],
)
async def test_field_that_is_wrong_is_named(
    client: httpx2.AsyncClient, wrong: dict[str, Any], expected: Refusal
) -> None:
    """By its place in the body, in the spelling of the wire, with a code that a program can read."""
    assert expected == refusal(await order(client, **wrong))


async def test_all_that_is_wrong_is_told_at_once(client: httpx2.AsyncClient) -> None:
    """Missing, unknown and reserved fields, single values, the whole object and the schedule: nobody asks twice."""
    body = {
        "id": "79bfd10c-1529-42de-bd68-1a6e084ee13d",
        "amount": 2000,
        "giftNote": "Hi",
        "channel": "mail",
        "colour": "red",
        "run": {"afterHours": 1},
        "when": "2099-01-01T00:00:00Z",
        "jobType": "RECURRING",
        "repeatIntervalInDays": 0,
        "repeatCount": "many",
        "options": {"maxAttempts": 0, "timeout": "soon"},
    }

    answer = refusal(await client.post(at(ORDERS), json=body))

    assert (422, "JOB_CREATION_ERROR") == answer[:2]
    assert sorted(answer.errors) == [
        ("", "INVALID_VALUE"),
        ("", "ORDER_TOO_LARGE"),
        ("/colour", "UNKNOWN_FIELD"),
        ("/id", "RESERVED_FIELD"),
        ("/options/maxAttempts", "GREATER_THAN_EQUAL"),
        ("/options/timeout", "DURATION_FORMAT"),
        ("/orderId", "REQD_FIELD_MISSING"),
        ("/repeatCount", "INVALID_REPEAT_COUNT"),
        ("/repeatIntervalInDays", "INVALID_REPEAT_INTERVAL"),
        ("/run/afterHours", "UNKNOWN_FIELD"),
        ("/when", "WHEN_TOO_FAR"),
    ]


async def test_whole_is_not_judged_by_a_part_that_is_wrong(client: httpx2.AsyncClient) -> None:
    """A check of the whole that needs a field which is wrong says nothing until that is mended."""
    answer = refusal(await order(client, amount="2000", giftNote="Hi", channel="mail"))

    assert sorted(answer.errors) == [("", "INVALID_VALUE"), ("/amount", "INT_TYPE")]


async def test_sentence_names_the_first_three(client: httpx2.AsyncClient) -> None:
    """Who reads only the detail learns where to look, and that there is more."""
    answer = await order(client, orderId=..., amount=0, channel="fax", colour="red")

    assert answer.json()["detail"] == (
        "/orderId is required; /amount must be greater than or equal to 1; /channel is no channel of ours: fax;"
        " and 1 more"
    )


# --- fields of the service --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "id", "product", "jobGroup", "state", "isPaused", "nextRun", "jobRequest", "attempt", "run", "fence", "node",
        "owner", "version", "outcome", "lastRun", "currentRun", "pausedBy", "createdAt", "updatedAt",
    ],
)  # fmt: skip
async def test_field_of_the_service_cannot_be_sent(client: httpx2.AsyncClient, name: str) -> None:
    """Not even to a group that takes whatever is sent: it might be believed."""
    body = {"when": "2026-12-01T10:00:00Z", name: "x"}

    assert uncreatable("RESERVED_FIELD", f"/{name}") == refusal(await client.post(at(NOTES), json=body))


async def test_name_of_the_service_may_be_a_field_of_the_group(client: httpx2.AsyncClient) -> None:
    """A group that declares ``run`` gets it, and it stays apart from what the service says of the job."""
    answer = await order(client, run={"night": True})

    assert (201, {"night": True}) == (answer.status_code, answer.json()["jobRequest"]["run"])


async def test_group_may_take_whatever_is_sent(client: httpx2.AsyncClient) -> None:
    """Names in the spelling of Python are data like any other, and no second way to say when."""
    body = {"when": "2026-12-01T10:00:00Z", "job_type": "RECURRING", "repeat_count": -1, "self": 1, "model_fields": 2}

    answer = await client.post(at(NOTES), json=body)

    assert (201, body) == (answer.status_code, answer.json()["jobRequest"])
    assert answer.json()["schedule"] is None


# --- a bug in the group's own check -----------------------------------------------------------------------------------


async def test_bug_in_a_plugin_is_no_bug_of_the_service(client: httpx2.AsyncClient, announced: list[Event]) -> None:
    """The client hears that the request cannot be checked, the operator which group fails and how."""
    answer = await client.post(at(BUGGY), json={"when": "2026-12-01T10:00:00Z", "colour": "blue"})

    assert uncreatable("PLUGIN_VALIDATION_ERROR") == refusal(answer)
    assert "blue" not in answer.text
    [(key, error)] = [(event.key, event.error) for event in announced if isinstance(event, PluginFailed)]
    assert (BUGGY, "KeyError('blue')") == (key, repr(error))


async def test_bug_in_a_plugin_does_not_hide_the_rest(client: httpx2.AsyncClient) -> None:
    """What was checked before it is told too."""
    answer = refusal(await client.post(at(BUGGY), json={"when": "2099-01-01T00:00:00Z", "colour": "blue"}))

    assert answer.errors == [("", "PLUGIN_VALIDATION_ERROR"), ("/when", "WHEN_TOO_FAR")]


async def test_log_can_be_found_by_the_request_id(client: httpx2.AsyncClient, events: Events) -> None:
    """What is logged while a request is answered carries the id that the client was told."""
    logged: list[dict[str, Any]] = []
    events.subscribe(PluginFailed, lambda _event: logged.append(structlog.contextvars.get_contextvars()))

    await client.post(
        at(BUGGY), json={"when": "2026-12-01T10:00:00Z", "colour": "blue"}, headers={"X-Request-ID": "order-66"}
    )

    assert logged == [{"request": "order-66"}]
    assert structlog.contextvars.get_contextvars() == {}
