"""Named facts about what happened. The service and the nodes announce them; logs and metrics subscribe.

A subscriber is called at once, in the announcer's loop, and must be quick. One that raises does not harm the announcer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from mainspring.model import Job, JobKey, Run


@dataclass(frozen=True, slots=True)
class JobScheduled:
    """A job was created and is durable."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job was edited: rescheduled, paused, resumed or retried (`what` says which)."""

    job: Job
    what: str


@dataclass(frozen=True, slots=True)
class JobDeleted:
    """A job was deleted."""

    job: Job


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A node begins a run."""

    job: Job


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run's outcome is durable; `job` is what the job became."""

    run: Run
    job: Job


@dataclass(frozen=True, slots=True)
class RunRefused:
    """A run's outcome came too late: the job was deleted, or the run had been given up for lost.

    Nothing was written.
    """

    run: Run


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node begins to claim jobs of these groups."""

    node: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeStopped:
    """A node has ended its work in good order."""

    node: str


@dataclass(frozen=True, slots=True)
class NodeLost:
    """A node was found dead; its runs are given up for lost."""

    node: str


@dataclass(frozen=True, slots=True)
class NodeBuried:
    """This node was taken for dead by another.

    Its runs are no longer its own, and it begins a new life under a new name.
    """

    node: str


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """A turn of one of the node's loops failed and is tried again after a pause."""

    loop: str
    error: Exception


@dataclass(frozen=True, slots=True)
class PluginFailed:
    """A group's request model raised what is no validation error.

    A bug in the plugin, answered to the client as 422.
    """

    key: JobKey
    error: BaseException


Event = (
    JobScheduled
    | JobChanged
    | JobDeleted
    | RunStarted
    | RunFinished
    | RunRefused
    | NodeStarted
    | NodeStopped
    | NodeLost
    | NodeBuried
    | TurnFailed
    | PluginFailed
)


class Events:
    """The list of those who listen."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Call `subscriber` with each fact from here on."""
        self._subscribers.append(subscriber)

    def announce(self, event: Event) -> None:
        """Tell all subscribers."""
        for subscriber in self._subscribers:
            with suppress(Exception):
                subscriber(event)
