"""Where jobs live: what a store promises, and two that keep it (SQLite, also in RAM, and PostgreSQL)."""

from mainspring.store.backends import Backend, backend
from mainspring.store.facts import (
    Answer,
    Capped,
    Claimed,
    Due,
    NodeBeat,
    Pulse,
    Seen,
    Waits,
)
from mainspring.store.notes import Notes, Progress
from mainspring.store.protocol import (
    Store,
)
from mainspring.store.rows import PLAIN
from mainspring.store.spans import Span, spanned

__all__ = [
    "PLAIN",
    "Answer",
    "Backend",
    "Capped",
    "Claimed",
    "Due",
    "NodeBeat",
    "Notes",
    "Progress",
    "Pulse",
    "Seen",
    "Span",
    "Store",
    "Waits",
    "backend",
    "spanned",
]
