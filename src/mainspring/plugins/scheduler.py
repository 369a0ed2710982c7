"""The scheduler as jobs and trigger listeners reach it from inside a run: its calls, and what they bring.

A call leaves the loop or thread of the run as text, and is answered where the store is (decision 0038). Who takes it
there, `Calls`, is given by whoever builds the services: in a node its own use cases, in a worker process its node.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import astuple
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from pydantic_core import from_json, to_json

from mainspring import errors
from mainspring.errors import InvalidRequestError, MainspringError, Other, OverQuota, Problem
from mainspring.job import DELIVERIES, REQUEST_LIMIT
from mainspring.schedule import MICROSECOND

MOST_WAITING = 1000
"""How many calls of a job group may wait for their answers at once, in one process."""

T = TypeVar("T")
JobData = dict[str, Any]
"""A job as ``GET …/jobs/{jobId}`` answers it."""
Jobs = list[JobData]


class Call(NamedTuple):
    """What is to be done, in which group of the product, with which job if it is one, and by what, as JSON."""

    name: str
    job_group: str
    job_id: str
    body: str


class Calls(Protocol):
    """Takes calls, from any thread."""

    def begin(self, product: str, call: Call) -> Future[str]:
        """Have a call answered within the bounds of a product, in JSON. The future has nothing but `MainspringError`.

        It cannot be cancelled: a call that has begun goes to its end, whether somebody waits for it or not.
        """


class NoCalls:
    """Where there is no store to answer calls."""

    def begin(self, product: str, call: Call) -> Future[str]:
        """Refuse a call."""
        answer = under_way()
        answer.set_exception(MainspringError(f"there is no scheduler here to {call.name} jobs of {product}"))
        return answer


def under_way() -> Future[str]:
    """Return the future of a call that has begun, which nobody can cancel."""
    future: Future[str] = Future()
    future.set_running_or_notify_cancel()
    return future


class Answer(Generic[T]):
    """What a call brings. ``await`` it in an ``async def``, in a plain ``def`` ask for its `result`.

    Either raises the errors of the call. Wait for each answer: nobody else hears of an error.
    """

    __slots__ = ("_future", "_is_awaited", "_name")

    def __init__(self, name: str, future: Future[str]) -> None:
        self._name = name
        self._future = future
        self._is_awaited = False

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for it, on any event loop."""
        self._is_awaited = True
        text = yield from asyncio.wrap_future(self._future).__await__()
        return self._read(text)

    def result(self, timeout: float | None = None) -> T:
        """Wait for it in a thread. Raises `TimeoutError` after `timeout` seconds: the call goes on.

        Raises `RuntimeError` on an event loop, which would stand still meanwhile.
        """
        self._is_awaited = True
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - documented for those who run loops
            raise RuntimeError("result() would block the event loop; here await the answer")
        return self._read(self._future.result(timeout))

    def _read(self, text: str) -> T:
        read: T = from_json(text)
        return read

    def __del__(self) -> None:
        """Warn of an answer that nobody has waited for, as Python does of a coroutine."""
        if not self._is_awaited:
            warnings.warn(f"nobody waited for the answer of Scheduler.{self._name}", RuntimeWarning, stacklevel=2)


class Scheduler:
    """The jobs of the product whose job or trigger listener asks for it, from inside a run.

    Each call is under way when its method returns, and takes effect at once, whatever becomes of the run: what a
    success is to bring about belongs to `JobExecutionContext.schedule`. Jobs are plain data, as ``GET`` answers them.
    Calls raise the errors that REST has for them, from `mainspring.errors`: `NotFoundError` for a job, and for a group
    that the product does not have, `ConflictError` where others kept changing the job, `StoreUnavailableError` where
    the store does not answer, so that nothing is known of a write; and what their methods name.
    """

    __slots__ = ("_calls", "_lock", "_product", "_waiting")

    def __init__(self, product: str, calls: Calls) -> None:
        self._product = product
        self._calls = calls
        self._lock = threading.Lock()
        self._waiting = 0

    def get(self, job_group: str, job_id: UUID | str) -> Answer[JobData]:
        """Return a job, done ones too until their retention is over."""
        return self._begin("get", job_group, job_id)

    def list(
        self,
        job_group: str,
        *,
        state: str | Iterable[str] | None = None,
        tag: str | Iterable[str] | None = None,
        limit: int = 100,
    ) -> Answer[Jobs]:
        """Return up to `limit` jobs, at most 1000, by next run: those that are not done, unless a `state` is named.

        That is one or more of ``scheduled``, ``running`` and ``paused``, or just ``done``, or ``dead``: those that gave
        up. With several tags those that have all of them. Raises `InvalidRequestError` for other states and limits.
        """
        body = {"state": _several(state), "tag": _several(tag), "limit": limit}
        return self._begin("list", job_group, body={name: value for name, value in body.items() if value is not None})

    def create(
        self,
        job_group: str,
        /,
        *,
        when: datetime | str | None = None,
        schedule: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Answer[JobData]:
        """Create a job and return it, or the one that has its key where its options say so.

        `fields` are those of its request, by their names in Python or on the wire. A run that is repeated creates
        another, unless ``options`` has a ``key``. Raises `InvalidRequestError` with every problem, `KeyTakenError` and
        `QuotaExceededError`.
        """
        body = {"when": when, "schedule": schedule, "options": options}
        sent = {name: value for name, value in body.items() if value is not None}
        return self._begin("create", job_group, body=fields | sent)

    def change(self, job_group: str, job_id: UUID | str, /, **patch: Any) -> Answer[JobData]:
        """Merge a patch into a job's request: ``when``, ``schedule``, ``options`` or its fields; `None` takes one out.

        Raises `InvalidRequestError` with every problem, `JobRunningError` for a job without a schedule that runs, and
        `JobFinishedError`.
        """
        return self._begin("change", job_group, job_id, patch)

    def delete(self, job_group: str, job_id: UUID | str) -> Answer[None]:
        """Delete a job in any state. A run under way is asked to stop, and its result is refused."""
        return self._begin("delete", job_group, job_id)

    def cancel(self, job_group: str, job_id: UUID | str) -> Answer[JobData]:
        """Have the run under way end as cancelled; a job without a schedule that does not run is done so.

        Raises `JobFinishedError`, and `JobNotRunningError` for a job with a schedule that does not run.
        """
        return self._begin("cancel", job_group, job_id)

    def pause(
        self, job_group: str, job_id: UUID | str, *, reason: str | None = None, until: datetime | str | None = None
    ) -> Answer[JobData]:
        """Hold a job back, until it is resumed or `until` a time.

        Raises `JobFinishedError`, and `InvalidRequestError` with every problem.
        """
        body = {"reason": reason, "until": until}
        sent = {name: value for name, value in body.items() if value is not None}
        return self._begin("pause", job_group, job_id, sent)

    def resume(self, job_group: str, job_id: UUID | str) -> Answer[JobData]:
        """Let a paused job go on. Raises `JobFinishedError`."""
        return self._begin("resume", job_group, job_id)

    def fire(self, job_group: str, job_id: UUID | str) -> Answer[JobData]:
        """Have a job run at once, also a paused one; one that recurs gets a run beside its schedule.

        Raises `JobFinishedError`, and `JobRunningError` for a job without a schedule that runs.
        """
        return self._begin("fire", job_group, job_id)

    def _begin(
        self, name: str, job_group: str, job_id: UUID | str = "", body: Mapping[str, Any] | None = None
    ) -> Answer[Any]:
        call = Call(name, job_group, str(job_id), _written(body or {}))
        if sum(map(len, call)) > REQUEST_LIMIT:
            raise _invalid("REQUEST_TOO_LARGE", f"is larger than {REQUEST_LIMIT // 1024} KiB")
        with self._lock:
            if self._waiting >= MOST_WAITING:
                raise RuntimeError(f"{MOST_WAITING} calls wait for their answers; wait for some before the next")
            self._waiting += 1
        try:
            future = self._calls.begin(self._product, call)
        except BaseException:
            self._on_answer()
            raise
        future.add_done_callback(self._on_answer)
        return Answer(name, future)

    def _on_answer(self, _: object = None) -> None:
        with self._lock:
            self._waiting -= 1


def ask(scheduler: Scheduler, name: str, body: Mapping[str, Any]) -> Answer[Any]:
    """Make a call that only deliveries to webhooks make."""
    return scheduler._begin(name, DELIVERIES.job_group, body=body)  # noqa: SLF001 - no call for authors


def _several(names: str | Iterable[str] | None) -> list[str] | None:
    return [names] if isinstance(names, str) else None if names is None else [*names]


def _written(body: Mapping[str, Any]) -> str:
    try:
        return to_json(body, by_alias=True).decode()
    except Exception as error:
        raise _invalid("MALFORMED_JSON", f"cannot be written as JSON: {error}") from error


def _invalid(code: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(f"the request {detail}", problems=[Problem("", code, detail)])


# --- errors that cross

_CLASSES = {
    each.code: each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, MainspringError)
}


def write_error(error: MainspringError) -> dict[str, Any]:
    """Put an error into plain data, without what has caused it."""
    other: Other | None = getattr(error, "other", None)
    return {
        "code": error.code,
        "detail": str(error),
        "problems": [_write_problem(problem) for problem in error.problems],
        "run": getattr(error, "run", None),
        "other": other and [*other[0], str(other[1])],
    }


def read_error(data: Mapping[str, Any]) -> MainspringError:
    """Return the error that `write_error` wrote, of the same class."""
    more: dict[str, Any] = {}
    if data["problems"]:
        more["problems"] = [_read_problem(*problem) for problem in data["problems"]]
    if data["other"]:
        product, job_group, job_id = data["other"]
        more["other"] = (product, job_group), UUID(job_id)
    if data["run"] is not None:
        more["run"] = data["run"]
    return _CLASSES.get(data["code"], MainspringError)(data["detail"], **more)


def _write_problem(problem: Problem) -> list[Any]:
    """Write its parts; of a quota that is exceeded in microseconds how long to wait."""
    if not isinstance(problem, OverQuota):
        return [*astuple(problem)]
    *parts, wait = astuple(problem)
    return [*parts, None if wait is None else wait // MICROSECOND]


def _read_problem(pointer: str, code: str, detail: str, *more: Any) -> Problem:
    if not more:
        return Problem(pointer, code, detail)
    scope, name, used, asked, quota, wait = more
    delay = None if wait is None else wait * MICROSECOND
    return OverQuota(pointer, code, detail, scope, name, used, asked, quota, delay)
