"""The typed client of the REST API: `Client`, and `AsyncClient` for asyncio. Nothing of the service is imported."""

from mainspring.client.answers import (
    Backfill,
    Batch,
    CurrentRun,
    Fact,
    Forecast,
    Group,
    Job,
    JobRef,
    Limits,
    Pause,
    Run,
    Standing,
    Start,
    Warning,  # noqa: A004 - the word of the service
)
from mainspring.client.asynchronous import AsyncClient
from mainspring.client.call import AsyncItems, Items, Page
from mainspring.client.core import Retries
from mainspring.client.errors import (
    AddressError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    MainspringError,
    Malformed,
    NoAnswerError,
    NotFound,
    NotMainspringError,
    PreconditionFailed,
    Problem,
    ProblemError,
    QuotaExceeded,
    TooLarge,
    Unavailable,
    WaitTimeout,
)
from mainspring.client.events import Event, EventFilter
from mainspring.client.jobs import Filter, Plan
from mainspring.client.paths import JobLike
from mainspring.client.service import Action, ActionPlan, Ready
from mainspring.client.synchronous import Client
from mainspring.client.times import When

__all__ = [
    "Action",
    "ActionPlan",
    "AddressError",
    "AsyncClient",
    "AsyncItems",
    "Backfill",
    "Batch",
    "Client",
    "Conflict",
    "CurrentRun",
    "Event",
    "EventFilter",
    "Fact",
    "Filter",
    "Forbidden",
    "Forecast",
    "Gone",
    "Group",
    "Invalid",
    "Items",
    "Job",
    "JobLike",
    "JobRef",
    "Limits",
    "MainspringError",
    "Malformed",
    "NoAnswerError",
    "NotFound",
    "NotMainspringError",
    "Page",
    "Pause",
    "Plan",
    "PreconditionFailed",
    "Problem",
    "ProblemError",
    "QuotaExceeded",
    "Ready",
    "Retries",
    "Run",
    "Standing",
    "Start",
    "TooLarge",
    "Unavailable",
    "WaitTimeout",
    "Warning",
    "When",
]
