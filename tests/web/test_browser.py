"""`/docs` in a real browser, of a real service: a person opens a form, presses Execute, and reads the answer."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.cluster.process import Process
from tests.web.browser import Browser


class Shown(NamedTuple):
    """What the page shows of an answer."""

    status: int
    body: Any


class Page:
    """The page, open in a browser."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.browser = browser
        browser.open(f"{url}/docs")
        browser.wait_for("document.querySelector('.opblock') !== null")

    def execute(self, operation: str) -> Shown:
        """Unfold a form, press `Try it out` and `Execute`, and nothing else."""
        box = f"""document.querySelector('.opblock[id$="-{operation}"]')"""
        for button in (".opblock-summary-control", ".try-out__btn", ".execute"):
            self.browser.wait_for(f"{box}.querySelector('{button}') !== null")
            self.browser.run(f"{box}.querySelector('{button}').click()")
        live = f"{box}.querySelector('.live-responses-table .response')"
        self.browser.wait_for(f"{live} !== null")
        status = self.browser.run(f"{live}.querySelector('.response-col_status').innerText")
        body = self.browser.run(f"{live}.querySelector('.response-col_description code').innerText")
        return Shown(int(status), json.loads(body))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of a service with the example plugin."""
    folder = tmp_path_factory.mktemp("browser")
    with Browser(folder) as browser, Process.serve("memory:", folder) as service:
        yield Page(browser, service.url)


def test_execute_creates_jobs(page: Page) -> None:
    """One job, and many; what the forms sent is what a list then shows. `test_forms` sends those of all groups."""
    one, many = page.execute("createVps4DestroyVmJob"), page.execute("createVps4DestroyVmJobs")
    listed = page.execute("listVps4DestroyVmJobs")

    assert [201, 201, 200] == [one.status, many.status, listed.status]
    assert {one.body["id"], *many.body["ids"]} == {job["id"] for job in listed.body}


def test_list_of_thousands_is_shown(page: Page) -> None:
    """One page of it, at once: all of them hung the browser."""
    jobs = f"{page.url}/api/schedulers/vps4/patch/jobs"
    body = {"when": "2035-01-01T00:00:00Z", "vmId": "79bfd10c-1529-42de-bd68-1a6e084ee13d"}
    assert 201 == httpx2.post(f"{jobs}/batch", json=[body] * 5000).status_code

    shown = page.execute("listVps4PatchJobs")

    assert (200, 50) == (shown.status, len(shown.body))


def test_page_asks_nobody_else(page: Page) -> None:
    """Whatever it has loaded came from the service."""
    loaded = page.browser.run("performance.getEntriesByType('resource').map(entry => entry.name)")

    assert len(loaded) >= 3
    assert [] == [address for address in loaded if not address.startswith(f"{page.url}/")]
