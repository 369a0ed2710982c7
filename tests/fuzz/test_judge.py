"""The judge of `make fuzz` finds what it is made for, and nothing in what is right."""

import json
from typing import Any

import pytest

from fuzz.client import PATIENCE, Answer
from fuzz.draw import Request
from fuzz.judge import Judge, raw_faults
from fuzz.plugin import Module
from mainspring.plugins import build
from mainspring.web.endpoints import ROWS
from mainspring.web.openapi import document

LIST = "/api/schedulers/shop/notes/jobs"
JOB = f"{LIST}/019e830e-1a00-70a5-abaa-9455e3e70682"


@pytest.fixture(scope="module")
def judge() -> Judge:
    """A judge that knows the calls of the service that is fuzzed."""
    return Judge(document(ROWS, build([("test", Module())]).bindings.values(), "1"))


def error(code: int, *, kind: str = "application/problem+json", **other: Any) -> Answer:
    """Return an error as it should be, but for what is said."""
    content = {
        "type": "/problems/validation-error", "title": "T", "status": code, "detail": "d", "instance": "1", "id": "X",
        "errors": [], "retryable": False,
    }  # fmt: skip
    headers = {"content-type": kind, "x-request-id": "1", "x-content-type-options": "nosniff"}
    return Answer(code, headers, json.dumps(content | other).encode())


GOOD = Answer(200, {"content-type": "application/json", "x-content-type-options": "nosniff"}, b"[]")


def rules(judge: Judge, request: Request, answer: Answer) -> list[str]:
    """Return the rules that an answer breaks."""
    return [fault.rule for fault in judge.faults(request, answer)]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (Request("GET", LIST), GOOD),
        (Request("HEAD", f"{LIST}?limit=3"), GOOD),
        (Request("GET", "/api/scheduler/shop/notes/jobs"), GOOD),
        (Request("GET", "/livez"), GOOD),
        (Request("GET", "/docs/start.js"), GOOD._replace(status=304)),
        (Request("GET", "/nowhere"), error(404)),
        (Request("GET", "/api/schedulers/not/there/jobs"), error(404)),
        (Request("POST", f"{JOB}/pause"), error(409)),
        (Request("POST", LIST), error(422)),
        (Request("GET", LIST), error(503)),
        (Request("BREW", LIST), error(405)),
        (Request("OPTIONS", LIST), GOOD._replace(status=204)),
    ],
)
def test_right_answer(judge: Judge, request_: Request, answer: Answer) -> None:
    """Is found to be right."""
    assert [] == rules(judge, request_, answer)
    assert answer.status in {304, 409} or [] == list(raw_faults(b"", [answer]))


@pytest.mark.parametrize(
    ("request_", "answer", "rule"),
    [
        (Request("GET", LIST), error(500), "status is not documented"),
        (Request("GET", LIST), error(502), "status is not documented"),
        (Request("GET", LIST), error(409), "status is not documented"),
        (Request("GET", LIST), GOOD._replace(status=201), "status is not documented"),
        (Request("GET", "/nowhere"), GOOD, "status is not documented"),
        (Request("DELETE", LIST), GOOD, "status is not documented"),
        (Request("POST", LIST), error(422, kind="application/json"), "an error is no problem document"),
        (Request("GET", "/%"), error(400, kind="text/plain; charset=utf-8"), "an error is no problem document"),
        (Request("GET", "/"), error(400, status=200), "an error says something else than it must"),
        (Request("GET", "/"), error(400, instance="2"), "an error says something else than it must"),
        (Request("GET", "/"), error(400, more=1), "an error says something else than it must"),
        (Request("GET", "/"), error(400, detail="x" * 4096), "an error says something else than it must"),
        (Request("GET", "/"), error(400)._replace(body=b"{"), "an error says something else than it must"),
        (Request("GET", LIST), GOOD._replace(seconds=PATIENCE), "no end within 5 s"),
        (Request("GET", LIST), Answer(0, {}, b"", PATIENCE), "no end within 5 s"),
        (Request("GET", LIST), Answer(0, {}, b"reset"), "no answer"),
    ],
)
def test_wrong_answer(judge: Judge, request_: Request, answer: Answer, rule: str) -> None:
    """Is found, by its rule and no other; on raw bytes too, as far as no call is known."""
    assert [rule] == rules(judge, request_, answer)
    raw = [fault.rule for fault in raw_faults(b"", [GOOD, answer])]
    assert raw == ([rule] if rule != "status is not documented" or answer.status >= 500 or answer.status == 409 else [])


def test_answer_without_security_headers(judge: Judge) -> None:
    """Is found, whether it is good or bad."""
    for answer in (GOOD, error(422)):
        bare = answer._replace(headers={**answer.headers, "x-content-type-options": ""})
        assert ["an answer has no security headers"] == rules(judge, Request("GET", LIST), bare)
