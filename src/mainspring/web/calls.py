"""Answers the calls that runs make by their `Scheduler`: with the use cases, and in the JSON that REST answers with.

All happens on the loop that made it, which owns the store; calls come from any thread.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from mainspring import logs
from mainspring.declared import webhook_to_json
from mainspring.errors import InvalidRequestError, MainspringError, Problem, StoreUnavailableError
from mainspring.job import DELIVERIES, Job, JobFilter, JobKey, tag_label
from mainspring.plugins import Call, Registry, read_error, under_way, write_error
from mainspring.service import SchedulerService
from mainspring.web.answers import job_json
from mainspring.web.body import parse_json
from mainspring.web.endpoint import job_id_of
from mainspring.web.endpoints.filters import read_tags
from mainspring.web.endpoints.lists import LIMIT, jobs_in, read_states
from mainspring.web.problem import SENTENCES, HttpError
from mainspring.web.query import ParameterError

AT_ONCE = 16
"""How many calls the store has at once: a job that makes a thousand holds up no request of a client."""
log = logs.logger("mainspring.web")


class StoreCalls:
    """See `mainspring.plugins.Calls`."""

    def __init__(self, service: SchedulerService, registry: Registry) -> None:
        self._service = service
        self._registry = registry
        self._loop = asyncio.get_running_loop()
        # Not that of the caller: what is logged here is no part of the log of its run.
        self._context = contextvars.copy_context()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def begin(self, product: str, call: Call) -> Future[str]:
        """Have a call answered. For any thread."""
        answer = under_way()
        try:
            self._loop.call_soon_threadsafe(self._take, JobKey(product, call.job_group), call, answer)
        except RuntimeError:  # the loop is closed
            answer.set_exception(_ends())
        return answer

    async def close(self) -> None:
        """Answer no more calls: those under way are told that the node ends."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _take(self, key: JobKey, call: Call, answer: Future[str]) -> None:
        if self._is_closed:
            answer.set_exception(_ends())
            return
        # By `create_task` it would come from the task factory, which a plugin may have changed.
        task = asyncio.Task(self._see_through(key, call, answer), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, key: JobKey, call: Call, answer: Future[str]) -> None:
        """Answer a call, or say what is wrong with it: with nothing of this machine, as clients read it in the end."""
        try:
            async with self._turns:
                answer.set_result(to_json(await self._answer(key, call)).decode())
        except asyncio.CancelledError:
            answer.set_exception(_ends())
        except MainspringError as error:
            if sentence := SENTENCES.get(type(error)):
                log.warning("call refused", call=call.name, group=str(key), code=error.code, error=str(error))
                error = type(error)(sentence)
            answer.set_exception(read_error(write_error(error)))
        except Exception:
            log.exception("call failed", call=call.name, group=str(key))
            answer.set_exception(MainspringError("something went wrong in the scheduler; its log has the details"))

    async def _answer(self, key: JobKey, call: Call) -> Any:
        """Do what a call asks for."""
        if key == DELIVERIES:
            return await self._of_webhook(call)
        if not (key.job_group.isascii() and key.job_group.isprintable()):
            self._registry.find(key)  # which has no such group; no store is asked for what it cannot hold
        body, pauses = _parsed(call.body), await self._service.control.pauses()
        if call.name == "list":
            which, limit = _read_list(body)
            return [job_json(job, pauses) for job in await self._service.list_jobs(key, which, after=None, limit=limit)]
        if call.name == "delete":
            return await self._service.delete_job(key, job_id_of(call.job_id))
        return job_json(await self._job(key, call, body), pauses)

    async def _of_webhook(self, call: Call) -> dict[str, Any] | None:
        """Tell a delivery of its webhook, `None` if that was deleted; or pause the webhook."""
        body = _parsed(call.body)
        name, subscription = body["webhook"], UUID(body["subscription"])
        if call.name == "pause":
            await self._service.webhooks.pause(name, subscription, body["reason"])
            return None
        there = (await self._service.webhooks.list_webhooks()).get(name)
        return None if there is None or there.id != subscription else webhook_to_json(there.webhook)

    async def _job(self, key: JobKey, call: Call, body: Mapping[str, Any]) -> Job:
        """Return the job that a call reads or writes."""
        jobs, control = self._service, self._service.control
        if call.name == "create":
            return await jobs.create_job(key, self._registry.find(key).on_the_wire(body))
        job_id = job_id_of(call.job_id)
        if call.name == "change":
            return await jobs.change_job(key, job_id, self._registry.find(key).on_the_wire(body))
        if call.name == "pause":
            return await control.pause_job(key, job_id, body)
        verbs: Mapping[str, Callable[[JobKey, UUID], Awaitable[Job]]] = {
            "get": jobs.get_job,
            "cancel": control.cancel_job,
            "resume": control.resume_job,
            "fire": control.fire_job,
        }
        return await verbs[call.name](key, job_id)


def _ends() -> StoreUnavailableError:
    return StoreUnavailableError("the node ends; a write in progress may or may not have taken effect")


def _parsed(text: str) -> dict[str, Any]:
    """Read what a call is made with, as strictly as the body of a request."""
    try:
        body: dict[str, Any] = parse_json(text.encode())
    except HttpError as error:
        raise InvalidRequestError(str(error), problems=error.problems) from error
    return body


def _read_list(asked: Mapping[str, Any]) -> tuple[JobFilter, int]:
    """Return which jobs are to be listed, and how many. Raises `InvalidRequestError` with every problem."""
    problems: list[Problem] = []
    states, tags, limit = asked.get("state"), frozenset[str](), asked["limit"]
    names = None
    try:
        names = None if states is None else read_states([str(state) for state in states])
    except ParameterError as error:
        problems.append(Problem("/state", error.code, str(error)))
    try:
        tags = read_tags([str(tag) for tag in asked.get("tag", ())])
    except ParameterError as error:
        problems.append(Problem("/tag", error.code, str(error)))
    if not (type(limit) is int and 1 <= limit <= LIMIT):
        problems.append(Problem("/limit", "NUMBER_RANGE", f"must be a whole number from 1 to {LIMIT}"))
    if problems:
        detail = "; ".join(f"{problem.pointer} {problem.detail}" for problem in problems)
        raise InvalidRequestError(detail, problems=problems)
    return JobFilter(jobs_in(names), gave_up="dead" in (names or ()), labels=frozenset(map(tag_label, tags))), limit
