"""Deliveries of events to webhooks: jobs of a group that is Mainspring's own. Pure."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from uuid import UUID

from mainspring.job.key import JobKey

DELIVERIES = JobKey("mainspring", "webhooks")
"""The job group whose jobs are deliveries: Mainspring alone makes them, and no webhook hears of them."""
_VERSION, _VARIANT = 8, 0b10


def delivery_id(subscription: UUID, cursor: int, number: int, at: datetime) -> UUID:
    """Return the id of the delivery of an event to a subscription: the same whoever makes it, and how often.

    The event is the job `number` of the entry of the feed at `cursor`, written `at` that time. Ids sort by that time
    (RFC 9562, version 8).
    """
    milliseconds = int(at.timestamp() * 1000) & (1 << 48) - 1
    rest = int.from_bytes(sha256(f"{subscription}/{cursor}/{number}/{at.isoformat()}".encode()).digest()[:10])
    high, low = rest >> 62 & 0xFFF, rest & (1 << 62) - 1
    return UUID(int=milliseconds << 80 | _VERSION << 76 | high << 64 | _VARIANT << 62 | low)


def webhook_key(name: str) -> str:
    """Return the concurrency key of the deliveries of a webhook."""
    return f"webhook:{name}"
