"""What an answer must be: documented, in time, and if it is an error, a problem document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from fuzz.client import PATIENCE, Answer
from fuzz.draw import Request, operations
from mainspring.web.codes import type_of

OF_HTTP = frozenset({400, 403, 404, 405, 406, 408, 413, 414, 415, 417, 421, 431, 503})
"""Errors about a request as HTTP, which come before any call is looked at: of each request and each connection."""
OF_PAGES = {
    "/": {307}, "/docs": {200, 304}, "/docs/{file}": {200, 304}, "/openapi.json": {200}, "/livez": {200},
    "/readyz": {200},
}  # fmt: skip
"""What is not in the document, because no program has to know of it."""
OPTIONS = 204
MEMBERS = {"type", "title", "status", "detail", "instance", "id", "errors", "retryable"}
LARGEST = 4096


class Fault(NamedTuple):
    """What is wrong with an answer: the rule, and to what; `detail` is for whoever looks into it."""

    rule: str
    subject: str
    detail: str


class Judge:
    """Knows by the document which statuses a request may be answered with."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._allowed: dict[tuple[str, str], set[int]] = {}
        for operation in operations(document):
            answers = document["paths"][operation.path][operation.method.lower()]["responses"]
            of_any = _of_any_group(operation.path)
            for path, more in ((operation.path, set[int]()), (of_any, {404})):
                statuses = self._allowed.setdefault((operation.method, path), set())
                statuses |= {int(status) for status in answers} | (more if path == of_any else set())
        self._allowed |= {("GET", path): statuses for path, statuses in OF_PAGES.items()}
        for (method, path), statuses in [*self._allowed.items()]:
            if method == "GET":
                self._allowed["HEAD", path] = statuses
        shapes = {path for _, path in self._allowed}
        self._shapes = [(path, re.compile(re.sub("{.*?}", "[^/]+", path))) for path in sorted(shapes, key=len)]

    def faults(self, request: Request, answer: Answer) -> Iterator[Fault]:
        """Return what is wrong with the answer to a request."""
        path = re.sub("^/api/scheduler(?=/|$)", "/api/schedulers", request.path)
        known = [shape for shape, pattern in self._shapes if pattern.fullmatch(path)]
        allowed = set().union(*(self._allowed.get((request.method, shape), ()) for shape in known))
        subject = f"{request.method} {known[-1] if known else 'elsewhere'}"
        if (
            answer.status
            and answer.status not in allowed | OF_HTTP
            and (request.method, answer.status) != ("OPTIONS", OPTIONS)
        ):
            yield Fault("status is not documented", f"{subject} {answer.status}", _shown(request, answer))
        yield from _of_any(subject, answer, _shown(request, answer), is_head=request.method == "HEAD")


def _of_any_group(path: str) -> str:
    """Return a path with any group, or product, in the place of those that the document knows."""
    path = re.sub(
        "^(/api/schedulers)/[^/]+/[^/]+/(jobs|runs|schema|pause|resume|limits)", r"\1/{product}/{jobGroup}/\2", path
    )
    return re.sub("^(/api/schedulers)/[^/]+/(jobs|jobs/actions|runs|pause|resume|limits)$", r"\1/{product}/\2", path)


def raw_faults(data: bytes, answers: list[Answer]) -> Iterator[Fault]:
    """Return what is wrong with what came back for bytes on a connection of their own."""
    shown = f"{data[:300]!r} -> {[answer[:3] for answer in answers]}"[:900]
    for answer in answers:
        if answer.status not in OF_HTTP | {0, 200, 201, 204, 304, 307, 422}:
            yield Fault("status is not documented", f"raw bytes {answer.status}", shown)
        yield from _of_any("raw bytes", answer, shown)


def _of_any(subject: str, answer: Answer, shown: str, *, is_head: bool = False) -> Iterator[Fault]:
    if answer.seconds >= PATIENCE:
        yield Fault(f"no end within {PATIENCE:g} s", subject, shown)
    elif answer.status == 0:
        yield Fault("no answer", subject, shown)
    if answer.status == 0:
        return
    if answer.headers.get("x-content-type-options") != "nosniff":
        yield Fault("an answer has no security headers", f"{subject} {answer.status}", shown)
    if answer.status < 400:
        return
    if answer.headers.get("content-type") != "application/problem+json":
        yield Fault("an error is no problem document", f"{subject} {answer.status}", shown)
    elif not is_head and not _is_problem(answer):
        yield Fault("an error says something else than it must", f"{subject} {answer.status}", shown)


def _is_problem(answer: Answer) -> bool:
    try:
        content = json.loads(answer.body)
    except ValueError:
        return False
    return (
        isinstance(content, dict)
        and content.keys() - ({"job", "run"} if answer.status == 409 else set()) == MEMBERS
        and content["type"] == type_of(content["id"])
        and content["status"] == answer.status
        and content["instance"] == answer.headers.get("x-request-id")
        and len(answer.body) <= LARGEST
    )


def _shown(request: Request, answer: Answer) -> str:
    asked = f"{request.method} {request.target[:300]} {request.headers} {(request.body or b'')[:400]!r}"
    return f"{asked} -> {answer.status} {answer.body[:300]!r}"
