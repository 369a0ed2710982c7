"""Each way in which a call can go wrong is one kind of error, the same for both clients."""

import re

import httpx2
import pytest

import mainspring.client as api
from mainspring.client import MainspringError, NotMainspringError, ProblemError
from tests.client.conftest import async_client_with, client_with
from tests.client.test_sending import PROBLEM
from tests.docs.reading import table

KINDS = {
    400: "Malformed", 401: "Forbidden", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Gone",
    412: "PreconditionFailed", 413: "TooLarge", 414: "TooLarge", 422: "Invalid", 429: "QuotaExceeded",
    431: "TooLarge", 502: "Unavailable", 503: "Unavailable", 504: "Unavailable",
    405: "ProblemError", 500: "ProblemError", 501: "ProblemError",
}  # fmt: skip


def problem(status: int) -> httpx2.Response:
    """Return a refusal with two problems."""
    errors = [{"pointer": "/x", "code": "X_WRONG", "detail": "is wrong"}, {"pointer": "?y", "code": "Y", "limit": 5}]
    said = {"id": "GENERAL", "detail": "no", "errors": errors, "retryable": False, "instance": "r-1", "extra": 1}
    return httpx2.Response(status, json=said, headers=PROBLEM)


def check(error: MainspringError, status: int) -> None:
    """See that an error says all that the service did."""
    assert KINDS[status] == type(error).__name__
    assert isinstance(error, ProblemError)
    assert (status, "GENERAL", "X_WRONG", False, 2, "r-1") == (
        error.status, error.id, error.code, error.retryable, error.retry_after, error.request_id,
    )  # fmt: skip
    assert [("/x", "X_WRONG", "is wrong"), ("?y", "Y", "")] == [(e.pointer, e.code, e.detail) for e in error.errors]
    assert (1, 5) == (error.raw["extra"], error.errors[1].raw["limit"])
    assert "no (X_WRONG)" == str(error)


@pytest.mark.parametrize("status", KINDS)
async def test_each_status_has_its_kind(status: int) -> None:
    """With the codes, and the members that this version does not know."""
    with pytest.raises(ProblemError) as refused:
        client_with(lambda _: problem(status)).get("a/b/1")
    check(refused.value, status)
    async with async_client_with(lambda _: problem(status)) as client:
        with pytest.raises(ProblemError) as refused:
            await client.get("a/b/1")
    check(refused.value, status)


def test_the_page_names_each_kind_with_its_status() -> None:
    """And no other."""
    said: dict[str, set[int]] = {}
    for row in table("docs/client.md", "error"):
        said |= {name: {*map(int, re.findall(r"\b\d{3}\b", row[1]))} for name in re.findall(r"`(\w+)`", row[0])}
    kinds = {name for name, kind in vars(api).items() if isinstance(kind, type) and issubclass(kind, MainspringError)}
    assert kinds - {"MainspringError"} == said.keys()
    for name in {*KINDS.values()} - {"ProblemError"}:
        assert {status for status, kind in KINDS.items() if kind == name} == said[name]


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, content=b"\xff"),
        httpx2.Response(200, json=None),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, json={"nextRun": "soon"}),
        httpx2.Response(302, headers={"Location": "https://login"}),
        httpx2.Response(500, text="oops"),
        httpx2.Response(500, content=b"{", headers=PROBLEM),
        httpx2.Response(500, json=[], headers=PROBLEM),
    ],
)
def test_what_is_not_ours_is_told(answer: httpx2.Response) -> None:
    """A proxy, or a page to log in."""
    with pytest.raises(NotMainspringError) as refused:
        client_with(lambda _: answer).get("a/b/1")
    assert answer.status_code == refused.value.status


@pytest.mark.parametrize("error", [{"errors": None}, {"errors": ["x"]}, {"errors": [{}], "detail": None}, {}])
def test_a_refusal_that_says_little_is_one_all_the_same(error: dict[str, object]) -> None:
    """Its status is what is known."""
    with pytest.raises(api.Conflict) as refused:
        client_with(lambda _: httpx2.Response(409, json=error, headers=PROBLEM)).get("a/b/1")
    assert 409 == refused.value.status
    assert str(refused.value)


@pytest.mark.parametrize("name", ["a/b", "a//1", "/b/1", "a/b/1/2", "", "a/../1", "./b/1", "a/b/.."])
def test_what_names_no_job_is_not_sent(name: str) -> None:
    """Nor what would lead to another path."""
    with pytest.raises(ValueError, match="name"):
        client_with(lambda _: httpx2.Response(500)).delete(name)
    for product, group in (("..", "b"), ("a", ".."), ("", "b"), ("a", "")):
        with pytest.raises(ValueError, match="name"):
            client_with(lambda _: httpx2.Response(500)).create(product, group, when="now")
