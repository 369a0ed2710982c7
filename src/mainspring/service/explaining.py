"""The use case that tells why a job has not run, or ended as it did."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from mainspring.job import (
    MOST_AHEAD,
    MOST_NAMED,
    Fact,
    JobKey,
    Place,
    Scope,
    Situation,
    State,
    caps_of,
    weight_of,
    why,
)
from mainspring.plugins import Registry
from mainspring.store import NodeBeat, Notes, Store

if TYPE_CHECKING:
    from mainspring.service.jobs import SchedulerService


class Explaining:
    """Gathers what decides about a job, and has it put into words."""

    def __init__(self, jobs: SchedulerService, store: Store, notes: Notes, registry: Registry) -> None:
        self._jobs = jobs
        self._store = store
        self._notes = notes
        self._registry = registry

    async def why(self, key: JobKey, job_id: UUID, obstacle: str | None = None) -> list[Fact]:
        """Return every fact that holds a job back, in order; `obstacle` is what keeps this node from running jobs.

        Raises `NotFoundError`.
        """
        job = await self._jobs.get_job(key, job_id)
        await self._notes.refresh()
        nodes = await self._store.nodes()
        now = await self._store.now()
        is_due = job.state is State.SCHEDULED and job.due_at <= now  # before, nobody asks who goes ahead of it
        sources = self._notes.limits, self._registry.limits
        keys = [job.concurrency_key] if job.concurrency_key else []
        situation = Situation(
            now=now,
            pauses=self._notes.pauses,
            caps=caps_of(key, self._notes.limits, self._registry.limits),
            running=await self._store.running(),
            rates=await self._store.rates(key.product),
            pressures=await self._store.pressures(key.product, keys) if keys else {},
            awaited=[each for id_ in job.waits_for[:MOST_NAMED] if (each := await self._store.get(id_)) is not None],
            places=[_place(node, self._notes.drained) for node in nodes],
            ahead=await self._store.ahead(job, MOST_AHEAD) if is_due else 0,
            weights=(weight_of(Scope(key.product), *sources), weight_of(Scope(*key), *sources)),
            obstacle=obstacle,
        )
        return why(job, situation)


def _place(node: NodeBeat, drained: Collection[str]) -> Place:
    groups, stuck = frozenset(node.groups), frozenset(node.stuck)
    return Place(node.name, groups, node.slots, node.connected, stuck, node.name in drained)
