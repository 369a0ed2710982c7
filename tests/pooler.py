"""What stands between a client and PostgreSQL like a connection pooler: it tells a process id that it made up."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

KEY_DATA = b"K\x00\x00\x00\x0c"
"""How the server's message begins that names the process of the session: its type, and its length of 12."""


@contextmanager
def pooler(url: str) -> Iterator[str]:
    """Yield the URL under which the database of `url` is reached through a pooler."""
    server = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = server.hostname, server.port
        threading.Thread(target=_serve, args=(listener, address), daemon=True).start()
        yield url.replace(f"{server.hostname}:{server.port}", f"127.0.0.1:{listener.getsockname()[1]}")


def _serve(listener: socket.socket, address: tuple[str | None, int | None]) -> None:
    with suppress(OSError):  # the listener is closed at the end
        while True:
            threading.Thread(target=_pass_on, args=(listener.accept()[0], address), daemon=True).start()


def _pass_on(client: socket.socket, address: tuple[str | None, int | None]) -> None:
    with client, socket.create_connection(address) as server:
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            before, begin, rest = data.partition(KEY_DATA)
            target.sendall(before + begin + b"\x00\x00\x00\x01" + rest[4:] if begin else data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
