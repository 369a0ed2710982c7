"""The forms of `/docs`: what they hold before anybody has typed is sent, and does what the call says."""

import importlib
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx2
import pytest
from mainspring_vps4.plugin import Vps4SchedulerPluginModule
from pydantic import AwareDatetime, BaseModel, Field, model_validator

from mainspring import Binder, JobRequest, SchedulerPluginModule, job_group, product
from mainspring.clock import ManualClock
from mainspring.plugins import Registry, build
from tests.docs.reading import files
from tests.web.answers import at
from tests.web.plugin import IdleJob, Module

Document = dict[str, Any]


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Line(BaseModel):
    article: Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{4}$")]
    number: Annotated[int, Field(gt=0, multiple_of=6)]


@product("shop-2")
@job_group("wish.lists")
class PickyJob(IdleJob):
    """Asks for a value of many kinds, each within limits."""

    class Request(JobRequest):
        size: Size
        lines: Annotated[list[Line], Field(min_length=2)]
        until: AwareDatetime
        day: date
        patience: timedelta
        share: Annotated[float, Field(gt=0, lt=1)]
        letters: Annotated[str, Field(min_length=12, max_length=12)]
        way: Literal["post", "courier"]
        weights: dict[str, int]
        customer: Annotated[str, Field(examples=["C-17"])]
        urgent: bool
        starts: datetime
        note: str | None = None


@product("shop-2")
@job_group("refunds")
class RefundJob(IdleJob):
    """Has fields that go together, of which its author gives an example."""

    class Request(JobRequest, json_schema_extra={"examples": [{"amount": -5, "reference": "R-1"}]}):
        amount: int
        reference: str | None = None

        @model_validator(mode="after")
        def needs_a_reference(self) -> "RefundJob.Request":
            if self.amount > -1 or not self.reference:
                raise ValueError("a refund is below zero and has a reference")
            return self


@product("shop-2")
@job_group("nightly")
class NightlyJob(IdleJob):
    """Has an example that says when it is to run."""

    class Request(JobRequest, json_schema_extra={"examples": [{"schedule": {"cron": "0 3 * * *"}, "shop": 4}]}):
        shop: int


class ShopModule(SchedulerPluginModule):
    """Binds the jobs of this file."""

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`."""
        for job_class in (PickyJob, RefundJob, NightlyJob):
            binder.bind_job(job_class)


def module_of(page: str, name: str, folder: Path) -> SchedulerPluginModule:
    """Save the files of a page and return the plugin in them that has this name."""
    modules = [file.removesuffix(".py") for file in files(page)]
    for file, text in files(page).items():
        (folder / file).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        found = [getattr(importlib.import_module(module), name, None) for module in modules]
        for module in modules:
            del sys.modules[module]
    (plugin,) = {kind for kind in found if kind is not None}
    made: SchedulerPluginModule = plugin()
    return made


PLUGINS: dict[str, Callable[[Path], SchedulerPluginModule]] = {
    "tests": lambda _: Module(),
    "shop": lambda _: ShopModule(),
    "vps4": lambda _: Vps4SchedulerPluginModule(),
    "README": lambda folder: module_of("README.md", "MyModule", folder),
    "plugins.md": lambda folder: module_of("docs/plugins.md", "ShopModule", folder),
}


@pytest.fixture(params=PLUGINS)
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    """The job groups of one plugin after the other."""
    return build([(request.param, PLUGINS[request.param](tmp_path))])


class Page:
    """The page: its forms, and a person who presses Execute."""

    def __init__(self, client: httpx2.AsyncClient, document: Document) -> None:
        self._client = client
        self._paths = document["paths"]

    def request(self, path: str) -> dict[str, Any]:
        """Return the request that the form for a new job holds."""
        example: dict[str, Any] = self._paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        return example

    def media_types(self, method: str, path: str) -> list[str]:
        """Return what a form can send."""
        return list(self._paths[path][method.lower()].get("requestBody", {}).get("content", {}))

    async def press(self, method: str, path: str, media_type: str = "application/json", **names: str) -> Any:
        """Send what the form holds; only the names in the path have to be typed."""
        operation = self._paths[path][method.lower()]
        values = {
            parameter["name"]: parameter.get("example", parameter["schema"].get("default"))
            for parameter in operation.get("parameters", ())
            if parameter["in"] == "query"
        }
        query = {name: value for name, value in values.items() if value is not None}
        content = operation.get("requestBody", {}).get("content", {})
        body = content[media_type]["example"] if content else None
        sent = {"content": body} if isinstance(body, str) else {"json": body}
        url = path.format(**names)
        return await self._client.request(method, url, params=query, headers={"Content-Type": media_type}, **sent)


@pytest.fixture
async def page(client: httpx2.AsyncClient) -> Page:
    """The page as it is when it has just been opened."""
    return Page(client, (await client.get("/openapi.json")).json())


async def test_form_creates_a_job(
    client: httpx2.AsyncClient, page: Page, registry: Registry, clock: ManualClock
) -> None:
    """Of each group, without a warning: it is due a little later, at least an hour and at most two."""
    for key in registry.bindings:
        answer = await page.press("POST", at(key))

        assert (201, []) == (answer.status_code, answer.json().get("warnings")), answer.text
        due = datetime.fromisoformat(answer.json()["nextRun"]) - clock.now()
        assert answer.json()["schedule"] or timedelta(hours=1) < due <= timedelta(hours=2)
        assert 1 == len((await client.get(at(key))).json())
    assert registry.bindings


async def test_form_of_a_batch_creates_jobs(client: httpx2.AsyncClient, page: Page, registry: Registry) -> None:
    """As one array, and as lines."""
    for key in registry.bindings:
        media_types = page.media_types("POST", at(key, "batch"))
        for media_type in media_types:
            answer = await page.press("POST", at(key, "batch"), media_type)
            assert 201 == answer.status_code, answer.text
        assert ["application/json", "application/x-ndjson"] == media_types
        assert 2 == len((await client.get(at(key))).json())


async def test_other_forms_need_no_more_than_an_id(page: Page, registry: Registry) -> None:
    """Whoever has created a job can read, move, pause, resume and delete it without typing anything else."""
    for key in registry.bindings:
        one = at(key, "{jobId}")
        job_id = (await page.press("POST", at(key))).json()["id"]
        calls = [("GET", at(key)), ("GET", one), ("PATCH", one), ("POST", f"{one}/pause"), ("POST", f"{one}/resume")]
        calls += [("GET", f"{one}/preview"), ("GET", f"{one}/runs")]

        answers = [await page.press(*call, jobId=job_id) for call in calls]

        assert [200] * len(calls) == [answer.status_code for answer in answers], [answer.text for answer in answers]
        assert 204 == (await page.press("DELETE", one, jobId=job_id)).status_code


async def test_form_of_a_list_asks_for_a_page(client: httpx2.AsyncClient, page: Page, registry: Registry) -> None:
    """Thousands of jobs would hang a browser; who calls without a limit has all of them still."""
    key = next(iter(registry.bindings))
    await client.post(at(key, "batch"), json=[page.request(at(key))] * 60)

    shown, all_of_them = await page.press("GET", at(key)), await client.get(at(key))

    assert (50, 60) == (len(shown.json()), len(all_of_them.json()))
    assert "next" in shown.links


async def test_form_of_a_backfill_asks_for_yesterday(
    client: httpx2.AsyncClient, page: Page, registry: Registry
) -> None:
    """A job whose schedule had fire times then runs them."""
    key = next(iter(registry.bindings))
    request = {name: value for name, value in page.request(at(key)).items() if name != "when"}
    schedule = {"every": "PT6H", "start": "2026-01-01T03:00:00Z"}
    job_id = (await client.post(at(key), json=request | {"schedule": schedule})).json()["id"]

    answer = await page.press("POST", at(key, "{jobId}", "backfill"), jobId=job_id)

    assert (202, {"created": 4, "left": 0}) == (answer.status_code, answer.json())


async def test_form_of_a_calendar_writes_one(page: Page) -> None:
    """Of one day that is to come."""
    path = "/api/schedulers/calendars/{name}"

    answers = [await page.press(method, path, name="closed") for method in ("PUT", "GET", "DELETE")]

    assert [201, 200, 204] == [answer.status_code for answer in answers]
    assert ["2026-06-02"] == answers[1].json()["dates"]
