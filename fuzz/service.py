"""A service to be fuzzed, in a process of its own, with a job group for each way in which a request can be wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from fuzz import plugin
from fuzz.client import Address, Connection
from fuzz.draw import Request
from fuzz.judge import Fault
from mainspring.store.postgres.schema import upgrade_schema
from prove.fleet import ROOT, Life
from tests.postgres import PostgresServer

STORES = ("memory", "sqlite", "postgres")


class Service(NamedTuple):
    """A service that runs: where it listens, what it says of its calls, and its process."""

    address: Address
    document: dict[str, Any]
    life: Life

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.host}"

    @property
    def host(self) -> str:
        """What requests name as their host."""
        return f"{self.address[0]}:{self.address[1]}"


@asynccontextmanager
async def serving(store: str) -> AsyncIterator[Service]:
    """Run a service on an empty store of that kind."""
    with TemporaryDirectory() as folder, _store(store, folder) as url:
        command = [sys.executable, "-m", "mainspring", "serve", "--port", "0", "--store", url, "--plugin", plugin.NAME]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")}
        environ = inherited | {"PYTHONPATH": str(ROOT)}
        life = Life("fuzzed", [*command, "--log-format", "json"], environ=environ, home=Path(folder))
        try:
            started = await life.wait_for("node started")
            assert started, life.log()
            assert life.address is not None
            connection = Connection(life.address)
            answer = await connection.ask(Request("GET", "/openapi.json").encode("localhost"))
            connection.close()
            yield Service(life.address, json.loads(answer.body), life)
        finally:
            life.kill()


@contextmanager
def _store(kind: str, folder: str) -> Iterator[str]:
    if kind == "postgres":
        with PostgresServer() as server:
            url = server.create_database("fuzz")
            upgrade_schema(url)
            yield url
    else:
        yield "memory:" if kind == "memory" else f"sqlite:///{folder}/jobs.db"


def bugs(service: Service) -> Iterator[Fault]:
    """Return what the service has logged that it never should; `request model failed` is a plugin's own bug."""
    for line in service.life.log():
        if line.get("level", "error") == "error" and line["event"] != "request model failed":
            trace = line.get("exception", "")
            subject = f"{line['event']}: {line.get('error') or trace.rpartition(chr(10))[2]}"[:120]
            yield Fault("a bug is in the log", subject, f"{line.get('path', '')} {trace[-1500:]}")
