"""Every row of `tests/data/bad_input.toml` over real connections, on each store: they accept exactly the same."""

import asyncio
import json
import re
import socket
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from mainspring.clock import ManualClock, SystemClock
from mainspring.job import Events
from mainspring.launch.serve import http_server
from mainspring.plugins import Registry
from mainspring.service import CalendarService, SchedulerService
from mainspring.store import NodeBeat, Notes, Store
from mainspring.store.postgres.schema import rebuild_schema
from mainspring.store.postgres.store import PostgresStore
from mainspring.store.sqlite.store import SqliteStore
from mainspring.web import create_app
from tests.web.answers import refusal
from tests.web.conftest import NOW, Jobs, client_of
from tests.web.plugin import LEFT, RIGHT
from tests.web.wire import answers

DATA = Path(__file__).parents[1] / "data" / "bad_input.toml"
INSIDE = re.compile(
    r"Traceback|sqlite|asyncpg|psycopg|site-packages|\bselect\b|\binsert into\b|mainspring\.jobs|\.py\b"
)
"""What an answer must not tell."""


class Row(NamedTuple):
    """A row with what all rows of its kind have."""

    id: str
    value: str
    kind: dict[str, Any]


ROWS = [
    Row(name, value, kind)
    for kind in tomllib.loads(DATA.read_text(encoding="utf-8"))["kind"]
    for name, _, value in kind["rows"]
]


class Served(NamedTuple):
    """A service that listens, and what makes jobs in it."""

    port: int
    jobs: Jobs


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
async def served(request: pytest.FixtureRequest, registry: Registry) -> AsyncIterator[Served]:
    """The service on a port, over each of the stores."""
    clock = ManualClock(NOW)
    store: SqliteStore | PostgresStore
    if request.param == "sqlite":
        store = SqliteStore(None, clock)
    else:
        url = request.getfixturevalue("postgres_url")
        rebuild_schema(url)
        store = PostgresStore(url, clock)
    await store.open()
    await store.join(NodeBeat("node-1", groups=(RIGHT,), slots=9))
    async for each in _served(store, registry, clock):
        yield each
    await store.close()


async def _served(store: Store, registry: Registry, clock: ManualClock) -> AsyncIterator[Served]:
    notes = Notes(store, clock)
    service = SchedulerService(store=store, notes=notes, registry=registry, clock=clock, events=Events())
    calendars = CalendarService(store, notes)
    app = create_app(
        service=service, calendars=calendars, registry=registry, obstacle=lambda: None, hosts=["mainspring"]
    )
    server, listener = http_server(app), socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await SystemClock().sleep(0)
    async with client_of(app) as client:
        yield Served(listener.getsockname()[1], Jobs(client, store, clock))
    server.should_exit = True
    await serving


def filled(text: str, value: str, job: object) -> bytes:
    """Put a value and the id of a job into the gaps, and read the escapes."""
    text = text.replace("<job>", str(job)).replace("<>", value)
    text = re.sub("«(.+?)\\*(\\d+)»", lambda found: found[1] * int(found[2]), text)
    parts = re.split(r"\\x([0-9a-f]{2})", text)
    return b"".join(bytes.fromhex(part) if place % 2 else part.encode() for place, part in enumerate(parts))


def request_of(row: Row, job: object) -> bytes:
    """Return the bytes of the request of a row."""
    kind, value = row.kind, row.value
    head = [filled(kind["call"], value, job) + b" HTTP/1.1", b"Host: mainspring", b"Connection: close"]
    head += [filled(header, value, job) for header in kind.get("headers", ())]
    body = filled(kind["body"], value, job) if "body" in kind else b""
    if "body" in kind and not any(header.startswith("Content-Type:") for header in kind.get("headers", ())):
        head.append(b"Content-Type: application/json")
    if "body" in kind:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*head, b"", body])


async def said(port: int, data: bytes) -> httpx2.Response:
    """Return the answer to these bytes on a connection of their own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    receiving = asyncio.create_task(reader.read())
    writer.write(data)
    answer = answers(await receiving)
    writer.close()
    return answer[0]


def test_rows_have_ids_of_their_own() -> None:
    """And there are many of them."""
    ids = [row.id for row in ROWS]

    assert len(ids) == len(set(ids))
    assert len([name for name in ids if not name.startswith("B-")]) >= 150


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
async def test_row(served: Served, row: Row) -> None:
    """Status, codes and places are those of the row; what all errors have in common holds for each."""
    kind = row.kind
    given = kind.get("given")
    job = given and await served.jobs.made(LEFT if given == "scheduled" else RIGHT, given)

    answer = await said(served.port, request_of(row, job))

    assert kind["status"] == answer.status_code, answer.text
    if "warning" in kind:
        assert kind["warning"] in [warning["code"] for warning in answer.json()["warnings"]]
    if "header" in kind:
        assert kind["header"] in answer.headers
    if answer.status_code < 400:
        return
    _, id_, errors = refusal(answer)
    wanted = [tuple(each.rsplit(" ", 1)) for each in (filled(e, row.value, job).decode() for e in kind["errors"])]
    assert sorted(wanted) == sorted(errors)
    assert kind.get("id", wanted[0][1]) == id_
    assert not INSIDE.search(answer.text)
    long = filled(row.value, "", job).decode("utf-8", "replace")
    assert len(long) <= 64 or long[:65] not in json.dumps(answer.json(), ensure_ascii=False)
