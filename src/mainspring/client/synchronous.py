"""The client of programs that wait for each answer: it sends what is described in `jobs` and `service`."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx2

from mainspring.client import core
from mainspring.client.answers import Batch, Job
from mainspring.client.call import Answer, Call, Items, Page
from mainspring.client.core import Retries
from mainspring.client.errors import (
    MainspringError,
    NoAnswerError,
    NotFound,
    NotMainspringError,
    ProblemError,
    WaitTimeout,
)
from mainspring.client.events import Event, EventFilter, EventReader, following
from mainspring.client.paths import JobLike
from mainspring.client.service import ServiceCalls
from mainspring.clock import Clock, SystemClock

T = TypeVar("T")
_CHUNK = 10_000


class Client(ServiceCalls):
    """A client of the service at `url`, by default that of MAINSPRING_URL, else ``http://127.0.0.1:8089``.

    `token` is sent as bearer. `timeout` bounds each wait for the service, in seconds; `retries` says how often a
    call is sent again. Tests hand in a `transport` of httpx2, and a `clock`. Use it as a context manager, or close it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        retries: Retries | None = None,
        transport: httpx2.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self._timeout = timeout
        self._retries = retries or Retries()
        with core.own_errors():
            self._http = httpx2.Client(
                base_url=core.base_url(url),
                headers=core.request_headers(token),
                timeout=timeout,
                transport=transport,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Carry out a call that was described, as all other methods do. Raises `MainspringError`."""
        tries = core.Tries(self._retries, call, self.clock)
        while True:
            try:
                return self._once(call, tries.number)
            except MainspringError as error:
                pause = tries.pause(error)
                if pause is None:
                    raise
            self._sleep(pause)

    def _once(self, call: Call[T], attempt: int) -> T:
        with core.own_errors():
            response = self._http.request(
                call.method, call.path, params=call.params or None, content=call.content, headers=call.headers
            )
        try:
            answer = core.answer_of(response, call)
        except NotFound as error:
            if core.is_done_before(error, call, attempt):
                return core.read(call, Answer(204, {}, b""))
            raise
        return core.read(call, answer)

    def items(self, call: Call[Page[T]]) -> Items[T]:
        """Return the list that a call describes."""
        return Items(self, call)

    def create_many(
        self, product: str, job_group: str, requests: Iterable[Mapping[str, Any]], *, chunk: int = _CHUNK
    ) -> Iterator[Batch]:
        """Create any number of jobs, `chunk` by `chunk`: each chunk all or none, and only when it is asked for.

        Raises as `create_batch`; the chunks before it are created then. A `chunk` below 1 is a `ValueError`.
        """
        if chunk < 1:
            raise ValueError(f"a chunk has at least one job, not {chunk}")
        waiting = iter(requests)
        while part := list(itertools.islice(waiting, chunk)):
            yield self.create_batch(product, job_group, part)

    def wait_for(self, job: JobLike, *, timeout: float | None = None) -> Job:
        """Return the job when it is done, looking again and again; without `timeout` it waits for ever.

        Raises `WaitTimeout` after `timeout` seconds, and `NotFound` if the job is deleted meanwhile.
        """
        end = None if timeout is None else self.clock.monotonic() + timeout
        for pause in core.pauses():
            found = self.get(job)
            if found.is_done:
                return found
            left = pause if end is None else min(pause, end - self.clock.monotonic())
            if left <= 0:
                raise WaitTimeout(f"the job {found.id} is {found.state} after {timeout} seconds")
            self._sleep(left)
        raise AssertionError("there is always another pause")

    def events(
        self,
        product: str | None = None,
        job_group: str | None = None,
        *,
        after: str | None = None,
        **which: Unpack[EventFilter],
    ) -> Generator[Event, None, None]:
        """Yield events of a group, of a product, or of everything as they happen, for ever.

        It begins with what happens from then on, with `after` behind the event of that id, or with ``oldest`` with all
        that are kept. A connection that breaks is made again, and goes on behind the last event: none is lost, none
        comes twice. Raises `Gone` if the events after it are not kept any more, `Invalid`, and `NoAnswerError` or
        `Unavailable` if the service stays away for the `total` seconds of the `retries`. Who stops closes what is
        returned, as `contextlib.closing` does.
        """
        call = following(self.clock.now(), product, job_group, which)
        reader, coming_back = EventReader(after), core.ComingBack(self._retries, self.clock)
        while True:
            failure: MainspringError | None = None
            try:
                yield from self._stream(call, reader)
            except (NotMainspringError, ProblemError, NoAnswerError) as error:
                failure = error
            self._sleep(coming_back.pause(call, failure, has_heard=reader.has_heard))

    def _stream(self, call: Call[None], reader: EventReader) -> Iterator[Event]:
        headers, limits = reader.begin(), httpx2.Timeout(self._timeout, read=core.SILENCE_SECONDS)
        with (
            core.own_errors(),
            self._http.stream(
                call.method, call.path, params=call.params or None, headers=headers, timeout=limits
            ) as response,
        ):
            if not response.is_success:
                response.read()
                raise core.error_of(response)
            for line in response.iter_lines():
                if (event := reader.line(line)) is not None:
                    yield event

    def _sleep(self, seconds: float) -> None:
        threading.Event().wait(seconds)
