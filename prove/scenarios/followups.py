"""Follow-ups: jobs that have others made, while nodes are killed wherever a run is claimed, runs or is written down.

On PostgreSQL all nodes but one die again and again, on SQLite it is one process, which begins anew each time. How many
jobs follow an occurrence, and with which ids, follows from the occurrence: history tells all that must be there.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple
from uuid import UUID, uuid5

from prove import ledger, record
from prove.checker import Violation
from prove.client import Client, at_rate
from prove.fleet import Fleet, until
from prove.leads import FOLLOWS, LEADS, NAME, number_of_follow_ups
from prove.ledger import Told
from prove.nemesis import Fate, Nemesis
from prove.result import Result
from prove.trial import soon, trial
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
)
"""The failpoints from the claim to the end of the finish."""
RECURS = 0.05
"""The share of leads that have several fire times."""
OPTIONS = ("--plugin", NAME)


class Kills(NamedTuple):
    """How often a process dies at each of some failpoints, and how often at random besides."""

    each: int
    at_random: int = 0
    points: tuple[str, ...] = POINTS


@dataclass(frozen=True)
class Size:
    """How many places a cluster has, and how often nodes die on PostgreSQL and on SQLite.

    `rate` is how many leads are created a second, until all have died and at least so many `leads` were accepted.
    """

    places: int
    kills: Kills
    sqlite_kills: Kills
    rate: float
    leads: int
    least: int = 0
    """How many must have died at each failpoint, on PostgreSQL."""
    lease: float = 2.0
    turns: int = 5
    """Up to how many times a failpoint is passed before a process dies there."""
    patience: float = 15.0
    """Seconds after which a process is killed that has not reached its failpoint."""
    stores: tuple[str, ...] = ("PostgreSQL", "SQLite")


FULL = Size(places=4, kills=Kills(21, 11), sqlite_kills=Kills(11, 1), rate=20, leads=1000, least=20)
QUICK = Size(
    places=2,
    kills=Kills(1, points=("finish.sent",)),
    sqlite_kills=Kills(1, points=("finish.sent",)),
    rate=20,
    leads=20,
    turns=3,
)


async def followups(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it on each store."""
    deaths = {
        "PostgreSQL": plan(Random(seed), size, size.kills),
        "SQLite": plan(Random(seed), size, size.sqlite_kills),
    }
    many = ", ".join(f"{len(deaths[store])} kills on {store}" for store in size.stores)
    result = Result("followups", seed, f"{size.places} nodes on PostgreSQL, one on SQLite; {many}")
    took = 0.0
    if "PostgreSQL" in size.stores:
        await _postgres(result, server, size, deaths["PostgreSQL"])
        took = result.seconds
    if "SQLite" in size.stores:
        begun = record.boot()
        await _sqlite(result, size, deaths["SQLite"])
        took += record.boot() - begun
    result.seconds = round(took, 1)
    return result


def plan(random: Random, size: Size, kills: Kills) -> list[Fate]:
    """Draw deaths."""
    fates = [
        Fate(point, random.randint(1, size.turns), size.patience) for point in kills.points for _ in range(kills.each)
    ]
    fates += [Fate("", 1, random.uniform(0.2, 1.5)) for _ in range(kills.at_random)]
    random.shuffle(fates)
    return fates


async def _postgres(result: Result, server: PostgresServer, size: Size, deaths: Sequence[Fate]) -> None:
    async with trial(result, server, lease=size.lease, options=OPTIONS) as lent:
        lent.keep("plan", {"size": asdict(size), "fates": deaths})
        await lent.start(1)  # it is spared, so that somebody is there who finds what the dead leave
        nemesis = await _hurt(lent.fleet, lent.client, Random(result.seed), size, size.places - 1, deaths)
        story = await lent.rest(120)
        told, living = await asyncio.to_thread(ledger.tell, lent.url)
        lent.report_basics(story)
        report(result, "PostgreSQL", told, living, nemesis, size.least)


async def _sqlite(result: Result, size: Size, deaths: Sequence[Fate]) -> None:
    home = Path(tempfile.mkdtemp(prefix="mainspring-followups-"))
    url = f"sqlite:///{home}/jobs.db"
    fleet = Fleet(url, home, "--lease", f"PT{size.lease:g}S", *OPTIONS)
    client = Client(fleet.addresses, home / "client.jsonl", seed=result.seed)
    try:
        nemesis = await _hurt(fleet, client, Random(result.seed), size, 1, deaths)
        deadline = record.boot() + 120
        while (await asyncio.to_thread(ledger.tell, url))[1] and record.boot() < deadline:
            await asyncio.sleep(0.2)
        told, living = await asyncio.to_thread(ledger.tell, url)
        lost = client.acked - living.keys() - {row.job for row in told}
        for job in lost:
            result.blame("P29", job, "SQLite: was accepted and is lost")
        result.find("P1", "SQLite: accepted jobs that are there", len(client.acked), len(lost))
        report(result, "SQLite", told, living, nemesis, 0)
    finally:
        await fleet.close()
        client.close()
        shutil.rmtree(home)


async def _hurt(
    fleet: Fleet, client: Client, random: Random, size: Size, places: int, deaths: Sequence[Fate]
) -> Nemesis:
    """Have leads created until all have died; return who died where."""
    nemesis = Nemesis(fleet)
    accepted = 0

    async def create(_number: int) -> None:
        group = random.choice(LEADS)
        when: dict[str, object] = {"when": soon(0)}
        if random.random() < RECURS:
            when = {"schedule": {"every": "PT1S", "start": soon(0.5), "count": 4}}
        answer = await client.create(group, seconds=round(random.uniform(0, 0.1), 3), **when)
        nonlocal accepted
        accepted += answer.status == 201

    async with asyncio.TaskGroup() as tasks:
        ends = [tasks.create_task(nemesis.rule(deaths[place::places])) for place in range(places)]
        await until(fleet.addresses)
        await at_rate(size.rate, create, lambda _: accepted < size.leads or not all(task.done() for task in ends))
    return nemesis


def report(
    result: Result, store: str, told: Sequence[Told], living: Mapping[str, str], nemesis: Nemesis, least: int
) -> None:
    """Judge, and say how many died where."""
    judge(result, store, told, living)
    reached = Counter(nemesis.reached)
    few = [point for point in POINTS if reached[point] < least]
    if few:
        result.blame("P29", store, f"fewer than {least} died at {', '.join(few)}")
    at = ", ".join(f"{point} {reached[point]}" for point in POINTS if reached[point])
    result.notes.append(f"{store}: {nemesis.killed} processes died; at failpoints: {at}")


def judge(result: Result, store: str, told: Sequence[Told], living: Mapping[str, str]) -> None:
    """Find follow-ups that are missing, doubled or made by runs that did not succeed, and results that are not kept."""
    wrong = [*misled(told, living), *unkept(told)]
    for rule, subject, detail in wrong:
        result.blame("P29", subject, f"{store}: {rule}: {detail}")
    counted = Counter(violation.rule for violation in wrong)
    succeeded = [row for row in told if row.outcome == "succeeded"]
    others = Counter(row.outcome for row in told) - Counter(succeeded=len(succeeded))
    figures = ", ".join(f"{outcome} {times}" for outcome, times in others.most_common())
    follows = sum(row.group == FOLLOWS for row in succeeded)
    result.find(
        "P29",
        f"{store}: succeeded runs, each with its follow-ups",
        len(succeeded),
        counted["missing"],
        f"{follows:,} runs of these follow others; not succeeded: {figures or 'none'}",
    )
    result.find("P29", f"{store}: follow-ups, none of a run that did not succeed", follows, counted["made up"])
    result.find("P29", f"{store}: occurrences, none succeeded twice", len(succeeded), counted["doubled"])
    result.find("P29", f"{store}: runs, with a result if they succeeded", len(told), counted["result"])


def misled(told: Iterable[Told], living: Mapping[str, str]) -> Iterator[Violation]:
    """Compare the jobs that follow with those that must."""
    made = {job for job, group in living.items() if group == FOLLOWS}
    made |= {row.job for row in told if row.group == FOLLOWS}
    times = Counter((row.occurrence, row.group) for row in told if row.outcome == "succeeded")
    wanted: set[str] = set()
    for (occurrence, group), number in times.items():
        if number > 1:
            yield Violation("doubled", occurrence, f"succeeded {number} times")
        ids = ids_of(group, occurrence)
        wanted.update(ids)
        if missing := [job for job in ids if job not in made]:
            yield Violation("missing", occurrence, f"{len(missing)} of {len(ids)} jobs that follow it are not there")
    for job in made - wanted:
        yield Violation("made up", job, "follows no run that succeeded")
    for job in living:
        yield Violation("missing", job, "has not ended")


def unkept(told: Iterable[Told]) -> Iterator[Violation]:
    """Find runs whose result is not what they returned."""
    for row in told:
        right = {"run": row.number, "made": ids_of(row.group, row.occurrence)} if row.outcome == "succeeded" else None
        kept = None if row.result is None else json.loads(row.result)
        if kept != right:
            yield Violation("result", row.job, f"run {row.number} is {row.outcome} and has {row.result}")


def ids_of(group: str, occurrence: str) -> list[str]:
    """Return the ids of the jobs that follow an occurrence, if it succeeds."""
    named = UUID(occurrence)
    return [str(uuid5(named, f"follow-up {number}")) for number in range(number_of_follow_ups(group, named))]
