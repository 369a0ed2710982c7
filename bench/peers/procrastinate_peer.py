"""Procrastinate as a peer; see `workload` for the arguments."""

import asyncio
import json
import signal
import sys
import time
from datetime import UTC, datetime

import procrastinate

CONCURRENCY = 20
POLL = 0.1
"""Seconds; the default of 5 is what a job in the future may be late."""
BATCH = 1000

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1], min_size=CONCURRENCY, max_size=CONCURRENCY)
)
starts: list[tuple[float, float]] = []


@app.task(name="noop", pass_context=True)
async def noop(context: procrastinate.JobContext) -> None:
    """Note when it was due and when it began."""
    began = time.time()
    assert context.job.scheduled_at is not None  # noqa: S101 - each has a time
    starts.append((context.job.scheduled_at.timestamp(), began))


async def fill(jobs: int, start: float, gap: float) -> None:
    """Defer jobs; the database then gives each its own time."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        first = datetime.fromtimestamp(start, UTC)
        for at in range(0, jobs, BATCH):
            await noop.configure(schedule_at=first).batch_defer_async(*({} for _ in range(min(BATCH, jobs - at))))
        await app.connector.execute_query_async(
            "update procrastinate_jobs set scheduled_at = scheduled_at + (id - 1) * %(gap)s * interval '1 s'", gap=gap
        )


async def work() -> None:
    """Run what is due until SIGTERM, then print all starts."""
    async with app.open_async():
        worker = asyncio.create_task(
            app.run_worker_async(
                concurrency=CONCURRENCY, fetch_job_polling_interval=POLL, install_signal_handlers=False
            )
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.cancel)
        print("ready", flush=True)
        await asyncio.wait([worker])
    print(json.dumps(starts))


def main() -> None:
    """Do what the command line says."""
    _, _, command, *numbers = sys.argv
    asyncio.run(fill(int(numbers[0]), float(numbers[1]), float(numbers[2])) if command == "fill" else work())
