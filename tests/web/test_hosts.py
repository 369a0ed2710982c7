"""Which hosts are answered, and which pages of a browser may change something.

The kind: whatever a web page can make its reader's browser send. It reads nothing by a name of its own that leads here,
and changes nothing from a page of another origin, whatever the call, with a body or without.
"""

from collections.abc import Iterable
from uuid import UUID

import pytest
from starlette.types import ASGIApp

from mainspring.web.endpoint import Endpoint
from mainspring.web.endpoints import ROWS
from tests.web.answers import at, refusal, refused
from tests.web.conftest import Jobs
from tests.web.plugin import NOTES
from tests.web.raw import JSON, ask

NO_HOST = refused(400, "HOST_INVALID")
OTHER_HOST = refused(421, "HOST_NOT_ALLOWED")
OTHER_PAGE = refused(403, "CROSS_ORIGIN")
LIST = at(NOTES)
UNSAFE = [(row.method, row.path) for row in ROWS if row.method != "GET"]
"""Every call that changes something."""


def filled(path: str) -> str:
    """Return a path with something in the place of its names."""
    names = {
        "product": "shop",
        "jobGroup": "notes",
        "jobId": UUID(int=1),
        "name": "freeze",
        "file": "index.html",
        "run": 1,
        "node": "n",
        "action": UUID(int=1),
        "delivery": UUID(int=1),
        "problem": "job-not-found",
    }
    return path.format(**names)


# --- hosts


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:8089", "localhost", "localhost:1", "LOCALHOST:80", "localhost:", "[::1]", "[::1]:8089",
        "[0:0:0:0:0:0:0:1]:8089", "mainspring", "mainspring:65535",
    ],
)  # fmt: skip
async def test_this_machine_and_hosts_of_the_settings_are_answered(app: ASGIApp, host: str) -> None:
    """With any port: it may be mapped to another one."""
    assert 200 == (await ask(app, "GET", LIST, hosts=[host])).status_code


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8089", "localhost.evil.example", "127.0.0.1.nip.io:8089", "localhost.", "127.1",
        "2130706433", "0.0.0.0:8089", "[::]:8089", "[::ffff:127.0.0.1]", "10.0.0.7", "mainspring.", "xn--minspring-v4a",
        "%6cocalhost",
    ],
)  # fmt: skip
async def test_other_hosts_are_refused(app: ASGIApp, host: str) -> None:
    """Also such as lead here, or could be made to."""
    assert OTHER_HOST == refusal(await ask(app, "GET", LIST, hosts=[host]))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path}")
async def test_every_call_looks_at_the_host(app: ASGIApp, row: Endpoint) -> None:
    """But probes, and it tells nothing else."""
    answer = await ask(
        app, row.method, filled(row.path), JSON, body=[b"{}"] if row.body else [], hosts=["evil.example"]
    )

    if row.path in {"/livez", "/readyz"}:
        assert 200 == answer.status_code
    else:
        assert OTHER_HOST == refusal(answer)


@pytest.mark.parametrize(
    "path", ["/nowhere", "/", "/api/scheduler/shop/notes/jobs", "/api/schedulers/x/y", "/docs/none"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "BREW"])
async def test_what_is_no_call_looks_at_the_host_first(app: ASGIApp, method: str, path: str) -> None:
    """Nobody learns from outside what is there."""
    assert 421 == (await ask(app, method, path, hosts=["evil.example"])).status_code


@pytest.mark.parametrize(
    "hosts",
    [
        [], ["127.0.0.1", "127.0.0.1"], ["127.0.0.1", "evil.example"], ["evil.example", "127.0.0.1"], [""], [" "],
        ["localhost, localhost"], ["user@localhost"], ["localhost:eighty"], ["localhost:80:80"], ["[::1"], ["::1"],
        ["[localhost]"], ["[::1%25lo]"], ["localhost/"], ["http://localhost"], ["local host"], ["l\xf6calhost"],
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_there_is_one_host(app: ASGIApp, method: str, hosts: Iterable[str]) -> None:
    """A request without one, with two, or with what is none is malformed."""
    assert NO_HOST == refusal(await ask(app, method, LIST, JSON, body=[b"{}"], hosts=hosts))


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("hosts", [["10.1.2.3:8089"], ["evil.example"], ["[fd00::7]"], ["_"], ["a b"]], ids=str)
async def test_probes_name_any_host(app: ASGIApp, path: str, hosts: Iterable[str]) -> None:
    """They name the address of a pod or a backend."""
    assert 200 == (await ask(app, "GET", path, hosts=hosts)).status_code


async def test_probes_of_old_need_no_host(app: ASGIApp) -> None:
    """HTTP/1.0 knows none, and proxies probe by it; anything else needs one all the same."""
    assert 200 == (await ask(app, "GET", "/livez", version="1.0", hosts=[])).status_code
    assert NO_HOST == refusal(await ask(app, "GET", "/livez", hosts=[]))
    assert NO_HOST == refusal(await ask(app, "GET", "/livez", version="1.0", hosts=["a", "b"]))
    assert NO_HOST == refusal(await ask(app, "GET", LIST, version="1.0", hosts=[]))


# --- pages

FOREIGN = [
    [("origin", "http://evil.example")],
    [("origin", "http://evil.example:8089")],
    [("origin", "null")],
    [("origin", "")],
    [("origin", "http://mainspring:3000")],
    [("origin", "https://mainspring")],
    [("origin", "http://localhost:8089")],
    [("origin", "mainspring:8089")],
    [("origin", "chrome-extension://mainspring:8089")],
    [("origin", "http://mainspring:8089"), ("origin", "http://evil.example")],
    [("origin", "http://evil.example"), ("origin", "http://mainspring:8089")],
    [("origin", "http://mainspring:8089"), ("sec-fetch-site", "cross-site")],
    [("sec-fetch-site", "cross-site")],
    [("sec-fetch-site", "same-site")],
    [("sec-fetch-site", "Cross-Site")],
    [("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
    [("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
]
"""What a browser, or whoever plays one, sends from a page that is not of the service at http://mainspring:8089."""
HERE = ["mainspring:8089"]


@pytest.mark.parametrize(("method", "path"), UNSAFE)
async def test_no_call_can_be_made_from_another_page(app: ASGIApp, method: str, path: str) -> None:
    """Each that changes something, with a body and without."""
    for body in ([], [b"{}"]):
        answer = await ask(app, method, filled(path), JSON, ("origin", "http://evil.example"), body=body, hosts=HERE)

        assert OTHER_PAGE == refusal(answer)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_other_pages_change_nothing(app: ASGIApp, jobs: Jobs, headers: list[tuple[str, str]]) -> None:
    """Neither by what a form can send, nor without a body, nor by what a browser would ask for first."""
    job_id = await jobs.create(NOTES)
    before = await jobs.shown(NOTES, job_id)

    answers = [
        await ask(app, "POST", LIST, JSON, *headers, body=[b'{"when": "2026-12-01T10:00:00Z"}'], hosts=HERE),
        await ask(app, "POST", f"{LIST}/{job_id}/pause", *headers, hosts=HERE),
        await ask(app, "POST", f"{LIST}/{job_id}/retry", *headers, body=[b"{}"], hosts=HERE),
        await ask(app, "DELETE", f"{LIST}/{job_id}", *headers, hosts=HERE),
        await ask(app, "POST", "/livez", *headers, hosts=HERE),
    ]

    assert [OTHER_PAGE] * len(answers) == [refusal(answer) for answer in answers]
    assert before == await jobs.shown(NOTES, job_id)


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("mainspring:8089", []),
        ("mainspring:8089", [("origin", "http://mainspring:8089"), ("sec-fetch-site", "same-origin")]),
        ("MAINSPRING:8089", [("origin", "http://mainspring:8089")]),
        ("mainspring:80", [("origin", "http://mainspring")]),
        ("mainspring", [("origin", "https://mainspring"), ("sec-fetch-site", "same-origin")]),
        ("mainspring:443", [("origin", "https://mainspring")]),
        ("[::1]:8089", [("origin", "http://[::1]:8089")]),
        ("mainspring:8089", [("sec-fetch-site", "none")]),
    ],
)
async def test_own_page_and_programs_may(app: ASGIApp, host: str, headers: list[tuple[str, str]]) -> None:
    """A program sends neither header, the page that we serve sends its own origin, also through a proxy with HTTPS."""
    body = b'{"when": "2026-12-01T10:00:00Z"}'

    assert 201 == (await ask(app, "POST", LIST, JSON, *headers, body=[body], hosts=[host])).status_code


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_links_of_other_pages_lead_here(app: ASGIApp, headers: list[tuple[str, str]]) -> None:
    """What changes nothing is answered: other pages cannot read it."""
    assert 200 == (await ask(app, "GET", "/docs", *headers, hosts=HERE)).status_code
