"""Who is hurt, where and when: drawn from a seed, so that a plan can be repeated, and kept with what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from mainspring.failpoint import NAMES
from prove.fleet import Fleet, Life, until

OFTEN = ("claim.", "start.", "run.", "finish.", "add.", "create.")
"""Failpoints that a busy node passes many times a second: it dies at any of their first hundred times."""
ON_LEAVING = ("drain.begin", "drain.interrupt", "leave.before")
"""Failpoints that a node passes only when it is asked to stop."""
ON_LEAVING_SECONDS = 5.0
"""How long a node that was asked to stop may take to reach them."""


class Fate(NamedTuple):
    """How a process dies: where its `failpoint` kills it, else by SIGKILL after so many seconds."""

    failpoint: str
    turn: int
    seconds: float

    @property
    def arm(self) -> str:
        """The plan of failpoints for its environment."""
        return f"{self.failpoint}=kill@{self.turn}" if self.failpoint else ""


def fates(random: Random, number: int, seconds: float) -> list[Fate]:
    """Draw so many deaths: each failpoint in turn as far as they go round, and as many at random as are left.

    Each comes within so many seconds.
    """
    points = [*NAMES, *[""] * max(0, number - len(NAMES))]
    random.shuffle(points)
    return [Fate(point, _turn(random, point), random.uniform(seconds / 2, seconds)) for point in points[:number]]


def _turn(random: Random, point: str) -> int:
    if point.startswith(OFTEN):
        return random.randint(1, 100)
    return random.randint(1, 5) if point.startswith("beat.") else 1


class Nemesis:
    """Lets the processes of a fleet die and be born again. What it did is told by `killed` and `reached`."""

    def __init__(self, fleet: Fleet) -> None:
        self.killed = 0
        self.reached: list[str] = []
        self._fleet = fleet
        self._up: set[int] = set()
        self._places = 0
        self._one_at_a_time = asyncio.Lock()

    async def rule(self, fates: Sequence[Fate], *options: str) -> None:
        """Lead one place of a cluster through its fates, each in a life of its own; the last life is left alone."""
        place, self._places = self._places, self._places + 1
        for fate in fates:
            life = self._fleet.start(*options, arm=fate.arm)
            if await life.wait_for("node started"):
                self._up.add(place)
                await self._end(life, fate)
                self._up.discard(place)
            self.killed += not life.alive
            self.reached += [line["failpoint"] for line in life.said("failpoint")]
        await self._fleet.start(*options).wait_for("node started")
        self._up.add(place)

    async def _end(self, life: Life, fate: Fate) -> None:
        """Wait until a failpoint kills it, or do so; then nobody else may be down, so that recovery can be timed."""
        if await life.wait_dead(fate.seconds):
            return
        async with self._one_at_a_time:
            await until(lambda: len(self._up) == self._places or not life.alive)
            if fate.failpoint in ON_LEAVING:
                life.terminate()
                await life.wait_dead(ON_LEAVING_SECONDS)
            if life.alive:
                life.kill()
            await life.wait_dead(1)
