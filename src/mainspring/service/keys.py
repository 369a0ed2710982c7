"""Keys that jobs choose for themselves: of the jobs of a group that are not done only one has a key."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from mainspring.errors import KeyTakenError, Problem
from mainspring.job import Job, JobKey, OnConflict
from mainspring.store import Store

MOST_NAMED = 20
"""How many jobs of a batch are named whose keys are taken."""


class Keys:
    """Finds out who has keys."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def other(self, job: Job) -> Job | None:
        """Return the other job that has the key of this one, if there is one."""
        key = job.options.key
        found = await self._store.with_keys(job.key, [key]) if key else []
        return next((other for other in found if other.id != job.id), None)

    @staticmethod
    def refusal(other: Job, *, pointer: str = "/options/key") -> KeyTakenError:
        """Return the error that says who has a key."""
        detail = f"job {other.id} has the key {other.options.key!r} and is not done"
        return KeyTakenError(
            detail, problems=[Problem(pointer, KeyTakenError.code, detail)], other=(other.key, other.id)
        )

    @staticmethod
    def problems(jobs: Sequence[Job]) -> list[Problem]:
        """Return what is wrong with the keys of a batch by itself."""
        first: dict[str, int] = {}
        problems: list[Problem] = []
        for number, job in enumerate(jobs):
            if (key := job.options.key) is None:
                continue
            if (before := first.setdefault(key, number)) != number:
                detail = f"is the key of /{before} too"
                problems.append(Problem(f"/{number}/options/key", "KEY_REPEATED", detail))
            if job.options.on_conflict is OnConflict.REPLACE:
                detail = "can be reject or keep in a batch; to replace a job send it alone"
                problems.append(Problem(f"/{number}/options/onConflict", "REPLACE_IN_BATCH", detail))
        return problems

    async def kept(self, key: JobKey, jobs: Sequence[Job]) -> dict[int, UUID]:
        """Return which jobs of a batch are not created, by their numbers: others have their keys, and are kept.

        Raises `KeyTakenError` if one is not to give way.
        """
        numbers = {job.options.key: number for number, job in enumerate(jobs) if job.options.key}
        found = {other.options.key: other for other in await self._store.with_keys(key, list(numbers))}
        taken = [(number, found[name]) for name, number in numbers.items() if name in found]
        refused = [
            (number, other) for number, other in taken if jobs[number].options.on_conflict is not OnConflict.KEEP
        ]
        if refused:
            errors = [self.refusal(other, pointer=f"/{number}/options/key") for number, other in refused[:MOST_NAMED]]
            problems = [problem for error in errors for problem in error.problems]
            raise KeyTakenError(f"nothing was created: {errors[0]}", problems=problems, other=errors[0].other)
        return {number: other.id for number, other in taken}
