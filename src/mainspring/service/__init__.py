"""The use cases that REST, the command line and importers call."""

from mainspring.service.calendars import CalendarService
from mainspring.service.control import Standing
from mainspring.service.jobs import SchedulerService
from mainspring.service.limiting import LEARNED, Limited
from mainspring.service.lookahead import LookAhead
from mainspring.service.replanning import Moved, Replanning
from mainspring.store import Progress

__all__ = [
    "LEARNED",
    "CalendarService",
    "Limited",
    "LookAhead",
    "Moved",
    "Progress",
    "Replanning",
    "SchedulerService",
    "Standing",
]
