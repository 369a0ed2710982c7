"""Server-sent events, read line by line; a piece that a broken connection left is forgotten, as the rules say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mainspring.client.errors import NotMainspringError


@dataclass(frozen=True, slots=True)
class Event:
    """One event; pass its `id` as `after` to go on behind it."""

    id: str
    event: str
    data: Any


class EventReader:
    """Makes events of lines. `last_id` is that of the last event that was complete, to resume after it."""

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        self.restart()

    def restart(self) -> None:
        """Forget the event that was not complete: a new connection sends it again."""
        self._id: str | None = None
        self._kind = "message"
        self._data: list[str] = []

    def line(self, line: str) -> Event | None:
        """Take a line without its end; return the event that it completes, if any."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._id = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        return None

    def _complete(self) -> Event | None:
        number, kind, data = self._id, self._kind, self._data
        self.restart()
        if not data and number is not None:
            self.last_id = number  # what passed no filter is behind it
        if not data or (number is not None and number == self.last_id):
            return None
        text = "\n".join(data)
        try:
            found = json.loads(text)
        except ValueError as error:
            raise NotMainspringError("an event is not JSON, as Mainspring's are", 200) from error
        event = Event(number or self.last_id or "", kind, found)
        self.last_id = number or self.last_id
        return event
