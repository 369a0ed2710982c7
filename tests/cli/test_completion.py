"""``mainspring completion``: what is offered, and that real shells offer it."""

import json
import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from mainspring.cli.candidates import ANSWER_SECONDS
from mainspring.cli.completion import whole
from mainspring.clock import SystemClock
from tests.cli.conftest import Run, Service

JOB = "019d0f7c-5b7e-7c3a-8000-000000000001"
OTHER = "019d0f7c-5b7e-7c3a-8000-000000000002"
ANSWERS = {
    "/api/schedulers": [
        {"product": "vps4", "jobGroup": "backups"},
        {"product": "vps4", "jobGroup": "zombie"},
        {"product": "shop", "jobGroup": "mail"},
        {"product": "$(reboot)", "jobGroup": "`x`"},
    ],
    "/api/schedulers/vps4/backups/jobs": [{"id": JOB, "state": "scheduled", "nextRun": "2026-12-01T10:00:00Z"}],
    "/api/schedulers/jobs": [{"id": JOB, "state": "scheduled"}, {"id": OTHER, "state": "done"}],
    "/api/schedulers/calendars": {"freeze": {}, "nights": {}},
    "/api/schedulers/nodes": [{"node": "n1:aa"}, {"node": "n2:$(x)"}],
    "/api/schedulers/webhooks": [{"name": "orders", "url": "https://x.example/"}],
}


class Answering(BaseHTTPRequestHandler):
    """Answers as a service would."""

    def do_GET(self) -> None:
        body = json.dumps(ANSWERS[self.path.partition("?")[0]]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of something that answers as a service would."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.fixture
def offered(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return what is offered in place of the last of some words."""
    monkeypatch.setenv("MAINSPRING_URL", url)

    def offered(*words: str) -> list[str]:
        ran = run("completion", "bash", "--", *words)
        assert (0, "") == (ran.code, ran.err)
        return ran.out.splitlines()

    return offered


# --- what is offered


def test_commands_and_options(offered: Callable[..., list[str]]) -> None:
    """At each place, those that can stand there."""
    assert {"serve", "status", "jobs", "runs", "actions", "nodes", "context", "completion"} <= set(offered(""))
    assert ["reschedule", "resume", "retry"] == offered("jobs", "re")
    assert ["--state"] == offered("jobs", "list", "--sta")
    assert {"--store", "--slots"} <= set(offered("serve", "--s"))
    assert ["dead", "done"] == sorted(offered("jobs", "list", "--state", "d"))
    assert ["done"] == offered("jobs", "list", "--state", "=", "don")
    assert ["table"] == offered("jobs", "list", "--output=ta")
    assert ["fish"] == offered("completion", "f")


def test_what_the_service_has(offered: Callable[..., list[str]]) -> None:
    """Groups, products, ids and calendars; what a shell could take for more than a word is left out."""
    groups = ["vps4/backups", "vps4/zombie", "shop/mail"]
    assert ["vps4", "shop", *groups] == offered("jobs", "list", "")
    assert ["vps4/zombie"] == offered("jobs", "show", "vps4/z")
    assert ["vps4", "shop", *groups] == offered("pause", "")
    assert ["shop", "shop/mail"] == offered("limits", "show", "s")
    assert [JOB] == offered("jobs", "show", "vps4/backups", "")
    assert [] == offered("jobs", "show", "a/b/c", "")
    assert ["freeze"] == offered("calendars", "show", "f")
    assert ["orders"] == offered("webhooks", "delete", "o")


def test_ids_of_several_groups(offered: Callable[..., list[str]]) -> None:
    """One after the other, where a command takes several."""
    assert [JOB, OTHER] == offered("jobs", "show", "*", "")
    assert [OTHER] == offered("jobs", "pause", "*", JOB, OTHER[:-1] + "2")
    assert [JOB] == offered("runs", "show", "vps4/backups", "019")


def test_nodes_and_contexts(offered: Callable[..., list[str]], run: Run) -> None:
    """Bash keeps what stands before a colon; a context is named by name, not by its address."""
    assert ["n1:aa"] == offered("nodes", "drain", "")
    assert ["aa"] == offered("nodes", "drain", "n1", ":", "a")
    assert ["n1:aa"] == offered("runs", "list", "--node", "n")
    run("context", "add", "prod", "--url", "http://u:hunter2@prod")
    assert ["prod"] == offered("context", "use", "p")
    assert ["prod"] == offered("jobs", "list", "--context", "")
    assert "prod\tcontext\n" == run("completion", "fish", "--", "context", "use", "").out


def test_service_of_a_context_is_asked(run: Run, url: str) -> None:
    """As the command would."""
    run("context", "add", "here", "--url", url)
    for words in (["jobs", "list", ""], ["jobs", "list", "--context", "here", ""]):
        assert "vps4/backups" in run("completion", "bash", "--", *words).out.splitlines()
    assert (0, "", "") == run("completion", "bash", "--", "jobs", "list", "--context", "none", "")


def test_words_of_other_shells_have_a_description(run: Run, url: str) -> None:
    """Behind a tab."""
    ran = run("completion", "fish", "--", "jobs", "show", "--url", url, "vps4/backups", "")
    assert f"{JOB}\tscheduled 2026-12-01T10:00:00Z\n" == ran.out


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(503),
        httpx2.Response(200, text="no JSON"),
        httpx2.Response(200, json=3),
        httpx2.Response(200, json=[3, {}]),
    ],
)
def test_service_that_answers_something_else(run: Run, service: Service, answer: httpx2.Response) -> None:
    """Adds nothing, and nothing is said about it."""
    service.answer = answer
    assert (0, "", "") == run("completion", "bash", "--", "jobs", "list", "")
    assert (0, "", "") == run("completion", "bash", "--", "calendars", "show", "")


def test_service_that_is_away(run: Run) -> None:
    """Nor does one that cannot be reached, or whose address is none."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for url in (address, "nonsense", "http://[", ""):
        assert (0, "", "") == run("completion", "bash", "--", "jobs", "list", "--url", url, "")


def drip(listener: socket.socket) -> None:
    """Answer one call byte by byte, so that no single step is slow."""
    with suppress(OSError), listener.accept()[0] as connection:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: yes\r\n" * 1000:
            connection.sendall(bytes([byte]))
            threading.Event().wait(0.05)


@pytest.mark.parametrize("drips", [False, True])
def test_nobody_waits_for_a_slow_service(run: Run, *, drips: bool) -> None:
    """It has half a second."""
    clock = SystemClock()
    assert 0.5 == ANSWER_SECONDS
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if drips:
            threading.Thread(target=drip, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        begin = clock.monotonic()
        assert (0, "", "") == run("completion", "bash", "--", "jobs", "list", "--url", url, "")
        assert clock.monotonic() - begin < 10 * ANSWER_SECONDS  # this machine may have more to do


def test_wrong_shell(run: Run) -> None:
    """It is told which there are."""
    ran = run("completion", "csh")
    assert 2 == ran.code
    assert "fish" in ran.err


def test_words_that_bash_has_parted() -> None:
    """Are put together again."""
    assert ["jobs", "--state", "done", "a:b", "c"] == whole(["jobs", "--state", "=", "done", "a", ":", "b", "c"])
    assert ["--state", ""] == whole(["--state", "="])
    assert ["a:"] == whole(["a", ":"])
    assert ["=", "a"] == whole(["=", "a"])


# --- in real shells


@pytest.fixture
def environ(url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that finds `mainspring`, and a service."""
    path = f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    return {"PATH": path, "HOME": str(tmp_path), "MAINSPRING_URL": url, "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def shell(name: str) -> str:
    """Return the path of a shell; in CI it must be there."""
    found = shutil.which(name)
    if found is None:
        assert not os.environ.get("MAINSPRING_TEST_SHELLS"), f"{name} is not installed"
        pytest.skip(f"{name} is not installed; Debian has it as the package {name}")
    return found


def said(command: list[str], environ: dict[str, str], folder: Path) -> list[str]:
    """Return the lines that a shell prints."""
    ran = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    assert "" == ran.stderr
    return ran.stdout.splitlines()


BASH = """
source <(mainspring completion bash)
complete -p mainspring
tab() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mainspring mainspring; echo "${COMPREPLY[*]}"; }
tab mainspring jobs re
tab mainspring jobs show vps4/b
tab mainspring jobs show vps4/backups ""
tab mainspring jobs list --state = d
tab mainspring nodes drain n1 : a
mainspring context add prod --url http://prod
tab mainspring status --context p
"""


def test_bash(environ: dict[str, str], tmp_path: Path) -> None:
    """The function that `complete` names fills COMPREPLY."""
    assert [
        "complete -o default -F _mainspring mainspring",
        "reschedule resume retry",
        "vps4/backups",
        JOB,
        "done dead",
        "aa",
        "The context prod is added.",
        "It is in use.",
        "prod",
    ] == said([shell("bash"), "--norc", "-c", BASH], environ, tmp_path)


FISH = """
mainspring completion fish | source
complete -C "mainspring jobs re"
complete -C "mainspring jobs show vps4/b"
complete -C "mainspring jobs show vps4/backups "
complete -C "mainspring dev her"
complete -C "mainspring nodes drain n"
"""


def test_fish(environ: dict[str, str], tmp_path: Path) -> None:
    """Words come with what they are; where nothing is known, files are offered."""
    (tmp_path / "here").mkdir()
    lines = said([shell("fish"), "--no-config", "-c", FISH], environ, tmp_path)
    assert ["reschedule", "resume", "retry", "vps4/backups", JOB, "here/", "n1:aa"] == [
        line.partition("\t")[0] for line in lines
    ]
    assert "Let paused jobs run again." == lines[1].partition("\t")[2]


def until(terminal: int, expected: bytes) -> bytes:
    """Read what a terminal shows until something is there."""
    shown = b""
    while expected not in shown:
        assert select.select([terminal], [], [], 60)[0], shown
        shown += os.read(terminal, 65_536)
    return shown


def test_zsh(environ: dict[str, str], tmp_path: Path) -> None:
    """In a terminal, a tab completes a command, a group and an id."""
    zsh = shell("zsh")
    terminal, inner = pty.openpty()
    command = [zsh, "-f", "-i"]
    with subprocess.Popen(command, env=environ, cwd=tmp_path, stdin=inner, stdout=inner, stderr=inner) as process:
        os.close(inner)
        os.write(
            terminal, b"autoload -Uz compinit; compinit -u -D; source <(mainspring completion zsh); echo rea''dy\n"
        )
        until(terminal, b"ready\r\n")
        for typed, expected in (
            (b"mainspring jobs resc\t", b"reschedule"),
            (b"vps4/b\t", b"vps4/backups"),
            (b"019\t", JOB.encode()),
        ):
            os.write(terminal, typed)
            until(terminal, expected)
        process.kill()
    os.close(terminal)
