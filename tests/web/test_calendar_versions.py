"""Calendars are written only by who has seen what is there, where the caller asks for that."""

from typing import Any, cast

import httpx2
import pytest

from mainspring.store import Store
from mainspring.store.notes import CALENDARS
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import missing, refusal, refused
from tests.web.conftest import MakeApp, client_of

PATH = "/api/schedulers/calendars/freeze"
FIRST, SECOND, THIRD = ({"dates": [f"2026-12-{day}"]} for day in (24, 25, 26))
FAILED = refused(412, "PRECONDITION_FAILED")


async def put(client: httpx2.AsyncClient, calendar: object, **headers: str) -> httpx2.Response:
    """Write the calendar."""
    return await client.put(PATH, json=calendar, headers={name.replace("_", "-"): headers[name] for name in headers})


@pytest.mark.parametrize(
    "calendar",
    [
        {},
        FIRST,
        {"weekly": [{"days": ["SU", "SA"]}, {"days": ["FR"], "start": "22:00"}], "timeZone": "Europe/Berlin"},
        {"holidays": {"country": "DE", "subdivision": "BY"}},
    ],
)
async def test_tag_of_an_answer_is_good_for_the_next_write(
    client: httpx2.AsyncClient, calendar: dict[str, Any]
) -> None:
    """Whether it comes from PUT or from GET."""
    written = await put(client, calendar)
    shown = await client.get(PATH)

    assert written.headers["etag"] == shown.headers["etag"]
    assert (await client.get(PATH, headers={"If-None-Match": shown.headers["etag"]})).status_code == 304
    again = await put(client, SECOND, if_match=shown.headers["etag"])
    assert (200, SECOND) == (again.status_code, again.json())
    assert again.headers["etag"] != shown.headers["etag"]


async def test_write_by_an_old_tag_is_refused(client: httpx2.AsyncClient) -> None:
    """What was written meanwhile stays."""
    old = (await put(client, FIRST)).headers["etag"]
    await put(client, SECOND)

    assert FAILED == refusal(await put(client, THIRD, if_match=old))
    assert FAILED == refusal(await client.delete(PATH, headers={"If-Match": old}))
    assert (await client.get(PATH)).json() == SECOND


async def test_whether_there_is_one_can_be_demanded(client: httpx2.AsyncClient) -> None:
    """By ``If-Match: *`` that there is one, by ``If-None-Match: *`` that there is none."""
    assert FAILED == refusal(await put(client, FIRST, if_match="*"))
    assert FAILED == refusal(await put(client, FIRST, if_match='"0123456789abcdef"'))
    assert missing("CALENDAR_NOT_FOUND") == refusal(await client.get(PATH))
    assert (await put(client, FIRST, if_none_match="*")).status_code == 201
    assert FAILED == refusal(await put(client, SECOND, if_none_match="*"))
    assert (await put(client, SECOND, if_match="*")).status_code == 200
    assert (await client.delete(PATH, headers={"If-Match": "*"})).status_code == 204
    assert missing("CALENDAR_NOT_FOUND") == refusal(await client.delete(PATH, headers={"If-Match": "*"}))


@pytest.mark.parametrize("tag", ["1", '"1', 'W/"0123456789abcdef"', '"0123456789abcdef", "0123456789abcdee"', '"x"'])
async def test_what_is_no_tag_of_a_calendar_is_refused(client: httpx2.AsyncClient, tag: str) -> None:
    """Before anything is read or written."""
    assert refused(400, "IF_MATCH_INVALID") == refusal(await put(client, FIRST, if_match=tag))
    assert refused(400, "IF_MATCH_INVALID") == refusal(await client.delete(PATH, headers={"If-Match": tag}))
    assert refused(400, "IF_NONE_MATCH_INVALID") == refusal(await put(client, FIRST, if_none_match='"1"'))


async def test_calendar_that_cannot_be_read_is_there(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """It is not taken for one that is missing, and can be replaced and deleted."""
    await store.note(CALENDARS, "freeze", {"dates": "never"})

    assert FAILED == refusal(await put(client, FIRST, if_none_match="*"))
    assert (await put(client, FIRST, if_match="*")).status_code == 200
    await store.note(CALENDARS, "freeze", {"dates": "never"})
    assert (await client.delete(PATH)).status_code == 204


class Between:
    """A store in which somebody else writes the calendar just before it is written."""

    def __init__(self, store: SqliteStore, theirs: object) -> None:
        self._store = store
        self._theirs = [theirs]

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._store, verb)

    async def swap_note(self, kind: str, name: str, before: object, value: object) -> bool:
        """See `Store.swap_note`."""
        if kind == CALENDARS and self._theirs:
            await self._store.note(kind, name, self._theirs.pop())
        return await self._store.swap_note(kind, name, before, value)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_write_in_between_is_seen(
    client: httpx2.AsyncClient, make_app: MakeApp, store: SqliteStore, method: str
) -> None:
    """The tag is compared in the write itself: theirs stays."""
    tag = (await put(client, FIRST)).headers["etag"]

    async with client_of(make_app(cast("Store", Between(store, SECOND)))) as slower:
        body: dict[str, Any] = {"json": THIRD} if method == "PUT" else {}
        answer = await slower.request(method, PATH, headers={"If-Match": tag}, **body)

    assert FAILED == refusal(answer)
    assert (await client.get(PATH)).json() == SECOND


async def test_of_two_that_create_one_wins(client: httpx2.AsyncClient, make_app: MakeApp, store: SqliteStore) -> None:
    """Both saw that there was none."""
    async with client_of(make_app(cast("Store", Between(store, SECOND)))) as slower:
        answer = await put(slower, FIRST, if_none_match="*")

    assert FAILED == refusal(answer)
    assert (await client.get(PATH)).json() == SECOND
