"""Where jobs live: what a store promises, and two that keep it (SQLite, also in RAM, and PostgreSQL)."""

from mainspring.store.facts import (
    Answer,
    NodeBeat,
    Pulse,
)
from mainspring.store.notes import (
    CALENDARS,
    ZONE_RULES,
    read_calendars,
)
from mainspring.store.protocol import (
    Store,
)
from mainspring.store.rows import PLAIN

__all__ = [
    "CALENDARS",
    "PLAIN",
    "ZONE_RULES",
    "Answer",
    "NodeBeat",
    "Pulse",
    "Store",
    "read_calendars",
]
