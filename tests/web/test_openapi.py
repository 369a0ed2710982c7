"""The OpenAPI document and the page made of it: right in structure, a form for each group, nothing from elsewhere."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from mainspring.store.sqlite.store import SqliteStore
from mainspring.web.endpoints import ROWS
from tests.web.answers import at
from tests.web.conftest import MakeApp
from tests.web.plugin import BACKUPS, BUGGY, LEFT, NOTES, ORDERS, RIGHT
from tests.web.raw import ask

METHODS = {"get", "post", "put", "patch", "delete"}
Schema = dict[str, Any]

SCHEDULE = {
    "every", "cron", "rrule", "at", "anyOf", "timeZone", "start", "startFires", "end", "count", "dstGap", "dstOverlap",
    "jitter", "window", "misfire", "grace", "overlap", "calendar", "except",
}  # fmt: skip
"""The members of a schedule."""


@pytest.fixture
async def document(client: httpx2.AsyncClient) -> Schema:
    """The document as it is served."""
    answer = await client.get("/openapi.json")
    assert (200, "application/json") == (answer.status_code, answer.headers["content-type"])
    content: Schema = answer.json()
    return content


def operations(document: Schema) -> Iterator[tuple[str, str, Schema, list[Schema]]]:
    """Return each operation with its path, method and all of its parameters."""
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method], [*item.get("parameters", []), *item[method].get("parameters", [])]


def references(part: object) -> Iterator[str]:
    """Return all references in a part of the document."""
    if isinstance(part, dict):
        yield from (target for name, target in part.items() if name == "$ref" and isinstance(target, str))
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


def resolve(document: Schema, reference: str) -> Schema:
    """Return what a reference points to."""
    part: Any = document
    for name in reference.removeprefix("#/").split("/"):
        part = part[name]
    assert isinstance(part, dict)
    return part


def properties(document: Schema, schema: Schema) -> Schema:
    """Return the members of an object, wherever it is described."""
    while "$ref" in schema:
        schema = resolve(document, schema["$ref"])
    members: Schema = schema["properties"]
    return members


def request_schema(document: Schema, path: str) -> Schema:
    """Return the schema of the body of a POST."""
    body = document["paths"][path]["post"]["requestBody"]
    assert body["required"] is True
    return resolve(document, body["content"]["application/json"]["schema"]["$ref"])


async def test_document_is_right_in_structure(document: Schema) -> None:
    """As far as OpenAPI 3.1 can be checked without a library for it."""
    assert document["openapi"].startswith("3.1.")
    assert document["info"].keys() >= {"title", "version"}
    assert document.keys() <= {"openapi", "info", "paths", "components", "servers"}
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
    for path, _, operation, parameters in operations(document):
        in_path = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
        assert set(re.findall(r"{(.*?)}", path)) == in_path
        assert len({(parameter["in"], parameter["name"]) for parameter in parameters}) == len(parameters)
        assert all("schema" in parameter for parameter in parameters)
        assert all(parameter.get("required") for parameter in parameters if parameter["in"] == "path")
        assert operation["summary"]
        assert all(answer["description"] for answer in operation["responses"].values())
        assert all(re.fullmatch(r"[2][0-9]{2}|default", status) for status in operation["responses"])


async def test_references_lead_somewhere(document: Schema) -> None:
    """And all within the document."""
    found = set(references(document))

    assert len(found) > 9
    assert all(resolve(document, reference) for reference in found)


@pytest.mark.parametrize("key", [ORDERS, NOTES, BUGGY, BACKUPS, LEFT, RIGHT], ids=str)
async def test_each_group_has_all_calls(document: Schema, key: tuple[str, str]) -> None:
    """The calls that the application takes, and no others."""
    start = f"/api/schedulers/{key[0]}/{key[1]}/"
    described = {
        (path.removeprefix(start), method.upper())
        for path, method, _, _ in operations(document)
        if path.startswith(start)
    }
    taken = {(row.path.partition("{jobGroup}/")[2], row.method) for row in ROWS if "{jobGroup}" in row.path}

    assert taken == described


async def test_request_of_a_group_has_its_own_fields_as_they_are_sent(document: Schema) -> None:
    """In camelCase, beside those that all groups have."""
    schema = request_schema(document, at(ORDERS))

    every = {"when", "jobType", "repeatCount", "repeatIntervalInDays", "schedule", "options"}
    own = {"orderId", "amount", "price", "giftNote", "channel", "run", "delivery", "pet", "tags"}
    assert every | own == schema["properties"].keys()
    assert schema["required"] == ["orderId"]
    assert schema["additionalProperties"] is False
    assert request_schema(document, at(NOTES))["additionalProperties"] is True
    assert every == request_schema(document, at(LEFT))["properties"].keys()


async def test_schedule_and_options_are_described(document: Schema) -> None:
    """Times and durations as the text that they are on the wire."""
    schema = request_schema(document, at(BACKUPS))
    when, schedule, options = (
        next(kind for kind in schema["properties"][name]["anyOf"] if kind.get("type") != "null")
        for name in ("when", "schedule", "options")
    )

    assert (when["type"], when["format"]) == ("string", "date-time")
    schedule = properties(document, schedule)
    assert SCHEDULE == schedule.keys()
    every = schedule["every"]["anyOf"][0]
    assert (every["type"], every["format"]) == ("string", "duration")
    assert {"maxAttempts", "backoff", "timeout"} == properties(document, options).keys()


async def test_answers_are_as_they_are_described(client: httpx2.AsyncClient, document: Schema) -> None:
    """A job, a list, a preview and an error have just the members that the document names."""
    created = await client.post(at(BACKUPS), json={"when": "2026-12-01T10:00:00Z"})
    missing = await client.get("/api/schedulers/vps4/patching/jobs")
    dry_run = await client.post(f"{at(BACKUPS)}?dryRun=true", json={"when": "2026-12-01T10:00:00Z"})
    preview = await client.get(f"{created.headers['location']}/preview")
    path = document["paths"][at(BACKUPS)]

    def members(response: Schema, media_type: str = "application/json") -> set[str]:
        schema = response["content"][media_type]["schema"]
        return set(properties(document, schema.get("items", schema)))

    assert created.json().keys() == members(path["post"]["responses"]["201"])
    assert created.json().keys() - {"warnings"} <= members(path["get"]["responses"]["200"])
    assert dry_run.json().keys() == members(path["post"]["responses"]["200"])
    described = document["paths"][at(BACKUPS, "{jobId}", "preview")]["get"]["responses"]["200"]
    assert preview.json().keys() == members(described)
    assert missing.json().keys() == members(path["get"]["responses"]["default"], "application/problem+json")


async def test_model_of_a_plugin_may_have_the_name_of_one_of_ours(document: Schema) -> None:
    """The plugin's ``Run`` and ``Schedule`` are not what a job's history and repetition are made of."""
    fields = request_schema(document, at(ORDERS))["properties"]
    history = document["paths"][at(ORDERS, "{jobId}", "runs")]["get"]["responses"]["200"]["content"]
    job = document["paths"][at(ORDERS)]["post"]["responses"]["201"]["content"]["application/json"]["schema"]
    described = {
        "their run": fields["run"]["anyOf"][0],
        "their schedule": fields["delivery"]["anyOf"][0],
        "our run": history["application/json"]["schema"]["items"],
        "our schedule": properties(document, job)["schedule"]["oneOf"][0],
        "our schedule, sent": fields["schedule"]["anyOf"][0],
    }
    members = {name: set(properties(document, schema)) for name, schema in described.items()}

    assert {"night"} == members["their run"]
    assert {"weekdays"} == members["their schedule"]
    assert "latenessSeconds" in members["our run"]
    assert SCHEDULE == members["our schedule"] == members["our schedule, sent"]


async def test_page_needs_nothing_from_elsewhere(client: httpx2.AsyncClient) -> None:
    """It works where there is no way out: what it loads comes from here, and is here."""
    page = await client.get("/docs")

    assert page.status_code == 200
    loaded = re.findall(r"""(?:src|href|url)(?:=|:\s*)["']([^"']+)""", page.text)
    assert "/openapi.json" in loaded
    assert len(loaded) >= 4
    for path in loaded:
        assert re.match(r"/[^/]", path), path
        assert (await client.get(path)).status_code == 200, path
    assert not re.search(r"""["'(]\s*(?:https?:)?//""", page.text)


async def test_document_is_the_same_each_time(make_app: MakeApp, store: SqliteStore) -> None:
    """It can be compared with the one before."""
    first, second = [await ask(make_app(store), "GET", "/openapi.json") for _ in range(2)]

    assert first.content == second.content


async def test_calendars_are_described(document: Schema) -> None:
    """Their calls, and all members of one."""
    one = document["paths"]["/api/schedulers/calendars/{name}"]

    assert {"get", "put", "delete", "parameters"} == one.keys()
    schema = one["put"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"dates", "ranges", "weekly", "holidays", "timeZone"} == properties(document, schema).keys()
