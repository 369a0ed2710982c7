"""What is known of a stored row that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Damage(NamedTuple):
    """Why a row of a job or a run cannot be read, and what stands in the columns at fault, by their names.

    What comes of such a row has something harmless in place of what cannot be read. `is_newer`: a later version of
    Mainspring wrote the row, so that only its nodes can read it.
    """

    reason: str
    raw: Mapping[str, Any]
    is_newer: bool = False
