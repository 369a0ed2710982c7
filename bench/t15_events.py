"""T15: what followers of events cost: one beside a node that has nothing to do, and many beside a burst like T1.

The many leave the burst out by their filter. Its limit is the same burst on a node that nobody follows.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import Figure, Goal
from bench.service import Service
from bench.stores import Postgres
from bench.t1_burst import burst
from bench.t6_idle import SETTLE
from bench.trial import Trial

FOLLOWERS = 500
FIGURES = (
    Figure("t15.idle", "idle node, one follower more, of one core", "%", goal=Goal("≤", 1)),
    Figure("t15.plain", "burst, PostgreSQL, one node that serves", "jobs/s"),
    Figure(
        "t15.followed",
        f"the same with {FOLLOWERS} followers of other events",
        "jobs/s",
        "t15.plain",
        Goal("≥", 0.9, "ratio"),
    ),
)


def measure(trial: Trial) -> None:
    """Measure T15."""
    store, jobs = Postgres(trial.url), trial.size.jobs
    for _ in range(trial.rounds):
        trial.record("t15.plain", burst(store, jobs, beside=lambda service: following(service, 0)).rate)
        trial.record("t15.followed", burst(store, jobs, beside=lambda service: following(service, FOLLOWERS)).rate)
    store.clear()
    with Service(store.url) as service:
        service.wait_ready()
        time.sleep(SETTLE)
        for _ in range(trial.rounds):
            alone = _share(service, trial.size.idle)
            with following(service, 1):
                trial.record("t15.idle", max(_share(service, trial.size.idle) - alone, 0.0))


def _share(service: Service, seconds: float) -> float:
    """Return how much of a core a service takes meanwhile, in percent."""
    used, start = service.processor_time(), time.perf_counter()
    time.sleep(seconds)
    return 100 * (service.processor_time() - used) / (time.perf_counter() - start)


@contextmanager
def following(service: Service, number: int) -> Iterator[None]:
    """Have so many follow events of nodes that are lost."""
    asked = "GET /api/schedulers/events?type=node.lost HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
    followers = []
    try:
        for _ in range(number):
            followers.append(socket.create_connection(("127.0.0.1", service.port)))
            followers[-1].sendall(asked.encode())
            if b" 200 " not in (answer := followers[-1].recv(1000)):
                raise RuntimeError(f"a follower was refused: {answer!r}")
        yield
    finally:
        for follower in followers:
            follower.close()
