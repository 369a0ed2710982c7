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
    """Yield the URL under which the database of `url` is reached through a pooler, once."""
    server = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_pass_on, args=(listener, (server.hostname, server.port)), daemon=True)
        thread.start()
        yield url.replace(f"{server.hostname}:{server.port}", f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join(timeout=30)


def _pass_on(listener: socket.socket, address: tuple[str | None, int | None]) -> None:
    client, _ = listener.accept()
    with client, socket.create_connection(address) as server:
        other = threading.Thread(target=_copy, args=(client, server), daemon=True)
        other.start()
        _copy(server, client)
        other.join(timeout=30)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            before, begin, rest = data.partition(KEY_DATA)
            target.sendall(before + begin + b"\x00\x00\x00\x01" + rest[4:] if begin else data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
