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
from mainspring.store.rows import (
    Dialect,
    from_microseconds,
    job_row,
    read_job,
    to_microseconds,
)

__all__ = [
    "CALENDARS",
    "ZONE_RULES",
    "Answer",
    "Dialect",
    "NodeBeat",
    "Pulse",
    "Store",
    "from_microseconds",
    "job_row",
    "read_calendars",
    "read_job",
    "to_microseconds",
]
