"""Poison: jobs that kill the process that runs them, and jobs that must rather not run at all than twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass
from random import Random

from prove import ledger
from prove.checker import Story
from prove.fleet import until
from prove.result import Result
from prove.trial import Trial, trial
from tests.postgres import PostgresServer

DEATHS = 3
"""How many workers one poison job may take with it."""
BETWEEN = 1.5
"""Seconds between two poison jobs."""


@dataclass(frozen=True)
class Size:
    """How many poison jobs beside how many harmless ones, on so many nodes."""

    poison: int
    harmless: int
    nodes: int = 3
    lease: float = 2.0


FULL = Size(poison=20, harmless=1000)
QUICK = Size(poison=1, harmless=20, nodes=2)


async def poison(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it: whoever dies is replaced, as a supervisor would."""
    result = Result("poison", seed, f"{size.poison} poison and {size.harmless} harmless jobs, {size.nodes} nodes")
    async with trial(result, server, lease=size.lease) as lent:
        lent.keep("plan", asdict(size))
        await lent.start(size.nodes)
        over = size.poison * BETWEEN
        harmless = ledger.fill(
            lent.url, group="sleep", jobs=size.harmless, after=1, over=over + 5, request={"seconds": 0.5}
        )
        lent.filled |= harmless
        supervisor = asyncio.create_task(_supervise(lent, size.nodes))
        poisons = ledger.fill(lent.url, group="poison", jobs=size.poison, after=1, over=over)
        lent.filled |= poisons
        if not await lent.settle(60 + 15 * size.poison):
            result.blame("P17", "poison", "did not come to an end")
        supervisor.cancel()
        await until(lent.fleet.addresses)
        listed = await lent.client.send("GET", "/api/schedulers/prove/poison/jobs?state=dead&limit=1000")
        story = await lent.rest(0)
        lent.report_basics(story)
        _judge(lent, story, poisons, harmless, {job["id"] for job in listed.body or ()})
    return result


async def _supervise(lent: Trial, nodes: int) -> None:
    while True:
        for _ in range(nodes - len(lent.fleet.alive)):
            lent.fleet.start()
        await asyncio.sleep(0.1)


def _judge(lent: Trial, story: Story, poisons: frozenset[str], harmless: frozenset[str], dead: set[str]) -> None:
    result = lent.result
    starts = Counter(mark.job for mark in story.starts)
    last = {row.job: row for row in sorted(story.ledger.runs)}
    endless = sorted(job for job in poisons if starts[job] > DEATHS)
    for job in endless:
        result.blame("P17", job, f"killed {starts[job]} workers")
    undead = sorted(job for job in poisons if job not in last or last[job].outcome != "failed" or job not in dead)
    for job in undead:
        result.blame("P17", job, f"is not among the dead; its last run: {last.get(job)}")
    harmed = sorted(job for job in harmless if job not in last or last[job].outcome != "succeeded")
    for job in harmed:
        result.blame("P17", job, f"was harmless and did not succeed: {last.get(job)}")
    deaths = sum(not life.alive for life in lent.fleet.lives)
    figures = f"{sum(starts[job] for job in poisons)} starts of poison; {deaths} processes ended in all"
    result.find(
        "P17",
        f"poison jobs that ended dead and are listed so, after at most {DEATHS} deaths",
        len(poisons),
        len({*endless, *undead}),
        figures,
    )
    lost = Counter(row.job for row in story.ledger.runs if row.outcome == "lost" and row.job in harmless)
    figures = f"{len(lost)} were lost beside poison, at most {max(lost.values(), default=0)} times"
    result.find("P17", "harmless neighbours of poison that succeeded", len(harmless), len(harmed), figures)


# --- at most once


@dataclass(frozen=True)
class OnceSize:
    """How many jobs that may run at most once, and how many deaths among them."""

    jobs: int
    kills: int
    lease: float = 2.0


ONCE_FULL = OnceSize(jobs=1000, kills=20)
ONCE_QUICK = OnceSize(jobs=20, kills=1)


async def once(server: PostgresServer, seed: int, size: OnceSize) -> Result:
    """Kill nodes while they run jobs that are marked `at_most_once`."""
    result = Result("once", seed, f"{size.jobs} jobs that may run at most once, 2 nodes, {size.kills} kills")
    random = Random(seed)
    async with trial(result, server, lease=size.lease) as lent:
        lent.keep("plan", asdict(size))
        lives = await lent.start(2, "--poll", "PT0.2S")
        jobs = ledger.fill(
            lent.url, group="once", jobs=size.jobs, after=0.5, over=3.0 * size.kills, request={"seconds": 1.5}
        )
        lent.filled |= jobs
        lent.at_most_once |= jobs
        for _ in range(size.kills):
            await asyncio.sleep(1.5)
            victim = random.randrange(2)
            lives[victim].kill()
            (lives[victim],) = await lent.start(1, "--poll", "PT0.2S")
        story = await lent.rest(60)
        lent.report_basics(story)
        _judge_once(result, story, jobs)
    return result


def _judge_once(result: Result, story: Story, jobs: frozenset[str]) -> None:
    starts = Counter(mark.job for mark in story.starts)
    last = {row.job: row for row in sorted(story.ledger.runs)}
    unfinished = {mark.job for mark in story.starts if mark.run not in story.ends}
    unsaid = [job for job in sorted(unfinished) if job not in last or last[job].outcome != "lost"]
    for job in unsaid:
        result.blame("P4", job, f"was cut off and history does not say so: {last.get(job)}")
    twice = sum(starts[job] > 1 for job in jobs)
    figures = f"{len(unfinished)} were cut off by a death, and are dead"
    result.find("P4", "jobs marked at most once that began at most once", len(jobs), twice + len(unsaid), figures)
