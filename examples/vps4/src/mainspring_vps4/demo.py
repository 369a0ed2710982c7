"""See Mainspring at work: ``python -m mainspring_vps4.demo`` runs the service and a stand-in of the product.

It tells the story of two automatic backups. Their data centre is full when the first is due, so that job is postponed
and the second waits with it. Then one goes ahead, the other follows, and each leaves the job of its VM's next backup.
After that everything keeps running for you to try.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2

from mainspring.clock import Clock, SystemClock
from mainspring.schedule import format_time
from mainspring_vps4.jobs import ON_DEMAND
from mainspring_vps4.processes import Children
from mainspring_vps4.standin.cloud import first_vms

HOST = "127.0.0.1"
JOBS = "/api/schedulers/vps4/backups/jobs"
LIMITS = "/api/schedulers/vps4/limits"
EX_UNAVAILABLE = 69

DATA_CENTER = "ams3"
DC_LIMIT = 2
"""How many backups run in a data centre at a time."""
VMS = ("shop", "blog")
"""The VMs of the story, in the order of their backups."""
APART = timedelta(seconds=1)
"""Between the first backup and the second."""
LEAD = 4
"""Seconds from the demo's request to its first backup."""
BACKUP_SECONDS = 4
"""How long a backup runs. It must be more than `OCCUPIED_BEFORE` and less than the shortest postponement."""
OCCUPIED_BEFORE = 1
"""Seconds before the first backup at which the data centre is filled."""
SETTING = "MAINSPRING_PLUGINS__VPS4__"
SETTINGS = {
    f"{SETTING}POSTPONE_MINIMUM": "PT5S",
    f"{SETTING}POSTPONE_MAXIMUM": "PT6S",
    f"{SETTING}NEXT_BACKUP_AFTER": "PT10M",
}
"""What the plugin is told, so that nobody has to wait half an hour, or a week."""
LATE = timedelta(seconds=0.5)
"""A job that has not begun so long after its time waits for something."""
POLL = 0.2
"""Seconds between two looks at the jobs."""
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
    """Start the stand-in, where two backups fill a data centre, and the service, which postpones by seconds."""
    await children.start(
        "stand-in",
        *(sys.executable, "-m", "mainspring_vps4.standin", "--port", str(options.standin_port)),
        *("--dc-limit", str(DC_LIMIT), "--backup-seconds", str(BACKUP_SECONDS)),
    )
    await children.start(
        "service",
        *(sys.executable, "-m", "mainspring", "serve", "--store", options.store),
        *("--host", HOST, "--port", str(options.port)),
        environment={f"{SETTING}API_URL": options.standin_url, **SETTINGS},
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
        say(f"\nTwo VMs of the data centre {DATA_CENTER} are to be backed up:")
        due = clock.now() + timedelta(seconds=LEAD)
        jobs = {name: await schedule(name, due + n * APART, product, scheduler) for n, name in enumerate(VMS)}
        await clock.sleep(LEAD - OCCUPIED_BEFORE)
        await fill_data_centre(product)
        ended = await watch(scheduler, jobs, clock)
        following = {name: await next_job(scheduler, job) for name, job in ended.items()}
        times = ", ".join(f"{name} at {at(job['nextRun'])}" for name, job in following.items())
        say(f"  The next backups were scheduled in the same commits: {times}.\n")
    if not options.once:
        say(hints(options.scheduler_url, following[VMS[0]]["id"], clock.now()))


async def until_ready(client: httpx2.AsyncClient, path: str, clock: Clock) -> None:
    """Wait until `path` answers 200."""
    async with clock.limit(PATIENCE):
        while await look(client, path) is None:
            await clock.sleep(POLL)


async def schedule(
    name: str, due: datetime, product: httpx2.AsyncClient, scheduler: httpx2.AsyncClient
) -> dict[str, Any]:
    """Create a VM and schedule its backup; return the job."""
    vm = await post(product, "/api/vms", {"name": name, "dataCenter": DATA_CENTER})
    body = {"vmId": vm["id"], "dataCenter": DATA_CENTER, "when": format_time(due), "backupName": "nightly"}
    job = await post(scheduler, JOBS, body)
    say(f"  {name} at {at(job['nextRun'])}: job {job['id']}")
    return job


async def fill_data_centre(product: httpx2.AsyncClient) -> None:
    """Start as many backups of other VMs, on demand, as the data centre takes."""
    others = [vm for vm in first_vms() if vm.data_center == DATA_CENTER]
    assert len(others) == DC_LIMIT, "they fill the data centre"
    for vm in others:
        order = {"name": "before the update", "scheduledJobType": ON_DEMAND}
        await post(product, f"/api/vms/{vm.id}/backups", order)
    say(f"  Somebody starts backups of two other VMs by hand: {DATA_CENTER} is full.")


async def watch(scheduler: httpx2.AsyncClient, jobs: dict[str, dict[str, Any]], clock: Clock) -> dict[str, Any]:
    """Tell each change of the jobs, and who waits for whom, until all are done; return them as they are then."""
    waiting: set[str] = set()
    async with clock.limit(PATIENCE):
        while any(job["state"] != "done" for job in jobs.values()):
            await clock.sleep(POLL)
            seen = {name: await look(scheduler, f"{JOBS}/{job['id']}") or job for name, job in jobs.items()}
            for name in sorted(seen, key=lambda name: str((seen[name]["lastRun"] or {}).get("finishedAt"))):
                if change := told(jobs[name], seen[name]):
                    say(f"  {at(format_time(clock.now()))}  {name} {change}")
                elif name not in waiting and is_late(seen[name], clock.now()):
                    waiting.add(name)
                    await tell_why(scheduler, name, seen[name], clock)
            jobs = seen
    return jobs


def told(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Put the change of a job into words; the empty string when there is none that matters."""
    last = after["lastRun"]
    if last is not None and last != before["lastRun"]:
        reason = f" ({last['reason']})" if last["reason"] else ""
        again = f": the same job runs again at {at(after['nextRun'])}" if after["nextRun"] else ""
        return f"{last['outcome']}{reason}{again}"
    return after["state"] if after["state"] != before["state"] else ""


def is_late(job: dict[str, Any], now: datetime) -> bool:
    """Say whether a job should have begun a while ago, for the first time."""
    return (
        job["state"] == "scheduled" and job["lastRun"] is None and datetime.fromisoformat(job["nextRun"]) < now - LATE
    )


async def tell_why(scheduler: httpx2.AsyncClient, name: str, job: dict[str, Any], clock: Clock) -> None:
    """Tell why a job waits, and what is known of the data centre."""
    for fact in await look(scheduler, f"{JOBS}/{job['id']}/why") or []:
        say(f"  {at(format_time(clock.now()))}  {name} waits: {fact['code']}. {shortened(fact['text'])}")
    limits = await look(scheduler, LIMITS) or {}
    for key, known in limits.get("learned", {}).items():
        probe = ", and one goes ahead as a probe" if known["isProbing"] else ""
        say(f"             The limits of vps4 show what was learned of {key}: {known['limit']} at a time{probe}.")


async def next_job(scheduler: httpx2.AsyncClient, job: dict[str, Any]) -> dict[str, Any]:
    """Return the job of the VM's next backup. It is there as soon as this one has succeeded."""
    jobs: list[dict[str, Any]] = await look(scheduler, JOBS) or []
    following = [each for each in jobs if each["jobRequest"]["vmId"] == job["jobRequest"]["vmId"]]
    if not following:
        raise TimeoutError("there is no next backup")
    return following[0]


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


def shortened(text: str) -> str:
    """Shorten the RFC 3339 times in a text."""
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", lambda found: at(found[0]), text)


def hints(scheduler_url: str, job_id: str, now: datetime) -> str:
    """Return the calls to try."""
    jobs = scheduler_url + JOBS
    soon, later = (format_time((now + timedelta(minutes=n)).replace(microsecond=0)) for n in (1, 5))
    vm = first_vms()[2]
    body = f'{{"vmId": "{vm.id}", "dataCenter": "{vm.data_center}", "when": "{soon}"}}'
    json = "-H 'Content-Type: application/json' -d"
    return f"""Try it yourself, in another terminal:

  list     curl {jobs}
  create   curl -X POST {json} '{body}' {jobs}
  get      curl {jobs}/{job_id}
  why      curl {jobs}/{job_id}/why
  move     curl -X PATCH {json} '{{"when": "{later}"}}' {jobs}/{job_id}
  delete   curl -X DELETE {jobs}/{job_id}
  limits   curl {jobs.removesuffix("/jobs")}/limits

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
