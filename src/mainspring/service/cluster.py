"""The use cases of whoever operates nodes: which there are, what they run, what requests look like; and drains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from mainspring.errors import NotFoundError, Problem
from mainspring.job import DELIVERIES, TERMS, JobKey, terms_to_json
from mainspring.plugins import Binding, Registry
from mainspring.store import NodeBeat, Notes, Store


class NodeState(NamedTuple):
    """A node, how many jobs it runs, and whether it is drained: then it begins no more."""

    beat: NodeBeat
    running: int
    is_drained: bool


class Runnable(NamedTuple):
    """A job group, what is bound for it here, if anything, and the names of the nodes that run its jobs."""

    key: JobKey
    binding: Binding | None
    nodes: tuple[str, ...]


class Cluster:
    """Sees nodes and plugins, here and elsewhere."""

    def __init__(self, store: Store, notes: Notes, registry: Registry) -> None:
        self._store = store
        self._notes = notes
        self._registry = registry

    async def nodes(self) -> list[NodeState]:
        """Return all nodes, by name."""
        await self._notes.refresh()
        running = Counter(held.node for held in await self._store.running())
        beats = await self._store.nodes()
        return [NodeState(beat, running[beat.name], beat.name in self._notes.drained) for beat in beats]

    async def drain(self, name: str, *, is_drained: bool) -> NodeState:
        """Have a node begin no more jobs, or let it begin jobs again; it hears of it within a second or two.

        Raises `NotFoundError`.
        """
        there = {beat.name for beat in await self._store.nodes()}
        if name not in there:
            detail = f"there is no node {name[:100]!r}"
            raise NotFoundError(detail, problems=[Problem("", "NODE_NOT_FOUND", detail)])
        await self._notes.put_drained(name, is_drained=is_drained, there=there)
        return next(state for state in await self.nodes() if state.beat.name == name)

    async def runnables(self) -> list[Runnable]:
        """Return all job groups that are bound here or that a node runs, by name."""
        beats = await self._store.nodes()
        theirs = (key for beat in beats for key in beat.groups if key != DELIVERIES)
        keys = sorted({*self._registry.open_bindings, *theirs})
        return [
            Runnable(key, self._registry.bindings.get(key), tuple(beat.name for beat in beats if key in beat.groups))
            for key in keys
        ]

    async def publish(self) -> None:
        """Write what requests of the groups look like that are bound here, and the groups' terms.

        They are for processes that do not have the groups.
        """
        known = await self._notes.schemas()
        for key, binding in self._registry.open_bindings.items():
            published = {**binding.schema, TERMS: terms_to_json(binding.terms)}
            if known.get(key) != published:
                await self._notes.put_schema(key, published)

    async def schema(self, key: JobKey) -> Mapping[str, Any]:
        """Return the JSON Schema of a request of a job group, as it is bound here or was published last.

        Raises `NotFoundError`.
        """
        if (binding := self._registry.open_bindings.get(key)) is not None:
            return binding.schema
        published = (await self._notes.schemas()).get(key) or self._registry.find(key).schema
        return {name: part for name, part in published.items() if name != TERMS}
