"""Limits: nodes that share a few places, of a group and of each key, killed and stopped again and again; and a rate.

What ran at once is told by the jobs themselves. A run whose node died counts until its process was gone; one whose node
was stopped until the store gave it up: what goes on then is a zombie, which the store refuses.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import NamedTuple

from prove.checker import Story
from prove.fleet import until
from prove.nemesis import Nemesis, fates
from prove.result import Result
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer

PATH = "/api/schedulers/prove/sleep"
PLACES, OF_KEY, KEYS = 7, 3, 3
"""How many jobs run at once, how many of one key, and how many keys there are."""
RATE = 50
"""How many jobs begin in a second."""
BATCH = 1000


@dataclass(frozen=True)
class Size:
    """How many nodes and jobs, how long each takes, how often nodes are killed and stopped, for how long a rate."""

    places: int
    jobs: int
    seconds: float
    kills: int
    stops: int
    rated: float
    used: tuple[float, float] = (0.95, 0.98)
    """What part of the places and of the rate is to be used; what a busy machine takes away is no fault."""
    jitter: float = 0.0
    """How many seconds late a busy machine may begin a job whose moment has come."""
    lease: float = 2.0


FULL = Size(places=4, jobs=20_000, seconds=0.25, kills=40, stops=10, rated=60)
QUICK = Size(places=2, jobs=120, seconds=0.25, kills=1, stops=1, rated=4, used=(0.0, 0.0), jitter=0.5)


class Stay(NamedTuple):
    """A run: its key, when it began and ended, and until when the store held its place."""

    key: str
    begun: float
    ended: float
    held: float


async def limits(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it."""
    result = Result("limits", seed, f"{size.places} nodes, {size.jobs:,} jobs, {size.kills} kills, {size.stops} stops")
    async with trial(result, server, lease=size.lease) as lent:
        await _places(lent, Random(seed), size)
    begun = result.seconds
    async with trial(result, server, lease=size.lease) as lent:
        await _rate(lent, size)
    result.seconds += begun
    return result


async def _places(lent: Trial, random: Random, size: Size) -> None:
    """Have many jobs share few places while nodes die."""
    lasting = size.jobs * size.seconds / PLACES
    plan = fates(random, size.kills, max(2.0, size.places * lasting / (size.kills + 1) - 2))
    lent.keep("plan", {"size": asdict(size), "fates": plan})
    (first,) = await lent.start(1)
    await lent.client.send(
        "PUT", f"{PATH}/limits", {"concurrency": [{"limit": PLACES}, {"limit": OF_KEY, "by": "key"}]}
    )
    keys = await _create(lent, size)
    nemesis = Nemesis(lent.fleet)
    async with asyncio.TaskGroup() as tasks:
        for place in range(size.places - 1):
            tasks.create_task(nemesis.rule(plan[place :: size.places - 1]))
        tasks.create_task(_stop(lent, random, size, lasting))
    story = await lent.rest(lasting * 2 + 60)
    lent.report_basics(story)
    _report(lent.result, story, keys, size.used[0])
    lent.result.notes.append(f"{nemesis.killed} processes died; {first.name} was spared, but for stops")


async def _create(lent: Trial, size: Size) -> dict[str, str]:
    """Create the jobs, and return their keys by their ids."""
    keys: dict[str, str] = {}
    for begin in range(0, size.jobs, BATCH):
        named = [f"k{number % KEYS}" for number in range(begin, min(size.jobs, begin + BATCH))]
        bodies = [{"when": soon(0), "seconds": size.seconds, "options": {"concurrencyKey": key}} for key in named]
        answer = await lent.client.send("POST", f"{PATH}/jobs/batch", bodies)
        if answer.status != 201:
            raise RuntimeError(f"a batch was answered with {answer.status}: {json.dumps(answer.body)[:500]}")
        keys |= dict(zip(answer.body["ids"], named, strict=True))
    return keys


async def _stop(lent: Trial, random: Random, size: Size, lasting: float) -> None:
    """Stop nodes, one at a time, for longer than their lease."""
    for _ in range(size.stops):
        await asyncio.sleep(random.uniform(0.2, 0.6) * max(1.0, lasting / size.stops - size.lease - 1))
        await until(lambda: any(life.ready for life in lent.fleet.lives))
        life = random.choice([life for life in lent.fleet.lives if life.ready])
        life.pause()
        await asyncio.sleep(size.lease + 1)
        if life.alive:
            life.resume()


def _report(result: Result, story: Story, keys: dict[str, str], least: float) -> None:
    stays = _stays(story, keys)
    most, most_of_key = (
        _most(stays),
        max(_most([stay for stay in stays if stay.key == key]) for key in set(keys.values())),
    )
    for what, found, limit in (("at once", most, PLACES), ("at once of one key", most_of_key, OF_KEY)):
        if found > limit:
            result.blame("P24", what, f"{found} ran, the limit is {limit}")
        result.find("P24", f"runs {what}, at most {limit}", len(stays), int(found > limit), f"at most {found}")
    used = _used(stays)
    if used < least:
        result.blame("P24", "places", f"{used:.1%} of them were used")
    result.find("P24", f"places used, ≥ {least:.0%}", len(stays), int(used < least), f"{used:.1%}")


def _stays(story: Story, keys: dict[str, str]) -> list[Stay]:
    """Return all runs that began."""
    given_up = {row.number: row.finished - story.wall_offset for row in story.ledger.runs if row.outcome == "lost"}
    ends = {(mark.run, mark.pid): mark.boot for mark in story.marks if mark.what in {"end", "broke"}}
    stays = []
    for mark in story.marks:
        if mark.what == "start" and mark.job in keys:
            death = story.deaths.get(mark.pid, float("inf"))
            lost = given_up.get(mark.run, float("inf"))
            ended = min(ends.get((mark.run, mark.pid), float("inf")), death, lost)
            stays.append(Stay(keys[mark.job], mark.boot, ended, ended if lost == float("inf") else max(ended, lost)))
    return stays


def _most(stays: Sequence[Stay]) -> int:
    """Return how many ran at once at most."""
    most = now = 0
    for _, change in sorted([(stay.ended, -1) for stay in stays] + [(stay.begun, 1) for stay in stays]):
        now += change
        most = max(most, now)
    return most


def _used(stays: Sequence[Stay]) -> float:
    """Return what part of the places was used or held for the dead, as long as jobs of all keys waited."""
    last = min(max(stay.begun for stay in stays if stay.key == key) for key in {stay.key for stay in stays})
    first = min(stay.begun for stay in stays)
    taken = sum(max(0.0, min(stay.held, last) - stay.begun) for stay in stays)
    return taken / (PLACES * (last - first))


async def _rate(lent: Trial, size: Size) -> None:
    """Have several nodes share a rate."""
    await lent.start(size.places)
    await lent.client.send("PUT", f"{PATH}/limits", {"rates": [{"limit": RATE, "per": "PT1S"}]})
    await _create(lent, Size(0, int(RATE * (size.rated + 1)), 0.0, 0, 0, 0))
    story = await lent.rest(size.rated * 2 + 30)
    begun = sorted(mark.boot for mark in story.marks if mark.what == "start")
    most = max(Counter(_windows(begun, 1 - size.jitter)).values())
    used = (len(begun) - 1) / ((begun[-1] - begun[0]) * RATE)
    if most > RATE + 1:
        lent.result.blame("P24", "rate", f"{most} began within a second, the rate is {RATE}")
    least = size.used[1]
    if used < least:
        lent.result.blame("P24", "rate", f"{used:.1%} of it were used")
    lent.result.find(
        "P24",
        f"starts within any {1 - size.jitter:g} s, at most {RATE + 1}",
        len(begun),
        int(most > RATE + 1),
        f"{most}",
    )
    lent.result.find("P24", f"rate used, ≥ {least:.0%}", len(begun), int(used < least), f"{used:.1%}")


def _windows(begun: Sequence[float], seconds: float) -> list[float]:
    """Return each start as often as there are starts in the stretch that ends with it."""
    found: list[float] = []
    first = 0
    for last, moment in enumerate(begun):
        while begun[first] <= moment - seconds:
            first += 1
        found += [moment] * (last - first + 1)
    return found
