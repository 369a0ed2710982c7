"""Zombies: nodes that are stopped at each failpoint for longer than their lease, and go on when others took over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from random import Random

from prove import ledger
from prove.checker import Story
from prove.client import at_rate
from prove.fleet import Life, until
from prove.result import Result
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer

POINTS = (
    "claim.sent",
    "claim.after",
    "start.before",
    "run.begin",
    "run.execute",
    "run.end",
    "finish.before",
    "finish.sent",
    "finish.after",
    "beat.before",
    "beat.after",
    "",  # stopped from outside, wherever it is
)
HEIRS = 2
REACH = 10.0
"""Seconds within which a node must have come to its failpoint; one that has not is stopped where it is."""


@dataclass(frozen=True)
class Size:
    """How many zombies, so many at a time, under so many jobs a second."""

    zombies: int
    lanes: int
    rate: float
    lease: float = 2.0


FULL = Size(zombies=200, lanes=6, rate=60)
QUICK = Size(zombies=3, lanes=3, rate=40)


@dataclass
class Zombie:
    """A node that was stopped and continued: where, under which name, and when it was continued."""

    life: Life
    point: str
    node: str
    resumed: float
    back: bool


async def zombies(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it."""
    result = Result("zombies", seed, f"{size.zombies} zombies beside {HEIRS} other nodes, lease {size.lease:g} s")
    random = Random(seed)
    points = random.sample(POINTS, len(POINTS))
    order = [points[n % len(points)] for n in range(size.zombies)]
    plan = [
        (point, random.randint(1, 20) if point.startswith(("run.", "start.")) else random.randint(1, 5))
        for point in order
    ]
    async with trial(result, server, lease=size.lease, options=("--poll", "PT0.2S")) as lent:
        lent.keep("plan", {"size": asdict(size), "stops": plan})
        await lent.start(HEIRS, "--slots", "40")
        risen: list[Zombie] = []
        lanes = [asyncio.create_task(_lane(lent, plan[n :: size.lanes], risen)) for n in range(size.lanes)]
        await at_rate(size.rate, partial(_send, lent, random), lambda _: not all(lane.done() for lane in lanes))
        await asyncio.gather(*lanes)
        story = await lent.rest(60)
        _judge(result, story, risen)
        lent.report_basics(story)
        lent.report_recovery(story, died=3.0, paused=size.lease + 2)
    return result


async def _send(lent: Trial, random: Random, _number: int) -> None:
    """Create a job that is due soon: not at once, so that not only the node that takes the request knows of it."""
    await lent.client.create("sleep", when=soon(random.uniform(1, 2)), seconds=round(random.uniform(0, 0.3), 3))


async def _lane(lent: Trial, stops: list[tuple[str, int]], risen: list[Zombie]) -> None:
    for point, turn in stops:
        risen.append(await _die_and_rise(lent, point, turn))


async def _die_and_rise(lent: Trial, point: str, turn: int) -> Zombie:
    """Start a node, have it stopped, wait until nothing in the store is its own any more, and continue it."""
    life = lent.fleet.start(serve=False, arm=f"{point}=stop@{turn}" if point else "")
    await life.wait_for("node started")
    if not await until(lambda: life.stopped, REACH if point else 1.0):
        point = ""
    life.pause()
    node = life.said("node started")[-1]["node"]
    for _ in range(200):
        if not await asyncio.to_thread(ledger.held, lent.url, life.name):
            break
        await asyncio.sleep(0.1)
    else:
        lent.result.blame("P5", life.name, f"was stopped at {point or 'random'} and not given up for lost within 20 s")
    await asyncio.sleep(0.5)  # for others to finish what it held
    resumed = life.resume()
    back = await life.wait_for("node started", times=2, seconds=10)
    await asyncio.sleep(1)
    life.terminate()
    if not await life.wait_dead(20):
        lent.result.blame("P5", life.name, f"was continued at {point or 'random'} and then did not end when asked to")
        life.kill()
    return Zombie(life, point, node, resumed, back)


def _judge(result: Result, story: Story, risen: list[Zombie]) -> None:
    accepted = [fault for zombie in risen for fault in _accepted(story, zombie)]
    stale = [fault for zombie in risen for fault in _stale_starts(story, zombie)]
    due = {(zombie.life.name, run) for zombie in risen for run in _to_refuse(story, zombie)}
    told = {(zombie.life.name, line["run"]) for zombie in risen for line in zombie.life.said("result refused")}
    for fault in accepted + stale:
        result.blame("P5", *fault)
    for name, run in sorted(due - told):
        result.blame("P5", name, f"the result of run {run} was not taken, and no log says that it was refused")
    for zombie in risen:
        if not zombie.back:
            result.blame("P5", zombie.life.name, f"stopped at {zombie.point or 'random'}, it did not begin a new life")
    points = Counter(zombie.point or "anywhere" for zombie in risen)
    where = ", ".join(f"{point} {count}" for point, count in sorted(points.items()))
    result.find(
        "P5", "zombies of which no stale result was accepted", len(risen), len(accepted), f"stopped at: {where}"
    )
    result.find("P5", "results of zombies that were refused, each recorded", len(due), len(due - told))
    result.find(
        "P5", "zombies that began no job before they had a new life", len(risen), len({name for name, _ in stale})
    )


def _accepted(story: Story, zombie: Zombie) -> Iterator[tuple[str, str]]:
    """Find runs of its old life that ended after it was continued and that history took from it."""
    for row in story.ledger.runs:
        end = story.ends.get(row.number)
        if row.node == zombie.node and row.outcome != "lost" and end is not None and end.boot > zombie.resumed:
            yield zombie.life.name, f"run {row.number} of its old life was written down as {row.outcome}"


def _stale_starts(story: Story, zombie: Zombie) -> Iterator[tuple[str, str]]:
    """Find runs that it began after it was continued although they had been given up for lost.

    A node that is stopped just before the job's own code is called cannot but call it: there one is excused.
    """
    begun = [
        mark.run
        for mark in story.starts
        if mark.pid == zombie.life.pid
        and mark.boot > zombie.resumed
        and (row := story.rows.get(mark.run)) is not None
        and row.node == zombie.node
    ]
    for run in begun[1 if zombie.point == "run.execute" else 0 :]:
        yield (
            zombie.life.name,
            f"stopped at {zombie.point or 'random'}, it began run {run}, which was given up for lost",
        )


def _to_refuse(story: Story, zombie: Zombie) -> Iterator[int]:
    """Find runs given up for lost that came to an end in the zombie after it was continued."""
    for row in story.ledger.runs:
        end = story.ends.get(row.number)
        if row.node == zombie.node and row.outcome == "lost" and end is not None and end.boot > zombie.resumed:
            yield row.number
