"""On the node's loop. Occurrences of one job that may run side by side: each is split off before it begins."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from mainspring.job import Claim, Ending, Job, Outcome, State, history, lifecycle
from mainspring.schedule import Calendars, Once, Overlap
from mainspring.store import Store

_BESIDE = {Overlap.ALLOW, Overlap.CANCEL_PREVIOUS}
_CANCELLED = Ending(Outcome.CANCELLED, "the next occurrence began, and cancels the previous one")


def runs_beside(job: Job) -> bool:
    """Tell whether an occurrence of a job need not wait for the one before."""
    return not isinstance(job.trigger, Once) and job.trigger.overlap in _BESIDE


async def begin_beside(
    store: Store, claim: Claim, new_id: Callable[[], UUID], calendars: Calendars
) -> tuple[Claim, set[int]]:
    """Take the occurrence that was claimed out of its job, which then waits for its next, and return it.

    If there is no next one, or the job was edited meanwhile, the job runs itself. The numbers are those of runs that
    were cancelled to make room: their nodes are asked to stop them. Raises `StoreUnavailableError`.
    """
    job, now = claim
    cancelled: set[int] = set()
    if not isinstance(job.trigger, Once) and job.trigger.overlap is Overlap.CANCEL_PREVIOUS:
        for child in await store.children(job.id):
            if not child.backfill and (run := await _cancel(store, child, claim)) is not None:
                cancelled.add(run)
    parted = lifecycle.split_off(job, new_id(), now=now, calendars=calendars)
    if parted is None:
        return claim, cancelled
    (waiting, unrun), child = parted
    return claim._replace(job=child) if await store.split_off(waiting, child, unrun) else claim, cancelled


async def _cancel(store: Store, child: Job, claim: Claim) -> int | None:
    """End an occurrence that runs, or waits for another try; return the number of its run, if it had one."""
    run = None
    if child.state is State.RUNNING:
        run = history.ended(child, _CANCELLED, started_at=child.begins_at or claim.at, now=claim.at)
    await store.delete(child, run)
    return run and run.number
