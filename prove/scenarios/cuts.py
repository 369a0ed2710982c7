"""Cuts: connections break after each byte of a request and of its answer, and clients send again by the same key.

A proxy between client and service lets so many bytes through and then closes both sides, in good order or by RST. The
client, who cannot know what was done, goes on with the same ``Idempotency-Key``, at another node if there is one. In
the end the store has what each key asked for, once, and the answer is always the same.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from prove import ledger
from prove.checker import Violation
from prove.client import Address
from prove.fleet import Fleet
from prove.line import PATIENCE, Lines, read_answer
from prove.network import Proxy
from prove.record import boot
from prove.result import Result
from prove.scenarios.keys import STORES
from prove.trial import soon
from tests.postgres import PostgresServer, temporary_database

JOBS = "/api/schedulers/prove/noop/jobs"
WHEN = soon(7 * 86_400)
"""When all jobs are due: not in the trial."""
OF_A_BATCH = 3
"""How many jobs a batch creates."""
AGAIN = 0.3
"""How often a call that was cut is cut once more, anywhere."""
ANEW = 0.02
"""Seconds before a call is sent again that the service has not yet answered."""
PAGE = 1000
OWN = {"date", "x-request-id", "idempotency-replayed"}
"""Headers that belong to one answer, and so are not repeated."""


@dataclass(frozen=True)
class Size:
    """How many connections are cut on each store (at least, 0: each place once), and by how many clients at once."""

    cuts: int
    clients: int
    stores: tuple[str, ...] = tuple(STORES)
    every_place: bool = True


FULL = Size(cuts=2_000, clients=8)
QUICK = Size(cuts=80, clients=8, every_place=False)


class Cut(NamedTuple):
    """Where a connection breaks: after so many bytes of the request (or of the answer), and whether by RST."""

    of_request: bool
    after: int
    resets: bool


class Got(NamedTuple):
    """An answer, with its bytes."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def lasting(self) -> tuple[int, dict[str, str], bytes]:
        """What each answer to the same call must have in common."""
        kept = {name: value for name, value in self.headers.items() if name not in OWN}
        return self.status, kept, self.content


class Deed(NamedTuple):
    """A call: how many jobs it asked for, what it got of answers that were cut, and the two answers that came."""

    tag: str
    asked: int
    pieces: tuple[bytes, ...]
    answer: Got
    replay: Got


async def cuts(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it on each store."""
    result = Result("cuts", seed, "")
    begun = boot()
    for store in size.stores:
        async with AsyncExitStack() as stack:
            await _try(result, server, store, stack, size)
    tried = sum(finding.trials for finding in result.findings if finding.what.endswith(CALLS))
    result.size = f"{tried:,} calls on {len(size.stores)} stores, of one job or {OF_A_BATCH}, each cut once at least"
    result.seconds = round(boot() - begun, 1)
    return result


async def _try(result: Result, server: PostgresServer, store: str, stack: AsyncExitStack, size: Size) -> None:
    """Start nodes on a store, cut all connections, and judge."""
    home = Path(tempfile.mkdtemp(prefix="mainspring-cuts-"))
    stack.callback(shutil.rmtree, home)
    url = {"memory": "memory:", "SQLite": f"sqlite:///{home}/jobs.db"}.get(store)
    if url is None:
        url = stack.enter_context(temporary_database(server.url()))
        ledger.rebuild_schema(url)
    fleet = Fleet(url, home)
    stack.push_async_callback(fleet.close)
    for life in [fleet.start() for _ in range(STORES[store])]:
        if not await life.wait_for("node started", seconds=6 * PATIENCE):
            raise RuntimeError(f"it did not start: {life.log()[-3:]}")
    addresses, random = fleet.addresses(), Random(f"{result.seed} {store}")
    first = await _Client(addresses, random, "first").open(stack)
    plan = [(kind, cut) for kind in (1, OF_A_BATCH) for cut in await first.places(kind)]
    random.shuffle(plan)
    plan = (plan * (size.cuts // len(plan) + 1))[: max(size.cuts, len(plan) if size.every_place else 0)]
    waiting, deeds = iter(enumerate(plan)), []

    async def one_after_the_other(client: _Client) -> None:
        for number, (kind, cut) in waiting:
            deeds.append(await client.create(f"t{number}", kind, cut))

    clients = [await _Client(addresses, random, f"c{number}").open(stack) for number in range(size.clients)]
    await asyncio.gather(*map(one_after_the_other, clients))
    _judge(result, store, deeds, await _there(addresses[0]), sum(client.broken for client in [first, *clients]))


class _Client:
    """Calls through proxies of its own, one for each node."""

    def __init__(self, addresses: Sequence[Address], random: Random, name: str) -> None:
        self._proxies = [Proxy(address) for address in addresses]
        self._random = random
        self._name = name
        self._sizes: dict[int, tuple[int, int]] = {}

    async def open(self, stack: AsyncExitStack) -> _Client:
        """Begin."""
        for proxy in self._proxies:
            await proxy.start()
            stack.push_async_callback(proxy.close)
        return self

    @property
    def broken(self) -> int:
        """How many connections were broken."""
        return sum(proxy.broken for proxy in self._proxies)

    async def places(self, kind: int) -> list[Cut]:
        """Return each place at which a call of this kind, or its answer, can break."""
        request = self._request(f"places{kind}", kind)
        content = await self._exchange(request, None)
        if not isinstance(content, Got) or content.status != 201:
            raise RuntimeError(f"a call that is not cut is answered {content!r}")
        answer = len(content.content) + sum(len(name) + len(value) + 4 for name, value in content.headers.items()) + 20
        places = [(True, after) for after in range(1, len(request))] + [(False, after) for after in range(1, answer)]
        return [Cut(*place, resets=self._random.random() < 0.5) for place in places]

    async def create(self, tag: str, kind: int, cut: Cut) -> Deed:
        """Have jobs created by a call that is cut, sent again until it is answered, and then once more."""
        request, pieces = self._request(tag, kind), list[bytes]()
        answer = await self._answered(request, cut, pieces)
        replay = await self._answered(request, None, pieces)
        return Deed(tag, kind, tuple(pieces), answer, replay)

    async def _answered(self, request: bytes, cut: Cut | None, pieces: list[bytes]) -> Got:
        """Send a call until it is answered; a node may be at it yet though another one has answered it."""
        deadline = boot() + PATIENCE
        while True:
            got = await self._exchange(request, cut)
            if isinstance(got, Got) and got.status not in {409, 503}:
                return got
            if boot() > deadline:
                raise RuntimeError(f"a call is not answered: {request!r}, {got!r}")
            cut = None
            if isinstance(got, Got):
                await asyncio.sleep(ANEW)
                continue
            pieces.append(got)
            if self._random.random() < AGAIN:
                cut = Cut(self._random.random() < 0.5, self._random.randrange(1, len(request)), resets=True)

    def _request(self, tag: str, kind: int) -> bytes:
        jobs = [{"when": WHEN, "options": {"tags": [tag]}} for _ in range(kind)]
        payload = json.dumps(jobs if kind > 1 else jobs[0]).encode()
        return (
            f"POST {JOBS}{'/batch' if kind > 1 else ''} HTTP/1.1\r\nHost: 127.0.0.1\r\nIdempotency-Key: {tag}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        ).encode() + payload

    async def _exchange(self, request: bytes, cut: Cut | None) -> Got | bytes:
        """Send a call through a proxy that cuts it there, and return its answer, or the piece that came of it."""
        proxy = self._random.choice(self._proxies)
        proxy.break_requests_after = (lambda: cut.after) if cut and cut.of_request else None
        proxy.break_after = (lambda: cut.after) if cut and not cut.of_request else None
        proxy.resets = cut is not None and cut.resets
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        came = asyncio.StreamReader()
        piece = b""
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(request)
                while not _is_whole(piece):
                    data = await reader.read(65536)
                    if not data:
                        return piece
                    piece += data
                came.feed_data(piece)
                return Got(*await read_answer(came))
        except (OSError, TimeoutError):
            return piece
        finally:
            writer.transport.abort()


def _is_whole(answer: bytes) -> bool:
    """Tell whether an answer has come to its end."""
    head, end, content = answer.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and len(content) >= sum(map(int, lengths))


async def _there(address: Address) -> dict[str, list[str]]:
    """Return the ids of all jobs that are there, by their tags."""
    there: dict[str, list[str]] = defaultdict(list)
    lines, path = Lines(), f"{JOBS}?limit={PAGE}&fields=id,options"
    while path:
        told = await lines.send(address, "GET", path)
        for job in told.body:
            there[job["options"]["tags"][0]].append(job["id"])
        link = told.headers.get("link", "")
        path = link[1 : link.index(">")] if link else ""
    await lines.close()
    return there


CALLS = "calls that were cut, each done once"


def _judge(result: Result, store: str, deeds: Sequence[Deed], there: Mapping[str, Sequence[str]], broken: int) -> None:
    wrong = [*uneven(deeds, there), *unlike(deeds)]
    for rule, subject, detail in wrong:
        result.blame(rule, f"{store}: {subject}", detail)
    failed = Counter(violation.rule for violation in wrong)
    replayed = sum("idempotency-replayed" in deed.answer.headers for deed in deeds)
    figures = f"{broken:,} connections broken; {replayed:,} had been done, though no whole answer came"
    result.find("P32", f"{store}: {CALLS}", len(deeds), failed["P32 once"], figures)
    pieces = sum(b"\r\n\r\n" in piece for deed in deeds for piece in deed.pieces)
    result.find(
        "P32",
        f"{store}: answers that came again, the same byte for byte",
        len(deeds),
        failed["P32 same"],
        f"{pieces:,} were compared with what had come of the one that was cut",
    )


def uneven(deeds: Iterable[Deed], there: Mapping[str, Sequence[str]]) -> Iterator[Violation]:
    """Find calls that were not done once, or whose clients were told of other jobs than there are."""
    for deed in deeds:
        jobs = sorted(there.get(deed.tag, ()))
        body = json.loads(deed.answer.content)
        told = sorted(body.get("ids") or [body.get("id", "")])
        if len(jobs) != deed.asked:
            yield Violation("P32 once", deed.tag, f"asked for {deed.asked} and made {len(jobs)}")
        elif deed.answer.status != 201 or told != jobs:
            yield Violation("P32 once", deed.tag, f"was told {deed.answer.status} of {told}; there are {jobs}")


def unlike(deeds: Iterable[Deed]) -> Iterator[Violation]:
    """Find answers that were another one when they came again."""
    for deed in deeds:
        if deed.replay.lasting != deed.answer.lasting or "idempotency-replayed" not in deed.replay.headers:
            yield Violation("P32 same", deed.tag, f"was answered {deed.answer}, and then {deed.replay}")
        for piece in deed.pieces:
            _, end, content = piece.partition(b"\r\n\r\n")
            if end and b" 201 " in piece[:20] and not deed.replay.content.startswith(content):
                yield Violation("P32 same", deed.tag, f"had got {content!r} before it was {deed.replay.content!r}")
