"""A real service in a real browser.

A person opens a form of `/docs`, presses Execute, and reads the answer. A hostile page of somebody else reads nothing
and changes nothing.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.cluster.process import Process
from tests.web.browser import Browser

NOTE_VIOLATIONS = """
window.violations = [];
addEventListener('securitypolicyviolation', event => violations.push([event.effectiveDirective, event.blockedURI]));
"""


class Shown(NamedTuple):
    """What the page shows of an answer."""

    status: int
    body: Any


class Page:
    """The page, open in a browser."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.browser = browser
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=NOTE_VIOLATIONS)
        browser.open(f"{url}/docs")
        browser.wait_for("document.querySelector('.opblock-tag') !== null")

    def execute(self, group: str, operation: str) -> Shown:
        """Unfold the calls of a group and a form, press `Try it out` and `Execute`, and nothing else."""
        heading = f"""document.querySelector('.opblock-tag[data-tag="{group}"]')"""
        if not self.browser.run(f"{heading}.dataset.isOpen === 'true'"):
            self.browser.run(f"{heading}.click()")
        box = f"""document.querySelector('.opblock[id$="-{operation}"]')"""
        for button in (".opblock-summary-control", ".try-out__btn", ".execute"):
            self.browser.wait_for(f"({box}?.querySelector('{button}') ?? null) !== null")
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
    one, many = (
        page.execute("vps4/destroyVm", "createVps4DestroyVmJob"),
        page.execute("vps4/destroyVm", "createVps4DestroyVmJobs"),
    )
    listed = page.execute("vps4/destroyVm", "listVps4DestroyVmJobs")

    assert [201, 201, 200] == [one.status, many.status, listed.status]
    assert {one.body["id"], *many.body["ids"]} == {job["id"] for job in listed.body}


def test_list_of_thousands_is_shown(page: Page) -> None:
    """One page of it, at once: all of them hung the browser."""
    jobs = f"{page.url}/api/schedulers/vps4/patch/jobs"
    body = {"when": "2035-01-01T00:00:00Z", "vmId": "79bfd10c-1529-42de-bd68-1a6e084ee13d"}
    assert 201 == httpx2.post(f"{jobs}/batch", json=[body] * 5000).status_code

    shown = page.execute("vps4/patch", "listVps4PatchJobs")

    assert (200, 50) == (shown.status, len(shown.body))


def test_page_asks_nobody_else(page: Page) -> None:
    """Whatever it has loaded came from the service."""
    loaded = page.browser.run("performance.getEntriesByType('resource').map(entry => entry.name)")

    assert len(loaded) >= 3
    assert [] == [address for address in loaded if not address.startswith(f"{page.url}/")]


def test_page_needs_no_more_than_it_may(page: Page) -> None:
    """Nothing that it does was held back by its own policy."""
    assert [] == page.browser.run("violations")


# --- a hostile page

EVIL = "evil.example"
"""Its name leads to this machine, as a name server of its owner could make it do at any time."""
FLAGS = (
    f"--host-resolver-rules=MAP {EVIL} 127.0.0.1",
    "--disable-features=LocalNetworkAccessChecks",  # newer browsers may ask their user first; not all do
)
ATTACK = """
(async (service, job) => {
  const jobs = `${service}/api/schedulers/test/records/jobs`, json = {'Content-Type': 'application/json'};
  const body = JSON.stringify({when: '2035-01-01T00:00:00Z', path: '/tmp/none'});
  const calls = [
    [jobs], [`${jobs}/${job}`], [`${jobs}/${job}/runs`], [`${service}/api/schedulers`], [`${service}/openapi.json`],
    [`${service}/docs`],
    [`${jobs}/${job}/pause`, {method: 'POST'}],
    [`${jobs}/${job}/retry`, {method: 'POST'}],
    [`${jobs}/${job}/pause`, {method: 'POST', headers: json, body: '{}'}],
    [jobs, {method: 'POST', headers: json, body}],
    [jobs, {method: 'POST', headers: {'Content-Type': 'text/plain'}, body}],
    [`${jobs}/batch`, {method: 'POST', headers: json, body: `[${body}]`}],
    [`${jobs}/${job}`, {method: 'PATCH', headers: json, body: '{"when": "2036-01-01T00:00:00Z"}'}],
    [`${jobs}/${job}`, {method: 'DELETE'}],
    [`${service}/api/schedulers/calendars/evil`, {method: 'PUT', headers: json, body: '{}'}],
  ];
  const read = [];
  for (const [url, options] of calls)
    for (const mode of ['cors', 'no-cors'])
      try { read.push(await (await fetch(url, {...options, mode})).text()); } catch { read.push(''); }
  navigator.sendBeacon(`${jobs}/${job}/pause`);
  const forms = [['pause', 'text/plain'], ['pause', 'multipart/form-data'], ['retry', 'text/plain']];
  for (const [action, enctype] of forms) {
    document.body.innerHTML = `<form method="post" enctype="${enctype}" target="hidden"></form><iframe name="hidden">`;
    const form = document.forms[0], frame = document.querySelector('iframe');
    form.action = `${jobs}/${job}/${action}`;
    const answered = new Promise(done => frame.onload = done);
    form.submit();
    await answered;
  }
  for (const tag of ['script', 'img']) {
    const element = document.createElement(tag);
    const over = new Promise(done => element.onload = element.onerror = done);
    element.src = jobs;
    document.body.append(element);
    await over;
  }
  return read;
})(%r, %r)
"""
"""Tries whatever a page can make a browser send, and returns what it could read of the answers."""


class Target(NamedTuple):
    """A service with a job that somebody wants to read or change, and the browser of its user."""

    browser: Browser
    service: Process
    job: str

    @property
    def port(self) -> int:
        """The port of the service."""
        return urlsplit(self.service.url).port or 0

    def facts(self) -> Any:
        """Return everything that could be changed."""
        calendars = httpx2.get(f"{self.service.url}/api/schedulers/calendars").json()
        return self.service.get(""), self.service.get(f"/{self.job}"), calendars

    def attacked_from(self, page: str, *, at: str) -> list[str]:
        """Let a page attack the service at an address, and return what it has read; nothing has changed then."""
        before = self.facts()
        self.browser.open_as(page, "<!doctype html><title>Kittens</title><body></body>")
        read: list[str] = self.browser.run(ATTACK % (at, self.job))
        assert before == self.facts()
        return read


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Process]]:
    """A service, and the browser of its user."""
    folder = tmp_path_factory.mktemp("hostile")
    with Browser(folder, *FLAGS) as browser, Process.serve("memory:", folder) as service:
        yield browser, service


@pytest.fixture
def target(attacked: tuple[Browser, Process], tmp_path: Path) -> Target:
    """A service with a job that nobody has changed yet."""
    browser, service = attacked
    return Target(browser, service, service.create(when="2035-01-01T00:00:00Z", path=str(tmp_path / "record")))


@pytest.mark.parametrize("page", ["http://evil.example/", "http://127.0.0.1:3000/", "http://localhost:3000/"])
def test_page_of_another_origin(target: Target, page: str) -> None:
    """Of another site, and of this machine itself, where somebody else may have a server too."""
    read = target.attacked_from(page, at=target.service.url)

    assert len(read) == 30
    assert {""} == set(read)


def test_page_whose_name_leads_here(target: Target) -> None:
    """After its owner has pointed it to this machine, its browser takes the service for the page's own server."""
    own = f"http://{EVIL}:{target.port}"
    read = target.attacked_from(f"{own}/kittens", at=own)

    answers = [json.loads(text) for text in read if text]
    assert len(answers) > 20
    assert {"HOST_NOT_ALLOWED"} == {answer["id"] for answer in answers}
    assert "ok" == target.browser.run(f"fetch('{own}/livez').then(answer => answer.json()).then(told => told.status)")


def test_no_page_shows_the_docs_in_a_frame(target: Target) -> None:
    """Not even one of the same origin: a click on it could be meant for something else."""
    target.browser.open_as(f"{target.service.url}/kittens", "<iframe src=/docs></iframe>")

    shown = "document.querySelector('iframe').contentDocument?.title ?? 'nothing'"
    assert "nothing" == target.browser.run(shown)
