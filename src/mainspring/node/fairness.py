"""Pure, on the node's loop. How many jobs of each group a node asks for, given the room that it has for each.

Three rules keep a group with very many due jobs, or very slow ones, from starving the others. A group that took all
that was asked for last time is *hungry*: it is served after those that did not, and the hungry share by their weights.
Among the hungry those come first that have begun the fewest jobs for their weight, so what is left over at one claim is
made up for at the next. And of the slots that the others leave it a slow group holds at most nine tenths, so there is
room for one that comes later.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from mainspring.job import JobKey

MOST = 0.9
"""The part of the slots not held by others that one slow group of several may hold."""
Weights = Mapping[JobKey, tuple[int, int]]
"""The weight of each group's product, and its own among the groups of that."""


def shares(keys: Collection[JobKey], weights: Weights) -> dict[JobKey, float]:
    """Return what part each of these groups has of what they share: products by their weights, their groups by theirs.

    What has no weight has 1.
    """
    of_product: dict[str, int] = {}
    of_groups: dict[str, int] = {}
    for key in keys:
        product, group = weights.get(key, (1, 1))
        of_product[key.product] = product
        of_groups[key.product] = of_groups.get(key.product, 0) + group
    total = sum(of_product.values())
    return {key: of_product[key.product] / total * weights.get(key, (1, 1))[1] / of_groups[key.product] for key in keys}


class Fairness:
    """Remembers which groups are hungry, and how much each of them has begun for its weight since it is."""

    def __init__(self) -> None:
        self._hungry: frozenset[JobKey] = frozenset()
        self._begun: dict[JobKey, float] = {}

    def demands(
        self,
        keys: Sequence[JobKey],
        holds: Mapping[JobKey, int],
        rooms: Mapping[JobKey, int],
        slow: Collection[JobKey],
        weights: Weights,
    ) -> dict[JobKey, int]:
        """Return the demand of each group, in the order in which to serve them; together it may be more than there is.

        `holds` says how many jobs of each group are claimed already, `rooms` for how many more there is room.
        """
        if len(keys) == 1:
            return dict(rooms)
        hungry = [key for key in keys if key in self._hungry]
        part = shares(hungry, weights)
        hungry.sort(key=lambda key: self._begun.get(key, 0.0))
        order = [*(key for key in keys if key not in part), *hungry]
        demand = {key: _left(holds.get(key, 0), rooms[key]) if key in slow else rooms[key] for key in order}
        return {
            key: min(most, math.ceil(rooms[key] * part[key])) if key in part else most for key, most in demand.items()
        }

    def took(
        self, asked: Mapping[JobKey, int], got: Mapping[JobKey, int], weights: Weights, *, cut_short: bool
    ) -> None:
        """Learn what a claim brought; of one that was `cut_short` not all groups had their turn."""
        part = shares(self._hungry, weights)
        for key in self._hungry:
            self._begun[key] = self._begun.get(key, 0.0) + got.get(key, 0) / part[key]
        filled = {key for key, demand in asked.items() if got.get(key, 0) >= demand > 0}
        before, self._hungry = self._hungry, frozenset(filled | (self._hungry if cut_short else set()))
        least = min((self._begun[key] for key in before & self._hungry), default=0.0)
        # Who was not hungry has saved nothing, and what all have begun alike need not be counted on.
        self._begun = {key: self._begun[key] - least if key in before else 0.0 for key in self._hungry}


def _left(held: int, room: int) -> int:
    least = 1 if not held else 0
    return min(room, max(least, int(MOST * (room + held)) - held))
