"""Named places in the code where a trial may kill, stop, break or delay the process: ``fp("claim.after")``.

They are armed by the variable `VARIABLE` when the process starts, else each is an empty call. The variable lists
``name=action`` or ``name=action@n``, separated by commas. The actions: ``kill`` (SIGKILL to itself), ``stop`` (SIGSTOP
to itself), ``raise`` (a `FailpointError`) and ``delay:SECONDS`` (the calling thread sleeps). With ``@n`` only the n-th
time counts that the place is reached; without, ``kill`` and ``stop`` act the first time, ``raise`` and ``delay`` each
time. What acts says so on stderr first, as a line of JSON like those of the log.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from types import MappingProxyType

from mainspring.errors import ConfigError

VARIABLE = "MAINSPRING_FAILPOINTS"

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "node.joined": "The node has its row and has not yet begun its duties.",
        "claim.before": "The node is about to ask for due jobs.",
        "claim.sent": "The claim is committed; the store has not yet read the answer.",
        "claim.after": "The node holds claims that nobody has begun to run.",
        "start.before": "Claims are about to be handed to the job loop.",
        "run.begin": "A run is about to begin, before its trigger listeners are asked.",
        "run.execute": "The job's own code is about to be called.",
        "run.end": "The job's own code has returned; nothing of it is written.",
        "hand_back.before": "Claims of jobs that could not begin are about to be undone.",
        "finish.before": "Results are about to be written.",
        "finish.sent": "Results are committed; the store has not yet read the answer.",
        "finish.after": "Results are written; the node still counts their runs as running.",
        "beat.before": "The node is about to beat.",
        "beat.after": "The node has beaten and has not looked at the answer.",
        "sweep.seen": "The node has seen that another is dead and is about to bury it.",
        "bury.after": "A dead node is buried; its jobs are still its own.",
        "orphans.before": "Jobs of the dead are known and about to be given up for lost.",
        "orphans.after": "A batch of jobs of the dead is given up for lost.",
        "prune.before": "What is too old is about to be forgotten.",
        "drain.begin": "The node was asked to stop and lets its jobs run on for the grace period.",
        "drain.interrupt": "The grace period is over; what still runs is about to be interrupted.",
        "leave.before": "All is written down and the node is about to delete its row.",
        "add.before_commit": "New jobs are about to be written.",
        "add.after_commit": "New jobs are durable; nobody has been told.",
        "batch.put_aside": "A slice of a batch is put aside; the batch is not accepted yet.",
        "batch.accepted": "A batch is accepted; none of its slices is among the jobs yet.",
        "create.before_add": "A request is a job that the store has not yet seen.",
        "create.after_add": "The job is durable; its client has not been answered.",
        "webhooks.written": "Events are deliveries; the place in the feed up to which they are is not written yet.",
        "cancel.between": "A run is to be cancelled, its node not yet asked to stop it, in the same transaction.",
        "delete.between": "A running job is deleted, its row of history not yet written, in the same transaction.",
    }
)
"""All failpoints, each with what has happened when it is reached."""

_ARMED = re.compile(
    r"(?P<name>[a-z_.]+)=(?P<action>kill|stop|raise|delay:(?P<seconds>\d{1,4}(?:\.\d{1,6})?))(?:@(?P<turn>[1-9]\d{0,8}))?"
)


class FailpointError(ConnectionError):
    """What a failpoint raises; to the code around it, it is a connection that was lost at this place."""


def armed(plan: str) -> Callable[[str], None]:
    """Return the function that does what `plan`, a text as in `VARIABLE`, says of each failpoint.

    Raises `ConfigError` for a name that is no failpoint, and for what cannot be read.
    """
    entries = [entry for entry in map(str.strip, plan.split(",")) if entry]
    if not entries:
        return _nothing
    return _Armed(dict(map(_read, entries)))


def _nothing(_name: str, /) -> None:
    """Let a failpoint that nobody armed pass."""


def _read(entry: str) -> tuple[str, Callable[[], None]]:
    match = _ARMED.fullmatch(entry)
    if match is None:
        raise ConfigError(
            f"{VARIABLE}: {entry!r} is not name=action or name=action@n, with kill, stop, raise or delay:SECONDS"
        )
    name = match["name"]
    if name not in NAMES:
        raise ConfigError(f"{VARIABLE}: there is no failpoint {name!r}; there are {', '.join(NAMES)}")
    act, once = _action(name, match["action"], match["seconds"])
    return name, _Turn(act, int(match["turn"]) if match["turn"] else 1 if once else None)


def _action(name: str, action: str, seconds: str | None) -> tuple[Callable[[], None], bool]:
    """Return what an action does, and whether it does it only once."""
    match action:
        case "kill":
            return partial(_send, name, signal.SIGKILL), True
        case "stop":
            return partial(_send, name, signal.SIGSTOP), True
        case "raise":
            return partial(_raise, name), False
        case _:
            return partial(_delay, name, float(seconds or 0)), False


class _Armed:
    """Knows what to do at each failpoint that was armed."""

    def __init__(self, actions: Mapping[str, Callable[[], None]]) -> None:
        self._actions = actions

    def __call__(self, name: str, /) -> None:
        action = self._actions.get(name)
        if action is not None:
            action()


class _Turn:
    """Acts each time, or only the n-th time. Failpoints are reached from several threads; `count` is atomic."""

    def __init__(self, act: Callable[[], None], turn: int | None) -> None:
        self._act = act
        self._turn = turn
        self._reached = count(1)

    def __call__(self) -> None:
        reached = next(self._reached)
        if self._turn is None or reached == self._turn:
            self._act()


def _say(name: str, action: str) -> None:
    os.write(2, json.dumps({"event": "failpoint", "failpoint": name, "action": action}).encode() + b"\n")


def _send(name: str, number: signal.Signals) -> None:
    _say(name, number.name)
    # To this very thread: sent to the process, another thread might take a SIGSTOP, and this one run on for a moment.
    signal.pthread_kill(threading.get_ident(), number)


def _raise(name: str) -> None:
    _say(name, "raise")
    raise FailpointError(f"the failpoint {name}")


def _delay(name: str, seconds: float) -> None:
    _say(name, "delay")
    time.sleep(seconds)  # noqa: TID251 - it delays a real process, whatever clock that lives by


fp: Callable[[str], None] = armed(os.environ.get(VARIABLE, ""))
"""Pass the failpoint of that name (one of `NAMES`)."""
