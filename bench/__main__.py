"""Run the benchmarks and print one table: figure, limit, ratio, goal; medians of several runs with their spread."""

import json
from pathlib import Path
from statistics import median

from bench.burst import burst, limit
from tests.postgres import PostgresServer

RUNS = 3
JOBS = 100_000
RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    """Measure, print, and write `RESULTS`."""
    with PostgresServer() as server:
        url = server.url()
        limits, ones, twos = [], [], []
        for _ in range(RUNS):  # in turn, so that all see the same moods of the machine
            limits.append(limit(url, JOBS))
            ones.append(burst(url, JOBS))
            twos.append(burst(url, JOBS, nodes=2))
    rows = [
        ("limit: claim and finish, bare loop, jobs/s", limits, None, ""),
        ("T1 burst of 100,000, one node, jobs/s", ones, limits, "0.65 of the limit"),
        ("T1 burst of 100,000, two nodes, jobs/s", twos, ones, "1.5 of one node"),
    ]
    print(f"{'figure':<48}{'median':>9}{'min':>9}{'max':>9}{'ratio':>8}  goal")
    for name, values, base, goal in rows:
        ratio = f"{median(values) / median(base):.2f}" if base else ""
        print(f"{name:<48}{median(values):>9,.0f}{min(values):>9,.0f}{max(values):>9,.0f}{ratio:>8}  {goal}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({name: values for name, values, _, _ in rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
