"""Events: what is asked for, and server-sent events read line by line.

A piece that a broken connection left is forgotten, as the rules say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict

from mainspring.client.answers import JobRef
from mainspring.client.call import Call
from mainspring.client.errors import NotMainspringError
from mainspring.client.paths import level, params


class EventFilter(TypedDict, total=False):
    """Which events are meant. Several values of `tag` mean all of them, of others any."""

    type: str | Iterable[str]
    """Such as ``run.ended``."""
    state: str | Iterable[str]
    """Where the event left its job."""
    outcome: str | Iterable[str]
    tag: str | Iterable[str]
    key: str
    concurrency_key: str
    node: str
    request: Mapping[str, object]
    """Fields of the request, and the value that each must have."""
    q: str
    """How the id, the key or a tag of the job begins."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; pass its `id` as `after` to go on behind it. `data` is all that it says, as it came."""

    id: str
    type: str
    data: Mapping[str, Any]

    @property
    def time(self) -> datetime | None:
        """When it happened, by the clock of the store; aware, in UTC."""
        text = self.data.get("time")
        return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None

    @property
    def product(self) -> str | None:
        """The product that it is about; None of everything, and of a node."""
        return self.data.get("product")

    @property
    def job_group(self) -> str | None:
        """The job group that it is about."""
        return self.data.get("jobGroup")

    @property
    def job(self) -> JobRef | None:
        """The job that it is about, as other calls take it."""
        product, job_group, job_id = self.product, self.job_group, self.data.get("jobId")
        return JobRef(product, job_group, job_id) if product and job_group and job_id else None

    @property
    def state(self) -> str | None:
        """Where it left its job."""
        return self.data.get("state")

    @property
    def run(self) -> int | None:
        """The number of the run that it is about."""
        return self.data.get("run")

    @property
    def outcome(self) -> str | None:
        """How the run ended."""
        return self.data.get("outcome")

    @property
    def node(self) -> str | None:
        """The node that it is about, or on which the run is."""
        return self.data.get("node")


_WIRE = {"concurrency_key": "concurrencyKey"}


def following(now: datetime, product: str | None, job_group: str | None, which: EventFilter) -> Call[None]:
    """Describe the call that follows events."""
    values: dict[str, object] = {_WIRE.get(name, name): value for name, value in which.items()}
    fields = values.pop("request", None)
    if isinstance(fields, Mapping):
        values |= {f"request.{name}": value for name, value in fields.items()}
    return Call("GET", level(product, job_group, "events"), lambda _: None, params(now, **values))


class EventReader:
    """Makes events of lines. `last_id` is that of the last event that was complete, to resume after it."""

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        self.begin()

    def begin(self) -> dict[str, str]:
        """Forget the event that was not complete; return the headers of a connection that sends it again."""
        self.has_heard = False
        """Whether the connection has said anything."""
        self._restart()
        return {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.last_id} if self.last_id else {})

    def _restart(self) -> None:
        self._id: str | None = None
        self._kind = "message"
        self._data: list[str] = []

    def line(self, line: str) -> Event | None:
        """Take a line without its end; return the event that it completes, if any."""
        self.has_heard = True
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
        self._restart()
        if not data and number is not None:
            self.last_id = number  # what passed no filter is behind it
        if not data or (number is not None and number == self.last_id):
            return None
        event = Event(number or self.last_id or "", kind, _read("\n".join(data)))
        self.last_id = number or self.last_id
        return event


def _read(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NotMainspringError("an event is no JSON object, as Mainspring's are", 200)
    return found
