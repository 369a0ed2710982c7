"""The scheduler of a run in a worker: its node is asked over the channel."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from mainspring import errors
from mainspring.clock import SystemClock
from mainspring.errors import (
    InvalidRequestError,
    JobRunningError,
    KeyTakenError,
    MainspringError,
    NotFoundError,
    OverQuota,
    Problem,
    QuotaExceededError,
    StoreUnavailableError,
)
from mainspring.execution import ProcessRunner, Spawner
from mainspring.execution.workers.calls import ChannelCalls, write_answer
from mainspring.job import Ending, Outcome
from mainspring.plugins import Call, load, read_error, under_way, write_error
from mainspring.settings import Settings
from tests.callers import CALLERS
from tests.execution.test_workers import PATIENCE, SYNC, to_do

GET = Call("get", "letters", "1", "{}")


class Noted:
    """Takes calls, and answers them when the test says so; `come` is told of each."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Call, Future[str]]] = []
        self.come: asyncio.Queue[Future[str]] = asyncio.Queue()

    def begin(self, product: str, call: Call) -> Future[str]:
        """Note a call."""
        answer = under_way()
        self.calls.append((product, call, answer))
        self.come.put_nowait(answer)
        return answer

    async def next(self) -> Future[str]:
        """Wait for a call."""
        async with asyncio.timeout(PATIENCE):
            return await self.come.get()


class Ready(Noted):
    """Answers each call at once, as it is told to."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self._answer = answer

    def begin(self, product: str, call: Call) -> Future[str]:
        """Note a call, and answer it."""
        answer = super().begin(product, call)
        if isinstance(self._answer, MainspringError):
            answer.set_exception(self._answer)
        else:
            answer.set_result(json.dumps(self._answer))
        return answer


@asynccontextmanager
async def a_runner(calls: Noted, *, shared: bool = False) -> AsyncIterator[ProcessRunner]:
    """Make a runner with one worker a group, and close it afterwards."""
    settings, spawner = Settings(plugins=(CALLERS,), processes=1, log_format="json"), Spawner([])
    runner = ProcessRunner(load(settings.plugins), SystemClock(), settings, spawner, shared=shared, calls=calls)
    try:
        yield runner
    finally:
        await runner.close()
        await spawner.close()


def result_of(ending: Ending) -> Any:
    """Return what a run that succeeded has returned."""
    assert (Outcome.SUCCEEDED, None) == (ending.outcome, ending.reason)
    return ending.result and json.loads(ending.result)


@pytest.mark.parametrize("shared", [False, True])
async def test_the_node_is_asked(shared: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """Within the bounds of the product of the run; what it answers is what the job gets."""
    calls = Ready({"id": "7", "options": {"tags": ["\N{SNOWMAN}"]}})
    async with a_runner(calls, shared=shared) as runner:
        ending = await runner.run(to_do("asks"))
    assert {"id": "7", "options": {"tags": ["\N{SNOWMAN}"]}} == result_of(ending)
    [(product, call, _)] = calls.calls
    assert ("zoo", Call("get", "letters", str(UUID(int=1)), "{}")) == (product, call)


async def test_a_listener_asks_in_the_worker() -> None:
    """It gets a scheduler as a job does."""
    async with a_runner(Ready([{}])) as runner:
        assert Ending(Outcome.VETOED, "vetoed by Porter") == await runner.run(to_do("is_asked_for"))


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("there is none", problems=[Problem("", "JOB_NOT_FOUND", "there is none")]),
        InvalidRequestError("two", problems=[Problem("/a", "ONE", "is wrong"), Problem("/b", "TWO", "is wrong too")]),
        KeyTakenError("the key is taken", other=(("zoo", "letters"), UUID(int=3))),
        StoreUnavailableError("away"),
    ],
)
async def test_an_error_crosses_whole(error: MainspringError) -> None:
    """It is raised as what it is, with all its problems."""
    async with a_runner(Ready(error)) as runner:
        ending = await runner.run(to_do("asks_for_what_is_wrong"))
    other = getattr(error, "other", None)
    codes = [problem.code for problem in error.problems]
    assert [type(error).__name__, str(error), codes, str(other)] == result_of(ending)


async def test_threads_ask_at_once() -> None:
    """Each gets its own answer, in whatever order they come."""
    calls = Noted()
    async with a_runner(calls) as runner:
        running = asyncio.ensure_future(runner.run(to_do("asks_in_threads", key=SYNC)))
        for _ in range(20):
            await calls.next()
        for _, call, answer in reversed(calls.calls):
            answer.set_result(json.dumps({"id": call.job_id}))
        assert [str(number) for number in range(20)] == result_of(await running)


async def test_a_run_that_is_killed_leaves_nobody_waiting() -> None:
    """What it asked for is answered to nobody; the next run has a worker and an answer of its own."""
    calls = Noted()
    async with a_runner(calls) as runner:
        running = asyncio.ensure_future(runner.run(to_do("asks_and_is_killed", key=SYNC)))
        late = await calls.next()
        ending = await running
        assert (Outcome.FAILED, True) == (ending.outcome, ending.fatal)
        late.set_result('{"id": "late"}')

        running = asyncio.ensure_future(runner.run(to_do("asks_in_threads", key=SYNC, run=8)))
        for _ in range(20):
            (await calls.next()).set_result('{"id": "in time"}')
        assert ["in time"] * 20 == result_of(await running)


async def test_an_answer_to_an_earlier_run_is_for_nobody() -> None:
    """It comes while the next run waits for its own, in the same worker."""
    calls = Noted()
    async with a_runner(calls) as runner:
        running = asyncio.ensure_future(runner.run(to_do("asks_and_goes")))
        late = await calls.next()
        result_of(await running)
        running = asyncio.ensure_future(runner.run(to_do("asks", run=8)))
        mine = await calls.next()
        late.set_result('"late"')
        mine.set_result('"mine"')
        assert "mine" == result_of(await running)


async def test_a_thread_that_a_run_leaves_waits_no_more(tmp_path: Path) -> None:
    """It hears that its run has ended."""
    calls = Noted()
    async with a_runner(calls) as runner:
        assert (
            Outcome.SUCCEEDED
            is (await runner.run(to_do("leaves_a_thread_that_asks", key=SYNC, path=tmp_path / "notes"))).outcome
        )
        async with asyncio.timeout(PATIENCE):
            while not (tmp_path / "notes").exists() or not (tmp_path / "notes").read_text():
                await SystemClock().sleep(0.01)
    assert "the run has ended" in (tmp_path / "notes").read_text()


@pytest.mark.parametrize(
    "kind", [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, MainspringError)]
)
def test_each_error_crosses(kind: type[MainspringError]) -> None:
    """Also one that has more to it than others."""
    waits = (timedelta(seconds=1.5), timedelta())
    over = [OverQuota("", "OVER", "too many", "zoo/letters", "pending", 9, 2, 10, wait) for wait in waits]
    more: dict[str, Any] = {"problems": over} if kind is QuotaExceededError else {}
    if kind in {KeyTakenError, JobRunningError}:
        more = {"other": (("zoo", "letters"), UUID(int=3))}
    error: Any = kind("a sentence", **more)
    read = read_error(json.loads(json.dumps(write_error(error))))
    assert (kind, "a sentence", vars(error)) == (type(read), str(read), vars(read))


def test_a_call_that_will_never_fit_says_so() -> None:
    """There is nothing to wait for."""
    error = QuotaExceededError("no", problems=[OverQuota("", "OVER", "no", "zoo", "bytes", 0, 2, 1, None)])
    read = read_error(json.loads(json.dumps(write_error(error))))
    assert (error.problems, None) == (read.problems, getattr(read, "retry_after", 0))


# --- the worker's end


def test_calls_are_kept_apart() -> None:
    """By their numbers, and by their runs."""
    sent: list[dict[str, Any]] = []
    calls = ChannelCalls(sent.append)
    calls.open(7)
    first, second = calls.begin("zoo", GET), calls.begin("zoo", GET)
    [one, two] = [message["ask"] for message in sent]
    assert ([7, *GET], [7, *GET]) == ([one[0], *one[2:]], [two[0], *two[2:]])
    calls.take([7, two[1], '"two"', None])
    calls.take([8, one[1], '"of another run"', None])
    assert (False, '"two"') == (first.done(), second.result())
    calls.close()
    assert isinstance(first.exception(), StoreUnavailableError)
    calls.open(8)
    calls.take([7, one[1], '"late"', None])
    calls.take([8, one[1], '"late"', None])
    assert isinstance(first.exception(), StoreUnavailableError)


def test_without_a_run_nobody_is_asked() -> None:
    """As in a thread that a job has left."""
    calls = ChannelCalls(lambda _: pytest.fail("nothing is sent"))
    assert isinstance(calls.begin("zoo", GET).exception(), StoreUnavailableError)


def test_without_a_channel_nobody_answers() -> None:
    """The node is gone."""

    def send(_: object) -> None:
        raise BrokenPipeError

    calls = ChannelCalls(send)
    calls.open(7)
    assert isinstance(calls.begin("zoo", GET).exception(), StoreUnavailableError)


def test_an_answer_crosses_whole() -> None:
    """Errors too, those that nobody expected in one word."""
    sent: list[dict[str, Any]] = []
    calls = ChannelCalls(sent.append)
    calls.open(7)
    for error in (NotFoundError("none"), ValueError("a bug")):
        asked, answer = calls.begin("zoo", GET), under_way()
        answer.set_exception(error)
        message = json.loads(json.dumps(write_answer(7, sent[-1]["ask"][1], answer)))
        threading.Thread(target=calls.take, args=[message["answer"]]).start()
        heard = asked.exception(PATIENCE)
        assert (str(error), True) == (str(heard), isinstance(heard, MainspringError))
