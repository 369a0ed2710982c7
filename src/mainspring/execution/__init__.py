"""How one run happens: an executor turns an assignment into an ending, and never raises."""

from mainspring.execution.assignment import OUT_OF_TOUCH, Assignment
from mainspring.execution.declared import DeclaredModule, WebhooksModule, load_all
from mainspring.execution.executor import Executor
from mainspring.execution.host import NODE, Host, Thing, ring_in_vain
from mainspring.execution.lane import (
    AHEAD_SECONDS,
    Lane,
    job_loop,
)
from mainspring.execution.loop_watch import (
    LoopWatch,
)
from mainspring.execution.places import Places
from mainspring.execution.quarantine import (
    Quarantine,
)
from mainspring.execution.runner import Runner
from mainspring.execution.slots import Slots
from mainspring.execution.steady import run_steadily
from mainspring.execution.thread_watch import ThreadWatch
from mainspring.execution.threads import Threads
from mainspring.execution.workers.pool import (
    ProcessRunner,
)
from mainspring.execution.workers.spawner import (
    Spawner,
)

__all__ = [
    "AHEAD_SECONDS",
    "NODE",
    "OUT_OF_TOUCH",
    "Assignment",
    "DeclaredModule",
    "Executor",
    "Host",
    "Lane",
    "LoopWatch",
    "Places",
    "ProcessRunner",
    "Quarantine",
    "Runner",
    "Slots",
    "Spawner",
    "Thing",
    "ThreadWatch",
    "Threads",
    "WebhooksModule",
    "job_loop",
    "load_all",
    "ring_in_vain",
    "run_steadily",
]
