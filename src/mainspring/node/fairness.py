"""Pure, on the node's loop. How many jobs of each group a node asks for, given the room that it has for each.

Two rules keep a group with very many due jobs, or very slow ones, from starving the others. A group that took all
that was asked for last time is *hungry*: it is served after those that did not, and the hungry share alike. And of the
slots that the others leave it a slow group holds at most nine tenths, so there is room for one that comes later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mainspring.job import JobKey

MOST = 0.9
"""The part of the slots not held by others that one slow group of several may hold."""


def demands(
    keys: Sequence[JobKey],
    hungry: Collection[JobKey],
    holds: Mapping[JobKey, int],
    rooms: Mapping[JobKey, int],
    slow: Collection[JobKey],
) -> dict[JobKey, int]:
    """Return the demand of each group, in the order in which to serve them; all together may be more than there is.

    `holds` says how many jobs of each group are claimed already, `rooms` for how many more there is room.
    """
    if len(keys) == 1:
        return dict(rooms)
    order = [*(key for key in keys if key not in hungry), *(key for key in keys if key in hungry)]
    demand = {key: _left(holds.get(key, 0), rooms[key]) if key in slow else rooms[key] for key in order}
    return {key: min(most, -(-rooms[key] // len(hungry))) if key in hungry else most for key, most in demand.items()}


def _left(held: int, room: int) -> int:
    least = 1 if not held else 0
    return min(room, max(least, int(MOST * (room + held)) - held))


def still_hungry(
    hungry: Collection[JobKey], asked: Mapping[JobKey, int], got: Mapping[JobKey, int], *, cut_short: bool
) -> frozenset[JobKey]:
    """Return the groups that are hungry after a claim; of one that was `cut_short` not all groups had their turn."""
    filled = {key for key, demand in asked.items() if got.get(key, 0) >= demand > 0}
    return frozenset(filled | (set(hungry) if cut_short else set()))
