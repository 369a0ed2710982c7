"""Zoo: rogues of plugins, one at a time, beside a well-behaved group that must not notice."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf
from random import Random

import psycopg

from mainspring.node.lease import BEATS_PER_LEASE
from prove import ledger, record
from prove.figures import percentile
from prove.fleet import Life
from prove.ledger import RunRow
from prove.result import Result
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer
from tests.rogues import CHECKS, DEEDS, Deed

PLUGINS = ("--plugin", "tests.rogues:RogueModule", "--plugin", "tests.rogues:WildModule")
NEIGHBOURS = 50
"""How many jobs of the well-behaved group run each second."""
LOST_BEATS = 2.0
"""After how many times the pause between two beats one of them is held to be lost."""
TRIES = 3
"""How often a rogue is let in beside which the neighbours are late: once it may be the machine, each time it is not."""
DEATHS = 3
"""How often a job is run that kills its worker process."""


@dataclass(frozen=True)
class Size:
    """How many rogues, how many seconds are calm and belong to each rogue at least, and what lateness is no matter."""

    rogues: int
    calm: float
    each: float
    least: float
    lease: float = 10.0


FULL = Size(rogues=len(DEEDS) + len(CHECKS), calm=20, each=4, least=0.1)
QUICK = Size(rogues=5, calm=2, each=1, least=1.0)
"""On a machine that runs other tests beside this one, a node is late for other reasons too."""


async def zoo(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it, on one node."""
    rogues: list[Deed | str] = [*DEEDS, *CHECKS]
    chosen = Random(seed).sample(rogues, size.rogues)
    result = Result("zoo", seed, f"{size.rogues} rogues, one at a time, beside {NEIGHBOURS} jobs a second on one node")
    async with trial(result, server, lease=size.lease) as lent:
        lent.keep("plan", {"size": asdict(size), "rogues": chosen})
        [life] = await lent.start(1, *PLUGINS)
        beats = asyncio.create_task(_watch_beats(lent))
        every = {"schedule": {"every": "PT1S"}}
        made = [await lent.client.create("noop", when=soon(1 + n / NEIGHBOURS), **every) for n in range(NEIGHBOURS)]
        lent.filled = {answer.body["id"] for answer in made}
        await asyncio.sleep(2)
        calm = await _late(lent, record.boot(), size.calm)
        limit = max(2 * calm, size.least)
        worst = 0.0
        for rogue in chosen:
            late = inf
            for _ in range(TRIES):
                begun = record.boot()
                await _let_in(lent, rogue)
                late = min(late, await _late(lent, begun, max(size.each - (record.boot() - begun), 0.5)))
                if late <= limit:
                    break
            else:
                result.blame(
                    "P16", str(rogue), f"its neighbours were {late:.3f} s late (p99), {limit:.3f} s are allowed"
                )
            worst = max(worst, late)
        beats.cancel()
        await _see_it_leave(lent, life)
        figures = f"lateness of the neighbours, p99: {calm:.3f} s when all was calm, at worst {worst:.3f} s"
        result.find(
            "P16",
            "rogues that ended for the right reason and hurt nobody else",
            len(chosen),
            len({violation.subject for violation in result.violations}),
            figures,
        )
    return result


async def _let_in(lent: Trial, rogue: Deed | str) -> None:
    """Let a rogue do its deed, and see how that ends."""
    if isinstance(rogue, str):
        answer = await lent.client.send("POST", "/api/schedulers/zoo/checked/jobs", {"when": soon(0), "deed": rogue})
        told = f"the job group's own check failed with {CHECKS[rogue]}"
        if answer.status != (422 if CHECKS[rogue] else 201) or (CHECKS[rogue] and answer.body["detail"] != told):
            lent.result.blame("P16", rogue, f"was answered {answer.status} {answer.body}")
        return
    path = f"/api/schedulers/zoo/{rogue.group}/jobs"
    made = await lent.client.send("POST", path, {"when": soon(0), "deed": rogue.deed, "options": rogue.options})
    for _ in range(600):
        found = await lent.client.send("GET", f"{path}/{made.body['id']}")
        if found.body["state"] in {"done", "dead"}:
            break
        await asyncio.sleep(0.1)
    runs = (await lent.client.send("GET", f"{path}/{made.body['id']}/runs")).body
    for run in runs:
        reason = run["reason"]
        if run["outcome"] != rogue.outcome or not (reason == rogue.reason or re.fullmatch(rogue.reason or "", reason)):
            lent.result.blame("P16", str(rogue), f"ended as {run}")
    if len(runs) != (DEATHS if rogue.kills else 1):
        lent.result.blame("P16", str(rogue), f"was run {len(runs)} times")


async def _late(lent: Trial, since: float, seconds: float) -> float:
    """Wait, and return how late the neighbours were since that moment, p99, in seconds."""
    await asyncio.sleep(seconds)
    told = await asyncio.to_thread(ledger.read, lent.url)
    begun = since + record.wall_offset()
    rows: list[RunRow] = [row for row in told.runs if row.job in lent.filled and row.started >= begun]
    for row in rows:
        if row.outcome != "succeeded":
            lent.result.blame("P16", row.job, f"a neighbour ended as {row}")
    return percentile([row.started - row.due for row in rows], 0.99)


async def _watch_beats(lent: Trial) -> None:
    """Blame the node for each beat that is lost."""
    pause = lent.lease / BEATS_PER_LEASE
    seen, at = None, record.boot()
    while True:
        with suppress(psycopg.Error):
            found, now = await asyncio.to_thread(ledger.beats, lent.url), record.boot()
            if now - at > LOST_BEATS * pause:
                lent.result.blame("P16", f"a beat at {now:.1f} s", f"none came for {now - at:.1f} s")
                at = now
            if found != seen:
                seen, at = found, now
        await asyncio.sleep(0.05)


async def _see_it_leave(lent: Trial, life: Life) -> None:
    """Let the node go: in good order, and with all that it had to say."""
    life.terminate()
    if not await life.wait_dead(30) or not life.said("node stopped"):
        lent.result.blame("P16", life.name, f"did not leave in good order: {life.log()[-3:]}")
