"""The way between a node and the store, which a trial can cut without either end being told.

Two kinds: a network namespace of the node's own, whose packets are dropped by nftables, which is the real thing and
needs root; and, anywhere, a proxy that stops forwarding. Both end in a proxy of ours, because the server listens on
127.0.0.1 alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit

CHUNK = 65536


class Link(Protocol):
    """How one node reaches the store: at `store`, started by the command `within`, itself reached at `host`."""

    store: str
    within: Sequence[str]
    host: str

    def cut(self) -> None:
        """Let nothing through any more, in silence."""

    def heal(self) -> None:
        """Let everything through again."""

    async def close(self) -> None:
        """Undo all of it."""


class _Budget:
    """How many bytes of answers one connection may still carry; `None` is any number."""

    def __init__(self, left: int | None) -> None:
        self.left = left

    def spend(self, data: bytes) -> bytes:
        """Return what of these bytes may still go."""
        if self.left is None:
            return data
        allowed = data[: self.left]
        self.left -= len(allowed)
        return allowed


class Proxy:
    """Forwards connections to one address; can hold everything, and break connections after so many bytes."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.port = 0
        self.accepted = 0
        self.broken = 0
        self.delay = 0.0
        """Seconds by which each piece of data is held up."""
        self.break_after: Callable[[], int] | None = None
        """Asked for each new connection: after how many bytes of the target's answers it is to be reset."""
        self.break_requests_after: Callable[[], int] | None = None
        """The same for what the target is sent."""
        self.resets = False
        """Whether a connection that breaks is torn down by RST, so that what was on its way is lost at both ends."""
        self._budgets: set[_Budget] = set()
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str = "127.0.0.1") -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def break_all(self, after: Callable[[], int]) -> None:
        """Reset each connection that is open now after so many more bytes of answers."""
        for budget in self._budgets:
            budget.left = after()

    def cut(self) -> None:
        """Forward nothing any more; connections stay, and new ones are taken and left alone."""
        self._open.clear()

    def heal(self) -> None:
        """Forward again, what was held first."""
        self._open.set()

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._open.wait()
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pump both ways until one side has enough."""
        away, back = await asyncio.open_connection(*self._target)
        budget = _Budget(self.break_after() if self.break_after else None)
        sent = _Budget(self.break_requests_after() if self.break_requests_after else None)
        self._budgets.add(budget)
        pumps = [
            asyncio.create_task(self._pump(reader, back, sent)),
            asyncio.create_task(self._pump(away, writer, budget)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._budgets.discard(budget)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            if self.resets and 0 in {budget.left, sent.left}:
                _reset_when_closed(back)
                _reset_when_closed(writer)
            back.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, budget: _Budget) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self._open.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                sink.write(allowed := budget.spend(data))
                await sink.drain()
                if budget.left == 0 or len(allowed) < len(data):
                    self.broken += 1
                    return


def _reset_when_closed(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class ProxyLink:
    """A link over a proxy: what is cut looks like a server that has frozen."""

    within: Sequence[str] = ()
    host = ""

    def __init__(self, proxy: Proxy, store: str) -> None:
        self.proxy = proxy
        self.store = store

    @classmethod
    async def make(cls, store: str) -> ProxyLink:
        """Make one to the server of that URL."""
        proxy = Proxy(_address(store))
        await proxy.start()
        return cls(proxy, _moved(store, "127.0.0.1", proxy.port))

    def cut(self) -> None:
        """See `Link.cut`."""
        self.proxy.cut()

    def heal(self) -> None:
        """See `Link.heal`."""
        self.proxy.heal()

    async def close(self) -> None:
        """See `Link.close`."""
        await self.proxy.close()


class NamespaceLink:
    """A link into a network namespace: what is cut is dropped packets, in both directions, without a word."""

    _count = 0

    def __init__(self, name: str, net: str, proxy: Proxy, store: str) -> None:
        self.store = _moved(store, f"{net}.1", proxy.port)
        self.host = f"{net}.2"
        self.within: Sequence[str] = ("ip", "netns", "exec", name)
        self._name = name
        self._proxy = proxy

    @staticmethod
    def possible() -> bool:
        """Whether this machine lets us make namespaces and drop packets."""
        if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"):
            return False
        name = f"prove-probe-{os.getpid()}"
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
        drops = subprocess.run(
            ["ip", "netns", "exec", name, "nft", "add table ip probe"], capture_output=True, check=False
        )
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        return made and drops.returncode == 0

    @classmethod
    async def make(cls, store: str) -> NamespaceLink:
        """Make one to the server of that URL."""
        cls._count += 1
        name, net = f"prove-{os.getpid()}-{cls._count}", f"10.{os.getpid() % 200 + 20}.{cls._count}"
        outside, inside = f"pv{os.getpid()}-{cls._count}o", f"pv{os.getpid()}-{cls._count}i"
        for command in (
            f"ip netns add {name}",
            f"ip link add {outside} type veth peer name {inside}",
            f"ip link set {inside} netns {name}",
            f"ip addr add {net}.1/24 dev {outside}",
            f"ip link set {outside} up",
            f"ip netns exec {name} ip addr add {net}.2/24 dev {inside}",
            f"ip netns exec {name} ip link set {inside} up",
            f"ip netns exec {name} ip link set lo up",
        ):
            _do(command)
        proxy = Proxy(_address(store))
        await proxy.start(f"{net}.1")
        return cls(name, net, proxy, store)

    def cut(self) -> None:
        """See `Link.cut`."""
        port = urlsplit(self.store).port
        rules = (
            "add table ip prove",
            "add chain ip prove out { type filter hook output priority 0; }",
            "add chain ip prove in { type filter hook input priority 0; }",
            f"add rule ip prove out tcp dport {port} drop",
            f"add rule ip prove in tcp sport {port} drop",
        )
        subprocess.run([*self.within, "nft", "-f", "-"], input="\n".join(rules), text=True, check=True)

    def heal(self) -> None:
        """See `Link.heal`."""
        subprocess.run([*self.within, "nft", "delete table ip prove"], check=True)

    async def close(self) -> None:
        """See `Link.close`."""
        await self._proxy.close()
        _do(f"ip netns del {self._name}")


async def link_to(store: str) -> Link:
    """Make the best link that this machine allows."""
    if NamespaceLink.possible():
        return await NamespaceLink.make(store)
    return await ProxyLink.make(store)


def _do(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 5432


def _moved(url: str, host: str, port: int) -> str:
    """Return the URL of the same database at another address."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=f"{user}{host}:{port}").geturl()
