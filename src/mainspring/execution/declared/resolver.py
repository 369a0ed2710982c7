"""Looks up the addresses of hosts, in threads of its own: a name server that is dead holds up calls and nothing else.

Calls that ask for the same host at the same time share one look-up. So one dead name takes one thread, however many
jobs want it. Nothing is remembered: each later call asks again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Lock

THREADS = 16
"""How many look-ups there are at once."""
Address = IPv4Address | IPv6Address
LookUp = Callable[[str], list[str]]


def look_up(host: str) -> list[str]:
    """Ask the machine for the addresses of a host. Raises `OSError`."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _take_note(answer: asyncio.Future[list[str]]) -> None:
    """Have an answer that comes when nobody waits any more not be reported as lost."""
    if not answer.cancelled():
        answer.exception()


class Resolver:
    """Looks up hosts. For any loop and any thread; to be closed."""

    def __init__(self, look_up: LookUp = look_up) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="names")
        self._lock = Lock()
        self._under_way: dict[str, Future[list[str]]] = {}

    async def addresses(self, host: str) -> list[Address]:
        """Return the addresses of a host, each once, in the order of the answer.

        It takes as long as the name server does: the caller sets the limit. Raises `OSError` if there are none.
        """
        answer = asyncio.wrap_future(self._ask(host))
        answer.add_done_callback(_take_note)
        found = await asyncio.shield(answer)  # whoever gives up must not take the answer from the others
        addresses = list(dict.fromkeys(ip_address(text) for text in found))
        if not addresses:
            raise OSError("it has no address")
        return addresses

    def _ask(self, host: str) -> Future[list[str]]:
        with self._lock:
            asked = self._under_way.get(host)
            if asked is None:
                asked = self._under_way[host] = self._threads.submit(self._look_up, host)
        asked.add_done_callback(partial(self._forget, host))
        return asked

    def _forget(self, host: str, asked: Future[list[str]]) -> None:
        with self._lock:
            if self._under_way.get(host) is asked:
                del self._under_way[host]

    def close(self) -> None:
        """Let the threads go; none is waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
