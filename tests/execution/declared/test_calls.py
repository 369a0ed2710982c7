"""Calls by HTTP: whatever a target does, they end in bounded time and memory, with the right reason."""

import asyncio
import gzip
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mainspring.declared import AllowedTargets, read_target
from mainspring.execution.declared.call import (
    KEPT_BYTES,
    Answer,
    BlockedError,
    Caller,
    CallError,
    Message,
    OverdueError,
)
from mainspring.execution.declared.resolver import THREADS, Resolver
from tests.execution.declared.hostile import Behaviour, answering, listening, repeating, response

INSIDE = AllowedTargets(["127.0.0.1"])
POST = Message("POST", b'{"a":1}', {"content-type": "application/json", "idempotency-key": "k"}, {"x-own": "1"})
PATIENCE = 10.0
SHORT = 0.3
"""Seconds in which a hostile target is given up."""


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    """A resolver that is closed in the end."""
    made = Resolver()
    yield made
    made.close()


def a_caller(resolver: Resolver, allowed: AllowedTargets = INSIDE, context: ssl.SSLContext | None = None) -> Caller:
    """Make a caller."""
    return Caller(resolver, context or ssl.create_default_context(), allowed)


async def called(
    behave: Behaviour, resolver: Resolver, *, seconds: float = PATIENCE, redirects: int = 0, method: str = "POST"
) -> Answer:
    """Call a listener that behaves so."""
    message = POST if method == "POST" else POST._replace(method=method, body=None)
    async with listening(behave) as listener:
        caller = a_caller(resolver)
        return await caller.call(read_target(listener.url), message, seconds=seconds, redirects=redirects)


async def test_a_call(resolver: Resolver) -> None:
    """The request goes out as it was put together, and the answer comes back."""
    async with listening(answering(response(201, b"made", location="/x"))) as listener:
        target = read_target(f"{listener.url}/a%2Fb?c=%20")
        answer = await a_caller(resolver).call(target, POST, seconds=PATIENCE)
    assert (201, b"made", False) == (answer.status, answer.body, answer.is_cut)
    ((first, headers, body),) = listener.requests
    assert "POST /a%2Fb?c=%20 HTTP/1.1" == first
    assert b'{"a":1}' == body
    assert f"127.0.0.1:{listener.port}" == headers["host"]
    assert ("1", "k", "7") == (headers["x-own"], headers["idempotency-key"], headers["content-length"])


# --- hostile targets

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        pytest.param(answering(then="wait"), "limit of 0.3 s, while it connected", id="never answers"),
        pytest.param(answering(HEAD, then="wait"), "limit of 0.3 s", id="half a head"),
        pytest.param(
            answering(HEAD + b"content-length: 9\r\n\r\nab", then="wait"),
            "limit of 0.3 s, while it read the body",
            id="half a body",
        ),
    ],
)
async def test_slow_targets(resolver: Resolver, behave: Behaviour, reason: str) -> None:
    """The deadline holds over all steps."""
    with pytest.raises(OverdueError, match=reason):
        await called(behave, resolver, seconds=SHORT)


async def test_a_trickle(resolver: Resolver) -> None:
    """A byte at a time does not put the deadline off."""

    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await asyncio.wait([asyncio.ensure_future(writer.drain())])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await asyncio.Event().wait()

    with pytest.raises(OverdueError, match="while it read the body"):
        await called(behave, resolver, seconds=SHORT)


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        pytest.param(answering(), "does not speak HTTP: Server disconnected", id="closes at once"),
        pytest.param(answering(then="reset"), "the connection broke|does not speak", id="resets at once"),
        pytest.param(answering(b"hello, world\r\n\r\n"), "does not speak HTTP", id="no HTTP"),
        pytest.param(answering(b"<html>0.9</html>"), "does not speak HTTP", id="HTTP/0.9"),
        pytest.param(answering(b"SSH-2.0-OpenSSH_9\r\n\r\n", then="wait"), "does not speak HTTP", id="SSH"),
        pytest.param(answering(HEAD + b"content-length: 9\r\n\r\nab"), "broke off its answer", id="half a body"),
        pytest.param(
            answering(HEAD + b"content-length: 9\r\n\r\nab", then="reset"), "broke|broke off", id="reset in the body"
        ),
        pytest.param(
            answering(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n"), "broke off its answer", id="no chunk"
        ),
        pytest.param(answering(HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"), "HTTP", id="two lengths"),
        pytest.param(repeating(HEAD, b"x: y\r\n"), "does not speak HTTP|more than 512 KiB", id="a head without end"),
        pytest.param(repeating(b"", b"x" * 999), "does not speak HTTP|more than 512 KiB", id="a line without end"),
        pytest.param(repeating(b"", b"HTTP/1.1 103 X\r\n\r\n" * 50), "more than 512 KiB", id="a flood of 1xx"),
        pytest.param(
            repeating(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1;" + b"x" * 4000 + b"\r\na\r\n"),
            "more than 512 KiB|broke off",
            id="chunks of names",
        ),
    ],
)
async def test_broken_targets(resolver: Resolver, behave: Behaviour, reason: str) -> None:
    """What is no answer fails, soon and in words."""
    with pytest.raises(CallError, match=reason) as caught:
        await called(behave, resolver)
    assert not isinstance(caught.value, OverdueError)


async def test_an_endless_body_is_cut(resolver: Resolver) -> None:
    """What was kept is kept, the connection is closed, and the status counts."""
    head = HEAD + b"content-length: 10737418240\r\n\r\n"
    answer = await called(repeating(head, b"x" * 65536), resolver)
    assert (200, KEPT_BYTES, True) == (answer.status, len(answer.body), answer.is_cut)


async def test_a_bomb_is_not_unpacked(resolver: Resolver) -> None:
    """Nothing was asked for that is packed, and nothing is unpacked."""
    bomb = gzip.compress(bytes(50_000_000))
    answer = await called(answering(response(200, bomb, content_encoding="gzip")), resolver)
    assert bomb[:KEPT_BYTES] == answer.body[:KEPT_BYTES]


async def test_nobody_listens(resolver: Resolver) -> None:
    """A refused connection is told as one."""
    async with listening(answering()) as listener:
        pass
    with pytest.raises(CallError, match="no connection"):
        await a_caller(resolver).call(read_target(listener.url), POST, seconds=PATIENCE)


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of a stranger, for the name inside.test."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = path.with_name("key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(path), "-days", "2", "-subj", "/CN=inside.test"]
    command += ["-addext", "subjectAltName=DNS:inside.test"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


def a_server_context(certificate: Path) -> ssl.SSLContext:
    """Make the context of a target that has the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def over_tls(certificate: Path, url: str, *, trusted: bool) -> tuple[Answer, list[Any]]:
    """Call a target that shows the certificate; all names lead to it."""
    resolver = Resolver(lambda _host: ["127.0.0.1"])
    context = ssl.create_default_context(cafile=str(certificate) if trusted else None)
    try:
        async with listening(answering(response())) as plain:
            assert plain.port
        async with listening(answering(response(200, b"safe")), a_server_context(certificate)) as listener:
            target = read_target(f"{url}:{listener.port}/")
            answer = await a_caller(resolver, INSIDE, context).call(target, POST, seconds=PATIENCE)
            return answer, listener.requests
    finally:
        resolver.close()


async def test_the_name_stays_in_tls_and_host(certificate: Path) -> None:
    """The connection goes to an address, and the certificate is compared with the name."""
    answer, requests = await over_tls(certificate, "https://inside.test", trusted=True)
    assert b"safe" == answer.body
    assert requests[0][1]["host"].startswith("inside.test:")


@pytest.mark.parametrize(("url", "trusted"), [("https://inside.test", False), ("https://other.test", True)])
async def test_bad_certificates(certificate: Path, url: str, *, trusted: bool) -> None:
    """A stranger's, and one of another name."""
    with pytest.raises(CallError, match=r"TLS failed: .*CERTIFICATE_VERIFY_FAILED"):
        await over_tls(certificate, url, trusted=trusted)


async def test_tls_to_one_who_does_not_speak_it(resolver: Resolver) -> None:
    """It is a failure of TLS."""

    async def behave(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None: ...

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(response(400))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    target = read_target(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    with pytest.raises(CallError, match=r"TLS failed|no connection"):
        await a_caller(resolver).call(target, POST, seconds=PATIENCE)
    server.close()


# --- forbidden targets


async def test_each_address_is_checked() -> None:
    """One that is inside is enough; nothing is connected to."""
    resolver = Resolver(lambda _host: ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(BlockedError, match=r"ssrf-blocked: .* host mixed.test, that is 127.0.0.1, which is loopback"):
        await a_caller(resolver, AllowedTargets()).call(read_target("http://mixed.test/"), POST, seconds=PATIENCE)
    resolver.close()


async def test_a_name_is_looked_up_once() -> None:
    """Who answers with one address first and with another later is asked once, and the first is connected to."""
    asked: list[str] = []

    def rebinding(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    resolver = Resolver(rebinding)
    async with listening(answering(response())) as listener:  # on 127.0.0.1 alone
        caller = a_caller(resolver, AllowedTargets(["127.0.0.2"]))
        with pytest.raises(CallError, match="no connection"):
            await caller.call(read_target(f"http://bind.test:{listener.port}/"), POST, seconds=PATIENCE)
        assert (["bind.test"], 0) == (asked, listener.connections)
        with pytest.raises(BlockedError):
            await caller.call(read_target(f"http://bind.test:{listener.port}/"), POST, seconds=PATIENCE)
        assert (2, 0) == (len(asked), listener.connections)
    resolver.close()


async def test_rebinding_never_gets_in() -> None:
    """A thousand times the name server changes its mind between two answers."""
    turns = iter(range(10_000))
    resolver = Resolver(lambda _host: ["203.0.114.1"] if next(turns) % 2 else ["127.0.0.1"])
    async with listening(answering(response())) as listener:
        caller = a_caller(resolver, AllowedTargets())
        target = read_target(f"http://bind.test:{listener.port}/")
        for _ in range(1000):
            with pytest.raises(CallError):
                await caller.call(target, POST, seconds=0.002)
        assert 0 == listener.connections
    resolver.close()


async def test_the_next_address_is_tried() -> None:
    """An address where nobody listens does not hide the next one."""
    resolver = Resolver(lambda _host: ["127.0.0.2", "127.0.0.1"])
    async with listening(answering(response(204))) as listener:
        caller = a_caller(resolver, AllowedTargets(["127.0.0.0/8"]))
        answer = await caller.call(read_target(f"http://two.test:{listener.port}/"), POST, seconds=PATIENCE)
    assert 204 == answer.status
    resolver.close()


async def test_no_proxy_and_no_netrc(resolver: Resolver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment of the service sends no call elsewhere, and adds no password."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with listening(answering(response(200))) as listener:
        await a_caller(resolver).call(read_target(listener.url), POST, seconds=PATIENCE)
    assert "authorization" not in listener.requests[0][1]


# --- name servers


def a_dead_name_server() -> tuple[Resolver, Event]:
    """Return a resolver whose name server answers when the event is set."""
    answers = Event()

    def look_up(host: str) -> list[str]:
        if host.startswith("dead"):
            answers.wait(PATIENCE)
        return ["127.0.0.1"]

    return Resolver(look_up), answers


async def test_a_dead_name_server_takes_no_more_than_the_deadline() -> None:
    """The call is over, whatever becomes of its thread."""
    resolver, answers = a_dead_name_server()
    with pytest.raises(OverdueError, match=r"while it looked up dead\.test"):
        await a_caller(resolver).call(read_target("http://dead.test/"), POST, seconds=0.05)
    answers.set()
    resolver.close()


async def test_one_dead_name_takes_one_thread() -> None:
    """However many jobs want it, others are still looked up."""
    resolver, answers = a_dead_name_server()
    waiting = [asyncio.create_task(resolver.addresses("dead.test")) for _ in range(3 * THREADS)]
    async with asyncio.timeout(PATIENCE):
        assert ["127.0.0.1"] == [str(each) for each in await resolver.addresses("alive.test")]
    answers.set()
    await asyncio.gather(*waiting)
    resolver.close()


@pytest.mark.parametrize(("found", "reason"), [([], "it has no address"), (["x"], "does not appear to be")])
async def test_names_that_lead_nowhere(found: list[str], reason: str) -> None:
    """They are told."""
    resolver = Resolver(lambda _host: found)
    with pytest.raises(CallError, match=f"the host none.test cannot be found: .*{reason}"):
        await a_caller(resolver).call(read_target("http://none.test/"), POST, seconds=PATIENCE)
    resolver.close()


# --- redirects


def redirecting(location: str, status: int = 302) -> Behaviour:
    """Lead elsewhere."""
    return answering(response(status, location=location))


async def test_redirects_are_answers(resolver: Resolver) -> None:
    """None is followed if none may be."""
    answer = await called(redirecting("/again"), resolver)
    assert (302, "/again") == (answer.status, answer.headers["location"])


async def test_a_loop_of_redirects_ends(resolver: Resolver) -> None:
    """After as many as may be followed."""
    async with listening(redirecting("/again", 307)) as listener:
        answer = await a_caller(resolver).call(read_target(listener.url), POST, seconds=PATIENCE, redirects=3)
    assert (307, 4) == (answer.status, listener.connections)
    assert {b'{"a":1}'} == {body for _, _, body in listener.requests}


@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/meta-data", "http://localhost/", "file:///etc/passwd", "//2130706433/", "http://[::1]/",
     "ftp://example.com/", "http://127.0.0.1@example.com/"],
)  # fmt: skip
async def test_a_redirect_is_checked_again(resolver: Resolver, location: str) -> None:
    """It does not lead inside."""
    with pytest.raises(BlockedError, match="ssrf-blocked"):
        await called(redirecting(location), resolver, redirects=5)


async def test_headers_do_not_follow_elsewhere(resolver: Resolver) -> None:
    """What is the first target's own, such as a token, is not told to another; a POST that is moved becomes a GET."""
    async with listening(answering(response(200))) as second, listening(redirecting(f"{second.url}/b")) as first:
        answer = await a_caller(resolver).call(read_target(first.url), POST, seconds=PATIENCE, redirects=1)
    assert 200 == answer.status
    ((line, headers, body),) = second.requests
    assert ("GET /b HTTP/1.1", b"") == (line, body)
    assert "x-own" not in headers
    assert "content-type" not in headers
    assert "x-own" in first.requests[0][1]
