"""The state machine of a job, pure: what a job becomes, given what happened and when.

No clock, no store, no chance of its own. Each function returns the job as it is to be written, its version raised by
one. `now` is always the store's time.
"""

from mainspring.job.lifecycle.beside import DELETED_BEFORE, backfilled, check_backfill, split_off
from mainspring.job.lifecycle.control import cancel, fire, pause, resume, retry, retry_run, revived
from mainspring.job.lifecycle.edits import amended, create, follow_up, moved, pending, ranked, replanned, reschedule
from mainspring.job.lifecycle.steps import (
    CANCELLED,
    EXPIRED,
    Done,
    after,
    held,
    missed,
    quickly_done,
    set_aside,
    written,
)
from mainspring.job.lifecycle.waiting import has_succeeded, heard, made_to_wait, waits_for

__all__ = [
    "CANCELLED",
    "DELETED_BEFORE",
    "EXPIRED",
    "Done",
    "after",
    "amended",
    "backfilled",
    "cancel",
    "check_backfill",
    "create",
    "fire",
    "follow_up",
    "has_succeeded",
    "heard",
    "held",
    "made_to_wait",
    "missed",
    "moved",
    "pause",
    "pending",
    "quickly_done",
    "ranked",
    "replanned",
    "reschedule",
    "resume",
    "retry",
    "retry_run",
    "revived",
    "set_aside",
    "split_off",
    "waits_for",
    "written",
]
