"""A route is one row, an `Endpoint`; whatever is known of a route comes from its row.

That is: the table in which the `Router` finds it, the methods that a 405 allows, the parameters that a query may have,
its part of the OpenAPI document (see `openapi`), and the right that a caller needs. Nothing in here knows what the
functions of the rows do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from operator import itemgetter
from typing import Any, Literal, NamedTuple, ParamSpec
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mainspring.errors import NotFoundError, Problem
from mainspring.job import JobKey, Pause, Scope
from mainspring.service import CalendarService, SchedulerService
from mainspring.web.cursor import Cursors
from mainspring.web.idempotency import Idempotency, Keeping, Once
from mainspring.web.problem import HttpError
from mainspring.web.query import Parameter, Query, text
from mainspring.web.schema import Schema

Right = Literal[
    "jobs:read",
    "jobs:write",
    "jobs:control",
    "history:read",
    "events:read",
    "limits:write",
    "calendars:write",
    "webhooks:read",
    "webhooks:write",
]
"""What a caller may be allowed to do."""

IF_NONE_MATCH = text("If-None-Match", "The ETag of what is known: the answer is 304 if that is still so.")
P = ParamSpec("P")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


class Services(NamedTuple):
    """What the functions of the rows use: the use cases, and what was made when the application was."""

    jobs: SchedulerService
    calendars: CalendarService
    cursors: Cursors
    obstacle: Callable[[], str | None]
    """Why jobs are not accepted and run, `None` while they are."""
    turns: asyncio.Semaphore
    """Held by who reads or writes something long, so that everybody else comes between: see `Endpoint.is_long`."""
    document: bytes
    """The OpenAPI document; its examples lack their moments, see `mainspring.web.example`."""


class Call(NamedTuple):
    """A request that has found its row; this is what the function of the row is called with."""

    request: Request
    endpoint: Endpoint
    path: Mapping[str, str]
    """What stands in the path for the names of the row's path."""
    services: Services
    keeping: Keeping | None = None
    """Set where the call came with an ``Idempotency-Key``."""

    def once(self, respond: Callable[P, Response]) -> Once[P]:
        """Return what makes the answer by `respond`, and keeps it with what is written if the call has a key."""
        return Once(respond, self.keeping)

    @property
    def key(self) -> JobKey:
        """The job group that the path names."""
        return JobKey(self.path["product"], self.path["jobGroup"])

    @property
    def scope(self) -> Scope:
        """The job group that the path names, or the product, or everything."""
        return Scope(self.path.get("product", ""), self.path.get("jobGroup", ""))

    @property
    def job_id(self) -> UUID:
        """The job id of the path. Raises `NotFoundError`."""
        return job_id_of(self.path["jobId"])

    @property
    def version(self) -> int | None:
        """The version that ``If-Match`` names, `None` without the header or for ``*``. Raises `HttpError`."""
        tags = self.request.headers.getlist("if-match")
        if tags in ([], ["*"]):
            return None
        tag = ",".join(tags)
        if found := re.fullmatch(r'"(\d{1,18})(?:-[0-9a-f]{8})?"', tag, re.ASCII):
            return int(found[1])
        raise HttpError(400, "IF_MATCH_INVALID", 'If-Match must be one ETag of this job, such as "3"')

    def tag(self, what: str) -> str | None:
        """Return the tag that ``If-Match`` asks for, `None` without it or for ``*``; `what` has it. Raises `HttpError`.

        That is for what has no version, such as limits.
        """
        tags = self.request.headers.getlist("if-match")
        if tags in ([], ["*"]):
            return None
        if found := re.fullmatch(r'"([0-9a-f]{1,64})"', ",".join(tags), re.ASCII):
            return found[1]
        raise HttpError(400, "IF_MATCH_INVALID", f'If-Match must be the ETag of {what}, such as "0a1b2c3d4e5f6071"')

    @property
    def has_query(self) -> bool:
        """Whether there is anything behind the path; to ask first spares a call without parameters 0.4 us."""
        return bool(self.request.scope["query_string"])

    def wait(self, *, is_waiting: bool) -> None:
        """Say whether this call only waits for something to happen: nobody works for it meanwhile."""
        self.request.scope["state"]["waits"] = is_waiting

    def pauses(self) -> Awaitable[tuple[Pause, ...]]:
        """Return the pauses of groups, products and everything: answers on jobs say which of them hold."""
        return self.services.jobs.control.pauses()

    def query(self) -> Query:
        """Read the query by the parameters of the row; its problems are raised by `Query.check`."""
        return Query(self.endpoint.query or (), self.request.query_params if self.has_query else None)

    def next_page(self, **place: str | int) -> dict[str, str]:
        """Return the header that leads to the same list from that place on."""
        url = self.request.url.include_query_params(**place)
        return {"Link": f'<{url.path}?{url.query}>; rel="next"'}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route: the row that says all about it.

    In the OpenAPI document the name of the function becomes the `operationId`, and the first line of its docstring the
    summary.
    """

    method: str
    path: str
    """With names in braces, each for one segment that is not empty."""
    call: Callable[[Call], Awaitable[Response]]
    query: Sequence[Parameter[Any]] | None = ()
    """What the query may have; `None` lets anything pass unread, as probes and browsers send it."""
    headers: Sequence[Parameter[Any]] = ()
    """Headers that the document shows; they are read by the function."""
    body: Mapping[str, Schema] | None = None
    """A schema for each media type. Where it has `examples`, the form of `/docs` begins with the first."""
    body_is_optional: bool = False
    answers: Mapping[int, Schema | None] = field(default_factory=dict)
    """A schema for each status of success, `None` where there is no body. A row without any is not in the document."""
    also: Mapping[str, Schema] = field(default_factory=dict)
    """In which other media types 200 is answered, to those who ask for them, with a schema for each."""
    is_long: bool = False
    """Whether a call may keep the loop busy for many milliseconds, such as for a page of 1,000 jobs.

    Of these only some are at work at once. Else 120 such calls, which came together, kept all others waiting for 1.7 s.
    """
    conflicts: bool = False
    """Whether the state of what it is about may be in the way (409)."""
    creates: bool = False
    """Whether it creates jobs, so that quotas may be in the way (429)."""
    keeps: bool = False
    """Whether the receipt of a call is written with what the call writes: see `mainspring.web.idempotency`."""
    may: Right | None = None
    """The right that a caller needs; `None` for what everybody may see."""
    has_page: bool = False
    """Whether a browser gets a page in place of JSON."""
    tag: str = "Mainspring"
    """The heading in the document, where the path names no job group."""


def is_uuid(text: str) -> bool:
    """Tell whether a text is a UUID in the canonical form."""
    return bool(_UUID.fullmatch(text))


def job_id_of(text: str) -> UUID:
    """Read the id of a job.

    Only the canonical form names a job: `uuid.UUID` would take braces, ``urn:`` and more. Raises `NotFoundError`.
    """
    if not is_uuid(text):
        detail = f"there is no job {text[:64]!r}"
        raise NotFoundError(detail, problems=[Problem("", "JOB_NOT_FOUND", detail)])
    return UUID(text)


def called(function: Callable[[Call], Awaitable[Response]], level: str) -> Callable[[Call], Awaitable[Response]]:
    """Return a function under a name of its own for each level: operations are named after functions."""

    @wraps(function)
    async def of_level(call: Call) -> Response:
        return await function(call)

    between = "_of_" if "_" in function.__name__ else "_"
    of_level.__name__ = f"{function.__name__}{between}{level}"
    return of_level


def must_be_new(call: Call, what: str) -> bool:
    """Tell whether ``If-None-Match: *`` demands that there is none yet. Raises `HttpError` for a tag."""
    known = call.request.headers.get("if-none-match")
    if known not in {None, "*"}:
        raise HttpError(400, "IF_NONE_MATCH_INVALID", f"If-None-Match can only be * here: {what} must not be there")
    return known is not None


class Router:
    """Finds the row of a request and calls its function.

    Paths are looked up by the texts that stand at the same places in them. That takes 1.2 to 1.6 us, however many rows
    there are. Regular expressions one after the other took 0.9 us for the first row and 2.3 for the sixth, and the
    router of Starlette 5 us more.
    """

    def __init__(self, rows: Iterable[Endpoint], services: Services) -> None:
        self._services = services
        self._idempotency = Idempotency(lambda: services.jobs)
        self._shapes: dict[int, list[_Shape]] = {}
        self._methods = {"OPTIONS", "HEAD"}
        for row in rows:
            self._add(row)
            self._methods.add(row.method)
        for shapes in self._shapes.values():
            shapes.sort(key=lambda shape: (-len(shape.fixed), shape.fixed))

    def _add(self, row: Endpoint) -> None:
        segments = row.path.split("/")
        names = tuple((text[1:-1], place) for place, text in enumerate(segments) if text.startswith("{"))
        fixed = tuple(place for place, text in enumerate(segments) if not text.startswith("{"))
        shapes = self._shapes.setdefault(len(segments), [])
        shape = next((shape for shape in shapes if shape.fixed == fixed), None)
        if shape is None:
            shapes.append(shape := _Shape(fixed, itemgetter(*fixed), {}))
        resource = shape.resources.setdefault(shape.read_fixed(segments), _Resource(names, {}))
        if row.method in resource.rows or names != resource.names:
            raise ValueError(f"two rows for {row.method} {row.path}, or other names than those of another method")
        resource.rows[row.method] = row
        if row.method == "GET":
            resource.rows["HEAD"] = row

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """Return the row for a request, and what its path has for the names of the row's path.

        A path whose texts are fixed comes before one with a name in their place. Raises `HTTPException` 404 and 405.
        """
        segments = path.split("/")
        for _, read_fixed, resources in self._shapes.get(len(segments), ()):
            if (resource := resources.get(read_fixed(segments))) is not None:
                names, rows = resource
                values = {name: segments[place] for name, place in names}
                if "" not in values.values() and (row := rows.get(method)) is not None:
                    return row, values
        raise HTTPException(405, headers={"Allow": self.allowed(path)})

    def allowed(self, path: str) -> str:
        """Return the methods that a path takes, or with ``*`` any, for ``Allow``. Raises `HTTPException` 404."""
        if path == "*":
            return ", ".join(sorted(self._methods))
        segments = path.split("/")
        for _, read_fixed, resources in self._shapes.get(len(segments), ()):
            if (resource := resources.get(read_fixed(segments))) is not None:
                names, rows = resource
                if all(segments[place] for _, place in names):
                    return ", ".join(sorted({"OPTIONS", *rows}))
        raise HTTPException(404)

    async def answer(self, request: Request) -> Response:
        """Answer a request by the function of its row.

        The row and the names in its path are known before the function is called. Raises what the function raises,
        and like `find`.
        """
        scope = request.scope
        if scope["method"] == "OPTIONS":
            return Response(status_code=204, headers={"Allow": self.allowed(scope["path"])})
        row, path = self.find(scope["method"], scope["path"])
        call = Call(request, row, path, self._services)
        if row.query == () and call.has_query:
            call.query().check()
        if "idempotency_key" in scope["state"] and row.method == "POST":
            return await self._idempotency.answer(
                request,
                lambda keeping: _answer(call._replace(request=keeping.request, keeping=keeping)),
                looks_first=not row.keeps,
            )
        response = await _answer(call)
        if row.method == "GET" and "etag" in response.headers and _is_known(request, response.headers["etag"]):
            return Response(status_code=304, headers={"ETag": response.headers["etag"]})
        return response


def _answer(call: Call) -> Awaitable[Response]:
    """Have the function of a row answer, when there is a turn for it."""
    return _in_turn(call) if call.endpoint.is_long else call.endpoint.call(call)


async def _in_turn(call: Call) -> Response:
    async with call.services.turns:
        return await call.endpoint.call(call)


def _is_known(request: Request, tag: str) -> bool:
    """Tell whether the caller has what has this ETag: ``If-None-Match`` names it (RFC 9110, section 13.1.2)."""
    known = request.headers.get("if-none-match")
    return known is not None and (
        known.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in known.split(","))
    )


class _Resource(NamedTuple):
    """The names in one path with their places, and its rows by method."""

    names: tuple[tuple[str, int], ...]
    rows: dict[str, Endpoint]


class _Shape(NamedTuple):
    """Paths of the same length that have their fixed texts at the same places."""

    fixed: tuple[int, ...]
    read_fixed: itemgetter[Any]
    resources: dict[Any, _Resource]
