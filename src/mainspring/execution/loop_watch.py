"""Finds the job that blocks its event loop: which run, for how long, and where in its code. On the node's loop.

Runs pay nothing for it. At each pulse every loop with runs is given something to do; one that has not done it by the
pulse after that is looked at from here: which task it runs, and where its thread is. Only what is the same twice is
named, so neither a crowd of jobs nor a process that was frozen is taken for a job that blocks.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType

from mainspring.clock import Clock
from mainspring.execution.assignment import Assignment
from mainspring.execution.lane import Lane
from mainspring.job import JobKey, LoopBlocked
from mainspring.plugins import Registry


class _Watched:
    """A loop, the lanes on it, the packages of their jobs, and what was seen of it at the last pulse."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.lanes: dict[JobKey, Lane] = {}
        self.packages: set[str] = set()
        self.thread: int | None = None
        self.is_silent = False
        self.task: asyncio.Task[object] | None = None
        """What it was busy with when it was silent."""
        self.blocked: _Block | None = None
        loop.call_soon_threadsafe(self._note_thread)

    def _note_thread(self) -> None:
        self.thread = threading.get_ident()


@dataclass(slots=True)
class _Block:
    """A block that was announced. The loop itself takes down when it is over."""

    event: LoopBlocked
    since: float
    until: float | None = None

    def end(self, clock: Clock) -> None:
        self.until = clock.monotonic()


class LoopWatch:
    """Watches the loops of lanes."""

    def __init__(self, registry: Registry, lanes: Mapping[JobKey, Lane], clock: Clock) -> None:
        self._clock = clock
        self._watched: dict[asyncio.AbstractEventLoop, _Watched] = {}
        for key, lane in lanes.items():
            watched = self._watched.get(lane.loop) or self._watched.setdefault(lane.loop, _Watched(lane.loop))
            watched.lanes[key] = lane
            watched.packages.add(package_of(registry.bindings[key].job_class.execute.__module__))

    def look(self, running: Collection[Assignment]) -> Iterator[LoopBlocked]:
        """Look at each loop; tell of those that a job has begun to block, or blocks no more."""
        moment = self._clock.monotonic()
        for watched in self._watched.values():
            if (block := watched.blocked) is not None:
                if block.until is None:
                    continue
                watched.blocked = None
                yield block.event._replace(seconds=block.until - block.since, over=True)
            was_silent, before = watched.is_silent, watched.task
            waiting = [since for lane in watched.lanes.values() if (since := lane.untaken_since) is not None]
            watched.is_silent = bool(waiting)
            watched.task = asyncio.current_task(watched.loop) if waiting else None
            if not waiting:
                for lane in watched.lanes.values():
                    if lane.executing:
                        lane.ask()
            elif was_silent and any(lane.is_stuck(moment) for lane in watched.lanes.values()):
                task = watched.task if watched.task is before else None
                event = self._event(watched, task, running, moment - min(waiting))
                watched.blocked = _Block(event, min(waiting))
                watched.loop.call_soon_threadsafe(watched.blocked.end, self._clock)
                yield event

    def _event(
        self, watched: _Watched, task: asyncio.Task[object] | None, running: Collection[Assignment], seconds: float
    ) -> LoopBlocked:
        run = next((each for each in running if task is not None and each.task is task), None)
        job = None if run is None else run.job
        groups = tuple(watched.lanes) if job is None else (job.key,)
        frame = None if watched.thread is None else sys._current_frames().get(watched.thread)  # noqa: SLF001 - documented
        return LoopBlocked(groups, job, seconds, where_is(frame, watched.packages), over=False)


def where_is(frame: FrameType | None, packages: Collection[str]) -> str:
    """Say where a thread is in the code of these packages, and what that calls."""
    if frame is None:
        return "unknown"
    ours: FrameType | None = frame
    while ours is not None and package_of(ours.f_globals.get("__name__")) not in packages:
        ours = ours.f_back
    return " > ".join(dict.fromkeys(_place(each) for each in (ours, frame) if each is not None))


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_qualname})"


def package_of(module: object) -> str:
    """Return the package of a module, by its name."""
    return str(module).partition(".")[0]
