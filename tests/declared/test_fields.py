"""Requests by JSON Schema: which schemas are taken, and all that is wrong with a body at once."""

from typing import Any

import pytest
from pydantic import ValidationError

from mainspring.clock import ManualClock
from mainspring.declared import AllowedTargets, HttpJob, own_fields, request_model
from mainspring.errors import InvalidRequestError
from mainspring.job import read

WHEN = {"when": "2026-01-02T00:00:00Z"}


def refused(schema: dict[str, Any], body: dict[str, Any]) -> set[tuple[str, str]]:
    """Read a body that is wrong; return the place and the code of each problem."""
    with pytest.raises(InvalidRequestError) as caught:
        read(request_model("Test", schema), body, now=ManualClock().now())
    return {(problem.pointer, problem.code) for problem in caught.value.problems}


def fields(schema: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Read a body that is right; return the fields that are the group's own."""
    return own_fields(read(request_model("Test", schema), {**WHEN, **body}, now=ManualClock().now()).request)


def test_all_problems_come_at_once() -> None:
    """Missing, unknown and wrong fields, in their depth, beside what is wrong about the schedule."""
    schema = {
        "required": ["id", "name"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "name": {"type": "string", "maxLength": 3},
            "tags": {
                "type": "array",
                "items": {"required": ["key"], "properties": {"key": {}}, "additionalProperties": False},
            },
        },
    }
    body = {"id": "x", "tags": [{"key": 1, "more": 1}, {"other": 2}], "colour": 1}
    assert refused(schema, body) == {
        ("/id", "FORMAT"),
        ("/name", "REQD_FIELD_MISSING"),
        ("/tags/0/more", "UNKNOWN_FIELD"),
        ("/tags/1/key", "REQD_FIELD_MISSING"),
        ("/tags/1/other", "UNKNOWN_FIELD"),
        ("/colour", "UNKNOWN_FIELD"),
        ("/when", "REQD_FIELD_MISSING"),
    }


def test_rules_of_the_whole() -> None:
    """They are told with the schedule's problems, if each field is right by itself."""
    schema = {"properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}, "minProperties": 1}
    assert refused(schema, {"a": 1}) == {("", "DEPENDENT_REQUIRED"), ("/when", "REQD_FIELD_MISSING")} or refused(
        schema, {"a": 1}
    ) == {("/b", "REQD_FIELD_MISSING"), ("/when", "REQD_FIELD_MISSING")}
    assert refused(schema, {**WHEN}) == {("", "MIN_PROPERTIES")}


def test_rules_of_the_whole_need_all_fields() -> None:
    """One that was sent wrong is told, and not what would follow from its absence."""
    schema = {"properties": {"a": {"type": "integer"}, "b": {}}, "minProperties": 1, "dependentRequired": {"b": ["a"]}}
    assert refused(schema, {**WHEN, "a": "x", "b": 1}) == {("/a", "TYPE")}


def test_open_requests() -> None:
    """Fields without a name are taken if the schema says so, and are checked by what it says of them."""
    assert fields({"additionalProperties": True}, {"x": [1]}) == {"x": [1]}
    assert fields({"additionalProperties": {"type": "integer"}}, {"x": 1}) == {"x": 1}
    assert refused({"additionalProperties": {"type": "integer"}}, {**WHEN, "x": "1"}) == {("/x", "TYPE")}
    assert refused({"patternProperties": {"^x": {"type": "integer"}}}, {**WHEN, "x": "1"}) == {("/x", "TYPE")}
    assert refused({}, {**WHEN, "x": 1}) == {("/x", "UNKNOWN_FIELD")}


def test_own_fields_are_those_sent_and_defaults() -> None:
    """What is absent stays absent; names need not be those of Python."""
    schema = {"properties": {"a-b": {}, "class": {"default": 3}, "vm_id": {}, "null": {"type": ["null", "integer"]}}}
    assert fields(schema, {"vm_id": "x", "null": None}) == {"vm_id": "x", "class": 3, "null": None}
    assert fields(schema, {"a-b": {"c": 1}, "class": 4}) == {"a-b": {"c": 1}, "class": 4}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "array"}, ("request", "type")),
        ({"properties": {"when": {}}}, ("request", "properties", "when")),
        ({"properties": {"jobType": {}}}, ("request", "properties", "jobType")),
        ({"properties": {"a": {"$ref": "https://example.com"}}}, ("request", "properties", "a", "$ref")),
        ({"$defs": {}}, ("request", "$defs")),
        ({"properties": {"a": {"type": "strin"}}}, ("request", "properties", "a", "type")),
        ({"properties": {"a": {"pattern": "(("}}}, ("request", "properties", "a", "pattern")),
        ({"required": ["b"]}, ("request", "required", 0)),
        ({"required": 1}, ("request", "required")),
    ],
)
def test_schemas_that_are_refused(schema: dict[str, Any], place: tuple[Any, ...]) -> None:
    """What is no schema, what refers elsewhere, and what belongs to Mainspring; each at its place."""
    with pytest.raises(ValidationError) as caught:
        HttpJob(product="p", job_group="g", url="https://example.com", request=schema)
    assert place in [error["loc"] for error in caught.value.errors()]


def test_a_schema_may_have_a_field_of_any_name() -> None:
    """Even one that means something in a schema."""
    assert fields({"properties": {"$id": {}, "$ref": {"type": "integer"}}}, {"$ref": 1}) == {"$ref": 1}


# --- URLs


def an_http_job(**told: Any) -> HttpJob:
    """Make an HTTP job."""
    return HttpJob(**{"product": "p", "job_group": "g", "url": "https://example.com/v/{id}?q={q}", **told})


REQUEST = {"required": ["id"], "properties": {"id": {}, "q": {}}}


@pytest.mark.parametrize(
    ("sent", "url"),
    [
        ({"id": "a b/c?d&\u00e4%2f"}, "https://example.com/v/a%20b%2Fc%3Fd%26%C3%A4%252f?q="),
        ({"id": 5, "q": True}, "https://example.com/v/5?q=true"),
        ({"id": "-._~", "q": "x@127.0.0.1"}, "https://example.com/v/-._~?q=x%40127.0.0.1"),
    ],
)
def test_fields_in_a_url(sent: dict[str, Any], url: str) -> None:
    """All that is not plain is written as %XX."""
    assert url == an_http_job(request=REQUEST).url_of(sent)


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        ({"id": ""}, ("/id", "HTTP_URL_FIELD")),
        ({"id": None}, ("/id", "HTTP_URL_FIELD")),
        ({"id": [1]}, ("/id", "HTTP_URL_FIELD")),
        ({"id": 1, "q": {}}, ("/q", "HTTP_URL_FIELD")),
        ({"id": ".."}, ("", "HTTP_TARGET_FORBIDDEN")),
        ({"id": "x" * 8000}, ("", "HTTP_TARGET_FORBIDDEN")),
    ],
)
def test_fields_that_no_url_can_have(sent: dict[str, Any], problem: tuple[str, str]) -> None:
    """They are refused at POST."""
    model = an_http_job(request=REQUEST).request_model()
    with pytest.raises(InvalidRequestError) as caught:
        read(model, {**WHEN, **sent}, now=ManualClock().now())
    assert [problem] == [(each.pointer, each.code) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("file:///etc/passwd", "HTTP_URL_SCHEME"),
        ("example.com", "HTTP_URL_SCHEME"),
        ("http://2130706433/", "HTTP_TARGET_FORBIDDEN"),
        ("http://169.254.169.254/", "HTTP_TARGET_FORBIDDEN"),
        ("http://x.localhost/", "HTTP_TARGET_FORBIDDEN"),
    ],
)
def test_a_request_with_a_url_of_its_own(url: str, code: str) -> None:
    """It is checked at POST as far as it can be without a name server."""
    model = an_http_job(url=None).request_model(AllowedTargets().check)
    assert read(model, {**WHEN, "url": "https://example.com/"}, now=ManualClock().now())
    with pytest.raises(InvalidRequestError) as caught:
        read(model, {**WHEN, "url": url}, now=ManualClock().now())
    assert code in {each.code for each in caught.value.problems}
