"""See Mainspring at work: ``python -m mainspring_vps4.demo`` runs the service and a stand-in of the product.

It tells the story of an automatic backup. The data centre is full at its time, so the same job is postponed; then the
backup is made, and the product schedules the next one. After that everything keeps running for you to try.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2

from mainspring.clock import Clock, SystemClock
from mainspring.schedule import format_time
from mainspring_vps4.processes import Children
from mainspring_vps4.standin.cloud import ON_DEMAND, first_vms

HOST = "127.0.0.1"
JOBS = "/api/schedulers/vps4/backups/jobs"
EX_UNAVAILABLE = 69

LEAD = 5
"""Seconds from the demo's request to its backup."""
BACKUP_SECONDS = 5
"""How long a backup runs. It must be more than `OCCUPIED_BEFORE` and less than the shortest postponement."""
OCCUPIED_BEFORE = 1
"""Seconds before the backup at which the data centre is filled."""
SETTING = "MAINSPRING_PLUGINS__VPS4__"
POSTPONE = {f"{SETTING}POSTPONE_MINIMUM": "PT6S", f"{SETTING}POSTPONE_MAXIMUM": "PT8S"}
NEXT_BACKUP = timedelta(minutes=10)
POLL = 0.2
"""Seconds between two looks at the job."""
PATIENCE = 60
"""Seconds that the demo waits for anything before it gives up."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    port: int
    standin_port: int
    store: str
    once: bool

    @property
    def scheduler_url(self) -> str:
        """Where the service is."""
        return f"http://{HOST}:{self.port}"

    @property
    def standin_url(self) -> str:
        """Where the stand-in is."""
        return f"http://{HOST}:{self.standin_port}"


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


# --- the processes ----------------------------------------------------------------------------------------------------


async def run(options: Options, clock: Clock) -> int:
    """Run the demo and return its exit code: 0 after a signal or with --once, 69 for a taken port, else a child's."""
    for port, option in ((options.port, "--port"), (options.standin_port, "--standin-port")):
        if is_taken(port):
            say(
                f"Port {port} of {HOST} is taken: stop what listens there, or choose another one with {option}, "
                f'as in make run ARGS="{option} {port + 1000}".'
            )
            return EX_UNAVAILABLE
    async with Children(clock) as children:
        await start(children, options)
        story = asyncio.create_task(tell(options, clock))
        ended = asyncio.create_task(children.ended())
        try:
            return await outcome(story, ended, once=options.once)
        finally:
            story.cancel()
            ended.cancel()


async def outcome(story: asyncio.Task[None], ended: asyncio.Task[tuple[str, int] | None], *, once: bool) -> int:
    """Wait until the demo is over, and return its exit code."""
    await asyncio.wait((story, ended), return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        try:
            story.result()
        except (TimeoutError, httpx2.HTTPError) as error:
            told = str(error).partition("\n")[0] or type(error).__name__
            say(f"The story cannot go on: {told}. Somebody else may be at work; the service and the stand-in go on.")
            if once:
                return 1
        if once:
            return 0
    match await ended:
        case None:
            return 0
        case name, code:
            say(f"The {name} has ended by itself, with exit code {code}.")
            return code or 1


def is_taken(port: int) -> bool:
    """Say whether somebody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


async def start(children: Children, options: Options) -> None:
    """Start the stand-in, where one backup fills a data centre, and the service, which postpones by seconds."""
    await children.start(
        "stand-in",
        *(sys.executable, "-m", "mainspring_vps4.standin", "--port", str(options.standin_port)),
        *("--scheduler-url", options.scheduler_url, "--dc-limit", "1", "--backup-seconds", str(BACKUP_SECONDS)),
        *("--next-backup-after", str(NEXT_BACKUP.total_seconds())),
    )
    await children.start(
        "service",
        *(sys.executable, "-m", "mainspring", "serve", "--store", options.store),
        *("--host", HOST, "--port", str(options.port)),
        environment={f"{SETTING}API_URL": options.standin_url, **POSTPONE},
    )


# --- the story --------------------------------------------------------------------------------------------------------


async def tell(options: Options, clock: Clock) -> None:
    """Let the story happen and tell it. Raises `TimeoutError` when it comes to no end."""
    say(f"Starting Mainspring at {options.scheduler_url} and a stand-in of the product vps4 at {options.standin_url}.")
    async with (
        httpx2.AsyncClient(base_url=options.scheduler_url) as scheduler,
        httpx2.AsyncClient(base_url=options.standin_url) as product,
    ):
        await until_ready(scheduler, "/readyz", clock)
        await until_ready(product, "/api/vms", clock)
        vm = await post(product, "/api/vms", {"name": "demo", "dataCenter": "ams3"})
        due = clock.now() + timedelta(seconds=LEAD)
        job = await post(scheduler, JOBS, {"vmId": vm["id"], "when": format_time(due), "backupName": "nightly"})
        say(f"\nA backup of VM {vm['id']} is scheduled for {at(job['nextRun'])}: job {job['id']}.")
        await clock.sleep(LEAD - OCCUPIED_BEFORE)
        await fill_data_centre(product)
        await watch(scheduler, job, clock)
        following = await next_job(scheduler, vm["id"], clock)
        say(f"  The backup is complete, and the product has scheduled the next one for {at(following['nextRun'])}.\n")
    if not options.once:
        say(hints(options.scheduler_url, following["id"], clock.now()))


async def until_ready(client: httpx2.AsyncClient, path: str, clock: Clock) -> None:
    """Wait until `path` answers 200."""
    async with clock.limit(PATIENCE):
        while await look(client, path) is None:
            await clock.sleep(POLL)


async def fill_data_centre(product: httpx2.AsyncClient) -> None:
    """Start a backup of another VM, on demand; the stand-in's limit is one at a time."""
    order = {"name": "before the update", "scheduledJobType": ON_DEMAND}
    await post(product, f"/api/vms/{first_vms()[0].id}/backups", order)
    say("  Somebody starts a backup of another VM by hand: the data centre ams3 is full.")


async def watch(scheduler: httpx2.AsyncClient, job: dict[str, Any], clock: Clock) -> None:
    """Tell each change of the job until it is done."""
    async with clock.limit(PATIENCE):
        while job["state"] != "done":
            await clock.sleep(POLL)
            seen = await look(scheduler, f"{JOBS}/{job['id']}") or job
            if change := told(job, seen):
                say(f"  {at(format_time(clock.now()))}  {change}")
            job = seen


def told(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Put the change of a job into words; the empty string when there is none that matters."""
    last = after["lastRun"]
    if last is not None and last != before["lastRun"]:
        reason = f" ({last['reason']})" if last["reason"] else ""
        again = f": the same job runs again at {at(after['nextRun'])}" if after["nextRun"] else ""
        return f"{last['outcome']}{reason}{again}"
    return after["state"] if after["state"] != before["state"] else ""


async def next_job(scheduler: httpx2.AsyncClient, vm_id: str, clock: Clock) -> dict[str, Any]:
    """Wait for the job that the product schedules for the VM."""
    async with clock.limit(PATIENCE):
        while True:
            jobs: list[dict[str, Any]] = await look(scheduler, JOBS) or []
            for job in jobs:
                if job["jobRequest"]["vmId"] == vm_id:
                    return job
            await clock.sleep(POLL)


async def look(client: httpx2.AsyncClient, path: str) -> Any:
    """GET some JSON; `None` while it is not to be had."""
    try:
        response = await client.get(path)
    except httpx2.TransportError:
        return None
    return response.json() if response.status_code == httpx2.codes.OK else None


async def post(client: httpx2.AsyncClient, path: str, body: dict[str, str]) -> dict[str, Any]:
    """POST some JSON and return the answer's. Raises `httpx2.HTTPError`."""
    response = await client.post(path, json=body)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def at(moment: str) -> str:
    """Shorten an RFC 3339 time to its time of day."""
    return moment[11:19] + "Z"


def hints(scheduler_url: str, job_id: str, now: datetime) -> str:
    """Return the calls to try."""
    jobs = scheduler_url + JOBS
    soon, later = (format_time((now + timedelta(minutes=n)).replace(microsecond=0)) for n in (1, 5))
    vm_id = first_vms()[2].id
    json = "-H 'Content-Type: application/json' -d"
    return f"""Try it yourself, in another terminal:

  list     curl {jobs}
  create   curl -X POST {json} '{{"vmId": "{vm_id}", "when": "{soon}"}}' {jobs}
  get      curl {jobs}/{job_id}
  move     curl -X PATCH {json} '{{"when": "{later}"}}' {jobs}/{job_id}
  delete   curl -X DELETE {jobs}/{job_id}

Ctrl-C ends it."""


def main() -> None:
    """Run the demo with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m mainspring_vps4.demo", description="See Mainspring at work.")
    parser.add_argument("--port", type=int, default=8089, help="where the service listens (%(default)s)")
    parser.add_argument("--standin-port", type=int, default=8090, help="where the stand-in listens (%(default)s)")
    parser.add_argument("--store", default="sqlite:///mainspring.db", help="the service's job store (%(default)s)")
    parser.add_argument("--once", action="store_true", help="end when the story is told")
    arguments = parser.parse_args()
    options = Options(arguments.port, arguments.standin_port, arguments.store, arguments.once)
    sys.exit(asyncio.run(run(options, SystemClock())))


if __name__ == "__main__":
    main()
