"""The files of others that we ship: what they are, and that they are unchanged."""

import json
from hashlib import sha256

import httpx2
import pytest
from starlette.types import ASGIApp

from mainspring.web.endpoints.docs import FOLDER
from tests.web.answers import refusal, refused
from tests.web.raw import ask

MANIFEST = json.loads((FOLDER / "files.json").read_text("utf-8"))
OURS = {"files.json", "index.html", "start.js"}


def test_every_file_is_listed() -> None:
    """With the package, the version and the licence that it came with."""
    assert ("swagger-ui-dist", "Apache-2.0") == (MANIFEST["package"], MANIFEST["licence"])
    assert MANIFEST["version"].count(".") == 2
    assert {path.name for path in FOLDER.iterdir()} == MANIFEST["sha256"].keys() | OURS


@pytest.mark.parametrize("name", MANIFEST["sha256"])
def test_file_is_what_was_shipped_to_us(name: str) -> None:
    """To the last byte: whoever brings in another version says so in the list."""
    assert MANIFEST["sha256"][name] == sha256((FOLDER / name).read_bytes()).hexdigest()


def test_licence_is_shipped_with_the_files() -> None:
    """As it asks for, with the notice of its authors and the licences of what is bundled."""
    assert "Apache License" in (FOLDER / "LICENSE").read_text("utf-8")
    assert "SmartBear" in (FOLDER / "NOTICE").read_text("utf-8")
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"} < MANIFEST["sha256"].keys()


async def test_page_may_be_kept_by_a_browser(client: httpx2.AsyncClient) -> None:
    """What has not changed is not sent again, but a browser asks: another release may have other files."""
    first = await client.get("/docs/swagger-ui-bundle.js")
    again = await client.get("/docs/swagger-ui-bundle.js", headers={"If-None-Match": first.headers["etag"]})

    assert (200, 304) == (first.status_code, again.status_code)
    assert "no-cache" == first.headers["cache-control"] == again.headers["cache-control"]
    assert first.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e", ".", "files.json.", "x" * 5000])
async def test_nothing_else_is_handed_out(app: ASGIApp, name: str) -> None:
    """What is not in the folder is not there."""
    assert refused(404, "NOT_FOUND") == refusal(await ask(app, "GET", f"/docs/{name}"))
