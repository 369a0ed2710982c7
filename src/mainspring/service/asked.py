"""What bodies ask for that has to be known before their jobs are made: the store's time, calendars, and keys."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from mainspring.job import NOW, Options, options_from_json


class Asked:
    """What one body asks for, or all of a batch."""

    def __init__(self, *bodies: Mapping[str, Any]) -> None:
        self.is_now = False
        """Whether any is to run ``now``."""
        self.has_schedule = False
        self.calendars: set[str] = set()
        """The names of calendars, as they were sent."""
        self.keyed: list[tuple[int, Options]] = []
        """The numbers and options of those that have keys, as far as these can be read."""
        self.awaiting: list[tuple[int, Options]] = []
        """The same of those that wait for other jobs."""
        for number, body in enumerate(bodies):
            self.add(number, body)

    def add(self, number: int, body: Mapping[str, Any]) -> None:
        """Look at one more."""
        if body.get("when") == NOW:
            self.is_now = True
        if "schedule" in body:
            self.has_schedule = True
            if (name := _calendar_name(body["schedule"])) is not None:
                self.calendars.add(name)
        said = body.get("options")
        if isinstance(said, dict) and (said.get("key") is not None or said.get("after")):
            with suppress(ValidationError):  # it is refused when the job is made
                options = options_from_json(said)
                if options.key is not None:
                    self.keyed.append((number, options))
                if options.after:
                    self.awaiting.append((number, options))


def _calendar_name(schedule: object) -> str | None:
    """Return the name of the calendar that a schedule asks for, as it was sent; `None` if it names none."""
    use = schedule.get("calendar") if isinstance(schedule, Mapping) else None
    name = use.get("name") if isinstance(use, Mapping) else use
    return name if isinstance(name, str) else None
