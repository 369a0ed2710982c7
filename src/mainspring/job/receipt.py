"""What a call was answered, kept so that the same call, when it is sent again, is answered and not done again."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

KEPT_FOR = timedelta(hours=24)
"""How long a receipt is kept at least."""


class Receipt(NamedTuple):
    """An answer under the `id` of a call: a digest of who sent it, its path, and the key that came with it.

    `fingerprint` is a digest of all else that was sent, which tells the call from another under the same key. What
    `answer` holds is the business of whoever keeps it.
    """

    id: bytes
    fingerprint: bytes
    answer: bytes
