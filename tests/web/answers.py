"""What a test reads in an answer."""

from typing import Any, NamedTuple
from uuid import UUID

import httpx2

from mainspring.job import JobKey
from mainspring.web.codes import type_of

MEMBERS = {"type", "title", "status", "detail", "instance", "id", "errors", "retryable"}


def at(key: JobKey, *rest: object) -> str:
    """Return the path of a group's jobs, of one of them, or of what can be done with it."""
    return "/".join(map(str, ("/api/schedulers", *key, "jobs", *rest)))


class Refusal(NamedTuple):
    """An error as a program reads it."""

    status: int
    id: str
    errors: list[tuple[str, str]]
    """Pointer and code of each."""


def refusal(answer: httpx2.Response) -> Refusal:
    """Read an error, once it is seen that it has the one shape that all errors have."""
    content: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert content.keys() == MEMBERS | ({"run"} if content["id"] == "JOB_RUNNING" else set())
    assert content["type"] == type_of(content["id"])
    assert content["status"] == answer.status_code
    assert content["instance"] == answer.headers["x-request-id"]
    assert content["title"] != "Error"
    assert content["detail"]
    assert len(answer.content) <= 4096
    more = {"scope", "name", "used", "asked", "quota"} if answer.status_code == 429 else set()
    assert all(error.keys() == {"pointer", "code", "detail"} | more for error in content["errors"])
    if answer.status_code != 429:  # of which some never pass
        assert content["retryable"] == (answer.status_code in {408, 503} or content["id"] == "CONFLICT")
    waits = answer.status_code == 503 or (answer.status_code == 429 and content["retryable"])
    assert ("retry-after" in answer.headers) == waits
    return Refusal(
        answer.status_code, content["id"], [(error["pointer"], error["code"]) for error in content["errors"]]
    )


def refused(status: int, code: str, pointer: str = "", *, id_: str | None = None) -> Refusal:
    """Return an error that names one thing; its `id` is the precise code, where the original had no broad one."""
    return Refusal(status, id_ or code, [(pointer, code)])


def uncreatable(code: str, pointer: str = "") -> Refusal:
    """Return the error of a POST that asks for nothing legal, for one reason."""
    return refused(422, code, pointer, id_="JOB_CREATION_ERROR")


def unchangeable(code: str, pointer: str = "") -> Refusal:
    """Return the error of a PATCH that asks for nothing legal, for one reason."""
    return refused(422, code, pointer, id_="JOB_UPDATE_ERROR")


def missing(code: str = "JOB_NOT_FOUND") -> Refusal:
    """Return the error of a call on what is not there."""
    return refused(404, code, id_="NOT_FOUND")


def new_id(answer: httpx2.Response) -> UUID:
    """Return the id of the job that was created."""
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])
