"""The database goes away, in every way that it can, under load, and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio import gather
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from random import Random

import psycopg

from prove import ledger
from prove.client import Answer, at_rate
from prove.figures import summary
from prove.fleet import Life
from prove.network import Link, ProxyLink, link_to
from prove.record import boot
from prove.result import Result
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer

NODES = 2
LEASE = 10.0
ANSWERED = 2.0
"""Seconds within which a call must be answered while the database is away."""
GRAIN = 0.25
"""Seconds that the client itself may take on a busy machine."""
BACK = 3.0
"""Seconds within which the first due job must start when the database accepts connections again."""


@dataclass(frozen=True)
class Size:
    """How long the trial takes, when something happens in it and for how long, in seconds; and calls a second.

    `ahead` is how far ahead jobs are due and how long they take, at most, in seconds.
    """

    lasting: float
    every: float
    away: float
    rate: float = 30
    ahead: float = 3.0


FULL = {
    "restart": Size(lasting=65, every=10, away=1),
    "freeze": Size(lasting=45, every=5, away=30),
    "cut": Size(lasting=45, every=5, away=30),
    "split": Size(lasting=45, every=5, away=25),
    "terminate": Size(lasting=60, every=5, away=0),
    "unknown": Size(lasting=45, every=1, away=0),
}
QUICK = {"restart": Size(lasting=5, every=2, away=0.5, ahead=1.0)}
"""Sizes by kind: the server is restarted or frozen; all nodes, or one, are cut off; all sessions are ended; the answers
of the server are broken off at random places, so that nobody knows what was committed."""


@dataclass
class Outage:
    """What a kind of outage has to work with; `away` tells from when to when nothing could reach the database."""

    lent: Trial
    server: PostgresServer
    links: list[Link]
    away: list[tuple[float, float]]


async def outage(server: PostgresServer, seed: int, size: Size, *, kind: str) -> Result:
    """Run one kind of it."""
    result = Result(f"outage-{kind}", seed, f"{NODES} nodes, {size.lasting:g} s, {size.rate:g} calls a second")
    random = Random(seed)
    async with trial(result, server, lease=LEASE) as lent:
        lent.keep("plan", {"kind": kind, "size": asdict(size)})
        links = [await (ProxyLink.make if kind == "unknown" else link_to)(lent.url) for _ in range(NODES)]
        way = "by a proxy that stops forwarding" if isinstance(links[0], ProxyLink) else "by namespaces and nftables"
        result.notes.append(f"nodes can be cut off {way}")
        try:
            lives = [
                life for started in await gather(*(lent.start(1, link=link) for link in links)) for life in started
            ]
            on = Outage(lent, server, links, [])
            until_when = boot() + size.lasting
            lent.filled |= ledger.fill(
                lent.url, group="sleep", jobs=round(10 * size.lasting), over=size.lasting, request={"seconds": 0.2}
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    at_rate(size.rate, partial(_send, lent, random, size.ahead), lambda _: boot() < until_when)
                )
                tasks.create_task(at_rate(5, partial(_probe, lent), lambda _: boot() < until_when))
                tasks.create_task(_strike_every(size, until_when, partial(KINDS[kind], on, size, random)))
            await lent.settle(60)
            ended = [life for life in lives if not life.alive]
            story = await lent.rest(0)
            _judge(on, story.starts[-1].boot if story.starts else 0.0, ended, split=kind == "split")
            lent.report_basics(story)
        finally:
            lent.fleet.kill()
            for link in links:
                await link.close()
    return result


async def _strike_every(size: Size, until_when: float, strike: Callable[[], Awaitable[None]]) -> None:
    while boot() + size.every + size.away < until_when:
        await asyncio.sleep(size.every)
        await strike()


# --- what clients do


async def _send(lent: Trial, random: Random, ahead: float, number: int) -> None:
    match number % 3:
        case 0:
            await lent.client.send("GET", "/api/schedulers/prove/sleep/jobs?limit=5")
        case _:
            seconds = random.choice([0.0, 0.1, 0.5, ahead])
            await lent.client.create("sleep", when=soon(random.uniform(0, ahead)), seconds=seconds)


async def _probe(lent: Trial, number: int) -> None:
    await lent.client.send("GET", "/livez" if number % 2 else "/readyz")


# --- ways to be away


async def _restart(on: Outage, size: Size, random: Random) -> None:
    with _noted(on):
        await asyncio.to_thread(on.server.stop, random.choice(["fast", "immediate"]))
        await asyncio.sleep(size.away)
        await asyncio.to_thread(on.server.start)


async def _freeze(on: Outage, size: Size, _random: Random) -> None:
    processes = ledger.backends(ledger.postmaster(on.lent.url))
    with _noted(on):
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(size.away)
        for pid in reversed(processes):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def _cut(on: Outage, size: Size, _random: Random) -> None:
    with _noted(on):
        for link in on.links:
            link.cut()
        await asyncio.sleep(size.away)
        for link in on.links:
            link.heal()


async def _split(on: Outage, size: Size, _random: Random) -> None:
    """Cut off one node only: the others shall take over what it runs."""
    since = boot()
    on.links[0].cut()
    await asyncio.sleep(size.away)
    on.lent.fleet.lives[0].was_cut_off(since, boot() + 1)
    on.links[0].heal()


async def _terminate(on: Outage, _size: Size, _random: Random) -> None:
    with suppress(psycopg.Error):
        await asyncio.to_thread(ledger.terminate_backends, on.lent.url)


async def _unknown(on: Outage, _size: Size, random: Random) -> None:
    """Have each connection of the nodes reset after some more bytes of answers, in the midst of whatever that is."""
    for link in on.links:
        assert isinstance(link, ProxyLink)
        link.proxy.break_all(partial(random.randint, 0, 5_000))


KINDS: dict[str, Callable[[Outage, Size, Random], Awaitable[None]]] = {
    "restart": _restart,
    "freeze": _freeze,
    "cut": _cut,
    "split": _split,
    "terminate": _terminate,
    "unknown": _unknown,
}


@contextmanager
def _noted(on: Outage) -> Iterator[None]:
    since = boot()
    yield
    on.away.append((since, boot()))


# --- what is promised of it


def _judge(on: Outage, last_start: float, ended: list[Life], *, split: bool) -> None:
    result, answers = on.lent.result, on.lent.client.answers
    for life in ended:
        result.blame("P12", life.name, "ended while the database was away")
    _judge_answers(result, answers)
    _judge_return(on, last_start)
    lost = [life.name for life in on.lent.fleet.lives for _ in life.said("node lost")]
    if not split:
        for name in lost:
            result.blame("P12", name, "took another node for dead that had only lost the database")
        result.find("P12", "nodes not taken for dead because the database was away", NODES, len(lost))
    elif not lost:
        result.blame("P6", "split", "nobody took over from the node that was cut off")
    for link in on.links:
        if isinstance(link, ProxyLink) and link.proxy.broken:
            result.notes.append(f"{link.proxy.broken} connections were broken in the midst of an answer")


def _judge_answers(result: Result, answers: list[Answer]) -> None:
    statuses = Counter(answer.status for answer in answers)
    bad = [
        answer
        for answer in answers
        if (answer.status >= 500 and answer.status != 503)
        or (answer.status == 503 and answer.retry_after is None and answer.path != "/readyz")
        or answer.status == 0
        or (answer.path == "/livez" and answer.status != 200)
    ]
    for answer in bad:
        result.blame("P12", f"{answer.method} {answer.path}", f"was answered {answer.status} {str(answer.body)[:100]}")
    unavailable = [answer.seconds for answer in answers if answer.status == 503]
    slow = [answer for answer in answers if answer.seconds > ANSWERED + GRAIN]
    for call, count in Counter(f"{answer.method} {answer.path}" for answer in slow).items():
        result.blame("P12", call, f"took longer than {ANSWERED:g} s to answer {count} times")
    seen = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
    result.find("P12", "requests answered, none with 5xx but 503", len(answers), len(bad), seen)
    result.find(
        "P12", f"requests answered within {ANSWERED:g} s", len(answers), len(slow), f"503 after {summary(unavailable)}"
    )


def _judge_return(on: Outage, last_start: float) -> None:
    result = on.lent.result
    starts = sorted(mark.boot for mark in on.lent.story.starts) if on.lent.story else []
    waits = []
    for _, back in on.away:
        first = next((start for start in starts if start >= back), last_start)
        waits.append(first - back)
        if first - back > BACK:
            result.blame("P12", "first due job", f"started {first - back:.2f} s after the database was back")
    if waits:
        late = sum(wait > BACK for wait in waits)
        figures = summary(waits)
        result.find("P12", f"returns of the database, first due job within {BACK:g} s", len(waits), late, figures)
