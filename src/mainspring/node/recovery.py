"""Lives on the node's loop. Finds out who has died, buries them, and gives up for lost what nobody runs any more."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from mainspring.execution import Quarantine
from mainspring.failpoint import fp
from mainspring.job import Events, JobKey, NodeLost, lifecycle
from mainspring.node.failure_detector import MISSING_BEATS, FailureDetector
from mainspring.node.finisher import Finisher
from mainspring.node.host_lock import HostLock
from mainspring.node.lease import Lease
from mainspring.store import Pulse, Store

ORPHAN_BATCH = 1000


class Recovery:
    """Recovers the jobs of other nodes that died, for the groups in `keys`; calls `recovered` when there were any."""

    def __init__(
        self,
        store: Store,
        lease: Lease,
        finisher: Finisher,
        host_lock: HostLock,
        quarantine: Quarantine | None,
        events: Events,
        keys: Collection[JobKey],
    ) -> None:
        self._store = store
        self._lease = lease
        self._finisher = finisher
        self._host_lock = host_lock
        self._quarantine = quarantine
        self._events = events
        self._keys = keys
        self._detector = FailureDetector(lease=lease.seconds, beat=lease.beat, died=host_lock.died)
        self._others: frozenset[str] | None = None
        self._last_pulse = -math.inf
        self._swept = -math.inf

    def begin_anew(self) -> None:
        """Forget the other nodes: this one begins a life."""
        self._others = None
        self._detector.forget()

    def forget(self) -> None:
        """Forget what was seen of other nodes: this one was away, or may have been."""
        self._detector.forget()

    async def look(self, pulse: Pulse, sent: float, recovered: Callable[[], None]) -> None:
        """Bury who is dead, and give up for lost what nobody runs any more.

        That is looked for when somebody has gone, and now and then all the same: a claim may be written after its node
        was buried.
        """
        if sent - self._last_pulse > MISSING_BEATS * self._lease.beat:
            self._detector.forget()
        self._last_pulse = sent
        names = frozenset(node.name for node in pulse.nodes)
        gone = self._others is None or bool(self._others - names)
        if self._others and gone and self._quarantine is not None:
            self._quarantine.get_ready()  # should one more die, there will be jobs that may be what kills them
        if await self._bury_the_dead(pulse, sent) or gone or sent - self._swept >= self._lease.seconds:
            await self._recover(recovered)
            self._swept = sent
        self._others = names

    async def _bury_the_dead(self, pulse: Pulse, sent: float) -> bool:
        buried = False
        others = [node for node in pulse.nodes if node.name != self._lease.name]
        for node, evidence in list(self._detector.look(others, sent)):
            fp("sweep.seen")
            if await self._store.bury(node):
                fp("bury.after")
                self._events.announce(NodeLost(node.name, evidence))
                self._host_lock.release(node.name)
                buried = True
        return buried

    async def _recover(self, recovered: Callable[[], None]) -> None:
        """Send what the dead ran down the path of all runs that ended, with the outcome `lost`.

        And delete what is left of deleted jobs: who began that may be dead too.
        """
        for parent in await self._store.deletions():
            while await self._store.delete_children(parent, lifecycle.DELETED_BEFORE, ORPHAN_BATCH):
                pass
        while orphans := await self._store.orphans(self._keys, ORPHAN_BATCH):
            fp("orphans.before")
            await self._finisher.give_up(orphans, await self._store.now())
            fp("orphans.after")
            recovered()
