"""Keys that jobs choose for themselves: of the jobs of a group that are not done only one has a key."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from mainspring.errors import KeyTakenError, Problem
from mainspring.job import Job, JobKey, OnConflict, Options
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
    def problems(keyed: Sequence[tuple[int, Options]]) -> list[Problem]:
        """Return what is wrong with the keys of a batch by itself."""
        first: dict[str | None, int] = {}
        problems: list[Problem] = []
        for number, options in keyed:
            if (before := first.setdefault(options.key, number)) != number:
                detail = f"is the key of /{before} too"
                problems.append(Problem(f"/{number}/options/key", "KEY_REPEATED", detail))
            if options.on_conflict is OnConflict.REPLACE:
                detail = "can be reject or keep in a batch; to replace a job send it alone"
                problems.append(Problem(f"/{number}/options/onConflict", "REPLACE_IN_BATCH", detail))
        return problems

    async def kept(self, key: JobKey, keyed: Sequence[tuple[int, Options]]) -> dict[int, UUID]:
        """Return the jobs that have keys of a batch and are kept, by the numbers of the bodies that would have them.

        Raises `KeyTakenError` if one is not to give way.
        """
        wanted = {options.key: (number, options) for number, options in keyed if options.key is not None}
        found = await self._store.with_keys(key, list(wanted)) if wanted else []
        given = [(*wanted[name], other) for other in found if (name := other.options.key) in wanted]
        taken = sorted(given, key=lambda each: each[0])
        refused = [(number, other) for number, options, other in taken if options.on_conflict is not OnConflict.KEEP]
        if refused:
            errors = [self.refusal(other, pointer=f"/{number}/options/key") for number, other in refused[:MOST_NAMED]]
            problems = [problem for error in errors for problem in error.problems]
            raise KeyTakenError(f"nothing was created: {errors[0]}", problems=problems, other=errors[0].other)
        return {number: other.id for number, _, other in taken}
