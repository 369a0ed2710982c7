"""What is sent again, against the real application: an answer that is cut after the commit does nothing twice."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio.to_thread
import httpx2
import pytest
from starlette.types import ASGIApp

from mainspring.client import AsyncClient, Client, Conflict, NoAnswerError, NotFound, Retries, Unavailable
from mainspring.clock import ManualClock
from tests.client.conftest import FromThread, async_client_with, client_with
from tests.client.test_sending import JOB, PROBLEM, away

pytestmark = pytest.mark.usefixtures("no_pauses")
HOUR = timedelta(hours=1)
IN_FLIGHT = {"id": "IDEMPOTENCY_IN_FLIGHT", "detail": "under way", "errors": [], "retryable": True}


class Cut(httpx2.AsyncBaseTransport):
    """Carries out each call, and loses the first answer to it after that."""

    def __init__(self, app: ASGIApp) -> None:
        self._inner = httpx2.ASGITransport(app)
        self.lost: set[str] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        content = await request.aread()
        asked = httpx2.Request(request.method, request.url, headers=request.headers, content=content)
        response = await self._inner.handle_async_request(asked)
        await response.aread()
        call = f"{request.method} {request.url} {request.headers.get('Idempotency-Key')}"
        if call not in self.lost:
            self.lost.add(call)
            raise httpx2.ReadError("the connection broke", request=request)
        return httpx2.Response(response.status_code, headers=response.headers, content=response.content)


async def test_an_answer_that_is_cut_does_nothing_twice(app: ASGIApp, clock: ManualClock) -> None:
    """For every kind of write that is sent again."""
    transport = Cut(app)
    async with AsyncClient("http://mainspring", transport=transport, clock=clock) as client:
        job = await client.create("vps4", "backups", when=HOUR)
        assert job.replayed
        batch = await client.create_batch("vps4", "backups", [{"when": HOUR}, {"when": HOUR}])
        assert (2, True) == (batch.created, batch.replayed)
        mine = await client.put_job("vps4", "backups", uuid4(), when=HOUR)
        assert {job.id, mine.id, *batch.ids} == {each.id async for each in client.jobs()}
        await client.pause(job, reason="why")
        assert 2 == (await client.get(job)).version
        daily = await client.create("vps4", "backups", schedule={"every": "P1D"}, when=HOUR)
        await client.fire(daily)
        await client.delete(job)
        assert 4 == len([each async for each in client.jobs()])
        with pytest.raises(NotFound):
            await client.get(job)
        with pytest.raises(NoAnswerError):
            await client.change(daily, when=2 * HOUR)
        assert daily.version + 2 == (await client.get(daily)).version  # it was fired, and changed once


async def test_the_same_of_a_program_that_waits(app: ASGIApp, clock: ManualClock) -> None:
    """Both send in the same way."""

    def use(client: Client) -> None:
        assert client.create("vps4", "backups", when=HOUR).replayed
        assert 1 == len(list(client.jobs()))

    with Client("http://mainspring", transport=FromThread(Cut(app)), clock=clock) as client:
        await anyio.to_thread.run_sync(use, client)


def answers(*given: httpx2.Response | Exception) -> Callable[[httpx2.Request], httpx2.Response]:
    """Return a handler that gives one after the other."""
    waiting = iter(given)

    def handler(_: httpx2.Request) -> httpx2.Response:
        answer = next(waiting)
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return handler


async def test_a_try_that_meets_the_one_before_waits_for_it(no_pauses: list[float]) -> None:
    """The first went on when its answer came too late; what it is answered comes with the third."""
    given = (
        httpx2.ReadTimeout("late"),
        httpx2.Response(409, json=IN_FLIGHT, headers=PROBLEM | {"Retry-After": "3"}),
        httpx2.Response(201, json=JOB, headers={"Idempotency-Replayed": "true"}),
    )
    assert client_with(answers(*given)).create("a", "b", when="now").replayed
    assert (await async_client_with(answers(*given)).create("a", "b", when="now")).replayed
    assert [3, 3] == no_pauses[1::2]


async def test_pauses_grow_and_end(no_pauses: list[float]) -> None:
    """Each is about twice the one before, none is longer than was said, and all of them have an end."""
    retries = Retries(attempts=9, first_pause=1, longest_pause=5, total=1000)
    lost = [httpx2.ConnectError("refused")] * 9
    for client in (client_with(answers(*lost), retries=retries), async_client_with(answers(*lost), retries=retries)):
        no_pauses.clear()
        with pytest.raises(NoAnswerError, match="refused"):
            await found(client.get("a/b/1"))
        assert 8 == len(no_pauses)
        assert all(least <= pause <= least + 1 for least, pause in zip((1, 2, 4), no_pauses, strict=False))
        assert [5] * 5 == no_pauses[3:]
    no_pauses.clear()
    with pytest.raises(NoAnswerError):
        client_with(answers(*lost), retries=Retries(attempts=9, first_pause=1, total=4)).get("a/b/1")
    assert sum(no_pauses) <= 4
    with pytest.raises(Unavailable):
        client_with(answers(away(), httpx2.Response(200, json=JOB)), retries=Retries(attempts=1)).get("a/b/1")


async def found(answer: Any) -> Any:
    """Wait for what may have to be waited for."""
    return await answer if hasattr(answer, "__await__") else answer


def test_only_what_is_to_be_gone_is_taken_as_done() -> None:
    """A second try of a delete that finds nothing has been carried out; a group that is not there is an error."""
    nothing = {"id": "NOT_FOUND", "detail": "there is none", "errors": [], "retryable": False}
    missing = httpx2.Response(404, json=nothing, headers=PROBLEM)
    client_with(answers(httpx2.ReadError("lost"), missing)).delete("a/b/1")
    with pytest.raises(NotFound):
        client_with(answers(missing)).delete("a/b/1")
    with pytest.raises(NotFound):
        client_with(answers(away(), missing)).reset_limits("a", "b")


def test_what_is_not_to_be_sent_again() -> None:
    """A conflict stays one."""
    taken = {"id": "KEY_TAKEN", "detail": "taken", "errors": [], "retryable": False}
    with pytest.raises(Conflict):
        client_with(answers(httpx2.Response(409, json=taken, headers=PROBLEM))).create("a", "b", when="now")


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """What a program prints is its own."""
    client_with(answers(httpx2.ReadError("lost"), httpx2.Response(201, json=JOB))).create("a", "b", when="now")
    assert ("", "") == capfd.readouterr()
