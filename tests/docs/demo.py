"""The demo behind ``make run``, on free ports, as a process whose lines a test reads."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE = 60.0
"""Seconds to wait for a line, or for the end, before the test fails."""


def two_free_ports() -> tuple[int, int]:
    """Return two ports that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


class Demo:
    """``python -m mainspring_vps4.demo``; `url` is where its service listens."""

    def __init__(self, directory: Path) -> None:
        port, standin_port = two_free_ports()
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mainspring_vps4.demo", "--store", "memory:"),
                *("--port", str(port), "--standin-port", str(standin_port)),
            ],
            cwd=directory,
            env={name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")}
            | {"MAINSPRING_LOG_LEVEL": "debug"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._reader.join(PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def until(self, wanted: Callable[[str], bool]) -> list[str]:
        """Return the lines up to the first that is wanted."""
        lines: list[str] = []
        while not lines or not wanted(lines[-1]):
            line = self._lines.get(timeout=PATIENCE)
            assert line is not None, "\n".join(["the demo ended:", *lines])
            lines.append(line)
        return lines

    def logged(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait for a line of the service's log."""

        def wanted(line: str) -> bool:
            entry = _entry(line)
            return entry.get("event") == event and fields.items() <= entry.items()

        return _entry(self.until(wanted)[-1])

    def stop(self) -> int:
        """Press Ctrl-C and return the exit code; harmless when it has ended."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(PATIENCE)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


def _entry(line: str) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return entry
