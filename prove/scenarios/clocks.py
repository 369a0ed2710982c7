"""Wrong clocks: nodes whose wall clock is up to a day off, by libfaketime; the store's clock alone may count."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

from prove import ledger
from prove.client import at_rate
from prove.figures import summary
from prove.record import boot
from prove.result import Result
from prove.trial import Trial, soon, trial
from tests.postgres import PostgresServer

LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")
LEASE = 10.0


@dataclass(frozen=True)
class Size:
    """By how much each node's clock is off, in seconds, and how many jobs over how many seconds."""

    off: tuple[int, ...]
    jobs: int
    over: float


FULL = Size(off=(1, -1, 60, -3600, 86400, -86400), jobs=3000, over=40)
QUICK = Size(off=(3600, -3600), jobs=100, over=3)


def library() -> Path | None:
    """Return libfaketime, if this machine has it."""
    found = (path for pattern in LIBRARIES for path in Path("/").glob(pattern.lstrip("/")))
    return next(found, None)


async def clocks(server: PostgresServer, seed: int, size: Size) -> Result:
    """Run it, or say why not."""
    result = Result("clocks", seed, f"{len(size.off)} nodes, off by {', '.join(f'{off:+d} s' for off in size.off)}")
    preload = library()
    if preload is None:
        result.notes.append("skipped: there is no libfaketime on this machine (Debian: apt-get install faketime)")
        return result
    async with trial(result, server, lease=LEASE) as lent:
        lent.keep("plan", asdict(size))
        for off in size.off:
            # CLOCK_BOOTTIME stays true as well: it is what leases and this proof go by.
            environ = {"LD_PRELOAD": str(preload), "FAKETIME": f"{off:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            await lent.start(1, environ=environ)
        lent.filled |= ledger.fill(lent.url, group="noop", jobs=size.jobs, after=1, over=size.over)
        over_at = boot() + size.over
        await at_rate(20, partial(_create, lent, Random(seed)), lambda _: boot() < over_at)
        story = await lent.rest(60)
        lent.report_basics(story)
        late = [
            mark.boot + story.wall_offset - row.due
            for mark in story.starts
            if (row := story.rows.get(mark.run)) is not None
        ]
        skew = {mark.pid: mark.wall - mark.boot - story.wall_offset for mark in story.starts}
        off_by = ", ".join(f"{seconds:+.0f} s" for seconds in skew.values())
        result.find(
            "P9",
            "starts on nodes with wrong clocks, none early",
            len(late),
            result.count("P9"),
            f"late: {summary(late)}; off by {off_by}",
        )
        buried = sum(len(life.said("node lost")) for life in lent.fleet.lives)
        if buried:
            result.blame("P9", "clocks", f"{buried} nodes were taken for dead")
    return result


async def _create(lent: Trial, random: Random, _number: int) -> None:
    await lent.client.create("noop", when=soon(random.uniform(0, 2)))
