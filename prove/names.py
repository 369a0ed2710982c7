"""A name server for trials, as a plugin: a name says itself where it leads, and may change its mind.

``127-0-0-1.127-0-0-66.n7.test`` leads to 127.0.0.1 when it is looked up for the first time, and to 127.0.0.66 each time
after that. A ``_`` stands between several addresses. All other names are looked up as usual.
"""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any

from mainspring import Binder, JobExecutionContext, SchedulerJob, SchedulerPluginModule, job_group, product

NAME = f"{__name__}:NamesModule"
END = ".test"
_real = socket.getaddrinfo
_asked: Counter[str] = Counter()


def leading(*addresses: str, then: tuple[str, ...] = (), number: int = 0) -> str:
    """Return a name that leads to these addresses, and later, if they are given, to others."""
    first, later = ("_".join(each).replace(".", "-") for each in (addresses, then or addresses))
    return f"{first}.{later}.n{number}{END}"


def look_up(name: str) -> list[str]:
    """Return the addresses of a name, this time."""
    first, later, *_ = name.split(".")
    chosen = later if _asked[name] else first
    _asked[name] += 1
    return chosen.replace("-", ".").split("_")


def _getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> Any:
    if isinstance(host, str) and host.endswith(END):
        return [found for address in look_up(host) for found in _real(address, port, *more, **named)]
    return _real(host, port, *more, **named)


@product("names")
@job_group("none")
class NoJob(SchedulerJob):
    """Does nothing: a plugin must have a job class."""

    async def execute(self, context: JobExecutionContext) -> None:
        """Do nothing."""


class NamesModule(SchedulerPluginModule):
    """Puts the name server in the place of that of the machine."""

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`."""
        binder.bind_job(NoJob)
        socket.getaddrinfo = _getaddrinfo
