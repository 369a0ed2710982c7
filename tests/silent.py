"""A server that goes silent: it lets clients log in, as the real one behind it does, and never says another word."""

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple
from urllib.parse import urlsplit

READY = b"Z\x00\x00\x00\x05I"
"""How a server says that a client is logged in."""


class Silent(NamedTuple):
    """Where it is, and a signal that a client was met with silence."""

    url: str
    met: threading.Event


@contextmanager
def silent(url: str, talks: float = 0, *, welcomes: bool = True) -> Iterator[Silent]:
    """Stand before the database of `url`: the first connections are passed on in full, `talks` of them.

    Later ones go silent once they are logged in, or at once if they are not welcome.
    """
    server = urlsplit(url)
    met = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = server.hostname, server.port
        threading.Thread(target=_serve, args=(listener, address, talks, welcomes, met), daemon=True).start()
        yield Silent(url.replace(f"{server.hostname}:{server.port}", f"127.0.0.1:{listener.getsockname()[1]}"), met)


def _serve(
    listener: socket.socket,
    address: tuple[str | None, int | None],
    talks: float,
    welcomes: bool,  # noqa: FBT001 - as `silent` has it
    met: threading.Event,
) -> None:
    kept = []
    with suppress(OSError):  # the listener is closed at the end
        for number in itertools.count():
            client = listener.accept()[0]
            kept.append(client)
            if number >= talks and not welcomes:
                met.set()
                continue
            server = socket.create_connection(address)
            kept.append(server)
            told = met if number >= talks else None
            threading.Thread(target=_copy, args=(server, client, told), daemon=True).start()
            threading.Thread(target=_copy, args=(client, server, None), daemon=True).start()
    for each in kept:
        each.close()


def _copy(source: socket.socket, target: socket.socket, met: threading.Event | None) -> None:
    """Pass on what comes; with `met` only until a client is logged in."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
            if met is not None and READY in data:
                met.set()
                return
        target.shutdown(socket.SHUT_WR)
