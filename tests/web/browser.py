"""A real browser without a window: Chromium, driven by the DevTools protocol through a pair of pipes.

Pipes instead of a socket need no port and no library: a message is JSON with a NUL behind it.
"""

import fcntl
import json
import os
import select
import shutil
import signal
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any, Self

import pytest

PATIENCE = 60.0
"""Seconds to wait for an answer before the test fails."""
VARIABLE = "MAINSPRING_TEST_CHROMIUM"
FLAGS = (
    "--headless",
    "--no-sandbox",  # it needs rights that a container may not give; the only pages are our own
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-pipe",
)
_FOUND = """
new Promise(done => {
  const look = () => {
    const found = %s;
    if (found) { watch.disconnect(); done(found); }
  };
  const watch = new MutationObserver(look);
  watch.observe(document, {childList: true, subtree: true});
  look();
})
"""
"""Waits until an expression is something, looking again whenever the page has changed."""


def chromium() -> str:
    """Return where Chromium is; skips the test where there is none, unless the environment names one."""
    named = os.environ.get(VARIABLE)
    path = shutil.which(named or "chromium")
    if path is None and named is None:
        pytest.skip(f"there is no chromium here: install the package of that name, or name another in {VARIABLE}")
    assert path is not None, f"{VARIABLE} names {named}, which is not here"
    return path


class Browser:
    """A browser with one page; `flags` are more of Chromium's own."""

    def __init__(self, folder: Path, *flags: str) -> None:
        path = chromium()
        reads, self._writes = os.pipe()
        self._reads, writes = os.pipe()
        # Away from 3 and 4, where Chromium has its ends.
        ours, theirs = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (reads, writes))
        quiet = os.open(folder / "chromium.log", os.O_WRONLY | os.O_CREAT)
        actions = [(os.POSIX_SPAWN_DUP2, ours, 3), (os.POSIX_SPAWN_DUP2, theirs, 4), (os.POSIX_SPAWN_DUP2, quiet, 2)]
        arguments = [path, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}"]
        self._pid = os.posix_spawn(
            path, arguments, {**os.environ, "HOME": str(folder)}, file_actions=actions, setpgroup=0
        )
        for end in (reads, writes, ours, theirs, quiet):
            os.close(end)
        self._text = b""
        self._calls = 0
        self._session: str | None = None

    def __enter__(self) -> Self:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._reads)
        os.close(self._writes)

    def open(self, url: str) -> None:
        """Load a page, with all that it loads at first."""
        self.call("Page.navigate", url=url)
        self._wait_for("Page.loadEventFired")

    def open_as(self, url: str, html: str) -> None:
        """Load a page that says this, as if whoever has that address had answered with it."""
        self.call("Fetch.enable", patterns=[{"urlPattern": url}])
        self._send("Page.navigate", url=url)
        request = self._wait_for("Fetch.requestPaused")["requestId"]
        headers = [{"name": "Content-Type", "value": "text/html"}]
        body = b64encode(html.encode()).decode()
        self._send("Fetch.fulfillRequest", requestId=request, responseCode=200, responseHeaders=headers, body=body)
        self._wait_for("Page.loadEventFired")
        self.call("Fetch.disable")

    def run(self, expression: str) -> Any:
        """Return what an expression of the page is, or becomes."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Return what an expression is as soon as it is something."""
        return self.run(_FOUND % expression)

    def save(self, path: Path) -> None:
        """Take a picture of the page."""
        path.write_bytes(b64decode(self.call("Page.captureScreenshot")["data"]))

    # --- messages

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something and return the answer."""
        number = self._send(method, **parameters)
        while (answer := self._read()).get("id") != number:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _send(self, method: str, **parameters: Any) -> int:
        """Ask for something, and return the number of the answer that will come."""
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        return self._calls

    def _wait_for(self, event: str) -> dict[str, Any]:
        """Wait until something has happened, and return what is said about it."""
        while (message := self._read()).get("method") != event:
            pass
        facts: dict[str, Any] = message["params"]
        return facts

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._text:
            ready, _, _ = select.select([self._reads], [], [], PATIENCE)
            assert ready, f"the browser has said nothing for {PATIENCE:g} s"
            part = os.read(self._reads, 1 << 16)
            assert part, "the browser has ended"
            self._text += part
        message, _, self._text = self._text.partition(b"\0")
        content: dict[str, Any] = json.loads(message)
        return content
