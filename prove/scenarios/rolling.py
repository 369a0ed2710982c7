"""A rolling restart: four nodes, one after the other asked to stop and replaced, while jobs run and clients call."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from functools import partial
from random import Random

from prove import ledger
from prove.checker import Story
from prove.client import at_rate
from prove.figures import percentile, summary
from prove.fleet import Life, until
from prove.record import boot
from prove.result import Result
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer

LEASE = 10.0
GRACE = 1.0
HEALTH_CHECK = 0.1
"""Seconds between two looks of the proxy at the nodes, of which it sends requests to those that are ready."""
NO_NEW = 0.1
"""Seconds after SIGTERM from which on a node must not begin jobs."""
HANDED_BACK = 1.5
"""Seconds within which a job that was interrupted must begin again: far less than the lease."""
ADDED = 0.5
"""Seconds that a restart may add to the p99 of lateness."""


@dataclass(frozen=True)
class Size:
    """How many nodes, jobs and calls a second, and seconds of calm before and after."""

    nodes: int
    jobs: float
    calls: float
    calm: float


FULL = Size(nodes=4, jobs=200, calls=50, calm=10)
QUICK = Size(nodes=2, jobs=40, calls=20, calm=2)


async def rolling(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it."""
    result = Result(
        "rolling",
        seed,
        f"{size.nodes} nodes, {size.jobs:g} jobs and {size.calls:g} requests a second, grace {GRACE:g} s",
    )
    random = Random(seed)
    async with trial(result, server, lease=LEASE, options=("--grace", f"PT{GRACE:g}S")) as lent:
        lent.keep("plan", asdict(size))
        first = await lent.start(size.nodes)
        over = 2 * size.calm + 5.0 * size.nodes
        for share, seconds in ((0.9, 0.05), (0.08, 0.5), (0.02, 3.0)):
            lent.filled |= ledger.fill(
                lent.url, group="sleep", jobs=round(size.jobs * share * over), over=over, request={"seconds": seconds}
            )
        proxy = asyncio.create_task(lent.client.heed(lent.fleet.addresses, HEALTH_CHECK))
        await until(lambda: lent.client.targets)
        begun = boot()
        asked: dict[str, float] = {}
        restarting = asyncio.create_task(_restart(lent, first, size, asked))
        await at_rate(
            size.calls, partial(_call, lent, random), lambda _: not restarting.done() or boot() < begun + over
        )
        await restarting
        proxy.cancel()
        story = await lent.rest(60)
        lent.report_basics(story)
        _judge(lent, story, asked, calm=(begun + 1, begun + size.calm))
    return result


async def _restart(lent: Trial, lives: list[Life], size: Size, asked: dict[str, float]) -> None:
    await asyncio.sleep(size.calm)
    for life in lives:
        asked[life.name] = boot()
        life.terminate()
        if not await life.wait_dead(GRACE + 10):
            lent.result.blame("P14", life.name, "did not end when it was asked to")
            life.kill()
        await lent.start(1)


async def _call(lent: Trial, random: Random, number: int) -> None:
    if number % 2:
        await lent.client.send("GET", "/api/schedulers/prove/noop/jobs?limit=20")
    else:
        await lent.client.create("noop", when=soon(random.uniform(0, 2)))


def _judge(lent: Trial, story: Story, asked: dict[str, float], *, calm: tuple[float, float]) -> None:
    result = lent.result
    failed = [answer for answer in lent.client.answers if answer.verdict != "ok"]
    for answer in failed:
        result.blame(
            "P14", f"{answer.method} {answer.path}", f"failed at {answer.at:.2f}: {answer.status} {answer.body}"
        )
    result.find("P14", "requests, none failed", len(lent.client.answers), len(failed))
    pids = {life.pid: asked[life.name] for life in lent.fleet.lives if life.name in asked}
    late = [mark for mark in story.starts if mark.pid in pids and mark.boot > pids[mark.pid] + NO_NEW]
    for mark in late:
        result.blame(
            "P14", f"run {mark.run}", f"began {mark.boot - pids[mark.pid]:.2f} s after its node was asked to stop"
        )
    result.find(
        "P14", f"nodes that began no job later than {NO_NEW:g} s after SIGTERM", len(asked), len({m.pid for m in late})
    )
    lost = [row for row in story.ledger.runs if row.outcome == "lost"]
    for row in lost:
        result.blame("P14", f"run {row.number}", f"was lost although nobody died: {row.reason}")
    _judge_handing_back(result, story)
    _judge_lateness(result, story, calm)


def _judge_handing_back(result: Result, story: Story) -> None:
    """Those that did not end within the grace period must begin again at once, elsewhere."""
    begun = {(mark.occurrence, mark.attempt): mark.boot for mark in story.starts}
    waits = []
    for row in story.ledger.runs:
        if row.outcome == "interrupted" and row.number in story.ends:
            wait = begun.get((row.occurrence, row.attempt + 1), float("inf")) - story.ends[row.number].boot
            waits.append(wait)
            if wait > HANDED_BACK:
                result.blame("P14", row.job, f"was handed back and began again after {wait:.2f} s")
    slow = sum(wait > HANDED_BACK for wait in waits)
    result.find("P14", f"jobs handed back, begun again within {HANDED_BACK:g} s", len(waits), slow, summary(waits))


def _judge_lateness(result: Result, story: Story, calm: tuple[float, float]) -> None:
    lateness = [
        (mark.boot, mark.boot + story.wall_offset - row.due)
        for mark in story.starts
        if mark.attempt == 1 and (row := story.rows.get(mark.run)) is not None
    ]
    before = [late for at, late in lateness if calm[0] <= at <= calm[1]]
    after = [late for at, late in lateness if at > calm[1]]
    added = percentile(after, 0.99) - percentile(before, 0.99)
    if added > ADDED:
        result.blame("P14", "lateness", f"p99 rose by {added:.2f} s")
    figures = f"calm: {summary(before)}; restarting: {summary(after)}"
    result.find("P14", f"starts, p99 of lateness at most {ADDED:g} s worse", len(after), int(added > ADDED), figures)
