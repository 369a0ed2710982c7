"""Events: readers that break off and come back, while nodes are killed wherever a run is claimed or written.

On PostgreSQL all nodes but one die again and again, on SQLite it is one process, which begins anew each time. In the
end each reader must have been told, once and in order, all that history, the jobs and the answers to the client say.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random

from mainspring.client import Event
from prove import ledger, record
from prove.checker import Violation
from prove.client import Client, at_rate
from prove.fleet import Fleet, until
from prove.leads import LEADS, NAME
from prove.ledger import Told
from prove.nemesis import Fate, Nemesis
from prove.reader import Reader
from prove.result import Result
from prove.scenarios.followups import Kills, Size, plan
from prove.trial import soon, trial
from tests.postgres import PostgresServer

OPTIONS = ("--plugin", NAME)
PATHS = {
    "all": "/api/schedulers/events",
    "all, too": "/api/schedulers/events",
    "leads": f"/api/schedulers/prove/{LEADS[0]}/events",
    "ends": "/api/schedulers/prove/events?type=run.ended,job.deleted",
}
"""What each reader follows."""
STAY = 4.0
"""Up to how many seconds a reader stays on a connection."""
QUIET = 3.0
"""For how many seconds nothing comes to a reader that has all."""
DELETED = 0.1
"""The share of jobs that are deleted soon after."""
RAN = frozenset({"succeeded", "failed", "vetoed", "postponed", "interrupted", "timed_out", "lost"})
"""The outcomes of runs that had begun."""

Fact = tuple[int | None, str, str | None]
"""The end of a run: its number, its job and its outcome."""
FULL = Size(places=4, kills=Kills(17, 47), sqlite_kills=Kills(4, 4), rate=10, leads=500)
QUICK = Size(
    places=2,
    kills=Kills(1, points=("finish.sent",)),
    sqlite_kills=Kills(1, points=("finish.sent",)),
    rate=20,
    leads=20,
    turns=3,
)


async def events(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it on each store."""
    deaths = {
        "PostgreSQL": plan(Random(seed), size, size.kills),
        "SQLite": plan(Random(seed), size, size.sqlite_kills),
    }
    many = ", ".join(f"{len(deaths[store])} kills on {store}" for store in size.stores)
    result = Result("events", seed, f"{size.places} nodes on PostgreSQL, one on SQLite; {many}")
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


async def _postgres(result: Result, server: PostgresServer, size: Size, deaths: Sequence[Fate]) -> None:
    async with trial(result, server, lease=size.lease, options=OPTIONS) as lent:
        lent.keep("plan", {"size": asdict(size), "fates": deaths})
        await lent.start(1)  # it is spared, so that somebody is there who finds what the dead leave
        nemesis, readers = await _hurt(lent.fleet, lent.client, Random(result.seed), size, size.places - 1, deaths)
        await lent.settle(120)
        await asyncio.gather(*(reader.finish(QUIET) for reader in readers))
        told, living = await asyncio.to_thread(ledger.tell, lent.url)
        lent.report_basics(await lent.rest(120))
        report(result, "PostgreSQL", told, living.keys(), lent.client, readers, nemesis)


async def _sqlite(result: Result, size: Size, deaths: Sequence[Fate]) -> None:
    home = Path(tempfile.mkdtemp(prefix="mainspring-events-"))
    url = f"sqlite:///{home}/jobs.db"
    fleet = Fleet(url, home, "--lease", f"PT{size.lease:g}S", *OPTIONS)
    client = Client(fleet.addresses, home / "client.jsonl", seed=result.seed)
    try:
        nemesis, readers = await _hurt(fleet, client, Random(result.seed), size, 1, deaths)
        deadline = record.boot() + 120
        while (await asyncio.to_thread(ledger.tell, url))[1] and record.boot() < deadline:
            await asyncio.sleep(0.2)
        await asyncio.gather(*(reader.finish(QUIET) for reader in readers))
        told, living = await asyncio.to_thread(ledger.tell, url)
        report(result, "SQLite", told, living.keys(), client, readers, nemesis)
    finally:
        await fleet.close()
        client.close()
        shutil.rmtree(home)


async def _hurt(
    fleet: Fleet, client: Client, random: Random, size: Size, places: int, deaths: Sequence[Fate]
) -> tuple[Nemesis, list[Reader]]:
    """Have jobs created and some deleted until all have died; return who died where, and who has read meanwhile."""
    nemesis = Nemesis(fleet)
    readers = [Reader(name, path, fleet.addresses, f"{random.random()} {name}", STAY) for name, path in PATHS.items()]
    accepted = 0

    async def create(_number: int) -> None:
        group = random.choice(LEADS)
        is_deleted = random.random() < DELETED
        when = soon(60 if is_deleted else 0)
        answer = await client.create(group, seconds=round(random.uniform(0, 0.1), 3), when=when)
        nonlocal accepted
        accepted += answer.status == 201
        if is_deleted and answer.status == 201:
            await client.delete(group, answer.body["id"])

    reading = [asyncio.create_task(reader.read()) for reader in readers]
    try:
        async with asyncio.TaskGroup() as tasks:
            ends = [tasks.create_task(nemesis.rule(deaths[place::places])) for place in range(places)]
            await until(fleet.addresses)
            await at_rate(size.rate, create, lambda _: accepted < size.leads or not all(task.done() for task in ends))
    finally:
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)
    return nemesis, readers


def report(
    result: Result,
    store: str,
    told: Sequence[Told],
    living: Iterable[str],
    client: Client,
    readers: Sequence[Reader],
    nemesis: Nemesis,
) -> None:
    """Judge each reader, and say how often who was broken off."""
    everything, other, leads, ends = readers
    gone, perhaps = client.deleted("ok"), client.deleted("info")
    wrong = [*(Violation("order", event, f"{each.name}: {what}") for each in readers for event, what in each.wrong)]
    facts = [*misled(everything.events, told, living, client.acked, gone, perhaps)]
    same = [
        *differing("all, too", other.events, everything.events),
        *differing("leads", leads.events, [event for event in everything.events if event.job_group == LEADS[0]]),
        *differing(
            "ends",
            ends.events,
            [event for event in everything.events if event.type in {"run.ended", "job.deleted"}],
        ),
    ]
    for rule, subject, detail in [*wrong, *facts, *same]:
        result.blame("P30", subject, f"{store}: {rule}: {detail}")
    kinds = Counter(event.type for event in everything.events)
    result.find(
        "P30",
        f"{store}: events, each in its order, and again only to whoever went back",
        sum(len(reader.events) for reader in readers),
        len(wrong),
        f"{sum(reader.again for reader in readers):,} came again to readers that went back",
    )
    figures = ", ".join(f"{kind} {number:,}" for kind, number in kinds.most_common())
    result.find("P30", f"{store}: facts, each told once", len(everything.events), len(facts), figures)
    result.find(
        "P30", f"{store}: events of other readers, the same", sum(len(r.events) for r in readers[1:]), len(same)
    )
    result.notes.append(
        f"{store}: {nemesis.killed} processes died; readers broke off {sum(reader.cuts for reader in readers)} times, "
        f"and {sum(reader.breaks for reader in readers)} times a connection broke or could not be made"
    )


def misled(
    events: Sequence[Event],
    told: Iterable[Told],
    living: Iterable[str],
    accepted: Iterable[str],
    deleted: Iterable[str],
    perhaps_deleted: Iterable[str],
) -> Iterator[Violation]:
    """Compare what a reader of everything got with what is known: history, jobs, and what a client was told."""
    gone = {*deleted, *perhaps_deleted}
    rows: Counter[Fact] = Counter((row.number, row.job, row.outcome) for row in told)
    ends: Counter[Fact] = Counter(
        (event.run, event.data["jobId"], event.outcome) for event in events if event.type == "run.ended"
    )
    yield from _compared("run.ended", rows, Counter({fact: n for fact, n in ends.items() if fact[1] not in gone}), gone)
    begun = Counter(event.run for event in events if event.type == "run.started")
    for row in told:
        if row.outcome in RAN and begun[row.number] != 1:
            yield Violation("run.started", row.job, f"run {row.number} is told {begun[row.number]} times")
    made = Counter(str(event.data["jobId"]) for event in events if event.type == "job.created")
    jobs = {*living, *accepted, *(row.job for row in told)}
    for job in jobs | made.keys():
        if made[job] != 1 or job not in jobs | gone:
            yield Violation("job.created", job, f"is told {made[job]} times; is {'' if job in jobs else 'not '}known")
    ended = Counter(str(event.data["jobId"]) for event in events if event.type == "job.deleted")
    for job in {*deleted} | ended.keys():
        if ended[job] != 1 or job not in gone:
            yield Violation(
                "job.deleted", job, f"is told {ended[job]} times; was {'' if job in gone else 'not '}asked for"
            )


def _compared(
    kind: str, known: Mapping[Fact, int], told: Mapping[Fact, int], gone: Collection[str]
) -> Iterator[Violation]:
    for fact in {*known, *told}:
        number, job, outcome = fact
        times = told.get(fact, 0), known.get(fact, 0)
        if job not in gone and times[0] != times[1]:
            yield Violation(kind, job, f"run {number}, {outcome}, is told {times[0]} times, history has it {times[1]}")


def differing(name: str, events: Sequence[Event], wanted: Sequence[Event]) -> Iterator[Violation]:
    """Find what a reader got that another did not, or the other way round. Nodes come and go at the end."""
    got, want = ({event.id for event in each if not event.type.startswith("node.")} for each in (events, wanted))
    for event in sorted(got ^ want):
        yield Violation("the same", event, f"{name} {'got' if event in got else 'did not get'} it")
