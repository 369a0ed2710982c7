"""What a process shows to the outside: the address it listens on, and the HTTP server."""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn
from starlette.types import ASGIApp

from mainspring.errors import ConfigError, PortTakenError
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
            timeout_graceful_shutdown=5,
            reset_contextvars=True,  # else a request begins with what the one before it on its connection has set
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


def authority(host: str, port: int) -> str:
    """Return a host and a port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """Bind the address before anything else starts, so that a port that is taken costs nothing.

    Raises `PortTakenError`, and `ConfigError` if it is every address of the machine and `allowed_hosts` does not say by
    which names it is called.
    """
    where = authority(settings.host, settings.port)
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        if _is_every(address[0]) and not settings.allowed_hosts:
            raise ConfigError(
                f"host is {settings.host}: a service that listens on all addresses must be told by which names it is "
                "called, or any web page could reach it by a name of its own. Set allowed_hosts "
                f"(MAINSPRING_ALLOWED_HOSTS, --allowed-hosts), for example to {socket.gethostname()}"
            )
        listener = socket.create_server(address[:2], family=family, backlog=2048, reuse_port=False)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(
                f"{where} is taken by another process; stop it or choose another port with --port"
            ) from error
        raise PortTakenError(f"cannot listen on {where}: {error.strerror or error}") from error
    with listener:
        yield listener


def answered_hosts(settings: Settings, listener: socket.socket) -> tuple[str, ...]:
    """Return the hosts that requests may name besides the machine itself: where it listens, and those allowed."""
    address = listener.getsockname()[0]
    bound = () if _is_every(address) else (settings.host, address)
    return (*bound, *settings.allowed_hosts)


def _is_every(address: str | int) -> bool:
    return ip_address(str(address).partition("%")[0]).is_unspecified
