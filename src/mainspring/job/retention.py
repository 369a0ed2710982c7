"""How long history is kept: of all groups, and of products and groups for which something else holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from mainspring.job.key import JobKey
from mainspring.job.pause import Scope


class Retention(NamedTuple):
    """How long history is kept; what a group says goes before what its product says."""

    usual: timedelta
    scopes: Mapping[Scope, timedelta] = {}

    def of(self, key: JobKey) -> timedelta:
        """Return how long the history of a group is kept."""
        of_product = self.scopes.get(Scope(key.product), self.usual)
        return self.scopes.get(Scope(*key), of_product)

    @property
    def longest(self) -> timedelta:
        """How long anything is kept."""
        return max([self.usual, *self.scopes.values()])
