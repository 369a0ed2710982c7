"""A client that forgets nothing: each request is noted before it is sent and after it is answered.

The notes are lines of JSON: `invoke`, then `ok` (done), `fail` (surely not done) or `info` (unknown: no answer in time,
the connection broke after the request went out, or 503, which says that nothing is known of a write). Each request has
a connection of its own, as behind a proxy that keeps none, so that one that is broken harms one request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

from prove.record import boot

Address = tuple[str, int]
TIMEOUT = 10.0
"""Seconds after which a request is given up; far more than any may take."""


class Answer(NamedTuple):
    """What became of a request: `verdict` is ok, fail or info, `status` 0 when there was no answer."""

    at: float
    method: str
    path: str
    verdict: str
    status: int
    seconds: float
    body: Any
    retry_after: str | None = None


class Client:
    """Sends requests to whichever of `addresses` chance (of `seed`) picks."""

    def __init__(self, addresses: Callable[[], Sequence[Address]], notes: Path, *, seed: int) -> None:
        self.answers: list[Answer] = []
        self._addresses = addresses
        self._notes = notes.open("w")
        self._random = Random(seed)
        self._count = 0

    @property
    def acked(self) -> frozenset[str]:
        """The ids of all jobs that were accepted, one by one or as a batch."""
        made = (answer.body for answer in self.answers if answer.status == 201)
        return frozenset(job_id for body in made for job_id in body.get("ids", [body.get("id")]))

    @property
    def targets(self) -> Sequence[Address]:
        """Where requests go now."""
        return self._addresses()

    def deleted(self, verdict: str) -> frozenset[str]:
        """Return the ids of jobs whose deletion had that verdict."""
        return frozenset(
            answer.path.rpartition("/")[2]
            for answer in self.answers
            if answer.method == "DELETE" and answer.verdict == verdict
        )

    async def create(self, group: str, **body: Any) -> Answer:
        """Ask for a job."""
        return await self.send("POST", f"/api/schedulers/prove/{quote(group)}/jobs", body)

    async def delete(self, group: str, job: str) -> Answer:
        """Ask for a job's deletion."""
        return await self.send("DELETE", f"/api/schedulers/prove/{quote(group)}/jobs/{job}")

    async def send(self, method: str, path: str, body: Any = None, *, seconds: float = TIMEOUT) -> Answer:
        """Send one request and note what becomes of it; one that nobody took is sent to the next who may.

        It is given up after so many `seconds`.
        """
        self._count += 1
        number = self._count
        self._note(op="invoke", n=number, method=method, path=path, body=body)
        begun = boot()
        answer = Answer(begun, method, path, "fail", 0, 0.0, "nobody to ask")
        for address in self._random.sample(places := list(self._addresses()), len(places)):
            answer = await self._ask(address, method, path, body, begun, seconds)
            if answer.body != _REFUSED:
                break
        self.answers.append(answer)
        told = answer.body if answer.verdict != "ok" else isinstance(answer.body, dict) and answer.body.get("id")
        self._note(op=answer.verdict, n=number, status=answer.status, seconds=round(answer.seconds, 4), body=told)
        return answer

    async def _ask(self, address: Address, method: str, path: str, body: Any, begun: float, seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                status, headers, content = await _exchange(address, method, path, body)
        except ConnectionRefusedError:
            return Answer(begun, method, path, "fail", 0, boot() - begun, _REFUSED)
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            return Answer(begun, method, path, "info", 0, boot() - begun, repr(error))
        verdict = "ok" if status < 300 else "info" if status >= 500 else "fail"
        return Answer(begun, method, path, verdict, status, boot() - begun, content, headers.get("retry-after"))

    async def heed(self, fleet: Callable[[], Sequence[Address]], every: float) -> None:
        """Send only to those of a fleet that are ready, as a proxy does that looks after them; to all, if none is."""
        ready: dict[Address, bool] = {}

        async def look(address: Address) -> None:
            try:
                async with asyncio.timeout(1):
                    status, _, _ = await _exchange(address, "GET", "/readyz", None)
            except (OSError, TimeoutError, EOFError, ValueError):
                status = 0
            ready[address] = status == 200

        while True:
            known = list(fleet())
            for address in ready.keys() - {*known}:
                del ready[address]
            await asyncio.gather(*map(look, known))
            self._addresses = lambda: [address for address, is_ready in ready.items() if is_ready] or list(ready)
            await asyncio.sleep(every)

    def _note(self, **facts: Any) -> None:
        self._notes.write(json.dumps({"at": round(boot(), 4), **facts}) + "\n")

    def close(self) -> None:
        """Write down the last notes."""
        self._notes.close()


_REFUSED = "connection refused"


async def _exchange(address: Address, method: str, path: str, body: Any) -> tuple[int, dict[str, str], Any]:
    """Send one request on a connection of its own and read the whole answer."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        payload = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {address[0]}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        writer.write(head.encode() + payload)
        return _parsed(await reader.read(-1))
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _parsed(answer: bytes) -> tuple[int, dict[str, str], Any]:
    """Take an answer apart; raises `EOFError` where it was cut."""
    head, end, content = answer.partition(b"\r\n\r\n")
    if not end:
        raise EOFError(f"the answer was cut after {len(answer)} bytes")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if len(content) < int(headers.get("content-length", "0")):
        raise EOFError(f"the answer's body was cut after {len(content)} bytes")
    is_json = "json" in headers.get("content-type", "") and "chunked" not in headers.get("transfer-encoding", "")
    return int(first.split()[1]), headers, json.loads(content) if is_json and content else None


async def at_rate(rate: float, send: Callable[[int], Any], more: Callable[[int], bool]) -> None:
    """Call `send` (a coroutine function of the number of the call) so many times a second, and wait for all calls.

    That goes on while `more` says so of the number of calls begun. A call that is slow does not hold up the next: a
    service that falls behind is asked all the same.
    """
    begun = boot()
    async with asyncio.TaskGroup() as calls:
        number = 0
        while more(number):
            pause = begun + number / rate - boot()
            if pause > 0:
                await asyncio.sleep(pause)
            calls.create_task(send(number))
            number += 1
