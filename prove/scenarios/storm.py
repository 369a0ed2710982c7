"""A kill storm: four nodes under load, killed again and again, at random and at each failpoint."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass
from random import Random

from prove.client import at_rate
from prove.fleet import until
from prove.nemesis import Nemesis, fates
from prove.result import Result
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer

RESTART = 2.0
"""Seconds that a process needs to start; while it does, nobody can kill it."""
DELETED = 0.02
"""The share of jobs that are deleted when they are likely to run."""


@dataclass(frozen=True)
class Size:
    """How many nodes, at least how many jobs, at how many a second, and how many deaths."""

    places: int
    jobs: int
    rate: float
    kills: int
    lease: float = 2.0


FULL = Size(places=4, jobs=20_000, rate=150, kills=60)
QUICK = Size(places=3, jobs=100, rate=50, kills=2)


async def storm(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it."""
    result = Result(
        "storm", seed, f"{size.places} nodes, {size.jobs:,} jobs, {size.kills} kills, lease {size.lease:g} s"
    )
    random = Random(seed)
    lasting = size.jobs / size.rate
    plan = fates(random, size.kills, max(2.0, size.places * lasting / size.kills - RESTART))
    async with trial(result, server, lease=size.lease) as lent:
        lent.keep("plan", {"size": asdict(size), "fates": plan})
        nemesis = Nemesis(lent.fleet)
        load = Load(lent, random)
        async with asyncio.TaskGroup() as tasks:
            deaths = [tasks.create_task(nemesis.rule(plan[place :: size.places])) for place in range(size.places)]
            await until(lambda: len(lent.fleet.addresses()) >= size.places - 1)
            await at_rate(
                size.rate, load.send, lambda number: number < size.jobs or not all(task.done() for task in deaths)
            )
        story = await lent.rest(60)
        lent.report_basics(story)
        lent.report_recovery(story, died=3.0, paused=size.lease + 2)
        reached = Counter(nemesis.reached)
        result.notes.append(
            f"{nemesis.killed} processes died, {sum(reached.values())} of them at {len(reached)} different failpoints"
        )
        spared = {fate.failpoint for fate in plan} - {"", *reached}
        if spared:
            result.notes.append(f"armed and not reached in their life: {', '.join(sorted(spared))}")
        answers = Counter(answer.verdict for answer in lent.client.answers)
        result.notes.append(f"requests: {answers['ok']:,} ok, {answers['info']:,} unknown, {answers['fail']:,} refused")
    return result


class Load:
    """What clients ask for: jobs of some kinds, some of which are deleted while they run."""

    def __init__(self, lent: Trial, random: Random) -> None:
        self._lent = lent
        self._random = random

    async def send(self, _number: int) -> None:
        """Create one job, and perhaps delete it when it is likely to run."""
        random, client = self._random, self._lent.client
        delete = random.random() < DELETED
        group = random.choices(["sleep", "thread", "once", "noop"], [70, 5, 5, 20])[0]
        seconds = random.choices([random.uniform(0, 0.1), random.uniform(0.2, 0.8), 2.0], [70, 25, 5])[0]
        after = random.uniform(0, 2)
        body = {"when": soon(after)} | ({} if group == "noop" else {"seconds": 2.0 if delete else round(seconds, 3)})
        answer = await client.create(group, **body)
        if answer.verdict != "ok":
            return
        job = answer.body["id"]
        if group == "once":
            self._lent.at_most_once.add(job)
        if delete:
            await asyncio.sleep(after + 0.5)
            await client.delete(group, job)
