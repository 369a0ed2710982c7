"""What a process shows to the outside: the address it listens on, the HTTP server, and what it does on signals."""

from __future__ import annotations

import asyncio
import errno
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from mainspring.errors import PortTakenError
from mainspring.settings import Settings
from mainspring.web import Connection, Connections

MOST_CONNECTIONS = 1000


def http_server(app: ASGIApp) -> Server:
    """Return the server of an application."""
    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            http=Connection,
            ws="none",
            reset_contextvars=True,  # the requests of a connection would have what the first of them has set
            timeout_graceful_shutdown=5,
        )
    )


def most_connections() -> int:
    """Return how many connections there may be: half of what may be open is for jobs, the store and files."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if limit == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, limit // 2)


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the node drains before the server stops answering.

    Its connections have limits, and know of time by its main loop.
    """

    server_state: Connections

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = Connections(most_connections())

    async def on_tick(self, counter: int) -> bool:
        """Count seconds: a tick is a tenth of one."""
        if counter % 10 == 0:
            self.server_state.tick()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us."""
        yield


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM, SIGINT and SIGHUP call `stop`: the second call makes a node hurry."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """Bind the address before anything else starts, so that a port that is taken costs nothing."""
    where = f"{settings.host}:{settings.port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048, reuse_port=False)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(
                f"{where} is taken by another process; stop it or choose another port with --port"
            ) from error
        raise PortTakenError(f"cannot listen on {where}: {error.strerror or error}") from error
    with listener:
        yield listener
