"""A reader of events that breaks off again and again, and goes on behind the last event that it has, on any node."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any

from mainspring.client import Event
from mainspring.client.events import EventReader
from prove.client import Address

PAUSE = 0.05
"""Seconds before another try when nobody answers."""
GOES_BACK = 0.2
"""How often it goes on behind an earlier event, like one that died before it wrote down the last ones."""
FAR_BACK = 5


class Reader:
    """Follows events of `path`. It stays on a connection for up to `stay` seconds, by chance."""

    def __init__(
        self, name: str, path: str, addresses: Callable[[], Sequence[Address]], seed: str, stay: float
    ) -> None:
        self.name = name
        self.events: list[Event] = []
        """Each that it got, in the order in which it got them first."""
        self.cuts = 0
        self.breaks = 0
        self.again = 0
        """How often it got one that it had, because it went back."""
        self.wrong: list[tuple[str, str]] = []
        """Ids of events that came out of order, that it had though it did not go back, or that say something else."""
        self._path = path
        self._addresses = addresses
        self._random = Random(seed)
        self._stay = stay
        self._known: dict[str, Mapping[str, Any]] = {}
        self._since: str | None = "oldest"
        self._owed: deque[str] = deque()
        """The ids of the events that come once more that it has."""

    async def read(self) -> None:
        """Follow, for ever."""
        while True:
            await self._follow(self._random.uniform(0, self._stay))

    async def finish(self, seconds: float) -> None:
        """Follow until nothing comes for so many seconds."""
        number = -1
        while number < len(self.events):
            number = len(self.events)
            await self._follow(seconds)

    async def _follow(self, seconds: float) -> None:
        reader = EventReader(self._since)
        self._owed = deque(self._behind(self._since))
        try:
            async with asyncio.timeout(seconds):
                await self._take(reader)
        except TimeoutError:
            self.cuts += 1
        except (OSError, EOFError, ValueError):
            self.breaks += 1
            await asyncio.sleep(PAUSE)
        self._since = reader.last_id
        if self.events and self._random.random() < GOES_BACK:
            self._since = self.events[-min(self._random.randint(1, FAR_BACK), len(self.events))].id

    def _behind(self, since: str | None) -> Sequence[str]:
        """Return the ids of the events that it has behind an id."""
        first = len(self.events)
        while first and (since == "oldest" or place(self.events[first - 1].id) > place(str(since))):
            first -= 1
        return [event.id for event in self.events[first:]]

    async def _take(self, reader: EventReader) -> None:
        """Take events on one connection until it ends."""
        places = list(self._addresses())
        if not places:
            raise EOFError("nobody to ask")
        host, port = self._random.choice(places)
        stream, writer = await asyncio.open_connection(host, port)
        try:
            headers = {"Host": host} | reader.begin()
            lines = [f"GET {self._path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
            writer.write("\r\n".join(lines).encode())
            if b" 200 " not in (status := await stream.readline()):
                raise EOFError(f"refused: {status!r}")
            while line := await stream.readline():
                if line.endswith(b"\r\n") or not line.endswith(b"\n"):
                    continue  # a header, or a frame of the transfer: lines of events end without a return
                if (event := reader.line(line[:-1].decode())) is not None:
                    self._note(event)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _note(self, event: Event) -> None:
        known = self._known.get(event.id)
        if known is None:
            if self.events and place(event.id) <= place(self.events[-1].id):
                self.wrong.append((event.id, "came out of order"))
            if self._owed:
                self.wrong.append((event.id, f"came before {len(self._owed)} that were to come again"))
                self._owed.clear()
            self._known[event.id] = event.data
            self.events.append(event)
            return
        self.again += 1
        if not self._owed or self._owed.popleft() != event.id:
            self.wrong.append((event.id, "came again"))
        if known != event.data:
            self.wrong.append((event.id, "said something else when it came again"))


def place(event_id: str) -> tuple[int, float]:
    """Return the place in the order that an id stands for."""
    _, cursor, *taken = event_id.split("-")
    return int(cursor), float(taken[0]) if taken else float("inf")
