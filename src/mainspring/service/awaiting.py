"""What jobs wait for: whether the jobs that they name are there, are over, and do not wait for them in turn."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import Job, JobKey, Options, State, lifecycle
from mainspring.store import Store

LONGEST_WALK = 10_000
"""How many jobs are looked at to find out whether one waits for itself."""
MOST_AWAITED = 1000
"""How many different jobs those of one batch may wait for: each that is done is looked up by itself."""


class Awaiting:
    """Looks up the jobs of a product that others wait for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def over(self, key: JobKey, awaiting: Sequence[tuple[str, Options]]) -> dict[UUID, bool]:
        """Return which of the jobs are done that requests name, and whether they succeeded.

        Each request comes with a pointer to it. Raises `InvalidRequestError` for ids that are no jobs of the product.
        """
        wanted = list(dict.fromkeys(awaited for _, options in awaiting for awaited in options.after or ()))
        if len(wanted) > MOST_AWAITED:
            detail = f"its jobs wait for {len(wanted)} different jobs in all; {MOST_AWAITED} are the most"
            raise InvalidRequestError(detail, problems=[Problem("", "AFTER_TOO_MANY", detail)])
        pending = {job.id: job for job in await self._store.some(wanted)} if wanted else {}
        found: dict[UUID, Job | None] = {each: pending.get(each) or await self._store.get(each) for each in wanted}
        problems = [
            Problem(f"{pointer}/options/after/{place}", "UNKNOWN_JOB", f"there is no job {awaited} of {key.product}")
            for pointer, options in awaiting
            for place, awaited in enumerate(options.after or ())
            if (job := found[awaited]) is None or job.key.product != key.product
        ]
        if problems:
            raise InvalidRequestError(f"{problems[0].pointer} {problems[0].detail}", problems=problems)
        return {
            each: lifecycle.has_succeeded(job)
            for each, job in found.items()
            if job is not None and job.state is State.DONE
        }

    async def pending(self, options: Options) -> tuple[UUID, ...]:
        """Return those of the jobs which options name that are not done."""
        found = {job.id for job in await self._store.some(options.after)} if options.after else set()
        return tuple(each for each in options.after or () if each in found)

    async def refuse_circle(self, job_id: UUID, after: Sequence[UUID]) -> None:
        """Raise `InvalidRequestError` if one of these jobs waits for the job in turn, by whatever way."""
        seen: set[UUID] = set()
        following = {each: place for place, each in enumerate(after)}
        while following:
            if job_id in following:
                detail = f"job {after[following[job_id]]} waits for this one, so neither would ever begin"
                problem = Problem(f"/options/after/{following[job_id]}", "AFTER_CIRCLE", detail)
                raise InvalidRequestError(detail, problems=[problem])
            seen |= following.keys()
            if len(seen) > LONGEST_WALK:
                detail = f"leads to more than {LONGEST_WALK} jobs that wait for one another"
                raise InvalidRequestError(detail, problems=[Problem("/options/after", "AFTER_TOO_LONG", detail)])
            jobs = await self._store.some([*following])
            following = {each: following[job.id] for job in jobs for each in job.waits_for if each not in seen}
