"""A load of HTTP requests, cheap enough to share the machine with what it loads: raw sockets in a process of its own.

A request is bytes made beforehand; of an answer only the status and the end are looked for. Without a rate, each
connection sends its next request when the answer to the last is there. With a rate, requests have their moments, and
the time of an answer counts from that moment also when no connection was free to send it: what waits is late.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import repeat
from math import ceil, inf
from types import TracebackType
from typing import Any, Self, cast

import uvloop

WARM_UP = 0.2
"""Seconds at the beginning that do not count."""
ACCEPTED = {"POST": "201", "GET": "200"}
"""The status that each answer must have."""
_TICK = 0.001
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Order:
    """What to send: `bodies` in turn and over again, or `once`; until `seconds` are over, or standard input ends.

    What counts begins after a warm-up, or at `since`, in seconds since 1970.
    """

    port: int
    path: str
    bodies: list[str]
    connections: int
    seconds: float | None = None
    rate: float | None = None
    once: bool = False
    since: float | None = None
    method: str = "POST"

    def requests(self) -> list[bytes]:
        """Return what is sent."""
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        kind = "Content-Type: application/json\r\n"
        return [
            f"{head}{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode() if body else f"{head}\r\n".encode()
            for body in self.bodies
        ]


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back: the times of answers in seconds, and how many had each status."""

    rate: float
    p50: float
    p99: float
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def created(self) -> int:
        """How many jobs were accepted, those of the warm-up too."""
        return self.statuses.get(ACCEPTED["POST"], 0)


class Load:
    """A load that runs from entry until `answers` are asked for, or its time is over."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bench.load"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write(json.dumps(asdict(self._order)).encode() + b"\n")
        self._process.stdin.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def answers(self, *, stop: bool = False) -> Answers:
        """Return what came back once the load is over, which with `stop` is now.

        Raises `RuntimeError` when an answer has another status than it must, or a connection was lost.
        """
        text, _ = self._process.communicate() if stop else (self._process.stdout.read(), None)  # type: ignore[union-attr]
        if not text:
            raise RuntimeError("the load broke off")
        answers = Answers(**json.loads(text))
        if set(answers.statuses) - {ACCEPTED[self._order.method]}:
            raise RuntimeError(f"not every request was accepted: {answers.statuses}")
        return answers


def load(order: Order) -> Answers:
    """Send all of a load and return what came back."""
    with Load(order) as running:
        return running.answers()


def gets(
    port: int,
    path: str,
    *,
    connections: int = 1,
    seconds: float | None = None,
    rate: float | None = None,
) -> Order:
    """Return a load of one GET, over again."""
    return Order(port, path, [""], connections, seconds, rate, method="GET")


def post_all(port: int, path: str, bodies: Iterable[bytes]) -> None:
    """Send these bodies, each once, as fast as they are taken."""
    load(Order(port, path, [body.decode() for body in bodies], connections=32, once=True))


# --- in the process of its own


class _Sender:
    """The connections, what they still have to send, and when answers came."""

    def __init__(self, order: Order) -> None:
        self._order = order
        made = order.requests()
        self._requests = iter(made) if order.once else _over_again(made)
        self._waiting: deque[float] = deque()
        self._idle: set[_Connection] = set()
        self.times: list[tuple[float, float]] = []
        self.statuses: Counter[bytes] = Counter()
        self.over = asyncio.Event()
        self.quiet = asyncio.Event()
        self._connections = 0

    async def run(self) -> Answers:
        loop = asyncio.get_running_loop()
        for _ in range(self._order.connections):
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._order.port)
        self._connections = self._order.connections
        begin = self._first_that_counts()
        if self._order.rate:
            pacing = asyncio.create_task(self._pace(self._order.rate))
            await self._ended()
            pacing.cancel()
        else:
            for connection in list(self._idle):
                self.next(connection)
            await self._ended()
        end = time.perf_counter()
        self.over.set()
        if len(self._idle) < self._connections:
            await asyncio.wait_for(self.quiet.wait(), _PATIENCE)
        return self._answers(begin, end)

    def _first_that_counts(self) -> float:
        now = time.perf_counter()
        if self._order.since is not None:
            return now + self._order.since - time.time()
        return now if self._order.once else now + WARM_UP

    async def _ended(self) -> None:
        """Wait until there is nothing more to send, the time is over, or standard input has ended."""
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(self.over.wait())]
        if self._order.seconds is not None:
            waits.append(asyncio.create_task(asyncio.sleep(WARM_UP + self._order.seconds)))
        else:
            reader = asyncio.StreamReader()
            await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
            waits.append(asyncio.create_task(reader.read()))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    async def _pace(self, rate: float) -> None:
        moment = time.perf_counter()
        while True:
            now = time.perf_counter()
            while moment <= now:
                self._waiting.append(moment)
                moment += 1 / rate
            while self._waiting and self._idle:
                self._send(self._idle.pop(), self._waiting.popleft())
            await asyncio.sleep(_TICK)

    def next(self, connection: "_Connection") -> None:
        """Give a connection that is free its next request, if there is one."""
        if self._order.rate and self._waiting:
            self._send(connection, self._waiting.popleft())
        elif self._order.rate or self.over.is_set():
            self.park(connection)
        else:
            self._send(connection, time.perf_counter())

    def park(self, connection: "_Connection") -> None:
        """Take back a connection that has nothing to send."""
        self._idle.add(connection)
        if self.over.is_set() and len(self._idle) == self._connections:
            self.quiet.set()

    def _send(self, connection: "_Connection", moment: float) -> None:
        request = next(self._requests, None)
        if request is None:
            self.over.set()
            self.park(connection)
        else:
            self._idle.discard(connection)
            connection.send(request, moment)

    def _answers(self, begin: float, end: float) -> Answers:
        took = sorted(came - sent for sent, came in self.times if begin <= sent <= end) or [inf]
        answered = sum(begin <= came <= end for _, came in self.times)
        statuses = {status.decode("latin-1"): count for status, count in self.statuses.items()}
        return Answers(answered / (end - begin), percentile(took, 50), percentile(took, 99), statuses)


class _Connection(asyncio.Protocol):
    """A keep-alive connection with one request under way at most."""

    def __init__(self, sender: _Sender) -> None:
        self._sender = sender
        self._answer = b""
        self._moment = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own is a subclass of neither
        self._sender.park(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's protocol
        if not self._sender.over.is_set():
            self._sender.statuses[b"cut"] += 1
            self._sender.over.set()

    def send(self, request: bytes, moment: float) -> None:
        self._moment = moment
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head = self._answer.find(b"\r\n\r\n")
        if head < 0:
            return
        field_at = self._answer.find(b"content-length: ") + 16
        length = int(self._answer[field_at : self._answer.find(b"\r", field_at)])
        if len(self._answer) < head + 4 + length:
            return
        self._sender.statuses[self._answer[9:12]] += 1
        self._sender.times.append((self._moment, time.perf_counter()))
        self._answer = b""
        self._sender.next(self)


def percentile(ordered: list[float], percent: float) -> float:
    """Return the least value that `percent` of the values do not exceed."""
    return ordered[max(ceil(len(ordered) * percent / 100), 1) - 1]


def _over_again(requests: list[bytes]) -> Iterator[bytes]:
    if len(requests) == 1:
        return repeat(requests[0])
    return (request for turn in repeat(requests) for request in turn)


def main() -> None:
    """Read an order from standard input, carry it out, print the answers."""
    order = Order(**json.loads(sys.stdin.buffer.readline()))
    print(json.dumps(asdict(uvloop.run(_Sender(order).run()))))


if __name__ == "__main__":
    main()
