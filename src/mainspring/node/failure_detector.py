"""Pure, on the node's loop. Who has died: what one node concludes from the beats of the others (decision 0013).

Beats are counted, not dated: what counts is how long a beat has not moved, by the observer's own monotonic clock, so no
two clocks are ever compared. There are three grades of evidence, each good after a time of its own:

- *proven*, at once: the dead node's host lock, which only death frees, was found free on this host;
- *suspected*, after three missing beats: the node's session with the store is gone too. A session alone may be cut, and
  is taken up again within a second; a beat alone may be late;
- *silent*, after a whole lease.

An observer that has itself been away has not seen whether others beat meanwhile: it begins to watch anew, or two nodes
that come back from the same outage would rob each other (quartz-scheduler/quartz#847).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

from mainspring.store import NodeBeat

MISSING_BEATS = 3
"""So many beats must be missing before a node whose session is gone is given up."""


class Evidence(StrEnum):
    """How it is known that a node is dead."""

    PROVEN = "proven"
    SUSPECTED = "suspected"
    SILENT = "silent"


class FailureDetector:
    """Watches the beats of other nodes. Times are seconds; `died` says whether death can be proven here."""

    def __init__(self, *, lease: float, beat: float, died: Callable[[NodeBeat], bool]) -> None:
        self._lease = lease
        self._beat = beat
        self._died = died
        self._seen: dict[str, tuple[int, float]] = {}

    def forget(self) -> None:
        """Forget what was seen: this observer was away, or may have been."""
        self._seen.clear()

    def look(self, nodes: Iterable[NodeBeat], at: float) -> Iterator[tuple[NodeBeat, Evidence]]:
        """Take in what the store says of the other nodes at that moment; yield those that are dead."""
        seen = {}
        for node in nodes:
            beat, since = self._seen.get(node.name, (None, at))
            seen[node.name] = (node.beat, since if beat == node.beat else at)
            if evidence := self._evidence(node, at - seen[node.name][1]):
                yield node, evidence
        self._seen = seen

    def _evidence(self, node: NodeBeat, silence: float) -> Evidence | None:
        if self._died(node):
            return Evidence.PROVEN
        if silence >= self._lease:
            return Evidence.SILENT
        if silence >= MISSING_BEATS * self._beat and not node.connected and not node.patient:
            return Evidence.SUSPECTED
        return None
