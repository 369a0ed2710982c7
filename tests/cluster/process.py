"""A Mainspring process, started as a user would, whose log lines are the signals that tests wait for."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx2

ROOT = Path(__file__).parents[2]
PLUGIN = "tests.cluster.plugin:RecorderModule"
PATIENCE = 30.0
"""Seconds to wait for a log line before the test fails."""


def _common(store: str) -> tuple[str, ...]:
    return ("--store", store, "--plugin", PLUGIN, "--log-format", "json", "--log-level", "debug")


class Process:
    """``mainspring serve`` or ``mainspring node``; ``url`` is where it listens once it serves.

    `under` is a command that starts it, such as ``nohup``.
    """

    def __init__(self, *arguments: str, cwd: Path, under: Sequence[str] = ()) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")}
        self._process = subprocess.Popen(
            [*under, sys.executable, "-m", "mainspring", *arguments],
            cwd=cwd,
            env=environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._client = httpx2.Client()
        self.url = ""
        self.said: list[dict[str, Any]] = []
        """The lines up to the last that was waited for."""

    @classmethod
    def serve(cls, store: str, cwd: Path, *arguments: str) -> Self:
        """Start a service on a free port and wait until it runs jobs."""
        process = cls("serve", "--port", "0", *_common(store), *arguments, cwd=cwd)
        process.url = process.wait_for("serving")["url"]
        process.wait_for("node started")
        return process

    @classmethod
    def node(cls, store: str, cwd: Path, *arguments: str) -> Self:
        """Start a node without REST and wait until it runs jobs."""
        process = cls("node", *_common(store), *arguments, cwd=cwd)
        process.wait_for("node started")
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def create(self, **body: Any) -> str:
        """Create a job of the recorder and return its id; the answer has been read when this returns."""
        answer = self._client.post(f"{self.url}/api/schedulers/test/records/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def create_at(self, path: str, body: object) -> Any:
        """Return what a path answers to a POST that creates something."""
        answer = self._client.post(f"{self.url}{path}", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        """Return what a path below the recorder's jobs answers."""
        return self._client.get(f"{self.url}/api/schedulers/test/records/jobs{path}").json()

    def ready(self) -> int:
        """Return the status of `/readyz`."""
        return self._client.get(f"{self.url}/readyz").status_code

    def readiness(self) -> str:
        """Return what `/readyz` answers."""
        return self._client.get(f"{self.url}/readyz").text

    def wait_for(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait for a log line of that event with those fields, and return it."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            if line is None:
                raise AssertionError(f"the process ended with {self._process.wait()} before it said {event!r}")
            self.said.append(line)
            if line["event"] == event and fields.items() <= line.items():
                return line

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self._process.wait(timeout=PATIENCE)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self._client.close()
        self._process.kill()
        self._process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            try:
                self._lines.put(json.loads(line))
            except ValueError:
                self._lines.put({"event": line.rstrip()})
        self._lines.put(None)
