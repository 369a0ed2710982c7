"""Pure, on the node's loop. How many jobs of each group a node asks for, given its free slots.

Two rules keep a group with very many due jobs, or very slow ones, from starving the others. A group that took all
that was asked for last time is *hungry*: it is served after those that did not, and the hungry share alike. And of the
slots that the others leave it a group holds at most nine tenths, so there is room for one that comes later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mainspring.job import JobKey

MOST = 0.9
"""The part of the slots not held by others that one group of several may hold."""


def demands(
    keys: Sequence[JobKey], hungry: Collection[JobKey], running: Mapping[JobKey, int], free: int
) -> dict[JobKey, int]:
    """Return the demand of each group, in the order in which to serve them; all together may be more than `free`."""
    if len(keys) == 1:
        return {keys[0]: free}
    share = -(-free // max(1, len(hungry)))
    order = [*(key for key in keys if key not in hungry), *(key for key in keys if key in hungry)]
    return {key: min(_room(running.get(key, 0), free), share if key in hungry else free) for key in order}


def _room(running: int, free: int) -> int:
    least = 1 if not running else 0
    return min(free, max(least, int(MOST * (free + running)) - running))


def still_hungry(
    hungry: Collection[JobKey], asked: Mapping[JobKey, int], got: Mapping[JobKey, int], *, cut_short: bool
) -> frozenset[JobKey]:
    """Return the groups that are hungry after a claim; of one that was `cut_short` not all groups had their turn."""
    filled = {key for key, demand in asked.items() if got.get(key, 0) >= demand > 0}
    return frozenset(filled | (set(hungry) if cut_short else set()))
