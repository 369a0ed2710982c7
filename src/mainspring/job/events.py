"""Named facts about what happened. The service and the nodes announce them; logs and metrics subscribe.

A subscriber is called at once, in the announcer's loop, and must be quick. One that raises does not harm the announcer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from mainspring.job.job import Job
from mainspring.job.key import JobKey
from mainspring.job.limits import Limits
from mainspring.job.pause import Pause, Scope
from mainspring.job.run import Run


class JobScheduled(NamedTuple):
    """A job was created and is durable."""

    job: Job


class JobChanged(NamedTuple):
    """A job was edited: rescheduled, paused, resumed or retried (`what` says which)."""

    job: Job
    what: str


class JobDeleted(NamedTuple):
    """A job was deleted."""

    job: Job


class JobPaused(NamedTuple):
    """A job paused itself: it gave up on as many occurrences in a row as its options allow."""

    job: Job


class ScopePaused(NamedTuple):
    """A group, a product or everything was stopped."""

    pause: Pause


class ScopeResumed(NamedTuple):
    """A group, a product or everything goes on."""

    scope: Scope


class LimitsChanged(NamedTuple):
    """The limits of a group or a product were written."""

    scope: Scope
    limits: Limits


class RunStarted(NamedTuple):
    """A node begins a run."""

    job: Job


class RunFinished(NamedTuple):
    """A run's outcome is durable; `job` is what the job became."""

    run: Run
    job: Job


class GaveUp(NamedTuple):
    """A job gave up on a fire time: its run failed, and is not tried again. `job` is what the job became."""

    run: Run
    job: Job


class RunRefused(NamedTuple):
    """A run's outcome came too late: the job was deleted, or the run had been given up for lost.

    Nothing was written.
    """

    run: Run


class LoopBlocked(NamedTuple):
    """A job keeps the event loop of its group from all else, or has done so: then it is `over`.

    `job` is `None` if several take turns, or if it is a task or callback that a job left on the loop. Of which group it
    is, of those that share the loop, is not known then. `where` is the place in the code.
    """

    groups: tuple[JobKey, ...]
    job: Job | None
    seconds: float
    where: str
    over: bool


class ThreadsStuck(NamedTuple):
    """No thread is left for plain functions of these groups: in each one goes on whose run has ended.

    Or that was so, and a thread has ended: then it is `over`. `where` is the place in the code of one of them.
    """

    groups: tuple[JobKey, ...]
    threads: int
    where: str
    over: bool


class NodeStarted(NamedTuple):
    """A node begins to claim jobs of these groups."""

    node: str
    groups: tuple[str, ...]


class NodeStopping(NamedTuple):
    """A node was told to stop. It claims no more, and lets its `runs` end for `seconds` at most."""

    node: str
    runs: int
    seconds: float


class RunsInterrupted(NamedTuple):
    """A node that stops no longer waits for its runs, and interrupts them. `why` says what ended the wait."""

    node: str
    runs: int
    why: str


class RunLeft(NamedTuple):
    """A node stops without having written how a run ended: it is given up for lost. `why` says what kept it."""

    job: Job
    why: str


class NodeStopped(NamedTuple):
    """A node has ended its work in good order."""

    node: str


class NodeLost(NamedTuple):
    """A node was found dead; its runs are given up for lost. `evidence` says how it is known."""

    node: str
    evidence: str


class NodeBuried(NamedTuple):
    """This node was taken for dead by another.

    Its runs are no longer its own, and it begins a new life under a new name.
    """

    node: str


class TurnFailed(NamedTuple):
    """A turn of one of the node's loops failed and is tried again after a pause."""

    loop: str
    error: Exception


class StoreFailed(NamedTuple):
    """The store does not answer these loops, which try again. Announced when that begins, and rarely while it lasts.

    `seconds` is how long it has lasted.
    """

    loops: tuple[str, ...]
    error: Exception
    seconds: float


class StoreRecovered(NamedTuple):
    """The store answers these loops again. It did not for `seconds`."""

    loops: tuple[str, ...]
    seconds: float


class PluginFailed(NamedTuple):
    """A group's request model raised what is no validation error.

    A bug in the plugin, answered to the client as 422.
    """

    key: JobKey
    error: BaseException


Event = (
    JobScheduled
    | JobChanged
    | JobDeleted
    | JobPaused
    | LimitsChanged
    | ScopePaused
    | ScopeResumed
    | RunStarted
    | RunFinished
    | GaveUp
    | RunRefused
    | LoopBlocked
    | ThreadsStuck
    | NodeStarted
    | NodeStopping
    | RunsInterrupted
    | RunLeft
    | NodeStopped
    | NodeLost
    | NodeBuried
    | TurnFailed
    | StoreFailed
    | StoreRecovered
    | PluginFailed
)


E = TypeVar("E")


class Events:
    """The list of those who listen."""

    def __init__(self) -> None:
        self._subscribers: dict[type[Any], list[Callable[[Any], None]]] = {}

    def subscribe(self, kind: type[E], subscriber: Callable[[E], None]) -> None:
        """Call `subscriber` with each fact of that kind from here on."""
        self._subscribers.setdefault(kind, []).append(subscriber)

    def has_subscribers(self, kind: type[Any]) -> bool:
        """Tell whether anybody listens for a kind of fact: what happens for every run is not even made for nobody."""
        return kind in self._subscribers

    def announce(self, event: Event) -> None:
        """Tell all who listen for this kind of fact."""
        for subscriber in self._subscribers.get(type(event), ()):
            with suppress(Exception):
                subscriber(event)
