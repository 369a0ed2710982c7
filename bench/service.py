"""A Mainspring process under measurement: started, asked, watched from outside, stopped."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE = 60.0
"""Seconds within which a process must be there, or be gone; a busy machine needs many, a sound one few."""
OK, CREATED, NOT_FOUND, NOT_ALLOWED = 200, 201, 404, 405


class Service:
    """`mainspring serve` (or `node`) with a plugin of `bench.plugin`, from entry to exit, with the settings it has.

    `slots` is for figures that say "tuned". `environment` is added to the process's own. Leaving raises `RuntimeError`
    when the process did not end well.
    """

    def __init__(
        self,
        store: str,
        *,
        command: str = "serve",
        plugin: str = "NoopModule",
        slots: int | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        arguments = ["--store", store, "--plugin", f"bench.plugin:{plugin}"]
        if slots is not None:
            arguments += ["--slots", str(slots)]
        arguments += ["--log-level", "warning"]
        if command == "serve":
            arguments += ["--port", str(self.port)]
        self._command = [sys.executable, "-m", "mainspring", command, *arguments]
        own = {name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")}
        self._environment = own | (environment or {})

    def __enter__(self) -> Self:
        self.started = time.time()
        self._process = subprocess.Popen(self._command, env=self._environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = stop(self._process)
        if code != 0 and error is None:
            raise RuntimeError(f"mainspring ended with exit code {code}")

    def wait_ready(self) -> None:
        """Return when the service accepts and runs jobs."""
        wait_for(self._process, lambda: self.get("/readyz")[0] == OK)

    def check_alive(self) -> None:
        """Raise `RuntimeError` when the process has ended."""
        check_alive(self._process)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def get(self, path: str) -> tuple[int, Any]:
        """Return the status and the JSON of a call."""
        return self._call("GET", path)

    def post(self, path: str, body: bytes, media_type: str = "application/json") -> tuple[int, Any]:
        """Return the status and the JSON of a call."""
        return self._call("POST", path, body, {"Content-Type": media_type})

    def _call(self, *request: Any) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(*request)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def memory(self) -> float:
        """Return the memory that the process holds (resident set), in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return float(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6

    def processor_time(self) -> float:
        """Return the seconds of processor time that the threads of the process have used, to the nanosecond.

        `/proc/PID/stat` counts in hundredths of a second, too coarse for a node that idles for a few.
        """
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


@contextmanager
def python_process(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module of ours as a process that is stopped at the end."""
    process = subprocess.Popen([sys.executable, "-m", module, *arguments])
    try:
        yield process
    finally:
        stop(process)


def wait_for(process: subprocess.Popen[bytes], there: Callable[[], bool]) -> None:
    """Return when `there` answers that a process is; a refused connection means not yet."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        check_alive(process)
        try:
            if there():
                return
        except OSError:
            pass
        time.sleep(0.01)
    raise RuntimeError(f"{process.args!r} was not ready within {PATIENCE:g} s")


def check_alive(process: subprocess.Popen[bytes]) -> None:
    """Raise `RuntimeError` when a process has ended."""
    if (code := process.poll()) is not None:
        raise RuntimeError(f"{process.args!r} ended with exit code {code}")


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask a process to end, see that it does, and return its exit code."""
    process.terminate()
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers_http(port: int) -> bool:
    """Say whether something answers HTTP on a port of this machine; raises `OSError` where nothing listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    finally:
        connection.close()
    return True
