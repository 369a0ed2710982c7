"""Shares: a product that floods the queue beside one that has little to do, and weights where both have very much.

Slots are scarce: all jobs take a while, and nodes have the slots of a new user. What each job did is told by itself.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from mainspring.settings import Settings
from prove import ledger
from prove.checker import Story
from prove.figures import percentile
from prove.record import boot
from prove.result import Result
from prove.trial import Trial, trial
from tests.postgres import PostgresServer

LATE = 0.1
"""Seconds up to which lateness is no matter, whatever it was when all was calm."""
WEIGHTS = (3, 1)


class Side(NamedTuple):
    """Who shares: a job group, and the path of what has the weight, which is the group or its product."""

    product: str
    group: str
    weighed: str


PRODUCTS = (Side("prove", "sleep", "prove"), Side("rival", "rival", "rival"))
GROUPS = (Side("prove", "sleep", "prove/sleep"), Side("prove", "nap", "prove/nap"))
FLOOD, NEIGHBOUR = PRODUCTS


@dataclass(frozen=True)
class Size:
    """How many jobs flood, if any; how many a second the neighbour gets, for how long before the flood and in it (s).

    Then for how many seconds starts are counted by weights, and on how many nodes, in a trial each.
    """

    flood: int
    rate: float
    calm: float
    flooded: float
    counted: float
    nodes: tuple[int, ...]
    takes: tuple[float, float] = (0.02, 0.05)
    """Seconds that a job takes: beside a flood, and where starts are counted by weights."""
    pairs: tuple[tuple[Side, Side], ...] = (PRODUCTS, GROUPS)
    lead: float = 10.0
    """Seconds before the neighbour's first job is due: the store is busy for some of them with what was written."""
    settling: float = 2.0
    """Seconds from when both backlogs are let go until their starts count: nodes first learn how long jobs take."""
    tolerance: float = 0.05
    late: float = LATE
    behind: float = float("inf")
    """How many jobs of the flood may begin while one of the neighbour waits: what a busy machine does not change."""


FULL = Size(flood=1_000_000, rate=50, calm=30, flooded=60, counted=60, nodes=(1, 2))
QUICK = Size(
    flood=12_000,
    rate=50,
    calm=0.5,
    flooded=1,
    counted=1,
    lead=0.7,
    settling=0.5,
    nodes=(2,),
    pairs=(PRODUCTS,),
    tolerance=0.3,
    late=float("inf"),
    behind=3_000,
)


async def shares(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it."""
    result = Result(
        "shares",
        seed,
        f"{size.flood:,} jobs due at once beside {size.rate:g} a second;"
        f" weights for {size.counted:g} s on {' and '.join(map(str, size.nodes))} nodes",
    )
    took = 0.0
    if size.flood:
        async with trial(result, server) as lent:
            await _flood(lent, size)
        took = result.seconds
    for nodes in size.nodes:
        for pair in size.pairs:
            async with trial(result, server) as lent:
                await _weigh(lent, size, pair, nodes)
            took += result.seconds
    result.seconds = took
    return result


async def _halt(lent: Trial) -> Story:
    """Let nothing more begin, and check what was done; very much is left that is not."""
    await _ask(lent, "POST", "/api/schedulers/pause")
    while await asyncio.to_thread(ledger.running_since, lent.url, 0):
        await asyncio.sleep(0.1)
    return await lent.rest(0)


async def _ask(lent: Trial, method: str, path: str, body: object = None) -> float:
    """Send what must be taken, and return when the answer came."""
    answer = await lent.client.send(method, path, body)
    if answer.verdict != "ok":
        raise RuntimeError(f"{method} {path} was answered with {answer.status}: {answer.body}")
    return answer.at + answer.seconds


async def _fill(lent: Trial, side: Side, jobs: int, takes: float, **when: float) -> frozenset[str]:
    return await asyncio.to_thread(
        ledger.fill,
        lent.url,
        product=side.product,
        group=side.group,
        jobs=jobs,
        request={"seconds": takes},
        **when,
    )


# --- a flood


async def _flood(lent: Trial, size: Size) -> None:
    """Have one product keep all slots busy, and another one send a job now and then."""
    lent.keep("plan", asdict(size))
    await lent.start(1)
    await _ask(lent, "POST", f"/api/schedulers/{FLOOD.weighed}/pause")
    many = await _fill(lent, FLOOD, size.flood, size.takes[0])
    over = size.calm + size.flooded
    begun = boot()
    few = await _fill(lent, NEIGHBOUR, round(size.rate * over), size.takes[0], after=size.lead, over=over)
    lent.filled |= few
    await asyncio.sleep(begun + size.lead + size.calm - boot())
    let_go = await _ask(lent, "POST", f"/api/schedulers/{FLOOD.weighed}/resume")
    await asyncio.sleep(size.flooded)
    while await asyncio.to_thread(ledger.count_pending, lent.url, group=NEIGHBOUR.group):
        await asyncio.sleep(0.1)
    story = await _halt(lent)
    lent.report_basics(story)
    _judge_flood(lent.result, story, size, many, few, let_go)


def _judge_flood(
    result: Result, story: Story, size: Size, many: frozenset[str], few: frozenset[str], let_go: float
) -> None:
    waiting = {job.job for job in story.ledger.pending}
    ran = {row.job for row in story.ledger.runs}
    lost = len(many - waiting - ran)
    if lost:
        result.blame("P25", "flood", f"{lost} of its jobs have neither run nor wait")
    result.find("P25", "jobs of the flood that have run or wait", len(many), lost, f"{len(many & ran):,} have run")
    flood = sorted(mark.boot for mark in story.starts if mark.job in many)
    due = {row.number: row.due - story.wall_offset for row in story.ledger.runs if row.job in few}
    begun = [(due[mark.run], mark.boot) for mark in story.starts if mark.run in due]
    if not many & waiting and flood[-1] < max(at for _, at in begun):
        result.blame("P25", "flood", "was over before its neighbour's last job began: nothing is shown")
    calm = [at - moment for moment, at in begun if at < let_go]
    late = [at - moment for moment, at in begun if moment >= let_go]
    behind = [bisect_left(flood, at) - bisect_left(flood, moment) for moment, at in begun if moment >= let_go]
    most = max(size.late, 2 * percentile(calm, 0.99))
    p99 = percentile(late, 0.99)
    figures = f"calm: {_milliseconds(calm)}; meanwhile: {_milliseconds(late)}"
    if not p99 <= most:
        result.blame("P25", "neighbour", f"p99 was to be at most {most * 1e3:.0f} ms; {figures}")
    if max(behind, default=0) > size.behind:
        result.blame("P25", "neighbour", f"{max(behind)} jobs of the flood began while one of its jobs waited")
    what = f"lateness beside a flood, p99 ≤ {LATE * 1e3:g} ms or twice its own when all is calm"
    result.find("P25", what, len(late), int(not p99 <= most), figures)
    took = max(flood, default=let_go) - let_go
    result.notes.append(
        f"{len(flood) / took:,.0f} jobs of the flood began a second;"
        f" while one of its neighbour's waited, p99 {percentile(behind, 0.99):g}, max {max(behind, default=0):g}"
    )


def _milliseconds(seconds: Sequence[float]) -> str:
    p50, p99, most = (percentile(seconds, share) * 1e3 for share in (0.5, 0.99, 1))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {most:.0f} ms"


# --- weights


async def _weigh(lent: Trial, size: Size, pair: tuple[Side, Side], nodes: int) -> None:
    """Have both sides always have more to do than there are slots, and count what each begins."""
    lent.keep("plan", asdict(size))
    await lent.start(nodes)
    await _ask(lent, "POST", "/api/schedulers/pause")
    # At most so many can begin, and a side with twice its part of that never runs out.
    most = nodes * Settings().slots / size.takes[1] * (size.counted + size.settling + 3)
    filled = []
    for side, weight in zip(pair, WEIGHTS, strict=True):
        await _ask(lent, "PUT", f"/api/schedulers/{side.weighed}/limits", {"weight": weight})
        filled.append(await _fill(lent, side, round(min(1.0, 2 * weight / sum(WEIGHTS)) * most), size.takes[1]))
    let_go = await _ask(lent, "POST", "/api/schedulers/resume")
    since = let_go + size.settling
    await asyncio.sleep(since + size.counted - boot())
    story = await _halt(lent)
    judge_weights(lent.result, story, size, pair, filled, since, nodes)


def judge_weights(
    result: Result,
    story: Story,
    size: Size,
    pair: tuple[Side, Side],
    filled: Sequence[frozenset[str]],
    since: float,
    nodes: int,
) -> None:
    """Find starts that are not as the weights are, of sides that both have more to do."""
    subject = (
        f"{'products' if pair is PRODUCTS else 'groups of a product'}, {nodes} {'node' if nodes == 1 else 'nodes'}"
    )
    waiting = {job.job for job in story.ledger.pending}
    counted = [mark for mark in story.starts if since <= mark.boot < since + size.counted]
    heavy, light = (sum(mark.job in jobs for mark in counted) for jobs in filled)
    after = {mark.job for mark in story.starts if mark.boot >= since + size.counted}
    if not all(jobs & (waiting | after) for jobs in filled):
        result.blame("P25", subject, "one had no more to do: nothing is shown")
    expected = WEIGHTS[0] / WEIGHTS[1]
    ratio = heavy / light if light else float("inf")
    wrong = abs(ratio / expected - 1) > size.tolerance
    of_nodes = [[mark.job for mark in counted if mark.pid == pid] for pid in {mark.pid for mark in counted}]
    each = ", ".join(_ratio(sum(job in filled[0] for job in jobs), len(jobs)) for jobs in of_nodes)
    figures = f"{heavy:,} and {light:,}: {ratio:.3f}" + (f"; on each node {each}" if nodes > 1 else "")
    if wrong:
        result.blame("P25", subject, f"was to be {expected:g}; {figures}")
    what = f"starts of {subject}, {WEIGHTS[0]}:{WEIGHTS[1]} ± {size.tolerance:.0%}"
    result.find("P25", what, len(counted), int(wrong), figures)


def _ratio(heavy: int, of: int) -> str:
    return f"{heavy / (of - heavy):.3f}" if of > heavy else "all"
