"""What a run says while it goes on, taken down with its assignment."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from pydantic_core import from_json, to_json, to_jsonable_python

from mainspring.errors import InvalidRequestError, Problem
from mainspring.execution.assignment import Assignment
from mainspring.execution.run_log import RunLog
from mainspring.job import REQUEST_LIMIT, JobKey, Progress
from mainspring.plugins import Registry

MOST_FOLLOW_UPS = 1000
"""How many jobs one run may have made."""
_lock = threading.Lock()


class Telling:
    """See `mainspring.plugins.context.Teller`."""

    __slots__ = ("_assignment", "_registry")

    def __init__(self, assignment: Assignment, registry: Registry) -> None:
        self._assignment = assignment
        self._registry = registry

    def keep(self, line: str) -> None:
        """Keep a line of the run's log."""
        log = self._assignment.log
        if log is None:
            with _lock:  # or two threads that begin at once would each have their own
                log = self._assignment.log = self._assignment.log or RunLog()
        log.add(line)
        self._assignment.say()

    def report(self, progress: Progress) -> None:
        """Show how far the run is."""
        self._assignment.progress = progress
        self._assignment.say()

    def follow(self, job_group: str, body: Mapping[str, Any]) -> UUID:
        """Have a job made if the run succeeds; return its id."""
        assignment = self._assignment
        binding = self._registry.find(JobKey(assignment.job.key.product, job_group))
        request = binding.on_the_wire(to_jsonable_python(dict(body), by_alias=True))
        _check(to_json(request))
        with _lock:
            number = len(assignment.follow_ups)
            if number >= MOST_FOLLOW_UPS:
                raise ValueError(f"a run can have {MOST_FOLLOW_UPS} jobs made, and no more")
            job_id = uuid5(assignment.job.occurrence_id, f"follow-up {number}")
            now = assignment.started_at or assignment.job.due_at
            assignment.follow_ups += (binding.follow_up(request, job_id, now),)
        return job_id


def _check(request: bytes) -> None:
    """Raise `InvalidRequestError` for the JSON of a request that not every store could keep."""
    if len(request) > REQUEST_LIMIT:
        raise _refused("REQUEST_TOO_LARGE", f"is larger than {REQUEST_LIMIT // 1024} KiB")
    if b"\\u0000" in request:
        raise _refused("PLUGIN_VALIDATION_ERROR", "has a NUL character, which not every store can keep")
    try:
        from_json(request, allow_inf_nan=False)
    except ValueError:
        detail = "has a number that JSON does not know: NaN, or an infinite one"
        raise _refused("PLUGIN_VALIDATION_ERROR", detail) from None


def _refused(code: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"the request {detail}", problems=[Problem("", code, f"the request {detail}")])
