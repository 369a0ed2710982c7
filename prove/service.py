"""A service that bears so much and no more, and says 409 beyond it; and the plugin whose jobs call it.

It stands for one of several data centres, each with the same limit, which may change. It takes down each call: that is
what trials are judged by, not what the scheduler believes.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Annotated, ClassVar, NamedTuple, Self

from pydantic import Field

from mainspring import (
    Binder,
    Busy,
    JobExecutionContext,
    JobRequest,
    Limit,
    SchedulerJob,
    SchedulerPluginModule,
    job_group,
    product,
)
from prove.plugin import mark
from prove.record import boot

NAME = f"{__name__}:ServiceModule"
VARIABLE = "PROVE_SERVICE"
"""The variable that says where the service is, and after how many seconds it wants to be asked again: host:port:1."""
STATED = 10
"""The limit by key of the jobs that call it: more than it bears."""
OK, CONFLICT = 200, 409


class Call(NamedTuple):
    """A call: of which data centre, when it came and was answered (`prove.record.boot`), and with which status."""

    data_center: str
    begun: float
    ended: float
    status: int


class Service:
    """Bears `limit` calls at once in each data centre, each of which takes as long as it asks for.

    A call is a line: the data centre and the seconds. The answer is a line with the status.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.calls: list[Call] = []
        self._inside: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        """Begin to serve."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Serve no more."""
        self._server.close()

    @property
    def address(self) -> str:
        """Where it is."""
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data_center, seconds = (await reader.readline()).decode().split()
        begun = boot()
        status = CONFLICT
        if self._inside[data_center] < self.limit:
            self._inside[data_center] += 1
            await asyncio.sleep(float(seconds))
            self._inside[data_center] -= 1
            status = OK
        self.calls.append(Call(data_center, begun, boot(), status))
        with suppress(OSError):
            writer.write(f"{status}\n".encode())
            await writer.drain()
            writer.close()


@product("clouds")
@job_group("call")
class CallJob(SchedulerJob):
    """Calls the service once."""

    concurrency_key: ClassVar[str] = "{data_center}"
    limits = (Limit(STATED, by="key"),)

    class Request(JobRequest):
        """Which data centre, and how long the call takes, in seconds."""

        data_center: str
        seconds: Annotated[float, Field(ge=0, le=600)]

    request: Request

    async def execute(self, context: JobExecutionContext) -> None:
        """Wait for the answer between beginning and end."""
        mark(context, "start")
        host, port, again = os.environ[VARIABLE].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{self.request.data_center} {self.request.seconds}\n".encode())
        status = int(await reader.readline())
        writer.close()
        if status == CONFLICT:
            mark(context, "broke")
            raise Busy(retry_after=timedelta(seconds=float(again)))
        mark(context, "end")


class ServiceModule(SchedulerPluginModule):
    """Binds it."""

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`."""
        binder.bind_job(CallJob)
