"""How one run happens: an executor turns an assignment into an ending, and never raises."""

from mainspring.execution.assignment import OUT_OF_TOUCH, Assignment
from mainspring.execution.executor import Executor
from mainspring.execution.lane import (
    AHEAD_SECONDS,
    Lane,
    job_loop,
)
from mainspring.execution.loop_watch import (
    LoopWatch,
)
from mainspring.execution.quarantine import (
    Quarantine,
)
from mainspring.execution.runner import Runner
from mainspring.execution.slots import Slots
from mainspring.execution.workers.pool import (
    ProcessRunner,
)
from mainspring.execution.workers.spawner import (
    Spawner,
)

__all__ = [
    "AHEAD_SECONDS",
    "OUT_OF_TOUCH",
    "Assignment",
    "Executor",
    "Lane",
    "LoopWatch",
    "ProcessRunner",
    "Quarantine",
    "Runner",
    "Slots",
    "Spawner",
    "job_loop",
]
