"""The calendars of a store, as the service and the nodes read them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from mainspring.schedule import Calendars, HolidaysError, calendars_from_json, without_unknown
from mainspring.store.protocol import Store

CALENDARS = "calendar"
"""Under this kind of note the store holds calendars by name."""
ZONE_RULES = "tzdata"
"""Under this kind of note the store holds the release of the rules of time zones that its jobs were planned by."""


async def read_calendars(store: Store) -> tuple[Calendars, Mapping[str, HolidaysError]]:
    """Return the calendars that can be used here by name, and why each of the others cannot.

    Those are calendars with holidays, for which a package is needed that may not be here.
    """
    calendars = calendars_from_json(await store.notes(CALENDARS))
    if not any(calendar.holidays for calendar in calendars.values()):
        return calendars, {}
    return await asyncio.to_thread(without_unknown, calendars)  # its first call loads the package, for half a second
