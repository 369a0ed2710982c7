"""Whose job it is and of which kind: the key of a job group."""

from __future__ import annotations

from typing import NamedTuple


class JobKey(NamedTuple):
    """Whose job it is and of which kind. Always the pair: ``("a-b", "c")`` and ``("a", "b-c")`` are different keys."""

    product: str
    job_group: str

    def __str__(self) -> str:
        return f"{self.product}/{self.job_group}"
