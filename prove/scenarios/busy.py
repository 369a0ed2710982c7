"""Busy: jobs that are all due and call a service which bears fewer than may run, so that its limit must be learned.

What the service was asked, and when, it takes down itself. What it could have done is its limit, at each moment at
which a job of the data centre waited.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from random import Random
from typing import NamedTuple

from prove.checker import Story
from prove.record import boot
from prove.result import Result
from prove.service import CONFLICT, NAME, OK, VARIABLE, Call, Service
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer

PATH = "/api/schedulers/clouds/call"
BATCH = 1000


class Goal(NamedTuple):
    """Which part of the calls may be refused at most, and which of what the service bears is to be used at least."""

    refused: float
    used: float


@dataclass(frozen=True)
class Size:
    """How many nodes, jobs and data centres, what each bears, and how long a call takes, in seconds.

    `changes` are the limits that come after the first: when, in seconds from the moment that all jobs are let go, and
    how many. `again` is after how many seconds the service wants to be asked again.
    """

    nodes: int
    jobs: int
    data_centers: int
    limit: int
    seconds: tuple[float, float]
    changes: tuple[tuple[float, int], ...]
    again: float
    steady: Goal
    changing: Goal
    ahead: float = 3.0
    """Seconds from when the first job is created until all are due."""
    trials: tuple[str, ...] = ("steady", "changing")


FULL = Size(
    nodes=2,
    jobs=2000,
    data_centers=4,
    limit=5,
    seconds=(0.8, 1.2),
    changes=((40, 2), (80, 8)),
    again=1.0,
    steady=Goal(0.02, 0.95),
    changing=Goal(0.05, 0.85),
)
QUICK = replace(
    FULL,
    jobs=80,
    data_centers=2,
    limit=3,
    seconds=(0.1, 0.2),
    changes=((1.0, 2), (2.0, 5)),
    again=0.2,
    ahead=0.5,
    steady=Goal(0.5, 0.0),
    changing=Goal(0.5, 0.0),
    trials=("changing",),
)
"""Few calls say little of the limit: it is learned from those that are refused."""


async def busy(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it: with a limit that stays, and with one that changes."""
    later = " and ".join(f"{limit} after {at:g} s" for at, limit in size.changes)
    result = Result(
        "busy",
        seed,
        f"{size.jobs:,} jobs in {size.data_centers} data centres that bear {size.limit} each (then {later}),"
        f" {size.nodes} nodes",
    )
    took = 0.0
    for kind in size.trials:
        changes, goal = ((), size.steady) if kind == "steady" else (size.changes, size.changing)
        async with trial(result, server, lease=10, options=("--plugin", NAME)) as lent, Service(size.limit) as service:
            await _try(lent, service, Random(seed), replace(size, changes=changes), goal)
        took += result.seconds
    result.seconds = round(took, 1)
    return result


async def _try(lent: Trial, service: Service, random: Random, size: Size, goal: Goal) -> None:
    """Let all jobs go at once, and judge what the service has seen of them."""
    lent.keep("plan", asdict(size))
    await lent.start(size.nodes, environ={VARIABLE: f"{service.address}:{size.again:g}"})
    let_go = boot() + size.ahead
    await _create(lent, random, size)
    changing = asyncio.create_task(_change(service, let_go, size))
    story = await lent.rest(3 * size.jobs + 60)
    changing.cancel()
    lent.keep("calls", service.calls)
    lent.report_basics(story)
    judge(lent.result, story, service.calls, size, goal, let_go)


async def _create(lent: Trial, random: Random, size: Size) -> None:
    """Create the jobs, of each data centre in turn, all due at one moment."""
    when = soon(size.ahead)
    bodies = [
        {
            "when": when,
            "dataCenter": f"dc{number % size.data_centers}",
            "seconds": round(random.uniform(*size.seconds), 3),
        }
        for number in range(size.jobs)
    ]
    for begin in range(0, size.jobs, BATCH):
        answer = await lent.client.send("POST", f"{PATH}/jobs/batch", bodies[begin : begin + BATCH])
        if answer.status != 201:
            raise RuntimeError(f"a batch was answered with {answer.status}: {json.dumps(answer.body)[:500]}")


async def _change(service: Service, let_go: float, size: Size) -> None:
    """Have the service bear more or less, when it is time."""
    for at, limit in size.changes:
        await asyncio.sleep(let_go + at - boot())
        service.limit = limit


def judge(result: Result, story: Story, calls: Sequence[Call], size: Size, goal: Goal, let_go: float) -> None:
    """Find jobs that were not called for once, and a service that was asked too often, or not used."""
    kind = f"limit {size.limit}" + "".join(f", then {limit}" for _, limit in size.changes)
    times = Counter(row.job for row in story.ledger.runs if row.outcome == "succeeded")
    others = Counter(row.outcome for row in story.ledger.runs) - Counter(succeeded=times.total())
    wrong = [job for job in story.acked if times[job] != 1]
    for job in wrong:
        result.blame("P28", job, f"was done {times[job]} times")
    result.find("P28", f"{kind}: jobs, each done once", len(story.acked), len(wrong))
    used_up = others.total() - others["postponed"]
    if used_up:
        result.blame("P28", kind, f"runs ended otherwise: {dict(others)}")
    result.find("P28", f"{kind}: runs, none used up an attempt", len(story.ledger.runs), used_up)

    refused = sum(call.status == CONFLICT for call in calls)
    part = refused / len(calls)
    if part > goal.refused:
        result.blame("P28", kind, f"{part:.1%} of the calls were refused")
    figures = f"{refused} were: {part:.2%}"
    result.find("P28", f"{kind}: calls, ≤ {goal.refused:.0%} refused", len(calls), int(part > goal.refused), figures)

    served = [call for call in calls if call.status == OK]
    did, could = used(served, size, let_go)
    if did / could < goal.used:
        result.blame("P28", kind, f"{did / could:.1%} of what it bears was used")
    what = f"{kind}: served, ≥ {goal.used:.0%} of what it could do"
    result.find(
        "P28", what, len(served), int(did / could < goal.used), f"{did / could:.1%} in {_lasting(served):.1f} s"
    )


def _lasting(served: Sequence[Call]) -> float:
    return max(call.ended for call in served) - min(call.begun for call in served)


def used(served: Iterable[Call], size: Size, let_go: float) -> tuple[float, float]:
    """Return for how many seconds places of the service were used, and were there while jobs waited for them.

    Calls that went on when the limit fell below their number are not counted twice over: no more than the limit is.
    """
    of_each: defaultdict[str, list[Call]] = defaultdict(list)
    for call in served:
        of_each[call.data_center].append(call)
    did = could = 0.0
    for calls in of_each.values():
        last = max(call.begun for call in calls)
        steps = [(let_go, 0, size.limit), (last, 0, None), *((let_go + at, 0, limit) for at, limit in size.changes)]
        steps += [step for call in calls for step in ((call.begun, 1, None), (call.ended, -1, None))]
        steps.sort(key=lambda step: step[0])
        inside, limit = 0, size.limit
        for (at, change, new), (until, *_) in pairwise(steps):
            inside, limit = inside + change, new or limit
            if let_go <= at < last:
                did += min(inside, limit) * (until - at)
                could += limit * (until - at)
    return did, could
