"""T1: how fast jobs that are due at once are run to their durable outcome. Usage: python -m bench.burst URL JOBS NODES SLOTS"""

import subprocess
import sys
import time

import psycopg

from mainspring.store.postgres import rebuild_schema

FILL = """
insert into mainspring.jobs (id, product, job_group, request, trigger, options, state, paused, fire_time, due_at, attempt,
    failures, losses, version, created_at, updated_at)
select gen_random_uuid(), 'bench', 'noop', json_build_object('a', 1, 'b', 'hello world', 'when', d), json_build_object('at', d), null, 'scheduled', false, d, d, 0, 0, 0, 1, now(), now()
from generate_series(1, %(jobs)s), (select now() + %(ahead)s::interval as d)
"""


def main() -> None:
    """Measure once and print a line."""
    url, jobs, nodes, slots = sys.argv[1], *map(int, sys.argv[2:5])
    rebuild_schema(url)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("select 1")
        db.execute(FILL, {"jobs": jobs, "ahead": f"{4 + jobs / 50000} seconds"})
        db.execute("vacuum analyze mainspring.jobs")
        (due,) = db.execute("select min(due_at) from mainspring.jobs").fetchone()
        command = [sys.executable, "-m", "mainspring", "node", "--store", url, "--plugin", "bench.plugin:NoopModule"]
        command += ["--slots", str(slots), "--log-level", "warning"]
        processes = [subprocess.Popen(command) for _ in range(nodes)]
        (left,) = db.execute("select extract(epoch from %s - clock_timestamp())::float", (due,)).fetchone()
        print("ahead", left)
        time.sleep(max(0, left))
        while db.execute("select exists(select from mainspring.jobs where state <> 'done')").fetchone()[0]:
            time.sleep(0.02)
        (wall,) = db.execute("select extract(epoch from clock_timestamp() - %s)::float", (due,)).fetchone()
        early, runs, once = db.execute(
            "select count(*) filter (where started_at < due_at), count(*), count(distinct job_id) from mainspring.runs"
        ).fetchone()
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    print(f"jobs={jobs} nodes={nodes} slots={slots} wall={wall:.2f} jobs/s={jobs / wall:.0f} runs={runs} once={once} early={early}")


if __name__ == "__main__":
    main()
