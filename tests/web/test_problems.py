"""Errors lead to pages that say what they mean; all is made of one table of codes."""

import re
from pathlib import Path

import httpx2
import pytest

import mainspring
from mainspring import errors
from mainspring.web.codes import ANY, CODES, type_of
from mainspring.web.problem import STATUS
from tests.docs.reading import table
from tests.web.answers import at, missing, refusal
from tests.web.plugin import BACKUPS

SOURCE = Path(mainspring.__file__).parent
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
NOT_OF_THE_WIRE = {"CONFIG_ERROR", "SCHEMA_ERROR", "NODES_ALIVE", "PORT_TAKEN"}
"""Those of a process that does not start."""

OF_TYPES = {"TOO_LONG"}
"""Codes of pydantic that are also raised here."""


async def test_type_of_an_error_leads_to_what_it_means(client: httpx2.AsyncClient) -> None:
    """Also from the other spelling of the base path."""
    error = (await client.post(at(BACKUPS).replace("schedulers", "scheduler"), json={})).json()

    answer = await client.get(error["type"])

    assert answer.status_code == 200
    assert {
        "type": "/problems/job-creation-error",
        "code": error["id"],
        "status": error["status"],
        "title": error["title"],
        "means": "a job cannot be created as it was asked for; `errors` names each problem",
        "advice": "Correct what `errors` names; `pointer` says where it is.",
        "retryable": error["retryable"],
    } == answer.json()


async def test_every_code_has_a_page(client: httpx2.AsyncClient) -> None:
    """For programs and for browsers, and the list leads to each."""
    listed = (await client.get("/problems")).json()
    page = (await client.get("/problems", headers=BROWSER)).text

    assert list(CODES) == [each["code"] for each in listed]
    for each in listed:
        assert each == (await client.get(each["type"])).json()
        assert f'<a href="{each["type"]}">{each["code"]}</a>' in page
        shown = await client.get(each["type"], headers=BROWSER)
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        assert f"<h1>{each['code']}</h1>" in shown.text
        assert ("may succeed later" in shown.text) == each["retryable"]


async def test_page_is_guarded_and_loads_nothing(client: httpx2.AsyncClient) -> None:
    """A cache keeps the two forms apart."""
    answer = await client.get("/problems", headers=BROWSER)

    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["vary"] == "Accept"
    assert not re.search("src=|<script|<link|<style|http:", answer.text)


@pytest.mark.parametrize("name", ["nothing", "JOB_RUNNING", "job_running", "<b>"])
async def test_no_such_code_is_not_there(client: httpx2.AsyncClient, name: str) -> None:
    """Names are those in `type`."""
    assert missing("NOT_FOUND") == refusal(await client.get(f"/problems/{name}"))


def test_code_that_is_not_ours_has_a_type() -> None:
    """Which is there."""
    assert type_of("INT_TYPE") == "/problems/validation-error"


def test_docs_have_the_table() -> None:
    """Each code with its status and what it means."""
    written = {
        code.strip("`"): (status, re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", when))
        for status, code, when in table("docs/api.md", "status | code")
    }

    assert {
        code.name: ("other" if code.status == ANY else str(code.status), code.means) for code in CODES.values()
    } == written


def test_errors_have_the_status_of_the_table() -> None:
    """Whatever class is raised."""
    kinds = (each for each in vars(errors).values() if isinstance(each, type))
    family = {each for each in kinds if issubclass(each, errors.MainspringError)}
    codes = {each.code: STATUS.get(each) for each in family} | {"INTERNAL_ERROR": 500}

    of_the_wire = {code: status for code, status in codes.items() if code not in NOT_OF_THE_WIRE}
    assert {code: CODES[code].status for code in of_the_wire} == of_the_wire


def test_codes_of_the_source_are_in_the_table() -> None:
    """Those that are raised as HTTP with their status; others as a problem of a request."""
    for path in SOURCE.rglob("*.py"):
        if path.parent.name == "enqueueing":  # its problems are raised in programs, and never answered
            continue
        text = path.read_text()
        for status, code in re.findall(r'HttpError\(\s*(\d{3}),\s*"([A-Z_]+)"', text):
            assert (code, int(status)) == (code, CODES[code].status), path
        for code in re.findall(r'Problem\(\s*[^"\n]*"[^"\n]*",\s*"([A-Z_]+)"', text):
            assert code in CODES.keys() | OF_TYPES, path
