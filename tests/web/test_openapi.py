"""The OpenAPI document and the page made of it: right in structure, a form for each group, nothing from elsewhere."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import httpx2
import pytest
from pydantic import BaseModel, BeforeValidator, WithJsonSchema

from mainspring import JobRequest, job_group, product
from mainspring.job import JobKey
from mainspring.plugins import Binding
from mainspring.store.sqlite.store import SqliteStore
from mainspring.web.endpoints import ROWS
from mainspring.web.openapi import document as described
from mainspring.web.openapi import group_names
from tests.web.answers import at
from tests.web.conftest import MakeApp
from tests.web.plugin import BACKUPS, BUGGY, LEFT, NOTES, ORDERS, RIGHT, IdleJob
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


def resolved(document: Schema, part: Schema) -> Schema:
    """Return a part of the document, or what it refers to."""
    return resolve(document, part["$ref"]) if "$ref" in part else part


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
        assert re.fullmatch(r"[a-zA-Z0-9_]+", name)
    for path, _, operation, parameters in operations(document):
        in_path = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
        assert set(re.findall(r"{(.*?)}", path)) == in_path
        assert len({(parameter["in"], parameter["name"]) for parameter in parameters}) == len(parameters)
        assert all("schema" in parameter for parameter in parameters)
        assert all(parameter.get("required") for parameter in parameters if parameter["in"] == "path")
        assert operation["summary"]
        assert all("default" not in parameter["schema"] for parameter in parameters)
        answers = {status: resolved(document, answer) for status, answer in operation["responses"].items()}
        assert all(answer["description"] for answer in answers.values())
        assert all(re.fullmatch("[2-5][0-9]{2}", status) for status in answers)
        errors = [answer for status, answer in answers.items() if status[0] in "45"]
        assert len(errors) > 5
        assert all(answer["content"].keys() == {"application/problem+json"} for answer in errors)


def schemas(part: object) -> Iterator[Schema]:
    """Return everything in a part of the document that looks like a schema."""
    if isinstance(part, dict):
        if part.keys() & {"type", "anyOf", "oneOf", "$ref"}:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from schemas(inner)


async def test_schemas_say_enough_for_a_generated_client(document: Schema) -> None:
    """What is null by default may be null, and a list says of what it is one."""
    nulls = [schema for schema in schemas(document) if "default" in schema and schema["default"] is None]

    assert len(nulls) > 9
    assert [] == [schema for schema in nulls if {"type": "null"} not in schema.get("anyOf", [])]
    arrays = [schema for schema in schemas(document) if schema.get("type") == "array"]
    assert [] == [schema for schema in arrays if "items" not in schema]


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

    assert ("string", "date-time") == (when["type"], when["format"])
    assert "now" in [kind.get("const") for kind in schema["properties"]["when"]["anyOf"]]
    schedule = properties(document, schedule)
    assert SCHEDULE == schedule.keys()
    every = schedule["every"]["anyOf"][0]
    assert (every["type"], every["format"]) == ("string", "duration")
    assert {
        "maxAttempts", "backoff", "timeout", "priority", "expiresAfter", "key", "onConflict", "tags", "paused",
        "pauseAfter", "concurrencyKey", "after", "onFailure",
    } == properties(document, options).keys()  # fmt: skip


async def test_answers_are_as_they_are_described(client: httpx2.AsyncClient, document: Schema) -> None:
    """A job, a list, a preview and an error have just the members that the document names."""
    created = await client.post(at(BACKUPS), json={"when": "2026-12-01T10:00:00Z"})
    missing = await client.get("/api/schedulers/vps4/patching/jobs")
    groups = await client.get("/api/schedulers")
    dry_run = await client.post(f"{at(BACKUPS)}?dryRun=true", json={"when": "2026-12-01T10:00:00Z"})
    preview = await client.get(f"{created.headers['location']}/preview")
    path = document["paths"][at(BACKUPS)]

    def members(response: Schema, media_type: str = "application/json") -> set[str]:
        schema = resolved(document, response)["content"][media_type]["schema"]
        return set(properties(document, schema.get("items", schema)))

    assert groups.json()[0].keys() == members(document["paths"]["/api/schedulers"]["get"]["responses"]["200"])
    assert created.json().keys() | {"damage"} == members(path["post"]["responses"]["201"])
    assert created.json().keys() - {"warnings"} <= members(path["get"]["responses"]["200"])
    forecast, _ = path["post"]["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"]
    assert dry_run.json().keys() == set(properties(document, forecast))
    described = document["paths"][at(BACKUPS, "{jobId}", "preview")]["get"]["responses"]["200"]
    assert preview.json().keys() == members(described)
    assert missing.json().keys() | {"job", "run"} == members(
        path["get"]["responses"]["422"], "application/problem+json"
    )


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
    page, start = await client.get("/docs"), await client.get("/docs/start.js")

    assert page.status_code == 200
    loaded = re.findall(r"""(?:src|href|url)(?:=|:\s*)["']([^"']+)""", page.text + start.text)
    assert "/openapi.json" in loaded
    assert len(loaded) >= 4
    for path in loaded:
        assert re.match(r"/[^/]", path), path
        assert (await client.get(path)).status_code == 200, path
    assert not re.search(r"""["'(]\s*(?:https?:)?//""", page.text + start.text)


# --- names


async def test_operations_have_names(document: Schema) -> None:
    """Each its own, such as a generated client can call its methods."""
    names = {(path, method): operation["operationId"] for path, method, operation, _ in operations(document)}

    one, many = at(BACKUPS, "{jobId}"), at(BACKUPS)
    expected = {
        (many, "get"): "listVps4BackupsJobs",
        (many, "post"): "createVps4BackupsJob",
        (at(BACKUPS, "batch"), "post"): "createVps4BackupsJobs",
        (one, "get"): "showVps4BackupsJob",
        (one, "patch"): "changeVps4BackupsJob",
        (one, "delete"): "deleteVps4BackupsJob",
        (f"{one}/pause", "post"): "pauseVps4BackupsJob",
        (f"{one}/runs", "get"): "listVps4BackupsRuns",
        ("/api/schedulers", "get"): "listGroups",
        ("/api/schedulers/calendars", "get"): "listCalendars",
        ("/api/schedulers/calendars/{name}", "put"): "putCalendar",
    }
    assert expected.items() <= names.items()
    assert len(names) == len({name.lower() for name in names.values()})
    assert all(re.fullmatch("[a-z]+([A-Z0-9][A-Za-z0-9]*)+", name) for name in names.values())


async def test_schemas_are_named_after_product_and_job_group(document: Schema) -> None:
    """A model of the plugin has the name of its group before its own, so it may be called like one of ours."""
    names = document["components"]["schemas"].keys()

    assert {"Job", "Run", "Schedule", "Options", "Problem", "Calendar"} < names
    assert {"ShopOrdersRequest", "ShopOrders_Run", "ShopOrders_Schedule", "ShopOrders_Cat"} < names
    titles = {name: schema["title"] for name, schema in document["components"]["schemas"].items() if "title" in schema}
    assert {"ShopOrdersRequest", "ShopOrders_Cat", "Options", "Backfill", "Weekly"} <= titles.keys()
    assert [] == [name for name, title in titles.items() if name != title]
    assert not [name for name in names if "tests" in name or "mainspring" in name or "__" in name]


def test_groups_whose_names_read_alike_are_told_apart() -> None:
    """By a part that follows from the pair alone; all others have the plain name."""
    keys = [BACKUPS, LEFT, RIGHT, JobKey("a", "B_c"), JobKey("9", "x~y"), JobKey("vps4", "removeSupportUser")]

    names = group_names(keys)

    assert ["Vps4Backups", "9XY", "Vps4RemoveSupportUser"] == [names[keys[place]] for place in (0, 4, 5)]
    assert len(keys) == len({name.lower() for name in names.values()})
    assert names == group_names(keys[::-1])
    assert all(re.fullmatch("[A-Za-z0-9]+", name) for name in names.values())


def described_from(module: str, other: str) -> Schema:
    """Return the document of a job group whose code is in modules of these names."""

    def model(name: str, base: type[BaseModel], within: str, **fields: Any) -> Any:
        return type(name, (base,), {"__module__": within, "__annotations__": fields})

    home = model("Address", BaseModel, module, street=str)
    work = model("Address", BaseModel, other, city=str)
    request = model("Request", JobRequest, module, home=home, work=work, either=home | work)
    job_class = product("shop")(job_group("parcels")(type("ParcelJob", (IdleJob,), {"Request": request})))
    return described(ROWS, [Binding(JobKey("shop", "parcels"), job_class, (), "test")], "1")


def test_names_stay_when_code_moves() -> None:
    """To another module; two models of one name have numbers, in the order of the fields."""
    document = described_from("a", "b")

    assert document == described_from("d", "c")
    request = document["components"]["schemas"]["ShopParcelsRequest"]
    first, second = (properties(document, request["properties"][name]) for name in ("home", "work"))
    assert (["street"], ["city"]) == (list(first), list(second))
    assert {"ShopParcels_Address", "ShopParcels_Address2"} < document["components"]["schemas"].keys()


def test_field_that_no_schema_can_describe_takes_anything() -> None:
    """Its group has a form all the same."""

    class Request(JobRequest, arbitrary_types_allowed=True, json_schema_extra={"examples": ["anything"]}):
        shape: Annotated[IdleJob, BeforeValidator(lambda _: IdleJob())]
        link: Annotated[str, WithJsonSchema({"$ref": "https://example.com/link.json"})] = ""

    job_class = product("shop")(job_group("odd")(type("OddJob", (IdleJob,), {"Request": Request})))
    document = described(ROWS, [Binding(JobKey("shop", "odd"), job_class, (), "test")], "1")

    assert {"shape", "link"} < document["components"]["schemas"]["ShopOddRequest"]["properties"].keys()


async def test_document_is_the_same_each_time(make_app: MakeApp, store: SqliteStore) -> None:
    """It can be compared with the one before."""
    first, second = [await ask(make_app(store), "GET", "/openapi.json") for _ in range(2)]

    assert first.content == second.content


async def test_calendars_are_described(document: Schema) -> None:
    """Their calls, and all members of one."""
    one = document["paths"]["/api/schedulers/calendars/{name}"]

    assert {"get", "put", "delete", "parameters"} == one.keys()
    schema = one["put"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"dates", "ranges", "weekly", "holidays", "timeZone", "replanning"} == properties(document, schema).keys()
