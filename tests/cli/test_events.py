"""``mainspring events``: what it asks for, how it prints, and how it ends."""

import json
from collections.abc import Callable, Mapping

import httpx2
import pytest

from mainspring.cli.contexts import Place
from mainspring.client import Client, Retries
from tests.cli.conftest import Run

FIRST = {
    "id": "t-1",
    "type": "run.ended",
    "time": "2026-06-01T12:00:00.000Z",
    "product": "vps4",
    "jobGroup": "backups",
    "jobId": "019e830e-1a00-70a5-abaa-9455e3e70682",
    "state": "done",
    "run": 7,
    "outcome": "failed",
    "node": "node-1",
}
PAUSED = {
    "id": "t-2",
    "type": "group.paused",
    "time": "2026-06-01T12:00:01.000Z",
    "product": "vps4",
    "jobGroup": None,
    "reason": "too \x1b[31mloud",
}
Serve = Callable[..., list[httpx2.Request]]


def written(*events: Mapping[str, object]) -> str:
    """Return events as the service writes them."""
    return "".join(f"id: {each['id']}\nevent: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Give these answers, one after the other, and then end the command as Ctrl-C does."""
    asked: list[httpx2.Request] = []

    def serve(*answers: httpx2.Response | Exception) -> list[httpx2.Request]:
        left = list(answers)

        def handle(request: httpx2.Request) -> httpx2.Response:
            asked.append(request)
            if not left:
                raise KeyboardInterrupt
            answer = left.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def open_client(place: Place) -> Client:
            return Client(place.url, transport=httpx2.MockTransport(handle), retries=Retries(attempts=2, first_pause=0))

        monkeypatch.setattr("mainspring.cli.events.open_client", open_client)
        return asked

    return serve


def test_lines(run: Run, serve: Serve) -> None:
    """One for each event; nothing in it controls the terminal. Ctrl-C is no error."""
    serve(httpx2.Response(200, text=written(FIRST, PAUSED)))
    code, out, err = run("events")
    assert (0, "") == (code, err)
    assert [
        f"2026-06-01T12:00:00.000Z  run.ended  vps4/backups  {FIRST['jobId']}  run 7  failed  on node-1",
        "2026-06-01T12:00:01.000Z  group.paused  vps4  reason: too \N{REPLACEMENT CHARACTER}[31mloud",
    ] == out.splitlines()


@pytest.mark.parametrize("flag", ["--json", "--ndjson"])
def test_json(run: Run, serve: Serve, flag: str) -> None:
    """Each event as it came, on a line of its own."""
    serve(httpx2.Response(200, text=written(FIRST, PAUSED)))
    _, out, _ = run("events", flag)
    assert [FIRST, PAUSED] == [json.loads(line) for line in out.splitlines()]


def test_what_is_asked(run: Run, serve: Serve) -> None:
    """Scope, filters and place; after a break it goes on behind the last event."""
    asked = serve(httpx2.Response(200, text=written(FIRST)))
    flags = "--type run.ended --type job.created --outcome failed --state done --tag a --tag b --key k --node n"
    run("events", "vps4/backups", *flags.split(), "--after", "oldest")
    first, second = asked
    assert first.url.path == "/api/schedulers/vps4/backups/events"
    assert [
        ("type", "run.ended"), ("type", "job.created"), ("outcome", "failed"), ("state", "done"), ("tag", "a"),
        ("tag", "b"), ("key", "k"), ("node", "n"),
    ] == first.url.params.multi_items()  # fmt: skip
    assert ["oldest", "t-1"] == [each.headers["last-event-id"] for each in (first, second)]


@pytest.mark.parametrize("scope", ["", "/", "a/", "/b", "a/b/c"])
def test_no_scope(run: Run, serve: Serve, scope: str) -> None:
    """It is said what one is."""
    serve()
    code, _, err = run("events", scope)
    assert code == 2
    assert "is not a product such as vps4" in err


def problem(status: int, *errors: tuple[str, str, str]) -> httpx2.Response:
    """Return what the service says when it refuses."""
    said = [{"pointer": pointer, "code": code, "detail": detail} for pointer, code, detail in errors]
    content = {"id": errors[0][1], "detail": errors[0][2], "errors": said, "retryable": False}
    return httpx2.Response(status, json=content, headers={"Content-Type": "application/problem+json"})


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (problem(422, ("?type", "TYPE_INVALID", "x"), ("?tag", "TAG_INVALID", "must")), 1, "?tag must (TAG_INVALID)"),
        (problem(410, ("", "EVENTS_FORGOTTEN", "begin without an id")), 1, "begin without an id (EVENTS_FORGOTTEN)"),
        (problem(503, ("", "STORE_UNAVAILABLE", "away")), 69, "away (STORE_UNAVAILABLE)"),
    ],
)  # fmt: skip
def test_refusals(run: Run, serve: Serve, answer: httpx2.Response, code: int, said: str) -> None:
    """All that is wrong is said, and the exit code says of which kind it is."""
    serve(answer)
    ran = run("events")
    assert code == ran.code
    assert said in ran.err


def test_nobody_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says where it looked, without a password."""
    monkeypatch.setattr(
        "mainspring.cli.events.open_client",
        lambda place: Client(place.url, transport=httpx2.MockTransport(_refuse), retries=Retries(attempts=1)),
    )
    code, _, err = run("events", "--url", "http://me:secret@nowhere:1")
    assert code == 69
    assert "Is the service running?" in err
    assert "secret" not in err


def _refuse(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused", request=request)
