"""The use cases that REST, the command line and importers call."""

from mainspring.service.actions import MOST_IDS, VERBS, Action, action_from_json, action_to_json
from mainspring.service.batches import Batch
from mainspring.service.calendars import CalendarService, calendar_tag
from mainspring.service.cluster import NodeState, Runnable
from mainspring.service.control import Standing
from mainspring.service.feed import Event, Feed, News, Place
from mainspring.service.jobs import SchedulerService
from mainspring.service.limiting import LEARNED, Limited
from mainspring.service.lookahead import LookAhead
from mainspring.service.replanning import Moved, Replanning
from mainspring.service.webhooks import Subscription
from mainspring.store import Progress

__all__ = [
    "LEARNED",
    "MOST_IDS",
    "VERBS",
    "Action",
    "Batch",
    "CalendarService",
    "Event",
    "Feed",
    "Limited",
    "LookAhead",
    "Moved",
    "News",
    "NodeState",
    "Place",
    "Progress",
    "Replanning",
    "Runnable",
    "SchedulerService",
    "Standing",
    "Subscription",
    "action_from_json",
    "action_to_json",
    "calendar_tag",
]
