"""The use cases that REST, the command line and importers call."""

from mainspring.service.jobs import (
    LookAhead,
    SchedulerService,
)
from mainspring.service.replanning import (
    Agenda,
    Moved,
)

__all__ = ["Agenda", "LookAhead", "Moved", "SchedulerService"]
