"""Lives on a loop of its own, the heart loop: what blocks the node's loop stops no beats. Hands over what it hears.

A beat shows the store that the node lives, and brings back what the node must know: a pulse.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from mainspring.clock import Clock, wait
from mainspring.failpoint import fp
from mainspring.node.lease import Lease
from mainspring.store import Pulse, Store


class Beat(NamedTuple):
    """A beat: of which life of the node, when it was sent, and what the store answered."""

    name: str
    sent: float
    answer: Pulse | Exception


class Heartbeat:
    """Beats in the name that the lease has, and keeps the lease as the answers say."""

    def __init__(self, store: Store, lease: Lease, clock: Clock, heart_loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._heart_loop = heart_loop
        self.beats: deque[Beat] = deque()
        """Beats that were answered; the node's loop takes them out."""
        self._beaten = asyncio.Event()

    async def run(self) -> None:
        """Beat until cancelled. On the node's loop, which only waits."""
        loop = asyncio.get_running_loop()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._beat(loop), self._heart_loop))

    async def _beat(self, node_loop: asyncio.AbstractEventLoop) -> None:
        """Beat for ever. On the heart loop."""
        while True:
            name, sent = self._lease.name, self._clock.monotonic()
            fp("beat.before")
            answer: Pulse | Exception
            try:
                answer = await self._store.beat(name)
            except Exception as error:  # noqa: BLE001 - a background turn: announced by the node's loop, and tried again
                answer = error
            else:
                fp("beat.after")
                if answer.alive:
                    self._lease.renew(name, sent)
                else:
                    self._lease.lose(name)
            node_loop.call_soon_threadsafe(self._take, Beat(name, sent, answer))
            await self._clock.sleep(self._lease.beat)

    def _take(self, beat: Beat) -> None:
        self.beats.append(beat)
        self._beaten.set()

    async def wait(self) -> None:
        """Wait for a beat, at most for the time between two. On the node's loop."""
        await wait(self._clock, self._beaten, self._lease.beat)
        self._beaten.clear()
