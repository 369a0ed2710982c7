"""The processes under trial: started as a user would, hurt, and accounted for.

Each life of a process has a name of its own, which is the node's name too, so that every row of history tells which
process it was. What it logs goes to a file, which nothing can block and which stays when the trial failed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mainspring import failpoint
from prove import plugin, record
from prove.network import Link

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0
"""Seconds to wait for what must happen soon, on a machine that may be busy with other things."""
TICK = 0.02


async def until(holds: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait until something holds, or the time is up; answer whether it does."""
    deadline = record.boot() + seconds
    while not holds():
        if record.boot() > deadline:
            return False
        await asyncio.sleep(TICK)
    return True


class Life:
    """One process, from its start to its end."""

    def __init__(self, name: str, command: Sequence[str], *, environ: Mapping[str, str], home: Path) -> None:
        self.name = name
        self.died: float | None = None
        self.pauses: list[tuple[float, float]] = []
        self.lines: list[dict[str, Any]] = []
        self._paused_at: float | None = None
        self._path = home / f"{name}.log"
        self._read_to = 0
        with self._path.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=home, env=environ, stderr=log, stdin=subprocess.DEVNULL)
        threading.Thread(target=self._reap, daemon=True).start()

    def _reap(self) -> None:
        self._process.wait()
        self.died = record.boot()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self.died is None

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it serves, once it does."""
        for line in self.said("serving"):
            parts = urlsplit(line["url"])
            return str(parts.hostname), int(parts.port or 0)
        return None

    @property
    def ready(self) -> bool:
        """Whether it is alive, not paused, and has begun to run jobs."""
        return self.alive and self._paused_at is None and any(line["event"] == "node started" for line in self.log())

    @property
    def born(self) -> float:
        """When it first began to run jobs; never, if it has not."""
        for line in self.said("node started"):
            return datetime.fromisoformat(line["timestamp"]).timestamp() - record.wall_offset()
        return float("inf")

    @property
    def stopped(self) -> bool:
        """Whether the process was stopped by a signal and not continued."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    def log(self) -> list[dict[str, Any]]:
        """Return the lines that it has logged so far."""
        with self._path.open("rb") as log:
            log.seek(self._read_to)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"event": line.decode(errors="replace")})
        return self.lines

    def said(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Return the lines of that event with those fields."""
        return [line for line in self.log() if line["event"] == event and fields.items() <= line.items()]

    async def wait_for(self, event: str, *, times: int = 1, seconds: float = PATIENCE, **fields: Any) -> bool:
        """Wait until it has said that (so many times), has died, or the time is up; answer whether it has said it."""
        await until(lambda: len(self.said(event, **fields)) >= times or not self.alive, seconds)
        return len(self.said(event, **fields)) >= times

    async def wait_dead(self, seconds: float) -> bool:
        """Wait for its end; answer whether it has come."""
        return await until(lambda: not self.alive, seconds)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def pause(self) -> None:
        """Stop it, or note that it has stopped itself."""
        self._paused_at = record.boot()
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> float:
        """Continue it, and return the moment before that."""
        now = record.boot()
        self.pauses.append((now if self._paused_at is None else self._paused_at, now))
        self._paused_at = None
        self._process.send_signal(signal.SIGCONT)
        return now

    def was_cut_off(self, since: float, until: float) -> None:
        """Note that it could not reach the store; to its jobs that is like a pause."""
        self.pauses.append((since, until))

    @property
    def memory(self) -> int:
        """The bytes that it has in memory now; 0 when it has ended."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0
        return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:")), 0)


class Fleet:
    """Starts lives on one store, and remembers them all."""

    def __init__(self, store: str, home: Path, *options: str) -> None:
        self.lives: list[Life] = []
        self.record = home / "record.txt"
        self._store = store
        self._home = home
        self._options = options
        self._count = 0

    def start(
        self,
        *options: str,
        serve: bool = True,
        arm: str = "",
        environ: Mapping[str, str] | None = None,
        link: Link | None = None,
    ) -> Life:
        """Start a process; `arm` is its plan of failpoints, `link` a way to the store of its own."""
        self._count += 1
        name = f"life-{self._count}"
        command = [
            *(link.within if link else ()),
            *(sys.executable, "-m", "mainspring"),
            *(("serve", "--port", "0") if serve else ("node",)),
            *(("--host", link.host) if serve and link and link.host else ()),
            *("--store", link.store if link else self._store, "--plugin", plugin.NAME, "--node", name),
            *("--log-format", "json", "--log-level", "info"),
            *("--worker-environment", f"{record.VARIABLE},FAKETIME*,LD_PRELOAD"),
            *self._options,
            *options,
        ]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAINSPRING_")}
        ours = {"PYTHONPATH": str(ROOT), record.VARIABLE: str(self.record), failpoint.VARIABLE: arm}
        life = Life(
            name,
            command,
            environ=inherited | ours | dict(environ or {}),
            home=self._home,
        )
        self.lives.append(life)
        return life

    @property
    def alive(self) -> list[Life]:
        """The lives that have not ended."""
        return [life for life in self.lives if life.alive]

    def addresses(self) -> list[tuple[str, int]]:
        """Return where those that are ready serve."""
        return [life.address for life in self.lives if life.ready and life.address is not None]

    async def close(self) -> None:
        """Let all end in good order; kill who has not ended then."""
        for life in self.alive:
            if life.stopped:
                life.resume()
            life.terminate()
        for life in self.alive:
            await life.wait_dead(PATIENCE)
        for life in self.alive:
            life.kill()

    def kill(self) -> None:
        """Kill all."""
        for life in self.alive:
            life.kill()
