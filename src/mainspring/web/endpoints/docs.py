"""The page that shows all calls and lets a person try them, and the document that it is made of.

The page and what it loads are files of ours, so that it works where there is no way out. `static/swagger-ui/files.json`
says where they come from.
"""

from __future__ import annotations

from pathlib import Path

from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from mainspring.web.endpoint import Call, Endpoint
from mainspring.web.example import at

FOLDER = Path(__file__).parents[1] / "static" / "swagger-ui"
_FILES = StaticFiles(directory=FOLDER)


async def front(_call: Call) -> Response:
    """Send a person who opens the bare address to the page."""
    return RedirectResponse("/docs")


async def page(call: Call) -> Response:
    """Show the page."""
    return await _file("index.html", call)


async def file(call: Call) -> Response:
    """Hand out what the page loads."""
    return await _file(call.path["file"], call)


async def _file(name: str, call: Call) -> Response:
    """Hand out a file as a whole: what Starlette says of a `Range` that is no good is not one of our errors."""
    scope = call.request.scope
    scope["headers"] = [header for header in scope["headers"] if header[0] != b"range"]
    response = await _FILES.get_response(name, scope)
    del response.headers["accept-ranges"]
    return response


async def document(call: Call) -> Response:
    """Hand out the OpenAPI document, with examples that are good for a while."""
    return Response(at(call.services.jobs.now(), call.services.document), media_type="application/json")


ROWS = [
    Endpoint("GET", "/", front, query=None),
    Endpoint("GET", "/docs", page, query=None),
    Endpoint("GET", "/docs/{file}", file, query=None),
    Endpoint("GET", "/openapi.json", document, query=None),
]
