"""Finds job loops whose threads are all stuck: no plain function can be run there. On the node's loop."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from mainspring.execution.lane import Lane
from mainspring.execution.loop_watch import package_of, where_is
from mainspring.execution.threads import Threads
from mainspring.job import JobKey, ThreadsStuck
from mainspring.plugins import Registry


class ThreadWatch:
    """Watches the threads of lanes."""

    def __init__(self, registry: Registry, lanes: Mapping[JobKey, Lane]) -> None:
        self._registry = registry
        self._groups: dict[Threads, tuple[JobKey, ...]] = {}
        self._told: set[Threads] = set()
        for key, lane in lanes.items():
            if isinstance(lane.places, Threads):
                self._groups[lane.places] = (*self._groups.get(lane.places, ()), key)

    @property
    def stuck(self) -> tuple[JobKey, ...]:
        """The groups of which no plain function can be run, as of the last look."""
        return tuple(sorted(key for threads in self._told for key in self._groups[threads]))

    def look(self) -> Iterator[ThreadsStuck]:
        """Tell of threads that are all stuck, and when one of them is free again."""
        for threads, groups in self._groups.items():
            stuck = threads.stuck
            if (len(stuck) >= threads.number) is (threads in self._told):
                continue
            self._told ^= {threads}
            packages = {package_of(self._registry.bindings[key].job_class.execute.__module__) for key in groups}
            frames = sys._current_frames()  # noqa: SLF001 - documented
            where = (where_is(frames.get(thread.ident or 0), packages) for thread in stuck)
            yield ThreadsStuck(groups, threads.number, next(where, ""), over=threads not in self._told)
