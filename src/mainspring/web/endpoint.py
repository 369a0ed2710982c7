"""What all calls have in common: a path with a function for each method, and the reading of query parameters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mainspring.errors import InvalidRequestError, Problem
from mainspring.schedule import TimeError, parse_when

Call = Callable[[Request], Awaitable[Response]]


class Query:
    """The query parameters of a call, read with every problem at once."""

    def __init__(self, request: Request, known: Collection[str]) -> None:
        self.values = request.query_params
        self.problems = [
            Problem(
                f"?{name[:64]}",
                "UNKNOWN_PARAMETER",
                f"is not known here; known are {', '.join(sorted(known)) or 'none'}",
            )
            for name in self.values
            if name not in known
        ]

    def check(self) -> None:
        """Raise `InvalidRequestError` if anything was wrong."""
        if self.problems:
            detail = "; ".join(f"{problem.pointer} {problem.detail}" for problem in self.problems)
            raise InvalidRequestError(detail, problems=self.problems)

    def number(self, name: str, most: int) -> int | None:
        """Return a whole number from 1 to `most`, `None` when it is not given."""
        text = self.values.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
            self.fault(name, "NUMBER_RANGE", f"must be a whole number from 1 to {most}")
            return None
        return int(text)

    def time(self, name: str) -> datetime | None:
        """Return a moment, `None` when it is not given."""
        text = self.values.get(name)
        if text is None:
            return None
        try:
            return parse_when(text)
        except TimeError as error:
            self.fault(name, error.code, str(error))
            return None

    def fault(self, name: str, code: str, detail: str) -> None:
        """Note what is wrong with a parameter."""
        self.problems.append(Problem(f"?{name}", code, detail))


def resource(path: str, *, parameters: Collection[Call] = (), **methods: Call) -> Route:
    """Give a path one function for each method: as one route, so that a 405 names all of them in ``Allow``.

    Those of `parameters` read query parameters, and refuse unknown ones themselves, together with what else is wrong.
    The route only describes it: `answer` finds and calls it.
    """
    return Route(path, _Resource(methods, parameters), methods=list(methods))


class _Resource:
    """The calls on one path, by method."""

    def __init__(self, methods: Mapping[str, Call], parameters: Collection[Call]) -> None:
        self._methods = methods
        self._parameters = parameters

    async def __call__(self, request: Request) -> Response:
        method = self._methods["GET" if request.method == "HEAD" else request.method]
        if request.scope["query_string"] and method not in self._parameters:
            Query(request, ()).check()
        return await method(request)


async def answer(routes: Iterable[Route], request: Request) -> Response:
    """Answer a call by the first route that has its path and its method.

    Raises what the call raises, and `HTTPException` 404 and 405. Starlette's router would take 5 us more.
    """
    scope = request.scope
    allowed: Collection[str] | None = None
    for route in routes:
        if match := route.path_regex.match(scope["path"]):
            methods = route.methods or ()
            if scope["method"] in methods:
                scope["path_params"] = match.groupdict()
                return await cast("_Resource", route.endpoint)(request)
            allowed = allowed or methods
    raise HTTPException(405, headers={"Allow": ", ".join(allowed)}) if allowed else HTTPException(404)
