"""Targets: calls by HTTP of a real node against a zoo of servers that stall, flood, lie and lead inside.

Each run must end for the right reason. Two more listeners of this machine stand for what is inside: no call may reach
them. The memory of the node stays what it is, and no connection is left over.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Self
from urllib.parse import quote, unquote

from mainspring.schedule import format_time
from prove import names
from prove.beasts import INSIDE, REFUSED, Beast, beasts
from prove.fleet import PATIENCE, Fleet, Life, until
from prove.line import Lines, Told
from prove.record import boot
from prove.result import Result
from tests.postgres import PostgresServer

PRODUCT = "/api/schedulers/zoo"
LOOK = 0.1
"""Seconds between two looks whether a run has ended."""
WARM = 0.2
"""After which part of the jobs the memory of the node is taken as what it needs."""
GROWTH = 32 * 1024 * 1024
"""The bytes by which it may grow from there on."""
MIB = 1024 * 1024
GROUPS = {"patient": "PT5M", "impatient": "PT1S"}
"""How long a call may take, by its group: on a busy machine only what stalls must come too late."""
GROUP = """
[[http_jobs]]
product = "zoo"
job_group = "{group}"
time_limit = "{limit}"
max_attempts = 1
allow_redirects = 3
request = {{additionalProperties = true}}
"""
ALLOWED = """
[allowed_targets]
zoo = ["127.0.0.1:{port}"]
"""
"""One place of this machine may be called."""


@dataclass(frozen=True)
class Size:
    """How many calls there are, of all kinds in turn, and how many at once."""

    calls: int
    at_once: int


FULL = Size(calls=1_000, at_once=32)
QUICK = Size(calls=130, at_once=32)


class Zoo:
    """Serves all beasts at one port, by their names in the path, and counts who comes where nobody may."""

    beasts: Mapping[str, Beast]

    def __init__(self) -> None:
        self.heard: dict[str, int] = defaultdict(int)
        """How many connections came to what is forbidden."""
        self.open = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Open it."""
        self._stack = await AsyncExitStack().__aenter__()
        self.port = await self._listen("127.0.0.1", 0, self._serve)
        await self._listen(INSIDE, self.port, self._catch)
        self.forbidden = await self._listen("127.0.0.1", 0, self._catch)
        self.beasts = beasts(self.port, self.forbidden)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self._stack.aclose()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, host: str, port: int, serve: Any) -> int:
        server = await asyncio.start_server(serve, host, port)
        self._stack.callback(server.close)
        found: int = server.sockets[0].getsockname()[1]
        return found

    async def _catch(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("sockname")[:2]
        self.heard[f"{host}:{port}"] += 1
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                first = await reader.readexactly(1)
                if first == b"\x16":  # a greeting of TLS
                    writer.write(b"HTTP/1.1 400 no TLS here\r\n\r\n")
                else:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                    await reader.readexactly(int(length[1]) if length else 0)  # else a close is a reset
                    await self._let_out(unquote(head.split()[1].strip("/")), reader, writer)
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _let_out(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Have a beast answer, until it has done or who called has gone."""
        does = self.beasts[name].does
        assert does is not None
        doing = asyncio.ensure_future(does(reader, writer))
        gone = asyncio.ensure_future(_gone(reader))
        try:
            await asyncio.wait([doing, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (doing, gone):
                each.cancel()
            await asyncio.gather(doing, gone, return_exceptions=True)


async def _gone(reader: asyncio.StreamReader) -> None:
    """Wait until the other side has hung up; what it sends until then is of no interest."""
    with suppress(OSError):
        while await reader.read(65536):
            pass


class Ended(NamedTuple):
    """How a call of a beast ended: the outcome and reason of its first run, and in how many seconds it is to go on."""

    beast: str
    outcome: str
    reason: str
    waits: float | None


async def targets(_server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it, on one node."""
    result = Result("targets", seed, "")
    begun = boot()
    home = Path(tempfile.mkdtemp(prefix="mainspring-targets-"))
    fleet, lines = Fleet(f"sqlite:///{home}/jobs.db", home), Lines()
    try:
        async with Zoo() as zoo:
            groups = "".join(GROUP.format(group=group, limit=limit) for group, limit in GROUPS.items())
            (home / "mainspring.toml").write_text(groups + ALLOWED.format(port=zoo.port))
            life = fleet.start("--plugin", names.NAME)
            if not await life.wait_for("node started", seconds=3 * PATIENCE):
                raise RuntimeError(f"it did not start: {life.log()[-3:]}")
            before = sockets(life.pid)
            visit = _Visit(zoo, life, lines, Random(seed))
            ended = await visit.all(size)
            await lines.close()
            await until(lambda: not zoo.open and sockets(life.pid) <= before, PATIENCE)
            result.size = (
                f"{size.calls:,} calls of {len(zoo.beasts)} kinds of targets, {size.at_once} at once, one node"
            )
            _judge(result, zoo, ended, visit.memory, (before, sockets(life.pid)))
    finally:
        await fleet.close()
        shutil.rmtree(home)
    result.seconds = round(boot() - begun, 1)
    return result


class _Visit:
    """Calls of one node to the beasts of a zoo."""

    def __init__(self, zoo: Zoo, life: Life, lines: Lines, random: Random) -> None:
        assert life.address is not None
        self.memory: list[int] = []
        """What the node had in memory after each call, in bytes."""
        self._zoo = zoo
        self._life = life
        self._lines = lines
        self._random = random
        self._address = life.address

    async def all(self, size: Size) -> list[Ended]:
        """Make all calls, in an order of chance."""
        kinds = [*self._zoo.beasts]
        chosen = (kinds * (size.calls // len(kinds) + 1))[: size.calls]
        self._random.shuffle(chosen)
        waiting, ended = iter(enumerate(chosen)), []

        async def one_after_the_other() -> None:
            for number, name in waiting:
                ended.append(await self._call(number, name))
                self.memory.append(self._life.memory)

        await asyncio.gather(*(one_after_the_other() for _ in range(size.at_once)))
        return ended

    async def _call(self, number: int, name: str) -> Ended:
        """Have a job call a beast, and see how its first run ends."""
        beast = self._zoo.beasts[name]
        jobs = f"{PRODUCT}/{beast.group}/jobs"
        url = beast.url or f"http://127.0.0.1:{self._zoo.port}/{{name}}"
        url = url.replace("{number}", str(number)).replace("{name}", quote(name))
        now = format_time(datetime.now(UTC))
        made = await self._send("POST", jobs, {"when": now, "url": url})
        if made.status != 201:
            return Ended(name, REFUSED, made.body["errors"][0]["code"], None)
        path = f"{jobs}/{made.body['id']}"
        for _ in range(round(5 * PATIENCE / LOOK)):
            await asyncio.sleep(LOOK)
            runs = (await self._send("GET", f"{path}/runs")).body
            if runs:
                break
        else:
            return Ended(name, "none", "it has not ended", None)
        job = (await self._send("GET", path)).body
        await self._send("DELETE", path)
        waits = None
        if job["nextRun"] and len(runs) == 1:
            waits = seconds_between(runs[0]["finishedAt"], job["nextRun"])
        return Ended(name, runs[-1]["outcome"], runs[-1]["reason"] or "", waits)

    async def _send(self, method: str, path: str, body: Any = None) -> Told:
        return await self._lines.send(self._address, method, path, body)


def seconds_between(first: str, then: str) -> float:
    """Return how many seconds lie between two moments as the API writes them."""
    apart: timedelta = datetime.fromisoformat(then) - datetime.fromisoformat(first)
    return apart.total_seconds()


def sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found += str(link.readlink()).startswith("socket:")
    return found


def is_right(ended: Ended, beast: Beast) -> bool:
    """Tell whether a call of a beast ended as it must."""
    is_early = beast.waits is not None and ended.waits is not None and ended.waits < beast.waits - LOOK
    return ended.outcome == beast.outcome and re.search(beast.reason, ended.reason) is not None and not is_early


def _judge(
    result: Result, zoo: Zoo, ended: Sequence[Ended], memory: Sequence[int], sockets_then: tuple[int, int]
) -> None:
    wrong = [each for each in ended if not is_right(each, zoo.beasts[each.beast])]
    for each in wrong:
        result.blame("P33 end", each.beast, f"ended as {each}, and not as {zoo.beasts[each.beast]}")
    for place, times in zoo.heard.items():
        result.blame("P33 inside", place, f"was called {times} times")
    warm = memory[round(len(memory) * WARM) :]
    grown = warm[-1] - warm[0]
    if grown > GROWTH:
        result.blame("P33 memory", "the node", f"grew by {grown // MIB} MiB, from {warm[0] // MIB} MiB on")
    before, after = sockets_then
    if after > before or zoo.open:
        result.blame("P33 left over", "the node", f"has {after} sockets and had {before}; {zoo.open} calls are open")
    figures = f"memory: {warm[0] // MIB} MiB, in the end {warm[-1] // MIB}, at most {max(warm) // MIB} MiB"
    result.find("P33", "calls that ended for the right reason", len(ended), len(wrong), figures)
    led = [each for each in ended if re.search("ssrf|FORBIDDEN", zoo.beasts[each.beast].reason)]
    left = f"sockets of the node before and after: {before}, {after}"
    result.find("P33", "calls that were led inside and did not get there", len(led), sum(zoo.heard.values()), left)
