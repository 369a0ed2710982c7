"""Run scenarios and write what they found: ``python -m prove [scenario ...] [--seed N] [--quick]``.

The last result of each scenario in full size is kept in `RESULTS`, and `docs/proof.md` is written from all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from prove.report import page
from prove.result import Result
from prove.scenarios import (
    breaks,
    busy,
    clocks,
    crowd,
    cuts,
    downtime,
    events,
    followups,
    hostile,
    keys,
    limits,
    outage,
    pause,
    poison,
    preview,
    races,
    real,
    rolling,
    shares,
    storm,
    targets,
    zombies,
    zoo,
)
from tests.postgres import PostgresServer

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs/proof.md"
SHOWN = 5
"""How many violations of each rule are printed."""

Scenario = Callable[[PostgresServer, int], Coroutine[Any, Any, Result]]


def scenarios(*, quick: bool) -> dict[str, Scenario]:
    """Return all scenarios by name, in full size or in the quick one, which not all of them have."""
    kinds = outage.QUICK if quick else outage.FULL
    return {
        "storm": partial(storm.storm, size=storm.QUICK if quick else storm.FULL),
        "zombies": partial(zombies.zombies, size=zombies.QUICK if quick else zombies.FULL),
        "breaks": partial(breaks.breaks, size=breaks.QUICK if quick else breaks.FULL),
        **{f"outage-{kind}": partial(outage.outage, size=size, kind=kind) for kind, size in kinds.items()},
        "crowd": partial(crowd.crowd, size=crowd.QUICK if quick else crowd.FULL),
        "rolling": partial(rolling.rolling, size=rolling.QUICK if quick else rolling.FULL),
        "poison": partial(poison.poison, size=poison.QUICK if quick else poison.FULL),
        "once": partial(poison.once, size=poison.ONCE_QUICK if quick else poison.ONCE_FULL),
        "limits": partial(limits.limits, size=limits.QUICK if quick else limits.FULL),
        "shares": partial(shares.shares, size=shares.QUICK if quick else shares.FULL),
        "busy": partial(busy.busy, size=busy.QUICK if quick else busy.FULL),
        "followups": partial(followups.followups, size=followups.QUICK if quick else followups.FULL),
        "events": partial(events.events, size=events.QUICK if quick else events.FULL),
        "keys": partial(keys.keys, size=keys.QUICK if quick else keys.FULL),
        "pause": partial(pause.pause, size=pause.QUICK if quick else pause.FULL),
        **{
            f"races-{store.lower()}": partial(races.races, size=races.QUICK if quick else races.FULL, store=store)
            for store in keys.STORES
        },
        "cuts": partial(cuts.cuts, size=cuts.QUICK if quick else cuts.FULL),
        "targets": partial(targets.targets, size=targets.QUICK if quick else targets.FULL),
        "zoo": partial(zoo.zoo, size=zoo.QUICK if quick else zoo.FULL),
        "downtime": partial(downtime.downtime, size=downtime.QUICK if quick else downtime.FULL),
        "preview": partial(preview.previews, size=preview.QUICK if quick else preview.FULL),
        "real": partial(real.lines, size=real.QUICK if quick else real.FULL),
        **{
            f"hostile-{store}": partial(hostile.hostile, size=hostile.QUICK if quick else hostile.FULL, store=store)
            for store in ("sqlite", "postgres")
        },
        "clocks": partial(clocks.clocks, size=clocks.QUICK if quick else clocks.FULL),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; answer 1 when anything was violated."""
    asked = _parsed(arguments)
    known = scenarios(quick=asked.quick)
    results = [run(known[name], asked.seed) for name in asked.scenarios or known]
    if not asked.quick:
        RESULTS.mkdir(exist_ok=True)
        for result in results:
            (RESULTS / f"{result.scenario}.json").write_text(json.dumps(result.to_json(), indent=1) + "\n")
        kept = [Result.from_json(json.loads(path.read_text())) for path in sorted(RESULTS.glob("*.json"))]
        PAGE.write_text(page(kept))
    return any(result.violations for result in results)


def run(scenario: Scenario, seed: int) -> Result:
    """Run one scenario on a server of its own, and print what it found."""
    with PostgresServer() as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(scenario(server, seed))
    print(f"\n{result.scenario}, seed {seed}: {result.size}; took {result.seconds:.0f} s")
    for finding in result.findings:
        print(
            f"  {finding.promise:<4}{finding.what}: {finding.failures} of {finding.trials:,} failed  {finding.figures}"
        )
    for note in result.notes:
        print(f"  {note}")
    for rule in sorted({violation.rule for violation in result.violations}):
        violations = [violation for violation in result.violations if violation.rule == rule]
        for violation in violations[:SHOWN]:
            print(f"  VIOLATED {rule}, {violation.subject}: {violation.detail[:300]}")
        if len(violations) > SHOWN:
            print(f"  and {len(violations) - SHOWN:,} more of {rule}")
    return result


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [*scenarios(quick=False)]
    parser = argparse.ArgumentParser(prog="make prove ARGS=", description="Run trials of whole clusters.")
    parser.add_argument("scenarios", nargs="*", choices=[*names, []], metavar="scenario", help=", ".join(names))
    parser.add_argument("--seed", type=int, default=1, help="what chance is drawn from (default: 1)")
    parser.add_argument("--quick", action="store_true", help="in the sizes of the tests; writes no page")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
