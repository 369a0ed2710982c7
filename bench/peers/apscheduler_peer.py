"""APScheduler on a job store in PostgreSQL as a peer; see `workload` for the arguments."""

import asyncio
import json
import signal
import sys
import time
from datetime import UTC, datetime

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

starts: list[tuple[float, float]] = []


async def noop(due: float) -> None:
    """Note when it was due and when it began."""
    starts.append((due, time.time()))


def scheduler(url: str) -> AsyncIOScheduler:
    """Return a scheduler that runs late jobs, however late."""
    store = SQLAlchemyJobStore(url.replace("postgresql:", "postgresql+psycopg:"))
    return AsyncIOScheduler(
        jobstores={"default": store},
        executors={"default": AsyncIOExecutor()},
        job_defaults={"misfire_grace_time": None, "max_instances": 1_000_000},
    )


async def fill(url: str, jobs: int, start: float, gap: float) -> None:
    """Add jobs."""
    filling = scheduler(url)
    filling.start(paused=True)
    for number in range(jobs):
        due = start + number * gap
        filling.add_job("apscheduler_peer:noop", "date", run_date=datetime.fromtimestamp(due, UTC), args=(due,))
    filling.shutdown()


async def work(url: str) -> None:
    """Run what is due until SIGTERM, then print all starts."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    working = scheduler(url)
    working.start()
    print("ready", flush=True)
    await stopped.wait()
    working.shutdown()
    print(json.dumps(starts))


def main() -> None:
    """Do what the command line says."""
    _, url, command, *numbers = sys.argv
    asyncio.run(fill(url, int(numbers[0]), float(numbers[1]), float(numbers[2])) if command == "fill" else work(url))
