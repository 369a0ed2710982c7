"""Asks a service five times a second whether it lives, in a process that does nothing else: ``python -m prove.probe``.

Takes host and port, and a file to which it writes how many seconds each answer took; infinity for one that was no 200.
"""

from __future__ import annotations

import http.client
import sys
import time
from pathlib import Path

EVERY = 0.2
PATIENCE = 30.0


def main(host: str, port: str, path: str) -> None:
    """Ask until the process is ended."""
    with Path(path).open("w", encoding="ascii", buffering=1) as lines:
        following = time.monotonic()
        while True:
            begun = time.monotonic()
            lines.write(f"{_ask(host, int(port), begun)}\n")
            following = max(following + EVERY, time.monotonic())
            time.sleep(max(0, following - time.monotonic()))


def _ask(host: str, port: int, begun: float) -> float:
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/livez")
        is_alive = connection.getresponse().status == http.client.OK
    except OSError:
        is_alive = False
    finally:
        connection.close()
    return time.monotonic() - begun if is_alive else float("inf")


if __name__ == "__main__":
    main(*sys.argv[1:])
