"""Breaks: what touches the store fails or takes long, at each failpoint, in processes that live on."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from random import Random

from prove import ledger
from prove.client import at_rate
from prove.record import boot
from prove.result import Result
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer

RAISE = (
    "claim.before",
    "claim.sent",
    "claim.after",
    "run.execute",
    "run.end",
    "finish.before",
    "finish.sent",
    "finish.after",
    "beat.before",
    "beat.after",
    "sweep.seen",
    "bury.after",
    "orphans.before",
    "orphans.after",
    "prune.before",
    "add.before_commit",
    "add.after_commit",
    "delete.between",
)
"""Where an error may come from outside: beside what asks the store, and in a job's own code."""
DELAY = (*RAISE, "start.before", "run.begin", "create.before_add", "create.after_add")
SLOW = 0.7
"""Seconds of a delay: less than the lease, so that nobody need be taken for dead."""
NODES = 3
CATCH_UP = 9.0
"""Seconds in which a run of 2 s must have ended, or been found again where only the store knew of it: lease and 5 s."""


@dataclass(frozen=True)
class Size:
    """How many rounds, each of so many seconds under so many jobs a second."""

    rounds: int
    lasting: float
    rate: float
    lease: float = 2.0


FULL = Size(rounds=10, lasting=12, rate=40)
QUICK = Size(rounds=1, lasting=6, rate=30)


async def breaks(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it, beside one node that nothing happens to.

    In each round one of the others is killed, so that there is somebody to recover.
    """
    result = Result("breaks", seed, f"{size.rounds} rounds of {NODES} nodes, each failpoint broken once in each")
    random = Random(seed)
    plans = [[_plan(random) for _ in range(NODES)] for _ in range(size.rounds)]
    async with trial(result, server, lease=size.lease) as lent:
        lent.keep("plan", {"size": asdict(size), "arms": plans})
        await lent.start(1)
        for arms in plans:
            await _round(lent, random, arms, size)
        story = await lent.rest(60)
        lent.report_basics(story)
        broken = Counter(line["failpoint"] for life in lent.fleet.lives for line in life.said("failpoint"))
        result.find(
            "P8",
            "failpoints that were broken (an error or a delay), no job lost or stuck",
            sum(broken.values()),
            result.count("P8", "I-8"),
            ", ".join(f"{name} {count}" for name, count in sorted(broken.items())),
        )
    return result


async def _round(lent: Trial, random: Random, arms: list[str], size: Size) -> None:
    lives = [lent.fleet.start("--poll", "PT0.2S", arm=arm) for arm in arms]
    await asyncio.gather(*(life.wait_for("node started") for life in lives))
    over_at = boot() + size.lasting
    load = asyncio.create_task(at_rate(size.rate, partial(_send, lent, random), lambda _: boot() < over_at))
    await asyncio.sleep(size.lasting / 2)
    random.choice(lives).kill()
    await load
    await asyncio.sleep(CATCH_UP)
    for run in await asyncio.to_thread(ledger.running_since, lent.url, CATCH_UP):
        lent.result.blame("P8", f"run {run}", "is running for the store, and nobody runs it")
    for life in lives:
        if life.alive:
            life.terminate()
    for life in lives:
        await life.wait_dead(30)


def _plan(random: Random) -> str:
    """Arm each failpoint once: with an error where one may come from, or with a delay."""
    entries = []
    for name in DELAY:
        action = "raise" if name in RAISE and random.random() < 0.7 else f"delay:{SLOW}"
        turn = random.randint(1, 15) if name.startswith(("run.", "start.", "create.", "add.")) else random.randint(1, 3)
        entries.append(
            f"{name}={action}@{1 if name.startswith(('prune', 'delete', 'sweep', 'bury', 'orph')) else turn}"
        )
    return ",".join(entries)


async def _send(lent: Trial, random: Random, _number: int) -> None:
    """Create a job, and now and then delete it while it runs."""
    delete = random.random() < 0.05
    after = random.uniform(0, 1.5)
    seconds = 2.0 if delete else round(random.uniform(0, 0.5), 3)
    answer = await lent.client.create("sleep", when=soon(after), seconds=seconds)
    if delete and answer.verdict == "ok":
        await asyncio.sleep(after + 0.5)
        await lent.client.delete("sleep", answer.body["id"])
