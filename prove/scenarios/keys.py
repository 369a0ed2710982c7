"""Keys: many clients at once create, keep, replace and delete jobs of few keys, on each store.

What is known of a job is when clients sent and when they were answered, and when its run ended. So each job has a time
for which it was surely not done; those of two jobs of one key must not overlap.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from prove import ledger, record
from prove.checker import NEVER, Violation
from prove.client import Address, Client
from prove.fleet import Fleet
from prove.result import Result
from prove.trial import soon
from tests.postgres import PostgresServer, temporary_database

JOBS = "/api/schedulers/prove/sleep/jobs"
CONFLICTS = ("reject", "keep", "replace")
STORES = {"memory": 1, "SQLite": 1, "PostgreSQL": 2}
"""The stores, and how many nodes share each of them."""
AT_ONCE, DELETED, FOLLOWED = 0.1, 0.1, 0.1
"""How many jobs are due at once, are deleted by who made or met them, and are looked for at the address told."""
TOMORROW = 86_400.0
TAKES = 0.02
"""Seconds that a job takes."""


@dataclass(frozen=True)
class Size:
    """How many clients send how many creates, over how many keys."""

    clients: int
    creates: int
    keys: int
    stores: tuple[str, ...] = tuple(STORES)


FULL = Size(clients=64, creates=50_000, keys=5_000)
QUICK = Size(clients=64, creates=600, keys=60)


class Deed(NamedTuple):
    """A create, and what its client was told: the status, the error's code, and the job that was made or met."""

    number: int
    key: str
    conflict: str
    sent: float
    answered: float
    status: int
    code: str | None
    job: str | None
    address: str | None


class Stay(NamedTuple):
    """A job: from when to when it may have been there and not done, and from when to when it surely was."""

    key: str
    made: float
    known: float
    until: float
    gone: float


async def keys(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it on each store."""
    result = Result(
        "keys", seed, f"{size.clients} clients, {size.creates:,} creates over {size.keys:,} keys on each store"
    )
    begun = record.boot()
    for store in size.stores:
        with ExitStack() as stack:
            await _try(result, server, store, stack, size)
    result.seconds = round(record.boot() - begun, 1)
    return result


async def _try(result: Result, server: PostgresServer, store: str, stack: ExitStack, size: Size) -> None:
    """Start nodes on a store, and let the clients loose on them."""
    home = Path(tempfile.mkdtemp(prefix="mainspring-keys-"))
    stack.callback(shutil.rmtree, home)
    url = {"memory": "memory:", "SQLite": f"sqlite:///{home}/jobs.db"}.get(store)
    if url is None:
        url = stack.enter_context(temporary_database(server.url()))
        ledger.rebuild_schema(url)
    fleet = Fleet(url, home)
    try:
        for life in [fleet.start() for _ in range(STORES[store])]:
            if not await life.wait_for("node started"):
                raise RuntimeError(f"it did not start: {life.log()[-3:]}")
        addresses = fleet.addresses()  # asked once: each time all that the nodes have logged is gone through
        client = Client(lambda: addresses, home / "client.jsonl", seed=result.seed)
        stack.callback(client.close)
        await _Crowd(result, client, size, Random(result.seed), store).last(fleet.record)
    finally:
        await fleet.close()


class _Crowd:
    """The clients of one store, and what they were told."""

    def __init__(self, result: Result, client: Client, size: Size, random: Random, store: str) -> None:
        self._result = result
        self._client = client
        self._size = size
        self._random = random
        self._store = store
        self._deeds: list[Deed] = []
        self._deleted: dict[str, tuple[float, float]] = {}
        """When the deletion of a job was sent and answered."""
        self._followed: list[tuple[Deed, int, str | None]] = []
        """Refused creates, and the status and the key that were found at the address that was told."""

    async def last(self, marks: Path) -> None:
        """Create all jobs, the last for each key once, and judge."""
        size, random = self._size, self._random
        used = [f"k{number}" for number in range(size.keys)]
        names = used + random.choices(used, k=size.creates - 2 * size.keys)
        random.shuffle(names)
        await self._all(names, last=False)
        quiet = f"{JOBS}?limit=1&to={soon(3600).replace('+', '%2B')}"
        while (await self._client.send("GET", quiet)).body != []:
            await asyncio.sleep(0.1)
        random.shuffle(used)
        first = len(self._deeds)
        await self._all(used, last=True)
        living = await asyncio.to_thread(_living, self._client.targets[0])
        ends = {mark.job: mark.boot for mark in record.read(marks) if mark.what == "end"}
        self._judge(ends, living, {deed.key: deed.job for deed in self._deeds[first:]})

    async def _all(self, names: Sequence[str], *, last: bool) -> None:
        """Have the clients create jobs of these keys, one after the other each."""
        begin = len(self._deeds)
        waiting = enumerate(names, begin)

        async def client() -> None:
            for number, key in waiting:
                await self._create(number, key, last=last)

        await asyncio.gather(*(client() for _ in range(self._size.clients)))

    async def _create(self, number: int, key: str, *, last: bool) -> None:
        chance = self._random
        conflict = "keep" if last else chance.choice(CONFLICTS)
        when = 0 if not last and chance.random() < AT_ONCE else TOMORROW
        options = {"key": key, "onConflict": conflict, "tags": [f"n{number}"]}
        answer = await self._client.send("POST", JOBS, {"when": soon(when), "seconds": TAKES, "options": options})
        body, is_taken = answer.body if isinstance(answer.body, dict) else {}, answer.verdict == "ok"
        met = body if is_taken else body.get("job", {})
        address = f"{JOBS}/{body.get('id')}" if is_taken else met.get("href")
        deed = Deed(
            number,
            key,
            conflict,
            answer.at,
            answer.at + answer.seconds,
            answer.status,
            None if is_taken else body.get("id"),
            met.get("id"),
            address,
        )
        self._deeds.append(deed)
        if deed.status == 409 and deed.address and chance.random() < FOLLOWED:
            found = await self._client.send("GET", deed.address)
            self._followed.append((deed, found.status, found.body["options"]["key"] if found.status == 200 else None))
        elif deed.job and not last and chance.random() < DELETED:
            gone = await self._client.send("DELETE", f"{JOBS}/{deed.job}")
            if gone.verdict == "ok":
                self._deleted[deed.job] = (gone.at, gone.at + gone.seconds)

    def _judge(
        self, ends: Mapping[str, float], living: Sequence[Mapping[str, Any]], last: Mapping[str, str | None]
    ) -> None:
        result, deeds, store = self._result, self._deeds, self._store
        stays = stays_of(deeds, self._deleted, ends)
        wrong = [*doubled(stays), *untold(deeds, stays), *self._astray(), *unlike(living, last, deeds)]
        for rule, subject, detail in wrong:
            result.blame(rule, f"{store}: {subject}", detail)
        failed = Counter(violation.rule for violation in wrong)
        told = Counter(f"{deed.status}{f' {deed.code}' if deed.code else ''}" for deed in deeds)
        figures = ", ".join(f"{name}: {times:,}" for name, times in sorted(told.items()))
        ended = len(self._deleted) + sum(job in ends for job in stays)
        pairs = Counter(stay.key for stay in stays.values())
        result.find(
            "P26",
            f"{store}: jobs, no two of a key at once",
            len(stays),
            failed["P26 one"],
            f"{ended:,} ended meanwhile; at most {max(pairs.values())} of a key",
        )
        result.find("P26", f"{store}: creates, each told what became of it", len(deeds), failed["P26 told"], figures)
        result.find(
            "P26",
            f"{store}: addresses of others, followed at once",
            len(self._followed),
            failed["P26 address"],
            f"{sum(status == 404 for _, status, _ in self._followed)} were deleted meanwhile",
        )
        result.find("P26", f"{store}: keys, in the end one job each", len(last), failed["P26 end"])

    def _astray(self) -> Iterator[Violation]:
        """Find addresses at which the other job is not; one that was deleted may be gone."""
        for deed, status, key in self._followed:
            if key != deed.key and not (status == 404 and deed.job in self._deleted):
                yield Violation("P26 address", f"create {deed.number}", f"{status}, {key} at {deed.address}")


def stays_of(
    deeds: Iterable[Deed], deleted: Mapping[str, tuple[float, float]], ends: Mapping[str, float]
) -> dict[str, Stay]:
    """Return all jobs that were created. One that has run counts as gone at an unknown time after its end."""
    stays = {}
    for deed in deeds:
        if deed.status == 201 and deed.job:
            asked, gone = deleted.get(deed.job, (NEVER, NEVER))
            until = min(asked, ends.get(deed.job, NEVER))
            stays[deed.job] = Stay(deed.key, deed.sent, deed.answered, until, gone)
    return stays


def doubled(stays: Mapping[str, Stay]) -> Iterator[Violation]:
    """Find keys of which two jobs were there at one moment, whenever in its time each of them was made."""
    of_key: dict[str, list[tuple[str, Stay]]] = defaultdict(list)
    for job, stay in stays.items():
        of_key[stay.key].append((job, stay))
    for key, found in of_key.items():
        for (job, one), (rival, other) in combinations(found, 2):
            if one.known < other.until and other.known < one.until:
                yield Violation("P26 one", key, f"{job} from {one.known:.4f} on and {rival} from {other.known:.4f} on")


def untold(deeds: Iterable[Deed], stays: Mapping[str, Stay]) -> Iterator[Violation]:
    """Find creates that had another answer than they may have, or were told of a job that was not there."""
    for deed in deeds:
        met = stays.get(deed.job or "")
        refused = {"reject": "KEY_TAKEN", "replace": "JOB_RUNNING"}.get(deed.conflict)
        if deed.status == 200 and deed.conflict == "reject":
            detail = "was told of another job as if it had asked for that"
        elif deed.status not in {200, 201} and (deed.status, deed.code) != (409, refused):
            detail = f"was answered with {deed.status} {deed.code}"
        elif met is None:
            detail = f"was told of a job that nobody made: {deed.job}"
        elif met.key != deed.key or deed.address != f"{JOBS}/{deed.job}":
            detail = f"was told of {deed.job} of {met.key}, at {deed.address}"
        elif not (met.made <= deed.answered and deed.sent <= met.gone):
            detail = f"was told of {deed.job}, which was not there"
        else:
            continue
        yield Violation("P26 told", f"create {deed.number} ({deed.conflict}) of {deed.key}", detail)


def unlike(
    living: Iterable[Mapping[str, Any]], last: Mapping[str, str | None], deeds: Iterable[Deed]
) -> Iterator[Violation]:
    """Find keys that have not just the job that the last create of the key was told of, with what was written last."""
    of_key: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for job in living:
        of_key[job["options"]["key"]].append(job)
    written: dict[str, dict[int, Deed]] = defaultdict(dict)
    for deed in deeds:
        if deed.job and (deed.status == 201 or (deed.status == 200 and deed.conflict == "replace")):
            written[deed.job][deed.number] = deed
    for key in last.keys() | of_key.keys():
        jobs = of_key[key]
        if [job["id"] for job in jobs] != [last.get(key)]:
            yield Violation("P26 end", key, f"has the jobs {[job['id'] for job in jobs]}, not {last.get(key)}")
            continue
        number = int(jobs[0]["options"]["tags"][0][1:])
        by = written[jobs[0]["id"]]
        later = [deed.number for deed in by.values() if number in by and deed.sent > by[number].answered]
        if number not in by or later:
            yield Violation("P26 end", key, f"is what create {number} wrote; after it wrote {later}")


def _living(address: Address) -> list[dict[str, Any]]:
    """Return all jobs of the group that are not done."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request("GET", JOBS)
        found: list[dict[str, Any]] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()
