"""Downtime: thousands of recurring jobs whose only node is away for six hours; no occurrence may be unaccounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from random import Random
from typing import Any
from uuid import UUID

from mainspring.clock import ManualClock
from mainspring.errors import InvalidRequestError
from mainspring.job import Job, Outcome, Run, State
from mainspring.schedule import Recurring, format_time
from mainspring.schedule.trigger import MisfirePolicy
from mainspring.store import Store
from mainspring.store.notes import CALENDARS
from mainspring.store.postgres.schema import rebuild_schema
from mainspring.store.postgres.store import PostgresStore
from mainspring.store.sqlite.store import SqliteStore
from prove import record
from prove.result import Result
from prove.virtual import KEY, VirtualScheduler
from tests.postgres import PostgresServer, temporary_database

CREATED = datetime(2027, 3, 13, 20, tzinfo=UTC)
"""On the next morning, in the downtime, the clocks of North America change; two weeks later those of Europe."""
DOWN, UP, END = (CREATED + timedelta(hours=hours) for hours in (1, 7, 9))
CAP = 12
SPACING = timedelta(minutes=2)
MISFIRES: dict[MisfirePolicy, Any] = {
    MisfirePolicy.FIRE_NOW: "fireNow",
    MisfirePolicy.SKIP: "skip",
    MisfirePolicy.FIRE_ALL: {"policy": "fireAll", "cap": CAP, "spacing": "PT2M"},
}
_ZONES = ("UTC", "America/New_York", "America/Havana", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu")
_CALENDARS = {
    "lunch": {"weekly": [{"days": ["SA", "SU"], "start": "01:15", "end": "02:45"}]},
    "sunday": {"dates": ["2027-03-14"], "timeZone": "America/New_York"},
}
_EVERY = ("PT1M", "PT5M", "PT7M", "PT10M", "PT15M", "PT20M", "PT30M", "PT45M", "PT1H", "PT1H", "PT1H", "PT1H")
_CRON = (
    "*/10 * * * *",
    "H/30 * * * *",
    "H * * * *",
    "5,35 * * * *",
    "30 1-4 * * *",
    "0 H * * *",
    "15 0 2 * * *",
    "@hourly",
)
_RRULE = ("FREQ=MINUTELY;INTERVAL=15", "FREQ=HOURLY;BYMINUTE=5,50", "FREQ=DAILY;BYHOUR=2;BYMINUTE=30")


@dataclass(frozen=True)
class Size:
    """How many jobs for each misfire policy in memory, and whether the last of them is tried on PostgreSQL as well."""

    jobs: int
    postgres: bool


FULL = Size(jobs=10_000, postgres=True)
QUICK = Size(jobs=70, postgres=False)


async def downtime(server: PostgresServer | None, seed: int, size: Size) -> Result:
    """Run it: an hour of life, six of downtime, two more of life, for each policy; then read all of history."""
    result = Result("downtime", seed, f"{size.jobs:,} recurring jobs for each misfire policy, 6 h away")
    begun = record.boot()
    trials = [("memory", policy) for policy in MISFIRES]
    for kind, policy in [*trials, ("PostgreSQL", MisfirePolicy.FIRE_ALL)] if size.postgres else trials:
        clock = ManualClock(CREATED, seed=seed)
        async with _store(kind, server, clock) as store:
            await _try(result, VirtualScheduler(store, clock), policy, Random(seed), size.jobs, kind)
    result.seconds = round(record.boot() - begun, 1)
    return result


@asynccontextmanager
async def _store(kind: str, server: PostgresServer | None, clock: ManualClock) -> AsyncIterator[Store]:
    if server is None or kind == "memory":
        store: Store = SqliteStore(None, clock)
        await store.open()
        yield store
        await store.close()
        return
    with temporary_database(server.url()) as url:
        rebuild_schema(url)
        store = PostgresStore(url, clock)
        await store.open()
        yield store
        await store.close()


async def _try(
    result: Result, world: VirtualScheduler, policy: MisfirePolicy, chance: Random, jobs: int, kind: str
) -> None:
    for name, calendar in _CALENDARS.items():
        await world.store.note(CALENDARS, name, calendar)
    ids = await _create(world, chance, policy, jobs)
    async with world.node() as node:
        await world.run_until(node, DOWN, including=False)
    world.clock.set(UP)
    async with world.node() as node:
        await world.run_until(node, END)
    rows = await world.history()
    seen = Counter[str]()
    of_job = {job_id: [*of] for job_id, of in groupby(sorted(rows, key=lambda row: row.job_id), lambda row: row.job_id)}
    for job_id in ids:
        job = await world.service.get_job(KEY, job_id)
        for rule, detail in _wrong(job, of_job.get(job_id, []), seen):
            result.blame(rule, f"{policy} on {kind}", f"{detail}; {job.request['schedule']}")
    subject = f"{policy} on {kind}"
    wrong = sum(violation.subject == subject and violation.rule == "P8" for violation in result.violations)
    unrun = f"{seen['skipped']:,} skipped, {seen['coalesced']:,} coalesced"
    figures = f"{seen['ran']:,} ran, {seen['late']:,} of them late; {unrun}"
    result.find(
        "P8",
        f"{subject}: occurrences, each once in history",
        seen.total() - seen["late"] - seen["gaps"],
        wrong,
        figures,
    )
    if policy is MisfirePolicy.FIRE_ALL:
        paced = sum(violation.subject == subject and violation.rule == "pace" for violation in result.violations)
        result.find("P8", f"{subject}: starts of catch-up, {SPACING} apart", seen["gaps"], paced)


async def _create(world: VirtualScheduler, chance: Random, policy: MisfirePolicy, jobs: int) -> list[UUID]:
    """Create jobs, but for those whose schedules end before they begin."""
    ids: list[UUID] = []
    while len(ids) < jobs:
        with suppress(InvalidRequestError):
            ids.append((await world.service.create_job(KEY, {"schedule": _drawn(chance, policy)})).id)
    return ids


def _drawn(chance: Random, policy: MisfirePolicy) -> dict[str, Any]:
    """Draw a schedule that fires from once a minute to once a day."""
    kind, of = chance.choice([("every", _EVERY), ("cron", _CRON), ("rrule", _RRULE)])
    drawn = {kind: chance.choice(of), "timeZone": chance.choice(_ZONES), "misfire": MISFIRES[policy]}
    drawn["start"] = format_time(CREATED + timedelta(seconds=chance.randrange(600)))
    drawn |= chance.choice([{}, {}, {"window": "PT20M"}, {"jitter": "PT5M"}])
    drawn |= chance.choice([{}, {}, {"grace": "PT45M"}, {"grace": "PT3H"}])
    drawn |= chance.choice([{}, {}, {}, {"count": 20}, {"end": format_time(UP - timedelta(hours=2))}])
    drawn |= chance.choice([{}, {}, {"calendar": chance.choice(sorted(_CALENDARS))}])
    if "calendar" in drawn and chance.random() < 0.5:
        drawn["calendar"] = {"name": drawn["calendar"], "blackout": "postpone"}
    return drawn


def _wrong(job: Job, rows: list[Run], seen: Counter[str]) -> Iterator[tuple[str, str]]:
    """Compare what history has of a job with the fire times of its schedule up to the one that it waits for."""
    trigger = job.trigger
    assert isinstance(trigger, Recurring)
    told: Counter[datetime] = Counter()
    ran = [row for row in rows if row.outcome is Outcome.SUCCEEDED]
    for row in rows:
        match row.outcome:
            case Outcome.SUCCEEDED:
                told[row.fire_time] += 1
            case Outcome.SKIPPED:
                times = [*trigger.fire_times(row.fire_time, row.last_fire_time or row.fire_time)]
                told.update(times)
                seen["coalesced" if (row.reason or "").startswith("coalesced: ") else "skipped"] += len(times)
                if len(times) != row.occurrences or not row.reason:
                    yield "P8", f"a row says {row.occurrences} for {len(times)}: {row.reason}"
            case Outcome.POSTPONED:
                pass
            case _:
                yield "P8", f"a run is {row.outcome}: {row.reason}"
    seen["ran"] += len(ran)
    until = trigger.last(CREATED, END + timedelta(days=40)) if job.state is State.DONE else job.fire_time
    pending = set() if job.state is State.DONE else {job.fire_time}
    expected = {*trigger.fire_times(CREATED, until or CREATED)} - pending
    if missing := expected - told.keys():
        yield "P8", f"{len(missing)} are not accounted for, from {min(missing)}"
    if others := told.keys() - expected:
        yield "P8", f"{len(others)} are in history and no occurrences that are over, from {min(others)}"
    if twice := [moment for moment, times in told.items() if times > 1]:
        yield "P8", f"{len(twice)} are in history twice, from {min(twice)}"
    if job.state is not State.DONE and job.due_at <= END:
        yield "P8", f"waits although it was due at {job.due_at}"
    yield from _unruly(job.id, trigger, ran, seen)


def _unruly(job_id: UUID, trigger: Recurring, ran: list[Run], seen: Counter[str]) -> Iterator[tuple[str, str]]:
    """Find what starts early, later than its grace, too close to the start before, or beyond the cap."""
    ran.sort(key=lambda row: row.started_at)
    seen["late"] += sum(row.started_at > row.due_at for row in ran)
    if early := [row for row in ran if row.started_at < row.due_at or row.due_at < row.fire_time]:
        yield "P8", f"{len(early)} started early, the first at {early[0].started_at}"
    if trigger.latest is not None and any(row.started_at - row.due_at > trigger.latest for row in ran):
        yield "P8", "one started later than its grace"
    if trigger.misfire.policy is not MisfirePolicy.FIRE_ALL:
        return
    caught_up = {row.number for row in ran if trigger.due_at(row.fire_time, job_id) < UP <= row.started_at}
    for before, row in pairwise(ran):
        seen["gaps"] += row.number in caught_up
        if row.number in caught_up and row.started_at - before.started_at < SPACING:
            yield "pace", f"{row.started_at - before.started_at} between two starts of catch-up, for {row.fire_time}"
    sure = UP - (trigger.due_at(CREATED, job_id) - CREATED) - trigger.jitter
    if (number := sum(row.number in caught_up and row.fire_time <= sure for row in ran)) > CAP:
        yield "pace", f"{number} were caught up with"
