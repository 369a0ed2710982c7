"""The rows of the endpoints, and the router that is made of them."""

import re
from typing import cast

import httpx2
import pytest
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mainspring.job import JobKey
from mainspring.web.endpoint import Call, Endpoint, Router, Services
from mainspring.web.endpoints import ROWS
from tests.web.answers import refusal

API = [row for row in ROWS if row.path.startswith("/api/")]
NOBODY = cast("Services", None)


def name_of(row: Endpoint) -> str:
    """Return the name of a test."""
    return f"{row.method} {row.path}"


async def nothing(_call: Call) -> Response:
    """Answer nothing."""
    return Response()


def a_router(*paths: str) -> Router:
    """Return a router for calls that are made with GET."""
    return Router([Endpoint("GET", path, nothing) for path in paths], NOBODY)


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", API, ids=name_of)
def test_every_call_needs_a_right(row: Endpoint) -> None:
    """Whoever may call nothing can do nothing; the rows that write need more than to read."""
    assert row.may is not None
    assert row.may.endswith(":read") == (row.method == "GET")


def test_what_everybody_may_see() -> None:
    """Whether the service is alive, the page that shows its calls, and what errors mean; nothing of any job."""
    open_to_all = {row.path for row in ROWS if row.may is None}

    pages = {"/", "/docs", "/docs/{file}", "/openapi.json", "/problems", "/problems/{problem}"}
    assert {*pages, "/livez", "/readyz"} == open_to_all


@pytest.mark.parametrize("row", API, ids=name_of)
def test_every_call_is_described(row: Endpoint) -> None:
    """In one line, with what it answers and what it takes."""
    assert re.match(r"[A-Z][^.]+\.(\n|$)", row.call.__doc__ or "")
    assert row.answers
    assert row.body is None or row.method in {"POST", "PUT", "PATCH"}


@pytest.mark.parametrize("row", API, ids=name_of)
async def test_no_call_takes_a_parameter_that_its_row_does_not_name(client: httpx2.AsyncClient, row: Endpoint) -> None:
    """A function that has parameters has not forgotten to check them."""
    job_id = "019e830e-1a00-70a5-abaa-9455e3e70682"
    path = row.path.format(
        product="vps4", jobGroup="backups", jobId=job_id, name="freeze", run=1, node="n", action=job_id, delivery=job_id
    )

    answer = await client.request(row.method, f"{path}?forgotten=1")

    assert [("?forgotten", "UNKNOWN_PARAMETER")] == refusal(answer).errors


async def test_probe_may_add_what_it_likes(client: httpx2.AsyncClient) -> None:
    """As those do that want no cache to answer."""
    assert (await client.get("/livez?t=1")).status_code == 200


# --- router -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_row_is_found_by_its_path(row: Endpoint) -> None:
    """With what stands in the path for each name: right, product and group are known before the call is made."""
    names = re.findall("{(.*?)}", row.path)
    router = Router(ROWS, NOBODY)

    found = router.find(row.method, row.path.replace("{", "a-").replace("}", ""))

    assert (row, {name: f"a-{name}" for name in names}) == found


async def test_function_gets_what_its_path_names() -> None:
    """The job group above all."""
    row, path = a_router("/{product}/{jobGroup}").find("HEAD", "/vps4/backups")

    assert JobKey("vps4", "backups") == Call(cast("httpx2.Request", None), row, path, NOBODY).key  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/b", "/a/b"),
        ("/a/c", "/a/{y}"),
        ("/c/b", "/{x}/b"),
        ("/c/d", "/{x}/{y}"),
    ],
)
@pytest.mark.parametrize("turn", [1, -1])
def test_fixed_text_comes_before_a_name(path: str, expected: str, turn: int) -> None:
    """In whatever order the rows stand; of two texts the one further to the left decides."""
    router = a_router(*["/{x}/{y}", "/{x}/b", "/a/{y}", "/a/b"][::turn])

    assert expected == router.find("GET", path)[0].path


@pytest.mark.parametrize("path", ["/a", "/a/", "//b", "/a//b", "/a/b/", "a/b", "", "/", "/A/b", "/a/b\n"])
def test_name_stands_for_one_segment_that_is_not_empty(path: str) -> None:
    """No slash is merged, added or taken away."""
    with pytest.raises(HTTPException, match="404"):
        a_router("/a/{x}/{y}", "/a/b").find("GET", path)


def test_method_of_another_path_is_tried() -> None:
    """A path that has a fixed text for some methods is one with a name for the others; a 405 names the first's."""
    router = Router([Endpoint("GET", "/{x}", nothing), Endpoint("POST", "/a", nothing)], NOBODY)

    assert "/{x}" == router.find("GET", "/a")[0].path
    with pytest.raises(HTTPException) as refused:
        router.find("PUT", "/a")
    assert (405, {"Allow": "OPTIONS, POST"}) == (refused.value.status_code, refused.value.headers)


@pytest.mark.parametrize("paths", [("/a", "/a"), ("/{x}", "/{y}")])
def test_two_rows_for_one_call_are_a_mistake(paths: tuple[str, str]) -> None:
    """That is found before the application starts."""
    with pytest.raises(ValueError, match="two rows for GET"):
        a_router(*paths)
