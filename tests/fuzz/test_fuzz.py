"""A short `make fuzz`: a real service, and requests drawn from a fixed seed."""

import asyncio
from copy import deepcopy
from random import Random

import pytest

from fuzz.document import check
from fuzz.draw import Draw, Request, operations
from fuzz.plugin import Module
from fuzz.raw import bytes_of
from fuzz.report import Report
from fuzz.run import fuzz
from fuzz.service import bugs, serving
from mainspring.plugins import build
from mainspring.web.endpoints import ROWS
from mainspring.web.openapi import document
from mainspring.web.schema import Schema

SEED = 1
SOME = "/shop/orders/jobs$"
"""The paths that schemathesis draws examples for here; to read the schemas of all takes a minute."""


def test_whatever_is_sent_gets_a_documented_answer() -> None:
    """In time, with a problem document for each error, and with nothing in the log."""

    async def fuzzed() -> Report:
        async with serving("memory") as service:
            report = await fuzz(service, 3000, SEED)
            await asyncio.to_thread(check, service, 100, SEED, report, SOME)
            report.blame(bugs(service))
            return report

    report = asyncio.run(fuzzed())

    assert [] == list(report.faults), "\n".join(report.lines())
    assert report.statuses.total() >= 3000
    assert {200, 201, 204, 400, 403, 404, 405, 406, 415, 421, 422} <= report.statuses.keys()


@pytest.fixture(scope="module")
def described() -> Schema:
    """The document of the service that is fuzzed."""
    return document(ROWS, build([("test", Module())]).bindings.values(), "1")


def drawn(described: Schema, number: int) -> list[Request]:
    """Return the first requests of a seed."""
    draw = Draw(described, Random(SEED), [])
    return [draw.request() for _ in range(number)]


def test_seed_repeats_what_was_sent(described: Schema) -> None:
    """So that what was found can be found again."""
    assert drawn(described, 300) == drawn(described, 300)
    assert [bytes_of(Random(n)) for n in range(99)] == [bytes_of(Random(n)) for n in range(99)]


def test_every_call_is_drawn(described: Schema) -> None:
    """As it stands in the document, and otherwise."""
    requests = drawn(described, 5000)

    called = {(request.method, request.path.count("/")) for request in requests}
    assert {(each.method, each.path.count("/")) for each in operations(described)} <= called
    assert all(request.encode("localhost").count(b"\r\n\r\n") for request in requests)


def test_no_answer_is_waited_for_in_vain(described: Schema) -> None:
    """A stream of events has no end: what is drawn is a page of those that there are."""
    asked = [request for request in drawn(described, 3000) if request.path.endswith("/events")]

    assert len(asked) > 9
    assert all(request.target.endswith("wait=0") for request in asked)
    assert all("*/*" not in accept for each in asked for name, accept in each.headers if name == "Accept")
    assert all("Accept" in dict(request.headers) for request in asked)


def test_document_that_is_wrong_is_found_out() -> None:
    """Where it forbids what is taken, and where it does not list a status."""

    async def compared() -> Report:
        report = Report()
        async with serving("memory") as service:
            wrong = deepcopy(service.document)
            wrong["components"]["schemas"]["Calendar"] = {
                "type": "object",
                "required": ["dates"],
                "properties": {"dates": {"type": "array", "items": {"type": "string", "format": "date"}}},
            }
            put = wrong["paths"]["/api/schedulers/calendars/{name}"]["put"]
            put["parameters"] = [each for each in put["parameters"] if each["in"] == "path"]  # or most are 412
            del put["responses"]["201"]
            await asyncio.to_thread(check, service._replace(document=wrong), 240, SEED, report, "/calendars/{name}$")
        return report

    report = asyncio.run(compared())
    found = {rule for rule, _ in report.faults}

    assert {
        "schemathesis: Schema-violating request accepted",
        "schemathesis: Undocumented status code",
    } <= found
