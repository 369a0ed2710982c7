import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar, NoReturn
from uuid import UUID

import anyio.lowlevel
import pytest
import structlog
from pydantic import AliasChoices, Field, field_validator

from mainspring.clock import ManualClock
from mainspring.execution import Assignment, Runner, Threads, runner
from mainspring.execution.endings import REASON_LENGTH
from mainspring.execution.runner import VETO_SECONDS
from mainspring.job import Ending, Job, JobKey, JobRequest, Options, Outcome, State, lifecycle
from mainspring.plugins import (
    Binder,
    JobExecutionContext,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    Signal,
    Stopping,
    Verdict,
    build,
)
from mainspring.plugins.author import Busy, Cancel, Retry, job_group, product
from mainspring.schedule import Once, Trigger
from tests.rogues import OddDelay, OddSignal, UnprintableError

START = datetime(2026, 1, 1, tzinfo=UTC)
FIRE_TIME = START - timedelta(seconds=5)
KEY = JobKey("vps4", "backups")
MINUTE = timedelta(minutes=1)
SUCCEEDED = Ending(Outcome.SUCCEEDED)
WHOSE = {"job": str(UUID(int=1)), "group": "vps4/backups", "run": 7, "attempt": 1}
"""How a line of the log names the run of `a_job`."""

Code = Callable[[JobExecutionContext], Any]
Kind = Callable[[Code], Callable[..., Any]]
Logs = list[MutableMapping[str, Any]]


# --- how a job or a listener may be written


def async_def(code: Code) -> Callable[..., Any]:
    """Write code as ``async def``."""

    async def method(_self: object, *arguments: Any) -> Any:
        return code(arguments[-1])

    return method


def plain_def(code: Code) -> Callable[..., Any]:
    """Write code as plain ``def``."""

    def method(_self: object, *arguments: Any) -> Any:
        return code(arguments[-1])

    return method


def def_that_answers_an_awaitable(code: Code) -> Callable[..., Any]:
    """Write code as a plain ``def`` whose answer has to be awaited, as a decorator may do."""

    def method(_self: object, *arguments: Any) -> Awaitable[Any]:
        async def work() -> Any:
            return code(arguments[-1])

        return work()

    return method


def async_def_that_answers_an_awaitable(code: Code) -> Callable[..., Any]:
    """Write code as an ``async def`` whose answer has to be awaited once more."""

    async def method(self: object, *arguments: Any) -> Awaitable[Any]:
        awaitable: Awaitable[Any] = async_def(code)(self, *arguments)
        return awaitable

    return method


each_kind = pytest.mark.parametrize(
    "kind", [async_def, plain_def, def_that_answers_an_awaitable, async_def_that_answers_an_awaitable]
)


def a_job_class(execute: Callable[..., Any], **attributes: Any) -> type[SchedulerJob]:
    """Make the job class of the group `KEY`."""
    cls: type[SchedulerJob] = type("BackupJob", (SchedulerJob,), {"execute": execute, **attributes})
    return product(KEY.product)(job_group(KEY.job_group)(cls))


def a_listener(veto: Callable[..., Any], name: str = "Listener", **attributes: Any) -> type[SchedulerTriggerListener]:
    """Make a trigger listener of the group `KEY`."""
    cls: type[SchedulerTriggerListener] = type(
        name, (SchedulerTriggerListener,), {"veto_job_execution": veto, **attributes}
    )
    return product(KEY.product)(job_group(KEY.job_group)(cls))


class Module(SchedulerPluginModule):
    def __init__(self, job_class: type[SchedulerJob], listeners: tuple[type[SchedulerTriggerListener], ...]) -> None:
        self.job_class = job_class
        self.listeners = listeners

    def configure(self, binder: Binder) -> None:
        binder.bind_job(self.job_class)
        for listener in self.listeners:
            binder.bind_trigger_listener(listener)


# --- how one is run


@pytest.fixture
def clock() -> ManualClock:
    """Time as the node sees it; only the test moves it."""
    return ManualClock(START)


@pytest.fixture(autouse=True)
def logs() -> Iterator[Logs]:
    """What was logged."""
    with structlog.testing.capture_logs() as logs:
        yield logs


def a_job(**changes: Any) -> Job:
    """Make a job that a node has claimed for its first attempt."""
    job = lifecycle.create(
        job_id=UUID(int=1),
        key=KEY,
        request={},
        trigger=Once(FIRE_TIME),
        options=Options(),
        now=FIRE_TIME,
        calendars={},
    ).job
    return job._replace(
        **{"state": State.RUNNING, "run": 7, "node": "node-1", "claimed_at": START, "attempt": 1, **changes}
    )


def an_assignment(clock: ManualClock, **changes: Any) -> Assignment:
    """Make an assignment of a claim that has just come in."""
    return Assignment(a_job(**changes), START.timestamp() - clock.monotonic())


@asynccontextmanager
async def a_runner(
    clock: ManualClock, job_class: type[SchedulerJob], *listeners: type[SchedulerTriggerListener]
) -> AsyncIterator[Runner]:
    """Make a runner for one job class and its listeners."""
    registry = build([("test", Module(job_class, listeners))], clock=clock)
    await registry.open()
    yield Runner(registry, clock, Threads(2))
    await registry.close()


async def run(
    clock: ManualClock, job_class: type[SchedulerJob], *listeners: type[SchedulerTriggerListener], **changes: Any
) -> Ending:
    """Run one assignment from its beginning to its end; say how it ended, but for the traceback of what was raised."""
    async with a_runner(clock, job_class, *listeners) as runner:
        return (await runner.run(an_assignment(clock, **changes)))._replace(traceback=None)


class Gate:
    """Where a job waits, in a coroutine or in a thread, until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    async def wait_async(self, _context: object) -> None:
        """Wait for ever, without blocking the loop."""
        self.reached.set()
        await asyncio.Event().wait()

    def wait_in_thread(self, _context: object) -> None:
        """Block this thread until the gate is opened."""
        self.reached.set()
        self.opened.wait(60)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that lets everybody out at the end."""
    gate = Gate()
    yield gate
    gate.opened.set()


async def reached(gate: Gate) -> None:
    """Return when somebody waits at the gate."""
    assert await asyncio.to_thread(gate.reached.wait, 60)


async def let_others_go_on() -> None:
    """Give every task that can go on the chance to."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


def waits_async(gate: Gate) -> Callable[..., Any]:
    """Write ``async def`` code that waits at the gate."""

    async def method(_self: object, *arguments: Any) -> None:
        await gate.wait_async(arguments[-1])

    return method


def waits_in_thread(gate: Gate) -> Callable[..., Any]:
    """Write plain ``def`` code that waits at the gate."""

    def method(_self: object, *arguments: Any) -> None:
        gate.wait_in_thread(arguments[-1])

    return method


def waits_awaited(gate: Gate) -> Callable[..., Any]:
    """Write ``async def`` code whose answer, awaited once more, waits at the gate."""

    async def method(_self: object, *arguments: Any) -> Awaitable[None]:
        return gate.wait_async(arguments[-1])

    return method


each_way_to_wait = pytest.mark.parametrize("waits", [waits_async, waits_in_thread, waits_awaited])


# --- every way in which a job's code can end


class Doom(BaseException):
    """Not even an `Exception`."""


class Mute(Exception):  # noqa: N818 - it says nothing
    """An exception that fails when it is asked what it says."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def __str__(self) -> str:
        answer: str = self.answer()
        return answer


class Text(str):
    """Text that is in one's way."""

    __slots__ = ()

    def __getitem__(self, _: object) -> NoReturn:
        raise SystemExit

    replace = encode = isprintable = __getitem__  # type: ignore[assignment]


class Forgetful(Retry):
    """A signal that forgot to call its base."""

    def __init__(self) -> None:
        pass


def raises(error: BaseException | type[BaseException]) -> Code:
    """Write code that raises."""

    def code(_context: JobExecutionContext) -> NoReturn:
        raise error

    return code


def answers(answer: object) -> Code:
    """Write code that returns."""
    return lambda _context: answer


def failed(reason: str) -> Ending:
    """Make the ending of a failure."""
    return Ending(Outcome.FAILED, reason)


def _exit() -> NoReturn:
    raise SystemExit


any_value: Any = 30
"""What an author without a type checker may pass."""

CODE_ENDINGS = {
    "returns": (answers(None), SUCCEEDED),
    "returns something": (
        answers({"size": 7, "part": float("nan")}),
        SUCCEEDED._replace(result='{"size":7,"part":null}'),
    ),
    "returns what is no JSON": (
        answers(print),
        SUCCEEDED._replace(
            result_error="is no JSON: Unable to serialize unknown type: <class 'builtin_function_or_method'>"
        ),
    ),
    "raises": (raises(ValueError("no such VM")), failed("ValueError: no such VM")),
    "raises a class": (raises(ValueError), failed("ValueError: ")),
    "raises SystemExit": (raises(SystemExit(0)), failed("SystemExit: 0")),
    "raises KeyboardInterrupt": (raises(KeyboardInterrupt()), failed("KeyboardInterrupt: ")),
    "raises a BaseException": (raises(Doom("all is lost")), failed("Doom: all is lost")),
    "raises CancelledError": (raises(asyncio.CancelledError()), failed("the job raised CancelledError")),
    "raises GeneratorExit": (raises(GeneratorExit()), failed("GeneratorExit: ")),
    "raises StopIteration": (raises(StopIteration()), failed("RuntimeError: coroutine raised StopIteration")),
    "raises TimeoutError": (raises(TimeoutError("of its own")), failed("TimeoutError: of its own")),
    "raises a group": (
        raises(ExceptionGroup("two", [ValueError(), KeyError()])),
        failed("ExceptionGroup: two (2 sub-exceptions)"),
    ),
    "raises what cannot be said": (
        raises(Mute(lambda: 1 / 0)),
        failed("Mute: a Mute that has no words"),
    ),
    "raises what exits when said": (raises(Mute(_exit)), failed("Mute: a Mute that has no words")),
    "raises what says a number": (raises(Mute(lambda: 5)), failed("Mute: a Mute that has no words")),
    "raises what cannot be printed": (
        raises(UnprintableError()),
        failed("UnprintableError: a UnprintableError that has no words"),
    ),
    "raises odd text": (raises(Mute(lambda: Text("no such VM"))), failed("Mute: no such VM")),
    "raises nothing but NUL": (raises(ValueError("\0" * 1000)), failed("ValueError: " + "\\0" * 244)),
    "raises a signal that raises": (raises(OddSignal()), failed("asked for an ending that makes no sense: SystemExit")),
    "retries after an odd while": (
        raises(Retry(OddDelay(minutes=1))),
        Ending(Outcome.FAILED, "the job asked for a retry", MINUTE),
    ),
    "raises a megabyte": (raises(ValueError("x" * 1_000_000)), failed("ValueError: " + "x" * (REASON_LENGTH - 12))),
    "raises NUL and half a surrogate": (raises(ValueError("a\0b\ud800c")), failed("ValueError: a\\0b?c")),
    "retries": (raises(Retry), failed("the job asked for a retry")),
    "retries with a reason": (raises(Retry(reason="not yet")), failed("not yet")),
    "retries after a while": (raises(Retry(MINUTE, "not yet")), Ending(Outcome.FAILED, "not yet", MINUTE)),
    "cancels": (raises(Cancel("VM is gone")), Ending(Outcome.CANCELLED, "VM is gone")),
    "cancels with what it caught": (raises(Cancel(KeyError("vm"))), Ending(Outcome.CANCELLED, "'vm'")),  # type: ignore[arg-type]
    "cancels with NUL": (raises(Cancel("\0\udfff" + "x" * 1000)), Ending(Outcome.CANCELLED, "\\0?" + "x" * 497)),
    "is busy": (raises(Busy("dc:ams3", MINUTE)), Ending(Outcome.POSTPONED, "busy: dc:ams3", MINUTE, busy="dc:ams3")),
    "retries after a number": (
        raises(Retry(any_value, "not yet")),
        failed(f"asked for an ending that makes no sense: {Ending(Outcome.FAILED, 'not yet', any_value)[:3]}"),
    ),
    "is busy for a number": (
        raises(Busy("dc", any_value)),
        failed(f"asked for an ending that makes no sense: {Ending(Outcome.POSTPONED, 'busy: dc', any_value)[:3]}"),
    ),
    "raises a signal without an ending": (raises(Forgetful()), failed("asked for an ending that makes no sense: ")),
    "raises a signal with nonsense": (
        raises(Signal(Ending(any_value))),
        failed(f"asked for an ending that makes no sense: {Ending(any_value)[:3]}"),
    ),
}


@each_kind
@pytest.mark.parametrize(("code", "expected"), CODE_ENDINGS.values(), ids=CODE_ENDINGS)
async def test_every_way_the_code_can_end(clock: ManualClock, code: Code, expected: Ending, kind: Kind) -> None:
    """However user code ends, it is one ending, in words that a store can keep; nothing is ever raised."""
    assert expected == await run(clock, a_job_class(kind(code)))


@pytest.mark.parametrize("error", [RuntimeError("no database"), SystemExit("no database"), Doom("no database")])
async def test_a_constructor_that_raises_fails_the_attempt(clock: ManualClock, error: BaseException) -> None:
    """A job that cannot even be built has failed, and its code is not run."""
    executed: list[object] = []

    def __init__(_self: object) -> None:  # noqa: N807 - it becomes one
        raise error

    ending = await run(clock, a_job_class(async_def(executed.append), __init__=__init__))
    assert failed(f"{type(error).__name__}: no database") == ending
    assert [] == executed


async def test_what_a_job_raises_is_logged(clock: ManualClock, logs: Logs) -> None:
    """The log has the exception itself, and says whose it is; a signal is no news."""
    error = ValueError("no such VM")
    await run(clock, a_job_class(async_def(raises(error))))
    await run(clock, a_job_class(async_def(raises(Cancel("gone")))))
    assert [{"event": "run failed", "log_level": "warning", **WHOSE, "exc_info": error}] == logs


@pytest.mark.parametrize("veto", [False, True])
async def test_a_log_that_cannot_be_written_harms_no_run(
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    veto: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """When the log's disk is full or its pipe is closed, the run still has its ending."""

    class FullDisk:
        def warning(self, *_: object, **__: object) -> None:
            raise OSError("no space left on device")

    monkeypatch.setattr(runner, "log", FullDisk())
    code = async_def(raises(ValueError("no")))
    ending = await run(clock, a_job_class(code), *[a_listener(code)] * veto)
    assert failed("the veto check Listener raised ValueError: no" if veto else "ValueError: no") == ending


# --- what the code is told


async def test_context(clock: ManualClock) -> None:
    """The code is told what it runs for, in the store's time."""

    class Request(JobRequest):
        vm_id: int

    seen: list[JobExecutionContext] = []
    request = {"vmId": 4, "when": "2025-12-31T23:59:55Z"}
    job_class = a_job_class(async_def(seen.append), Request=Request)
    clock.advance(hours=1)  # the node's clock is not the store's
    async with a_runner(clock, job_class) as runner:
        assignment = an_assignment(clock, request=request, attempt=3, due_at=START)
        clock.advance(seconds=2)
        assert SUCCEEDED == await runner.run(assignment)
    assert START + timedelta(seconds=2) == assignment.started_at
    told = {
        "job_id": UUID(int=1),
        "product": "vps4",
        "job_group": "backups",
        "request": Request.model_validate(request),
        "scheduled_fire_time": FIRE_TIME,
        "fire_time": START + timedelta(seconds=2),
        "attempt": 3,
        "run": 7,
        "occurrence_id": assignment.job.occurrence_id,
        "trigger": Once(FIRE_TIME),
        "stopping": assignment.stopping,
    }
    assert [told] == [{name: getattr(context, name) for name in told} for context in seen]


async def test_occurrence_id_is_the_same_for_each_attempt(clock: ManualClock) -> None:
    """All attempts of one fire time share a key, other fire times and other jobs have their own."""
    seen: list[JobExecutionContext] = []
    async with a_runner(clock, a_job_class(async_def(seen.append))) as runner:
        for changes in [
            {},
            {"attempt": 2, "run": 8, "due_at": START},
            {"fire_time": START, "run": 9},
            {"id": UUID(int=2), "run": 10},
        ]:
            await runner.run(an_assignment(clock, **changes))
    first, second, *others = [context.occurrence_id for context in seen]
    assert first == second
    assert 3 == len({first, *others})


async def test_context_log_names_job_and_run(clock: ManualClock, logs: Logs) -> None:
    """What a job logs can be found by its job, group, run and attempt."""
    await run(clock, a_job_class(async_def(lambda context: context.log.info("half done", percent=50))))
    assert [{"event": "half done", "log_level": "info", **WHOSE, "percent": 50}] == logs


@pytest.mark.parametrize("kind", [async_def, plain_def])
async def test_each_run_has_a_fresh_instance_with_its_request(clock: ManualClock, kind: Kind) -> None:
    """Nothing that one run leaves on its job is seen by the next, and each finds its own request."""

    class Request(JobRequest):
        vm_id: int

    instances: list[Any] = []

    def execute(self: Any, context: JobExecutionContext) -> Any:
        instances.append(self)
        return kind(lambda _: None)(self, context)

    async with a_runner(clock, a_job_class(execute, Request=Request)) as runner:
        for vm_id in (1, 2):
            assert SUCCEEDED == await runner.run(an_assignment(clock, request={"vmId": vm_id}))
    one, other = instances
    assert one is not other
    assert [1, 2] == [one.request.vm_id, other.request.vm_id]


async def test_async_def_runs_on_the_loop_and_plain_def_in_a_daemon_thread(clock: ManualClock) -> None:
    """Only code that may block gets a thread, and none of these keeps the process from ending."""
    threads: list[threading.Thread] = []

    def note(_context: JobExecutionContext) -> None:
        threads.append(threading.current_thread())

    assert SUCCEEDED == await run(clock, a_job_class(async_def(note)))
    assert SUCCEEDED == await run(clock, a_job_class(plain_def(note)))
    on_loop, in_thread = threads
    assert threading.current_thread() is on_loop
    assert threading.current_thread() is not in_thread
    assert in_thread.daemon


@each_kind
async def test_context_variables_reach_the_code(clock: ManualClock, kind: Kind) -> None:
    """What is bound around a run, such as a trace, is seen in it, on the loop or in a thread."""
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []
    job_class = a_job_class(kind(lambda _: seen.append(variable.get())))
    async with a_runner(clock, job_class) as runner:
        variable.set("around the run")
        await runner.run(an_assignment(clock))
    assert ["around the run"] == seen


# --- the stored request


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, "/vmId is required"),
        ({"vmId": 1, "size": 5}, "/size is not a field of this job group"),
        ({"vmId": 2}, "/vmId is\\0odd"),
        ({"vmId": 3}, "the job group's own check failed with KeyError"),
    ],
    ids=["missing", "unknown", "refused with NUL", "bug"],
)
async def test_a_stored_request_that_is_valid_no_longer_fails(
    clock: ManualClock, request_: dict[str, Any], expected: str
) -> None:
    """A plugin may have changed since the job was created: the attempt fails with the reason, and nothing is run."""
    executed: list[object] = []

    class Request(JobRequest):
        vm_id: int

        @field_validator("vm_id")
        @classmethod
        def check(cls, vm_id: int) -> int:
            if vm_id == 2:
                raise ValueError("is\0odd")
            return {1: vm_id}[vm_id]

    job_class = a_job_class(async_def(executed.append), Request=Request)
    asked = a_listener(async_def(executed.append))
    ending = await run(clock, job_class, asked, request=request_)
    assert failed(f"the stored request is refused by the job group: {expected}") == ending
    assert [] == executed


@pytest.mark.parametrize(
    "request_", [{"event": "paid"}, {"eventName": "paid"}, {"eventName": "paid", "tries": 2}], ids=["1", "2", "3"]
)
async def test_a_request_of_an_older_version_is_run(clock: ManualClock, request_: dict[str, Any]) -> None:
    """A field that got another name, and one that came later, are read as they were stored."""
    seen: list[tuple[str, int]] = []

    class Request(JobRequest):
        event_name: str = Field(validation_alias=AliasChoices("eventName", "event"))
        tries: int = 2

    def note(context: JobExecutionContext) -> None:
        seen.append((context.request.event_name, context.request.tries))

    ending = await run(clock, a_job_class(async_def(note), Request=Request), request=request_)
    assert (Ending(Outcome.SUCCEEDED), [("paid", 2)]) == (ending, seen)


# --- the time limit


@each_way_to_wait
@pytest.mark.parametrize(
    ("attributes", "options", "limit"),
    [
        ({"timeout": 5 * MINUTE}, Options(), 300),
        ({"timeout": 5 * MINUTE}, Options(timeout=7 * MINUTE), 420),
        ({}, Options(), 3600),
    ],
    ids=["of the group", "of the request", "default"],
)
async def test_time_limit(
    clock: ManualClock,
    gate: Gate,
    waits: Callable[[Gate], Callable[..., Any]],
    attributes: dict[str, Any],
    options: Options,
    limit: int,
) -> None:
    """A run may take as long as its limit and no longer; then it is told to stop and is not waited for."""
    async with a_runner(clock, a_job_class(waits(gate), **attributes)) as runner:
        assignment = an_assignment(clock, options=options)
        task = asyncio.create_task(runner.run(assignment))
        await reached(gate)
        clock.advance(seconds=limit - 1)
        await let_others_go_on()
        assert not task.done()
        assert not assignment.stopping.is_set()
        clock.advance(seconds=1)
        assert Ending(Outcome.TIMED_OUT, f"took longer than its limit of {limit} s") == await task
        assert assignment.stopping.is_set()


@pytest.mark.parametrize("error", [None, ValueError("half done")])
async def test_code_that_swallows_its_cancellation_when_time_is_up(
    clock: ManualClock, gate: Gate, error: Exception | None
) -> None:
    """Code that was cut off did not succeed, even if it returns; if it raises, that is the reason."""

    async def execute(_self: object, context: JobExecutionContext) -> None:
        try:
            await gate.wait_async(context)
        except asyncio.CancelledError:
            if error:
                raise error from None

    async with a_runner(clock, a_job_class(execute, timeout=MINUTE)) as runner:
        task = asyncio.create_task(runner.run(an_assignment(clock)))
        await reached(gate)
        clock.advance(minutes=1)
        expected = Ending(Outcome.TIMED_OUT, "took longer than its limit of 60 s")
        assert (failed("ValueError: half done") if error else expected) == (await task)._replace(traceback=None)


async def test_a_time_limit_that_the_job_sets_itself_is_a_failure(clock: ManualClock) -> None:
    """Only the run's own limit makes it timed out."""

    async def execute(_self: object, _context: JobExecutionContext) -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    assert failed("TimeoutError: ") == await run(clock, a_job_class(execute))


async def test_a_thread_that_ends_after_its_time_is_not_heard(clock: ManualClock, gate: Gate) -> None:
    """What a thread answers after its run timed out changes nothing."""

    def execute(_self: object, context: JobExecutionContext) -> None:
        gate.wait_in_thread(context)
        raise ValueError("too late")

    async with a_runner(clock, a_job_class(execute, timeout=MINUTE)) as runner:
        late = asyncio.create_task(runner.run(an_assignment(clock)))
        await reached(gate)
        clock.advance(minutes=1)
        assert Outcome.TIMED_OUT is (await late).outcome
        gate.opened.set()
        assert Outcome.FAILED is (await runner.run(an_assignment(clock))).outcome


# --- interruption


@each_way_to_wait
async def test_interrupted(clock: ManualClock, gate: Gate, waits: Callable[[Gate], Callable[..., Any]]) -> None:
    """A run that the node cancels is interrupted, with the node's reason."""
    async with a_runner(clock, a_job_class(waits(gate))) as runner:
        assignment = an_assignment(clock)
        task = asyncio.create_task(runner.run(assignment))
        await reached(gate)
        assignment.stopping.why = "the node stopped"
        task.cancel()
        assert Ending(Outcome.INTERRUPTED, "the node stopped") == await task


@each_way_to_wait
async def test_interrupted_in_the_veto_check(
    clock: ManualClock, gate: Gate, waits: Callable[[Gate], Callable[..., Any]]
) -> None:
    """It does not matter how far the run has come."""
    async with a_runner(clock, a_job_class(async_def(answers(None))), a_listener(waits(gate))) as runner:
        assignment = an_assignment(clock)
        task = asyncio.create_task(runner.run(assignment))
        await reached(gate)
        assignment.stopping.why = "the job was deleted"
        task.cancel()
        assert Ending(Outcome.INTERRUPTED, "the job was deleted") == await task


async def test_interrupted_before_it_began(clock: ManualClock) -> None:
    """A run that was called off before its turn came runs nothing."""
    executed: list[object] = []
    async with a_runner(clock, a_job_class(async_def(executed.append))) as runner:
        assignment = an_assignment(clock)
        assignment.stopping.why = "the node stopped"
        assert Ending(Outcome.INTERRUPTED, "the node stopped") == await runner.run(assignment)
    assert [] == executed


async def test_code_that_answers_its_interruption(clock: ManualClock) -> None:
    """Code that is cancelled may still say itself how its run ends."""

    async def execute(_self: object, _context: JobExecutionContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Busy("the node stops", MINUTE) from None

    async with a_runner(clock, a_job_class(execute)) as runner:
        assignment = an_assignment(clock)
        task = asyncio.create_task(runner.run(assignment))
        await let_others_go_on()
        assignment.stopping.why = "the node stopped"
        task.cancel()
        assert Ending(Outcome.POSTPONED, "busy: the node stops", MINUTE, busy="the node stops") == await task


# --- threads


async def test_a_thread_that_cannot_be_started_fails_the_attempt(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the machine has no thread left, the attempt fails and the next one has its chance."""

    def start(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with a_runner(clock, a_job_class(plain_def(answers(None)))) as runner:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            assert "RuntimeError: can't start new thread" == (await runner.run(an_assignment(clock))).reason
        assert SUCCEEDED == await runner.run(an_assignment(clock))


async def test_a_thread_can_wait_for_the_end_of_its_time(clock: ManualClock) -> None:
    """Plain functions cannot be cancelled, so they look at `stopping`; it is set when their time is up."""
    waiting, ended = threading.Event(), threading.Event()
    told: list[bool] = []

    def execute(_self: object, context: JobExecutionContext) -> None:
        told.extend([context.stopping.is_set(), context.stopping.wait(0)])
        waiting.set()
        told.extend([context.stopping.wait(60), context.stopping.is_set()])
        ended.set()

    async with a_runner(clock, a_job_class(execute, timeout=MINUTE)) as runner:
        task = asyncio.create_task(runner.run(an_assignment(clock)))
        assert await asyncio.to_thread(waiting.wait, 60)
        clock.advance(minutes=1)
        assert Outcome.TIMED_OUT is (await task).outcome
        assert await asyncio.to_thread(ended.wait, 60)
    assert [False, False, True, True] == told


def test_all_threads_that_wait_for_the_end_are_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one of those who begin to wait at the same moment is forgotten."""
    stopping, waiting, woken = Stopping(), threading.Event(), threading.Event()

    def wait_too() -> None:
        if stopping.wait(60):
            woken.set()

    class Event(threading.Event):
        """An event that, while it is made, lets another thread begin to wait as well."""

        others: ClassVar = [threading.Thread(target=wait_too, daemon=True)]

        def __init__(self) -> None:
            if self.others:
                self.others.pop().start()
                waiting.wait(60)
            super().__init__()

        def wait(self, timeout: float | None = None) -> bool:
            waiting.set()
            return super().wait(timeout)

    monkeypatch.setattr("mainspring.plugins.context.threading", SimpleNamespace(Event=Event))
    assert not stopping.wait(0)
    stopping.set()
    assert woken.wait(5)


@pytest.mark.parametrize("late", [False, True])
def test_the_wish_to_stop_is_passed_on(*, late: bool) -> None:
    """Whoever asks to be told is told, also if the wish was there before."""
    stopping, told = Stopping(), threading.Event()
    if late:
        stopping.set()
    stopping.pass_on(told)
    assert late == told.is_set()
    stopping.set()
    assert told.is_set()


async def test_code_may_use_all_of_asyncio(clock: ManualClock) -> None:
    """Tasks, time limits and cancel scopes of its own work in a job as in any coroutine."""
    done: list[str] = []

    async def execute(_self: object, _context: JobExecutionContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(anyio.lowlevel.checkpoint())
        done.append("group")
        with anyio.move_on_after(0):
            await anyio.sleep_forever()
        done.append("scope")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        done.append("limit")
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.get_loop().call_soon(future.set_result, "future")
        done.append(await future)
        failing: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        failing.get_loop().call_soon(failing.set_exception, KeyError("failing"))
        await failing

    assert failed("KeyError: 'failing'") == await run(clock, a_job_class(execute))
    assert ["group", "scope", "limit", "future"] == done


# --- the veto check

VETOES: dict[str, tuple[Code, Ending | None]] = {
    "False": (answers(False), None),  # noqa: FBT003 - it is what a listener answers
    "allow": (answers(Verdict.allow()), None),
    "True": (answers(True), Ending(Outcome.VETOED, "vetoed by Listener")),  # noqa: FBT003
    "skip": (answers(Verdict.skip("a holiday")), Ending(Outcome.SKIPPED, "a holiday")),
    "postpone": (answers(Verdict.postpone(MINUTE)), Ending(Outcome.POSTPONED, None, MINUTE)),
    "postpone, why": (answers(Verdict.postpone(MINUTE, "full")), Ending(Outcome.POSTPONED, "full", MINUTE)),
    "fail": (answers(Verdict.fail("no quota")), failed("no quota")),
    "fail with NUL": (answers(Verdict.fail("a\0b\ud800")), failed("a\\0b?")),
    "None": (answers(None), failed("the veto check Listener answered NoneType, not True, False or a Verdict")),
    "1": (answers(1), failed("the veto check Listener answered int, not True, False or a Verdict")),
    "yes": (answers("yes"), failed("the veto check Listener answered str, not True, False or a Verdict")),
    "the Verdict class": (
        answers(Verdict),
        failed("the veto check Listener answered type, not True, False or a Verdict"),
    ),
    "nonsense": (answers(Verdict(any_value)), failed("asked for an ending that makes no sense: 30")),
    "postpone by a number": (
        answers(Verdict.postpone(any_value)),
        failed(f"asked for an ending that makes no sense: {Ending(Outcome.POSTPONED, None, any_value)[:3]}"),
    ),
    "raises": (raises(ValueError("no")), failed("the veto check Listener raised ValueError: no")),
    "raises TimeoutError": (raises(TimeoutError("no")), failed("the veto check Listener raised TimeoutError: no")),
    "raises SystemExit": (raises(SystemExit(0)), failed("SystemExit: 0")),
    "raises Busy": (raises(Busy("dc", MINUTE)), Ending(Outcome.POSTPONED, "busy: dc", MINUTE, busy="dc")),
    "raises Cancel": (raises(Cancel("gone")), Ending(Outcome.CANCELLED, "gone")),
    "raises what cannot be printed": (
        raises(UnprintableError()),
        failed("the veto check Listener raised UnprintableError: a UnprintableError that has no words"),
    ),
    "raises a megabyte": (
        raises(ValueError("x" * 1_000_000)),
        failed(f"the veto check Listener raised ValueError: {'x' * 1000}"[:REASON_LENGTH]),
    ),
    "postpone by an odd while": (
        answers(Verdict.postpone(OddDelay(minutes=1))),
        Ending(Outcome.POSTPONED, None, MINUTE),
    ),
    "raises Retry": (raises(Retry(MINUTE, "soon")), Ending(Outcome.FAILED, "soon", MINUTE)),
    "raises a signal without an ending": (raises(Forgetful()), failed("asked for an ending that makes no sense: ")),
}


@each_kind
@pytest.mark.parametrize(("code", "expected"), VETOES.values(), ids=VETOES)
async def test_every_answer_of_a_listener(clock: ManualClock, code: Code, expected: Ending | None, kind: Kind) -> None:
    """Only a clear word lets the job through; every other answer is an ending, and the job is not run."""
    executed: list[JobExecutionContext] = []
    ending = await run(clock, a_job_class(async_def(executed.append)), a_listener(kind(code)))
    assert (expected or SUCCEEDED) == ending
    assert (expected is None) == bool(executed)


@each_way_to_wait
async def test_a_listener_that_hangs_fails_the_attempt(
    clock: ManualClock, gate: Gate, waits: Callable[[Gate], Callable[..., Any]]
) -> None:
    """A veto check has five seconds; then the attempt fails and the job is not run."""
    assert VETO_SECONDS == 5
    executed: list[JobExecutionContext] = []
    job_class = a_job_class(async_def(executed.append), timeout=timedelta(seconds=1))
    async with a_runner(clock, job_class, a_listener(waits(gate))) as runner:
        task = asyncio.create_task(runner.run(an_assignment(clock)))
        await reached(gate)
        clock.advance(seconds=4)
        await let_others_go_on()
        assert not task.done()
        clock.advance(seconds=1)
        assert failed("the veto check Listener took longer than 5 s") == await task
    assert [] == executed


async def test_listeners_are_asked_in_order_until_one_decides(clock: ManualClock) -> None:
    """All must let the job through; the first that does not decides, and no other is asked after it."""
    asked: list[str] = []

    def says(name: str, answer: object) -> type[SchedulerTriggerListener]:
        def code(_context: JobExecutionContext) -> object:
            asked.append(name)
            return answer

        return a_listener(async_def(code), name)

    job_class = a_job_class(async_def(lambda _: asked.append("job")))
    listeners = [says("First", answer=False), says("Second", answer=Verdict.skip("why")), says("Third", answer=True)]
    assert Ending(Outcome.SKIPPED, "why") == await run(clock, job_class, *listeners)
    assert ["First", "Second"] == asked
    asked.clear()
    assert SUCCEEDED == await run(clock, job_class, listeners[0])
    assert ["First", "job"] == asked


async def test_one_listener_serves_all_runs_and_hears_of_each(clock: ManualClock) -> None:
    """A listener is built once, and is told the trigger and the same facts that the job is told."""

    class Request(JobRequest):
        vm_id: int

    heard: list[tuple[object, Trigger, JobExecutionContext]] = []
    seen: list[JobExecutionContext] = []

    def veto(self: object, trigger: Trigger, context: JobExecutionContext) -> bool:
        heard.append((self, trigger, context))
        return False

    job_class = a_job_class(async_def(seen.append), Request=Request)
    async with a_runner(clock, job_class, a_listener(veto)) as runner:
        for vm_id in (1, 2):
            await runner.run(an_assignment(clock, request={"vmId": vm_id}))
    assert 1 == len({id(listener) for listener, _, _ in heard})
    assert [Once(FIRE_TIME)] * 2 == [trigger for _, trigger, _ in heard]
    assert [Request(vm_id=1), Request(vm_id=2)] == [context.request for _, _, context in heard]
    assert seen == [context for _, _, context in heard]
