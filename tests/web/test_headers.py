"""What every answer tells a browser, whether it is good or bad, whatever it is about."""

import httpx2
import pytest
from starlette.types import ASGIApp

from mainspring.store.sqlite.store import SqliteStore
from mainspring.web.endpoint import Endpoint
from mainspring.web.endpoints import ROWS
from tests.web.answers import at
from tests.web.conftest import Jobs, MakeApp
from tests.web.plugin import NOTES
from tests.web.raw import JSON, ask
from tests.web.test_hosts import filled

PAGES = ("/docs", "/docs/index.html", "/docs/start.js", "/docs/nothing")


def check(answer: httpx2.Response, *, page: bool = False) -> None:
    """See that an answer has each header once, and is as strict as it can be."""
    headers = answer.headers
    assert "nosniff" == headers["x-content-type-options"]
    assert "same-origin" == headers["referrer-policy"]
    assert "same-origin" == headers["cross-origin-opener-policy"]
    assert "same-origin" == headers["cross-origin-resource-policy"]
    assert ("no-cache" if page else "no-store") == headers["cache-control"]
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    nothing = {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert {"'none'"} == {policy.pop(name) for name in nothing}
    assert page == bool(policy)
    assert "'self'" == policy.get("script-src", "'self'")
    assert not {"*", "http:", "https:", "'unsafe-eval'"} & set(" ".join(policy.values()).split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path}")
async def test_every_call(app: ASGIApp, row: Endpoint) -> None:
    """Good or not."""
    path = filled(row.path)

    check(await ask(app, row.method, path, JSON, body=[b"{}"] if row.body else []), page=path in PAGES)


async def test_good_answers(app: ASGIApp, jobs: Jobs) -> None:
    """With a body, without one, streamed and sent elsewhere."""
    job_id = await jobs.create(NOTES)
    answers = [
        await ask(app, "GET", at(NOTES)),
        await ask(app, "HEAD", at(NOTES)),
        await ask(app, "GET", f"{at(NOTES)}?limit=1"),
        await ask(app, "GET", at(NOTES, job_id)),
        await ask(app, "POST", at(NOTES), JSON, body=[b'{"when": "2026-12-01T10:00:00Z"}']),
        await ask(app, "DELETE", at(NOTES, job_id)),
        await ask(app, "GET", "/"),
        await ask(app, "GET", "/openapi.json"),
    ]

    assert [200, 200, 200, 200, 201, 204, 307, 200] == [answer.status_code for answer in answers]
    for answer in answers:
        check(answer)


async def test_errors(make_app: MakeApp, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every status."""
    app = make_app(store, "the service is starting")
    answers = [
        await ask(app, "GET", "/", hosts=[]),
        await ask(app, "POST", at(NOTES), ("origin", "null")),
        await ask(app, "GET", "/nowhere"),
        await ask(app, "PUT", at(NOTES)),
        await ask(app, "GET", at(NOTES), ("accept", "text/html")),
        await ask(app, "POST", at(NOTES), JSON, body=[b"x" * 300_000]),
        await ask(app, "GET", "/" + "x" * 9000),
        await ask(app, "POST", at(NOTES), body=[b"{}"]),
        await ask(app, "GET", at(NOTES), hosts=["evil.example"]),
        await ask(app, "POST", at(NOTES), JSON, body=[b"{}"]),
        await ask(app, "GET", "/readyz"),
    ]

    async def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(store, "add", fail)
    answers.append(await ask(app, "POST", at(NOTES), JSON, body=[b'{"when": "2026-12-01T10:00:00Z"}']))

    statuses = [400, 403, 404, 405, 406, 413, 414, 415, 421, 422, 503, 500]
    assert statuses == [answer.status_code for answer in answers]
    for answer in answers:
        check(answer)


@pytest.mark.parametrize("path", PAGES)
async def test_page_and_its_files(app: ASGIApp, path: str) -> None:
    """They may load what is beside them, and no frame shows them."""
    check(await ask(app, "GET", path), page=True)


@pytest.mark.parametrize("asked", ["bytes=0-9", "bytes=999999-", "bytes=9-0", "lines=1", "bytes=0-1,3-4", "bytes="])
async def test_files_are_handed_out_whole(app: ASGIApp, asked: str) -> None:
    """Whatever part is asked for: what the answers would be has none of these headers, and is no problem document."""
    answer = await ask(app, "GET", "/docs/start.js", ("range", asked))

    assert 200 == answer.status_code
    check(answer, page=True)
