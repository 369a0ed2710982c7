"""docs/api.md: all calls and all codes are in it, and its examples are what the service says."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mainspring.errors import ConfigError, InvalidRequestError, MainspringError
from mainspring.job import Outcome
from mainspring.plugins import Registry, build
from mainspring.web.codes import OTHER
from mainspring.web.endpoints import ROWS, docs
from tests.web.answers import at
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, BackupsModule

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "api.md").read_text("utf-8")
JOBS = "http://127.0.0.1:8089/api/schedulers/vps4/backups/jobs"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FREEZE = {"ranges": [{"first": "2026-12-21", "last": "2027-01-06"}], "timeZone": "Europe/Berlin"}
DAILY = {"every": "P1D", "timeZone": "Europe/Berlin", "start": "2026-06-02T01:00:00Z"}
CURSOR = re.compile(r"cursor=[^>&]+")
TOKEN = re.compile(r'"token": ?"[^"]+"')


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The one group of the examples."""
    return build([("test", BackupsModule())])


# --- completeness -----------------------------------------------------------------------------------------------------


def test_all_calls_are_documented() -> None:
    """In the table at the top, each with its method and path; the page that shows them is none."""
    routes = {f"{row.method} {row.path}" for row in ROWS if row not in docs.ROWS}

    documented = set(re.findall(r"^\| \[`([A-Z]+ /\S*)`\]", DOCS, re.MULTILINE))
    assert routes == documented


def below(kind: type[MainspringError]) -> Iterator[type[MainspringError]]:
    """Return the kinds of errors that a client may see, those of a kind and of what is below it."""
    for error in kind.__subclasses__():
        if error is not ConfigError:
            yield error
            yield from below(error)


def codes(*more: str) -> Iterator[str]:
    """Return the codes that the source raises: those of the exceptions, and texts that look like one."""
    yield from (error.code for error in below(MainspringError) if error is not InvalidRequestError)
    package = ROOT / "src" / "mainspring"
    rooms = ("web", "service", "plugins", "job", "schedule", *more)
    files = (path for room in rooms for path in (package / room).rglob("*.py") if path.parent.name != "imports")
    for path in [package / "problems.py", *files]:  # importers name the variables of other programs
        is_table = path.name in {"__init__.py", "codes.py"}
        for node in ast.walk(ast.parse("" if is_table else path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"[A-Z]+(_[A-Z]+)+", str(node.value)):
                yield str(node.value)


def test_all_codes_are_documented() -> None:
    """So that a client can be written against them."""
    raised = set(codes())

    assert len(raised) > 50
    assert set() == {code for code in raised if f"`{code}`" not in DOCS}


def test_no_other_codes_are_documented() -> None:
    """What the table of errors promises can happen; that of settings is elsewhere, but for what their jobs refuse."""
    documented = set(re.findall(r"^\| (?:\d{3}|other) \| `(\w+)` \|", DOCS, re.MULTILINE))

    assert len(documented) > 50
    assert set() == documented - set(codes("declared")) - {OTHER}


def test_links_lead_to_headings() -> None:
    """All within the page."""
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", DOCS, re.MULTILINE)}

    assert set() == set(re.findall(r"\]\(#([^)]*)\)", DOCS)) - headings


# --- examples ---------------------------------------------------------------------------------------------------------


def examples() -> Iterator[Any]:
    """Return the commands of the page, each with what it is said to print."""
    for section in re.split(r"^## ", DOCS, flags=re.MULTILINE):
        title = section.partition("\n")[0]
        for number, block in enumerate(re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)):
            command, _, printed = block.removeprefix("$ ").partition("\nHTTP/1.1 ")
            yield pytest.param(title, command, printed, id=f"{title} {number}")


def request(client: httpx2.AsyncClient, command: str) -> httpx2.Request:
    """Return the request that a curl command makes."""
    words = iter(shlex.split(command.replace("\\\n", " ")))
    method, url, body, headers = "GET", "", None, {}
    assert (next(words), next(words)) == ("curl", "-i")
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words)
            case _:
                url = word
    return client.build_request(method, url, headers=headers, content=body)


def masked(text: str) -> str:
    """Return a text without what differs from one time to the next."""
    return TOKEN.sub('"token":"…"', CURSOR.sub("cursor=…", UUID.sub("<id>", text)))


@pytest.mark.parametrize(("title", "command", "printed"), list(examples()))
async def test_example_is_what_the_service_says(
    client: httpx2.AsyncClient, jobs: Jobs, title: str, command: str, printed: str
) -> None:
    """Status, the headers shown, and the body to the last member."""
    if "calendar" in title:
        await client.put("/api/schedulers/calendars/freeze", json=FREEZE)
    if title in {"Retry a job", "Show the history of a job"}:
        job_id = await jobs.ended(BACKUPS, Outcome.FAILED)
    elif title == "Look ahead":
        job_id = await jobs.create(BACKUPS, schedule=DAILY)
    elif title == "Ask why a job has not run":
        job_id = await jobs.create(BACKUPS, when="2026-06-01T23:58:00Z")
    elif title == "Run a past range":
        job_id = await jobs.create(BACKUPS, schedule=DAILY | {"start": "2026-05-01T01:00:00Z"})
    else:
        job_id = await jobs.create(BACKUPS)
    if title == "Resume a job":
        await client.post(at(BACKUPS, job_id, "pause"))

    answer = await client.send(request(client, command.replace("$JOBS", JOBS).replace("$JOB", str(job_id))))

    head, _, body = printed.partition("\n\n")
    status, *headers = head.splitlines()
    assert status == f"{answer.status_code} {answer.reason_phrase}"
    for header in headers:
        name, _, value = header.partition(": ")
        assert masked(value) == masked(answer.headers[name])
    if body:
        assert json.loads(masked(body)) == json.loads(masked(answer.text))


def test_examples_are_found() -> None:
    """One for each call at the least."""
    assert len(list(examples())) >= 14
