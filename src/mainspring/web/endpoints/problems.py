"""The pages of errors: what each code means, what to do, and whether it helps to send the call again.

They load nothing, so that the headers of an answer with data do for them.
"""

from __future__ import annotations

import re
from functools import partial
from html import escape
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from mainspring.web.answers import json_response
from mainspring.web.codes import ANY, CODES, PATH, Code, type_of
from mainspring.web.endpoint import Call, Endpoint
from mainspring.web.schema import Schema

_BY_SLUG = {code.slug: code for code in CODES.values()}
_ANY_STATUS = "any status"


async def list_problems(call: Call) -> Response:
    """The codes of errors, with what each means."""
    if not _wants_page(call):
        return _vary(json_response([_code_json(code) for code in CODES.values()]))
    rows = "".join(
        f'<tr><td>{code.status or _ANY_STATUS}</td><td><a href="{type_of(code.name)}">{code.name}</a></td>'
        f"<td>{_html(code.means)}</td></tr>\n"
        for code in CODES.values()
    )
    head = "<tr><th>Status</th><th>Code</th><th>When</th></tr>\n"
    return _page("Codes of errors", f"<table>\n{head}{rows}</table>\n")


async def show_problem(call: Call) -> Response:
    """Say what a code means, and what to do."""
    if (code := _BY_SLUG.get(call.path["problem"])) is None:
        raise HTTPException(404)
    if not _wants_page(call):
        return _vary(json_response(_code_json(code)))
    again = "may succeed later" if code.is_retryable else "does not help"
    status = f"{code.status} {code.title}" if code.status != ANY else _ANY_STATUS
    facts = {"Status": status, "When": _html(code.means), "What to do": _html(code.advice)}
    facts["Sending the same call again"] = again
    listed = "".join(f"<dt>{name}</dt>\n<dd>{said}</dd>\n" for name, said in facts.items())
    return _page(code.name, f'<dl>\n{listed}</dl>\n<p><a href="{PATH}">All codes</a></p>\n')


def _code_json(code: Code) -> dict[str, Any]:
    return {
        "type": type_of(code.name),
        "code": code.name,
        "status": code.status or None,
        "title": code.title,
        "means": code.means,
        "advice": code.advice,
        "retryable": code.is_retryable,
    }


def _wants_page(call: Call) -> bool:
    """Tell whether a browser asks: programs do not name HTML."""
    return "text/html" in call.request.headers.get("accept", "").lower()


def _page(title: str, content: str) -> Response:
    head = f'<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n<title>{title}</title>'
    return _vary(
        HTMLResponse(
            f'<!doctype html>\n<html lang="en">\n{head}\n<body>\n<h1>{title}</h1>\n{content}</body>\n</html>\n'
        )
    )


def _html(text: str) -> str:
    """Write a sentence with names in backticks."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _vary(response: Response) -> Response:
    response.headers["Vary"] = "Accept"
    return response


_CODE: Schema = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "As in errors."},
        "code": {"type": "string", "description": "As in `id` and `errors` of errors."},
        "status": {"type": ["integer", "null"], "description": "Null where it comes with several."},
        "title": {"type": "string"},
        "means": {"type": "string"},
        "advice": {"type": "string", "description": "What to do."},
        "retryable": {"type": "boolean", "description": "Whether the same call may succeed later."},
    },
}
_Row = partial(Endpoint, tag="Problems", has_page=True)

ROWS = [
    _Row("GET", PATH, list_problems, answers={200: {"type": "array", "items": _CODE}}),
    _Row("GET", f"{PATH}/{{problem}}", show_problem, answers={200: _CODE}),
]
