"""Run the benchmarks: all, or those that are named, as in ``python -m bench t4 t6``.

Prints one table and writes it to `RESULTS`. ``python -m bench --markdown`` prints what was written last as Markdown.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from bench import (
    t1_burst,
    t2_schedule,
    t3_batch,
    t4_lateness,
    t5_scale,
    t6_idle,
    t8_statements,
    t9_local,
    t10_mixed,
    t12_control,
    t15_events,
)
from bench.figures import Line, from_json, lines, markdown, table
from bench.peers import workload as peers
from bench.trial import FULL, QUICK, SERVER_SETTINGS, Trial
from tests.postgres import PostgresServer

RESULTS = Path(__file__).parent / "results" / "latest.json"
WORKLOADS = {
    "t1": t1_burst,
    "t2": t2_schedule,
    "t3": t3_batch,
    "t4": t4_lateness,
    "t5": t5_scale,
    "t6": t6_idle,
    "t9": t9_local,
    "t10": t10_mixed,
    "t12": t12_control,
    "t15": t15_events,
}
ONLY_IF_NAMED = {"peers": peers}
MEASURED_WITH = {"t8": "t1", "t13": "t12", "t14": "t12"}
FIGURES = (*t8_statements.FIGURES, *(figure for module in (*WORKLOADS.values(), peers) for figure in module.FIGURES))


def main() -> None:
    """Measure, print, and write `RESULTS`."""
    asked = _arguments()
    if asked.markdown:
        print(_markdown(json.loads(RESULTS.read_text(encoding="utf-8"))))
        return
    size = QUICK if asked.quick else FULL
    if asked.jobs:
        size = replace(size, jobs=asked.jobs)
    with PostgresServer(*SERVER_SETTINGS) as server:
        trial = Trial(server, size, asked.rounds or size.rounds)
        names = {MEASURED_WITH.get(name, name) for name in asked.workloads} or set(WORKLOADS)
        for name, module in (WORKLOADS | ONLY_IF_NAMED).items():
            if name in names:
                module.measure(trial)
        report = _report(trial)
    print(_text(report))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what Mainspring reaches.")
    names = [*WORKLOADS, *MEASURED_WITH, *ONLY_IF_NAMED]
    parser.add_argument(
        "workloads", nargs="*", metavar="workload", help=f"of {', '.join(names)}; default: all but peers"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, under three minutes in all")
    parser.add_argument("--jobs", type=int, help="how many jobs a burst on PostgreSQL has")
    parser.add_argument("--rounds", type=int, help="how many runs each figure has; default: 3, with --quick 1")
    parser.add_argument("--markdown", action="store_true", help="measure nothing: print the last results as Markdown")
    asked = parser.parse_args()
    if unknown := set(asked.workloads) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return asked


def _report(trial: Trial) -> dict[str, Any]:
    with psycopg.connect(trial.url) as db:
        postgres = db.info.parameter_status("server_version")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - trial.started, 1),
        "machine": {
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "postgres": postgres,
        },
        "rounds": trial.rounds,
        "size": asdict(trial.size),
        "figures": [line._asdict() for line in lines(FIGURES, trial.samples)],
        "notes": [f"{name}: {text}." for name, text in trial.notes.items()],
    }


def _text(report: dict[str, Any]) -> str:
    return "\n".join([table(_lines(report)), "", *report["notes"], _circumstances(report)])


def _markdown(report: dict[str, Any]) -> str:
    return "\n\n".join([markdown(_lines(report)), *report["notes"], _circumstances(report)])


def _lines(report: dict[str, Any]) -> Sequence[Line]:
    return from_json(report["figures"])


def _circumstances(report: dict[str, Any]) -> str:
    machine, size = report["machine"], report["size"]
    return (
        f"Measured {report['measured_at'][:10]} in {report['seconds']:,.0f} s, {report['rounds']} runs; bursts of "
        f"{size['jobs']:,} jobs, {size['sqlite_jobs']:,} on SQLite, {size['memory_jobs']:,} in memory; "
        f"{size['pending']:,} jobs pending; {machine['cores']} cores, {machine['system']}, Python {machine['python']}, "
        f"PostgreSQL {machine['postgres']} with fsync."
    )


if __name__ == "__main__":
    main()
