"""What a job is and what becomes of it. Pure facts and the state machine; no I/O."""

from mainspring.job.damage import Damage
from mainspring.job.events import (
    Events,
    GaveUp,
    JobChanged,
    JobDeleted,
    JobScheduled,
    LoopBlocked,
    NodeBuried,
    NodeLost,
    NodeStarted,
    NodeStopped,
    NodeStopping,
    PluginFailed,
    RunFinished,
    RunLeft,
    RunRefused,
    RunsInterrupted,
    RunStarted,
    StoreFailed,
    StoreRecovered,
    TurnFailed,
)
from mainspring.job.job import (
    FORMAT,
    PENDING,
    Change,
    Claim,
    Edit,
    Job,
    State,
)
from mainspring.job.key import (
    JobKey,
)
from mainspring.job.listing import (
    Counts,
    JobFilter,
    Position,
)
from mainspring.job.options import (
    Backoff,
    Options,
    options_from_json,
    options_to_json,
)
from mainspring.job.request import (
    SCHEDULING_FIELDS,
    JobRequest,
    Reading,
    parse,
    read,
)
from mainspring.job.retry import RetryPolicy
from mainspring.job.run import DEADLY, Ending, Outcome, Run
from mainspring.job.tuples import new_tuple

__all__ = [
    "DEADLY",
    "FORMAT",
    "PENDING",
    "SCHEDULING_FIELDS",
    "Backoff",
    "Change",
    "Claim",
    "Counts",
    "Damage",
    "Edit",
    "Ending",
    "Events",
    "GaveUp",
    "Job",
    "JobChanged",
    "JobDeleted",
    "JobFilter",
    "JobKey",
    "JobRequest",
    "JobScheduled",
    "LoopBlocked",
    "NodeBuried",
    "NodeLost",
    "NodeStarted",
    "NodeStopped",
    "NodeStopping",
    "Options",
    "Outcome",
    "PluginFailed",
    "Position",
    "Reading",
    "RetryPolicy",
    "Run",
    "RunFinished",
    "RunLeft",
    "RunRefused",
    "RunStarted",
    "RunsInterrupted",
    "State",
    "StoreFailed",
    "StoreRecovered",
    "TurnFailed",
    "new_tuple",
    "options_from_json",
    "options_to_json",
    "parse",
    "read",
]
