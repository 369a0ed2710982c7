"""Fuzz services and print what was wrong: ``python -m fuzz``; ``--help`` lists how many and with what."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

import uvloop

from fuzz.document import check
from fuzz.judge import Fault
from fuzz.report import Report
from fuzz.run import fuzz
from fuzz.service import STORES, bugs, serving


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; answer 1 if anything was wrong."""
    asked = _parsed(arguments)
    stores = asked.store or ["sqlite", "postgres"]
    reports = [
        uvloop.run(run(store, asked.requests // len(stores), asked.examples // len(stores), asked.seed))
        for store in stores
    ]
    return any(report.faults for report in reports)


async def run(store: str, requests: int, examples: int, seed: int) -> Report:
    """Fuzz a service on a store of that kind, and print what came of it."""
    async with serving(store) as service:
        before, began = service.life.memory, time.monotonic()
        report = await fuzz(service, requests, seed)
        seconds, after = time.monotonic() - began, service.life.memory
        print(f"\n{store}, seed {seed}: {requests:,} requests in {seconds:.0f} s")
        if examples:
            sent = await asyncio.to_thread(check, service, examples, seed, report)
            print(f"  and {sent:,} examples in {time.monotonic() - began - seconds:.0f} s")
        memory = [f"{size >> 20} MiB" for size in (before, after, service.life.memory)]
        print(f"  memory of the service before, after the requests, and in the end: {', '.join(memory)}")
        report.blame(bugs(service))
        report.blame([] if service.life.alive else [Fault("the service has ended", "the service", "")])
    print(*report.lines(), sep="\n", flush=True)
    return report


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make fuzz ARGS=", description="Send hostile requests, and judge each answer."
    )
    parser.add_argument("--requests", type=int, default=100_000, help="how many of our own (%(default)s)")
    parser.add_argument("--examples", type=int, default=2000, help="how many by schemathesis (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what chance is drawn from (%(default)s)")
    parser.add_argument(
        "--store", action="append", choices=STORES, help="on which store; sqlite and postgres, half each"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
