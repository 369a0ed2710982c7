"""HTTP jobs end to end: what the target hears, and how the run ends by its answer."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from mainspring.clock import SystemClock
from mainspring.declared import Secret
from mainspring.errors import ConfigError, InvalidRequestError
from mainspring.execution import DeclaredModule
from mainspring.execution.declared.secrets import keys_of
from mainspring.job import Job, Outcome, Run
from mainspring.settings import Settings
from mainspring.testing import START, TestScheduler
from tests.execution.declared.hostile import Behaviour, Listener, answering, listening, repeating, response

FIRST, SECOND = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ANY = {"additionalProperties": True}
SWITCHING = b"HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
SIGNED = {"secret": "hooks", "secrets": {"hooks": {"environment": "HOOKS"}}}


@asynccontextmanager
async def a_target(behave: Behaviour, **told: Any) -> AsyncIterator[tuple[TestScheduler, Listener]]:
    """Make a scheduler with one group of HTTP jobs that call a listener."""
    start = told.pop("start", START)
    secrets = told.pop("secrets", {})
    async with listening(behave) as listener:
        job = {"product": "shop", "job_group": "hooks", "url": listener.url, "request": ANY, **told}
        settings = Settings.model_validate(
            {"http_jobs": [job], "secrets": secrets, "allowed_targets": {"shop": ["127.0.0.1"]}}
        )
        async with TestScheduler(DeclaredModule(settings), start=start) as scheduler:
            yield scheduler, listener


async def created(scheduler: TestScheduler, **fields: Any) -> Job:
    """Create a job that is due at once."""
    return await scheduler.create("shop", "hooks", {"when": scheduler.clock.now().isoformat(), **fields})


async def run_of(scheduler: TestScheduler, job: Job, number: int = -1) -> Run:
    """Return a run with its result and its log."""
    run = (await scheduler.runs(job))[number]
    return await scheduler.service.get_run(job.key, job.id, run.number)


async def ended(behave: Behaviour, **told: Any) -> Run:
    """Run one job once and return how it ended."""
    async with a_target(behave, **told) as (scheduler, _):
        job = await created(scheduler)
        await scheduler.advance(seconds=0)
        return await run_of(scheduler, job)


def result_of(run: Run) -> Any:
    """Return the result of a run."""
    return json.loads(run.result or "null")


# --- what the target hears


async def test_what_is_sent() -> None:
    """The fields of the request as JSON, and whose run it is; the ids stay the same over the attempts."""
    async with a_target(answering(response(500))) as (scheduler, listener):
        job = await created(scheduler, order="o-1", items=[1, {"n": None}])
        await scheduler.advance(hours=1)
        runs = await scheduler.runs(job)
    lines, heads, bodies = zip(*listener.requests, strict=True)
    assert {"POST / HTTP/1.1"} == set(lines)
    assert [{"order": "o-1", "items": [1, {"n": None}]}] * 5 == [json.loads(body) for body in bodies]
    assert {"application/json"} == {head["content-type"] for head in heads}
    ids = {head["idempotency-key"] for head in heads} | {head["webhook-id"] for head in heads}
    assert {str(job.occurrence_id)} == ids
    assert ["1", "2", "3", "4", "5"] == [head["mainspring-attempt"] for head in heads]
    assert [str(run.number) for run in runs] == [head["mainspring-run"] for head in heads]
    assert [Outcome.FAILED] * 5 == [run.outcome for run in runs]
    assert not any("webhook-signature" in head for head in heads)


@pytest.mark.parametrize(
    ("told", "line", "body"),
    [
        ({"method": "GET", "request": {}}, "GET / HTTP/1.1", b""),
        ({"method": "DELETE", "request": {}}, "DELETE / HTTP/1.1", b""),
        ({"method": "PUT", "body": {"to": "{a}", "text": "a: {a}", "no": "{b}", "n": 1}}, "PUT / HTTP/1.1", None),
        ({"body": "plain {a}"}, "POST / HTTP/1.1", b"plain 5"),
        ({"body": ["{a}"]}, "POST / HTTP/1.1", b"[5]"),
    ],
)
async def test_methods_and_bodies(told: dict[str, Any], line: str, body: bytes | None) -> None:
    """A method without a body has none; a template takes the fields in."""
    request = told.pop("request", {"properties": {"a": {"type": "integer"}, "b": {}}})
    async with a_target(answering(response()), request=request, **told) as (scheduler, listener):
        await created(scheduler, **({"a": 5} if request else {}))
        await scheduler.advance(seconds=0)
    assert line == listener.requests[0][0]
    expected = b'{"to":5,"text":"a: 5","n":1}' if body is None else body
    assert expected == listener.requests[0][2]


async def test_signatures_are_those_of_standard_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that has either key of a rotation takes the call; nobody else's key fits."""
    monkeypatch.setenv("HOOKS", f"{FIRST}\n{SECOND}")
    start = SystemClock().now()
    headers = {"X-Shop": "7"}
    async with a_target(answering(response()), **SIGNED, start=start, headers=headers) as (
        scheduler,
        listener,
    ):
        await created(scheduler, text="caf\u00e9")
        await scheduler.advance(seconds=0)
    _, head, body = listener.requests[0]
    assert "7" == head["x-shop"]
    for key in (FIRST, SECOND):
        assert {"text": "caf\u00e9"} == Webhook(key).verify(body, head)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(FIRST[:-4] + "aaaa").verify(body, head)


# --- how runs end


async def test_a_success_keeps_the_answer() -> None:
    """Status, some headers, and the body as text."""
    run = await ended(answering(response(201, b"made \xff\0", set_cookie="s=1", etag='"a"', content_type="text/plain")))
    assert Outcome.SUCCEEDED == run.outcome
    expected = {"content-type": "text/plain", "content-length": "7", "etag": '"a"'}
    assert {"status": 201, "headers": expected, "body": "made \ufffd\ufffd", "truncated": False} == result_of(run)
    assert run.log is not None
    assert run.log.startswith("answer: 201 ")


async def test_what_is_packed_is_not_kept() -> None:
    """It was not asked for, and is no text."""
    run = await ended(answering(response(200, gzip.compress(b"hello"), content_encoding="gzip")))
    assert (Outcome.SUCCEEDED, "") == (run.outcome, result_of(run)["body"])


@pytest.mark.parametrize("letter", [b"x", b"\x01", b'"', "\N{SNOWMAN}".encode()])
async def test_a_large_answer_is_cut(letter: bytes) -> None:
    """As much is kept as a result may have, whatever the letters take as JSON."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n"
    run = await ended(repeating(head, letter * 65536))
    result = result_of(run)
    assert (Outcome.SUCCEEDED, None, True) == (run.outcome, run.result_error, result["truncated"])
    assert 60 * 1024 < len((run.result or "").encode()) <= 64 * 1024


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (response(400), Outcome.FAILED, "the target answered 400"),
        (response(500), Outcome.FAILED, "the target answered 500"),
        (response(302, location="/"), Outcome.FAILED, "the target answered 302: a redirect, .* none may be followed"),
        (response(304), Outcome.FAILED, "the target answered 304"),
        (response(410), Outcome.CANCELLED, "the target answered 410: it is gone for good"),
        (response(429), Outcome.POSTPONED, "busy: the target answered 429"),
        (response(503, retry_after="7"), Outcome.POSTPONED, "busy: the target answered 503"),
        (response(502), Outcome.FAILED, "the target answered 502"),
        (response(503), Outcome.FAILED, "the target answered 503"),
        (response(504), Outcome.FAILED, "the target answered 504"),
        (SWITCHING, Outcome.FAILED, "the target does not speak HTTP: .*"),
        (b"no", Outcome.FAILED, "the target does not speak HTTP: .*"),
    ],
)  # fmt: skip
async def test_outcomes(answer: bytes, outcome: Outcome, reason: str) -> None:
    """What the answer means for the run."""
    run = await ended(answering(answer))
    assert outcome == run.outcome
    assert re.fullmatch(reason, run.reason or "")


async def test_success_may_be_told() -> None:
    """A status that the settings name is one, and then no other is."""
    assert Outcome.SUCCEEDED == (await ended(answering(response(404)), success=[200, 404])).outcome
    assert Outcome.FAILED == (await ended(answering(response(204)), success=[200, 404])).outcome


@pytest.mark.parametrize(
    ("status", "wait", "seconds"),
    [
        (429, "90", 90),
        (503, "90", 90),
        (502, "90", 90),
        (503, format_datetime(START + timedelta(minutes=3), usegmt=True), 180),
        (429, "0", 1),
        (429, format_datetime(START - timedelta(minutes=3), usegmt=True), 1),
        (429, "999999999999", 86400),
        (429, "soon", 10),
    ],
)
async def test_the_wait_that_a_target_asks_for(status: int, wait: str, seconds: int) -> None:
    """It is kept to, in seconds and as a date, within bounds."""
    async with a_target(answering(response(status, retry_after=wait))) as (scheduler, listener):
        job = await created(scheduler)
        await scheduler.advance(seconds=seconds - 0.5)
        assert 1 == listener.connections
        assert (await scheduler.get(job)).due_at >= START + timedelta(seconds=seconds)
        await scheduler.advance(seconds=1 + seconds / 5)
        assert 2 <= listener.connections


async def test_a_busy_host_is_left_alone_by_all() -> None:
    """One job that was refused holds the others that call the same host."""
    async with a_target(answering(response(429, retry_after="60"))) as (scheduler, listener):
        for _ in range(20):
            await created(scheduler)
        await scheduler.advance(seconds=0)
        first = listener.connections
        await scheduler.advance(seconds=30)
        assert first == listener.connections


async def test_the_time_limit() -> None:
    """It is the whole call's, and the reason says what took so long."""
    run = await ended(answering(then="wait"), time_limit="PT0.1S")
    assert Outcome.TIMED_OUT == run.outcome
    assert run.reason is not None
    assert run.reason.startswith("took longer than its limit of 0.1 s, while it connected to 127.0.0.1:")


async def test_a_forbidden_target() -> None:
    """It is not called, and the attempts are few."""
    async with listening(answering(response())) as listener:
        job = {"product": "shop", "job_group": "hooks"}
        settings = Settings.model_validate({"http_jobs": [job], "allowed_targets": {"shop": ["127.0.0.1"]}})
        narrow = Settings.model_validate({"http_jobs": [{**job, "url": listener.url}]})
        async with TestScheduler(DeclaredModule(narrow)) as scheduler:
            blocked = await created(scheduler)
            await scheduler.advance(days=2)
            runs = await scheduler.runs(blocked)
            assert [(Outcome.FAILED, "ssrf-blocked: the URL has the host 127.0.0.1, which is loopback")] * 5 == [
                (run.outcome, run.reason) for run in runs
            ]
        assert 0 == listener.connections
        async with TestScheduler(DeclaredModule(settings)) as scheduler:
            fine = await created(scheduler, url=f"{listener.url}/x")
            await scheduler.advance(seconds=0)
            assert Outcome.SUCCEEDED == (await run_of(scheduler, fine)).outcome
            with pytest.raises(InvalidRequestError) as caught:
                await created(scheduler, url="http://127.0.0.2/")
            assert ["HTTP_TARGET_FORBIDDEN"] == [problem.code for problem in caught.value.problems]


async def test_a_secret_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that cannot be signed is not made."""
    monkeypatch.setenv("HOOKS", FIRST)
    async with a_target(answering(response()), **SIGNED) as (scheduler, listener):
        monkeypatch.delenv("HOOKS")
        job = await created(scheduler)
        await scheduler.advance(seconds=0)
        run = await run_of(scheduler, job)
        assert (0, "the secret hooks is not there: this process has no variable HOOKS") == (
            listener.connections,
            run.reason,
        )


# --- secrets


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (FIRST, 0o644, "everybody may use"),
        (FIRST, 0o602, "everybody may use"),
        ("", 0o600, "is empty"),
        ("hunter2", 0o600, "is not whsec_"),
        ("whsec_c2hvcnQ=", 0o600, "is not whsec_"),
        (f"{FIRST} whsec_@", 0o600, "is not whsec_"),
        ("whsec_\u00e9", 0o600, "no text of ASCII"),
    ],
)
def test_secrets_that_are_not_used(tmp_path: Path, text: str, mode: int, words: str) -> None:
    """They are refused, and never repeated."""
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        keys_of("s", Secret(file=str(path)))
    assert words in str(caught.value)
    assert not text or text not in str(caught.value)


def test_secrets_that_are_not_there(tmp_path: Path) -> None:
    """Neither a variable nor a file nor a directory."""
    for secret in (
        Secret(environment="NOWHERE"),
        Secret(file=str(tmp_path / "none")),
        Secret(file=str(tmp_path)),
    ):
        with pytest.raises(ConfigError, match="the secret s"):
            keys_of("s", secret, {})


def test_a_file_is_read_anew(tmp_path: Path) -> None:
    """A secret that is replaced is used by the next call; several keys are a rotation."""
    path = tmp_path / "secret"
    path.touch(0o600)
    secret = Secret(file=str(path))
    path.write_text(f"{FIRST}\n")
    assert 1 == len(keys_of("s", secret))
    path.write_text(f"{FIRST} {SECOND}\n")
    assert 2 == len(keys_of("s", secret))
