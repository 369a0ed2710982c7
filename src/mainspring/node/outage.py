"""Lives on the node's loop. Which duties fail and since when; tells of an outage of the store at its start and end.

Duties are tried again each second. Of an outage there is a line at its start, for each other kind of error, then now
and then while it lasts, and at its end.
"""

from __future__ import annotations

from datetime import timedelta

from mainspring.clock import Clock
from mainspring.errors import StoreUnavailableError
from mainspring.job import Events, StoreFailed, StoreRecovered, TurnFailed

FIRST_REMINDER = timedelta(minutes=1)
REMINDERS = timedelta(minutes=10)
CALM = timedelta(seconds=5)
"""An outage is over when no duty has failed for this long: a store that answers every other call is one outage."""


class Outage:
    """Takes how the turns of duties end, and announces what is worth a line."""

    def __init__(self, clock: Clock, events: Events) -> None:
        self._clock = clock
        self._events = events
        self._failing: dict[str, float] = {}
        """Since when each duty has failed at every turn."""
        self._well: dict[str, float] = {}
        """When the last turn of each duty went well."""
        self._hit: dict[str, None] = {}
        """The duties that failed in this outage, in order; empty while there is none."""
        self._kinds: set[type[Exception]] = set()
        self._begun = self._restored = self._remind_at = 0.0

    def lasts(self, duty: str) -> float:
        """Return for how many seconds a duty has failed at every turn."""
        return self._clock.monotonic() - self._failing[duty] if duty in self._failing else 0

    def silence(self, duty: str) -> float:
        """Return for how many seconds no turn of a duty has gone well, from the first that did."""
        return self._clock.monotonic() - self._well[duty] if duty in self._well else 0

    def failed(self, duty: str, error: Exception) -> None:
        """Take that a turn of a duty failed. What is no outage is a bug, or for somebody to look at: told each time."""
        now = self._clock.monotonic()
        self._failing.setdefault(duty, now)
        if not isinstance(error, StoreUnavailableError):
            self._events.announce(TurnFailed(duty, error))
            return
        if not self._hit:
            self._begun, self._remind_at = now, now + FIRST_REMINDER.total_seconds()
        self._hit[duty] = None
        is_due = now >= self._remind_at
        if is_due:
            self._remind_at = now + REMINDERS.total_seconds()
        if is_due or type(error) not in self._kinds:
            self._kinds.add(type(error))
            self._events.announce(StoreFailed(tuple(self._hit), error, now - self._begun))

    def worked(self, duty: str) -> None:
        """Take that a turn of a duty went well."""
        now = self._well[duty] = self._clock.monotonic()
        if not self._failing and not self._hit:
            return
        if self._failing.pop(duty, None) is not None:
            self._restored = now
        if self._hit and not self._hit.keys() & self._failing and now - self._restored >= CALM.total_seconds():
            self._events.announce(StoreRecovered(tuple(self._hit), self._restored - self._begun))
            self._hit, self._kinds = {}, set()
