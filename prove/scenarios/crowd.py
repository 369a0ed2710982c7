"""A crowd: a great many jobs due at once on two nodes, of which one serves the API too; others must not notice."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass

from prove import ledger
from prove.client import at_rate
from prove.figures import percentile, summary
from prove.record import boot, read
from prove.result import Result
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer

NODES = 2
LEASE = 10.0
MIB = 1024 * 1024
ANSWERED, STARTED, MEMORY = 0.5, 5.0, 300
"""What is promised: p99 of an answer and start of another group's job in seconds, memory in MiB."""


@dataclass(frozen=True)
class Size:
    """How many jobs are due at once, and how many seconds that may take."""

    jobs: int
    limit: float


FULL = Size(jobs=1_000_000, limit=1200)
QUICK = Size(jobs=5_000, limit=60)


async def crowd(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it."""
    result = Result("crowd", seed, f"{size.jobs:,} jobs due at once, {NODES} nodes")
    async with trial(result, server, lease=LEASE) as lent:
        lent.keep("plan", asdict(size))
        lent.filled |= await asyncio.to_thread(ledger.fill, lent.url, group="noop", jobs=size.jobs)
        await asyncio.gather(lent.start(1), lent.start(1, serve=False))
        begun = min(life.born for life in lent.fleet.lives)
        draining = asyncio.create_task(lent.settle(size.limit))
        memory: dict[str, int] = {}
        await asyncio.gather(
            at_rate(2, lambda _: _other(lent), lambda _: not draining.done()),
            at_rate(8, lambda number: _call(lent, number), lambda _: not draining.done()),
            at_rate(4, lambda _: _weigh(lent, memory), lambda _: not draining.done()),
        )
        if not await draining:
            result.blame("P18", "crowd", f"was not worked off within {size.limit:g} s")
        took = boot() - begun
        story = await lent.rest(30)
        lent.report_basics(story)
        _judge(lent, memory, took, size)
    return result


async def _other(lent: Trial) -> None:
    """Create a job of another group, due at once."""
    await lent.client.create("other", when=soon(0))


async def _call(lent: Trial, number: int) -> None:
    if number % 2:
        await lent.client.send("GET", "/api/schedulers/prove/noop/jobs?limit=20")
    else:
        await lent.client.create("flaky", when=soon(0), failures=0)


async def _weigh(lent: Trial, memory: dict[str, int]) -> None:
    for life in lent.fleet.alive:
        memory[life.name] = max(memory.get(life.name, 0), life.memory)


def _judge(lent: Trial, memory: dict[str, int], took: float, size: Size) -> None:
    result = lent.result
    posts = [answer for answer in lent.client.answers if answer.method == "POST"]
    lists = [answer for answer in lent.client.answers if answer.method == "GET"]
    for name, answers, limit in (("POST", posts, ANSWERED), ("GET list", lists, 2 * ANSWERED)):
        p99 = percentile([answer.seconds for answer in answers], 0.99)
        bad = sum(answer.verdict != "ok" for answer in answers)
        if p99 > limit or bad:
            result.blame("P18", name, f"p99 {p99:.3f} s (limit {limit:g} s), {bad} were not answered well")
        figures = summary([answer.seconds for answer in answers])
        result.find("P18", f"{name} meanwhile, p99 ≤ {limit:g} s", len(answers), bad + (p99 > limit), figures)
    _judge_others(lent, result)
    for name, most in memory.items():
        if most > MEMORY * MIB:
            result.blame("P18", name, f"had {most / MIB:.0f} MiB in memory")
    heavy = sum(most > MEMORY * MIB for most in memory.values())
    figures = ", ".join(f"{most / MIB:.0f} MiB" for most in memory.values())
    result.find("P18", f"nodes that stayed below {MEMORY} MiB", len(memory), heavy, figures)
    result.notes.append(f"{size.jobs:,} jobs were worked off in {took:.1f} s, {size.jobs / took:,.0f} a second")


def _judge_others(lent: Trial, result: Result) -> None:
    asked = {answer.body["id"]: answer.at for answer in lent.client.answers if _is_other(answer.path, answer.status)}
    waited = {mark.job: mark.boot - asked[mark.job] for mark in read(lent.fleet.record) if mark.job in asked}
    late = {job for job in asked if waited.get(job, STARTED + 1) > STARTED}
    for job in sorted(late)[:20]:
        result.blame("P18", job, f"a job of another group started after {waited.get(job)} s")
    result.find(
        "P18",
        f"fresh jobs of another group, started within {STARTED:g} s",
        len(asked),
        len(late),
        summary([*waited.values()]),
    )


def _is_other(path: str, status: int) -> bool:
    return status == 201 and "/other/" in path
