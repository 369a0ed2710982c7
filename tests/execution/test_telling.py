"""What a run says besides how it ends: its log, its progress, the jobs that are to follow."""

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid5

import pytest
import structlog

from mainspring import logs
from mainspring.clock import ManualClock
from mainspring.errors import InvalidRequestError, NotFoundError
from mainspring.execution.run_log import FIRST_BYTES, LAST_BYTES, RunLog
from mainspring.execution.telling import MOST_FOLLOW_UPS
from mainspring.job import Ending, JobRequest, Outcome, Progress
from mainspring.plugins import JobExecutionContext
from mainspring.settings import Settings
from tests.execution.test_runner import (
    FIRE_TIME,
    KEY,
    START,
    a_job,
    a_job_class,
    a_listener,
    a_runner,
    an_assignment,
    async_def,
    plain_def,
)

LATER = (START + timedelta(hours=1)).isoformat()


@pytest.fixture
def clock() -> ManualClock:
    """Time as the node sees it."""
    return ManualClock(START)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging as a service sets it up; afterwards as it was."""
    monkeypatch.setattr(logs, "_own_stderr", StringIO)
    for name, value in (("made", None), ("level", logging.NOTSET), ("processors", ())):
        monkeypatch.setattr(f"mainspring.logs._Logger.{name}", value)
    root = logging.root
    level, handlers, config = root.level, root.handlers[:], structlog.get_config()
    logs.configure(Settings(log_level="warning"))
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    structlog.configure(**config)


async def ending_of(clock: ManualClock, job_class: Any, *listeners: Any) -> Ending:
    """Run a job and say how it ended."""
    async with a_runner(clock, job_class, *listeners) as runner:
        return await runner.run(an_assignment(clock))


# --- the log


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("kind", [async_def, plain_def])
async def test_lines_are_kept_in_order(clock: ManualClock, kind: Any) -> None:
    """Those of the context, of the standard library and of structlog; the level of the service's log is no matter."""

    def say(context: JobExecutionContext) -> None:
        context.log.debug("too fine")
        context.log.info("half done", percent=50, evil="\x1b[31m")
        logging.getLogger("some.library").info("hello %s", "there")
        logging.getLogger("some.library").debug("too fine")
        structlog.get_logger().warning("by itself", n=1)
        threading.Thread(target=context.log.info, args=["in a thread"]).start()

    ending = await ending_of(clock, a_job_class(kind(say)))

    assert ending.log is not None
    lines = ending.log.splitlines()
    assert ["half done", "hello there", "by itself", "in a thread"] == [
        next((text for text in ("half done", "hello there", "by itself", "in a thread") if text in line), line)
        for line in lines
    ]
    assert "percent=50" in lines[0]
    assert "\x1b" not in ending.log
    assert str(a_job().id) not in ending.log
    assert all("too fine" not in line for line in lines)


async def test_a_run_that_says_nothing_has_no_log(clock: ManualClock) -> None:
    """Nothing is made for it."""
    assert Ending(Outcome.SUCCEEDED) == await ending_of(clock, a_job_class(async_def(lambda _: None)))


async def test_a_veto_check_may_say_why(clock: ManualClock) -> None:
    """Its lines are those of the run."""

    def veto(context: JobExecutionContext) -> bool:
        context.log.info("the VM is gone")
        return True

    ending = await ending_of(clock, a_job_class(async_def(lambda _: None)), a_listener(async_def(veto)))

    assert (Outcome.VETOED, True) == (ending.outcome, "the VM is gone" in (ending.log or ""))


@pytest.mark.usefixtures("configured")
async def test_lines_of_others_are_not_kept(clock: ManualClock) -> None:
    """What is logged beside a run, or after it, is no part of it."""
    await ending_of(clock, a_job_class(async_def(lambda context: context.log.info("mine"))))
    logging.getLogger("some.library").warning("not mine")
    assert logs.kept_by.get() is None


@pytest.mark.parametrize("where", ["job", "veto"])
@pytest.mark.parametrize("kind", [async_def, plain_def])
async def test_the_traceback_is_kept(clock: ManualClock, kind: Any, where: str) -> None:
    """From the plugin's own code on; without characters that no store takes."""

    def fail(_: JobExecutionContext) -> None:
        raise LookupError("no VM \0 \ud800")

    good = async_def(lambda _: False)
    job, listener = (kind(fail), good) if where == "job" else (good, kind(fail))
    ending = await ending_of(clock, a_job_class(job), a_listener(listener))

    assert ending.traceback is not None
    first, second, *_ = ending.traceback.splitlines()
    assert "Traceback (most recent call last):" == first
    assert "test_runner.py" in second
    assert ending.traceback.endswith("LookupError: no VM \\0 ?")


def test_the_middle_of_a_long_log_is_left_out() -> None:
    """The first and the last 32 KiB are there, and how much is not; a line is never split."""
    log = RunLog()
    for number in range(100_000):
        log.add(f"line {number}")
    text = log.text()

    assert len(text.encode()) < FIRST_BYTES + LAST_BYTES + 100
    lines = text.splitlines()
    assert "line 0" == lines[0]
    assert "line 99999" == lines[-1]
    [gap] = [place for place, line in enumerate(lines) if not line.startswith("line ")]
    left_out = int(lines[gap].split()[1])
    whole = sum(len(f"line {number}\n") for number in range(100_000))
    assert whole == left_out + len(text) - len(lines[gap]) - 1


def test_a_line_that_is_too_long_is_cut() -> None:
    """One of a gigabyte must not be kept."""
    log = RunLog()
    log.add("short")
    log.add("\N{SNOWMAN}" * 100_000)
    assert len(log.text().encode()) <= LAST_BYTES + len("short\n")


# --- progress


async def test_progress_is_the_last_that_was_said(clock: ManualClock) -> None:
    """With or without a total, from a thread or a loop."""

    def work(context: JobExecutionContext) -> None:
        context.progress(1)
        context.progress(7, 10, "\ud800" + "x" * 500)

    assignment = an_assignment(clock)
    async with a_runner(clock, a_job_class(plain_def(work))) as runner:
        await runner.run(assignment)

    assert Progress(7, 10, "?" + "x" * 199) == assignment.progress


@pytest.mark.parametrize("number", [-1, float("nan"), float("inf"), "7"])
async def test_a_progress_that_is_none_fails_the_attempt(clock: ManualClock, number: Any) -> None:
    """It is a bug of the job."""
    ending = await ending_of(clock, a_job_class(async_def(lambda context: context.progress(number))))
    assert Outcome.FAILED is ending.outcome


# --- jobs that follow


class Request(JobRequest):
    """What the jobs of these tests take."""

    vm_id: str | None = None


async def test_jobs_follow_a_success(clock: ManualClock) -> None:
    """Their ids follow from the occurrence and the number of the call; fields are named in Python or on the wire."""
    made: list[UUID] = []

    def work(context: JobExecutionContext) -> None:
        made.append(context.schedule("backups", when=FIRE_TIME + timedelta(hours=1), vm_id="v1"))
        made.append(context.schedule("backups", when=LATER, vmId="v2", options={"priority": 7}))

    ending = await ending_of(clock, a_job_class(async_def(work), Request=Request))

    occurrence = a_job().occurrence_id
    assert [uuid5(occurrence, f"follow-up {number}") for number in (0, 1)] == made
    assert made == [job.id for job in ending.follow_ups]
    first, second = ending.follow_ups
    assert ({"when": "2026-01-01T00:59:55Z", "vmId": "v1"}, KEY, 5) == (first.request, first.key, first.priority)
    assert ("v2", 7) == (second.request["vmId"], second.priority)


async def test_no_job_follows_a_failure(clock: ManualClock) -> None:
    """Whatever was scheduled before it."""

    def work(context: JobExecutionContext) -> None:
        context.schedule("backups", when=LATER)
        raise ValueError("no")

    assert () == (await ending_of(clock, a_job_class(async_def(work)))).follow_ups


@pytest.mark.parametrize(
    ("group", "fields", "error"),
    [
        ("backups", {}, InvalidRequestError),
        ("backups", {"when": "soon"}, InvalidRequestError),
        ("backups", {"when": LATER, "colour": "red"}, InvalidRequestError),
        ("backups", {"when": LATER, "options": {"key": "k", "onConflict": "replace"}}, InvalidRequestError),
        ("elsewhere", {"when": LATER}, NotFoundError),
        ("backups", {"when": object()}, Exception),
        ("backups", {"when": LATER, "vm_id": "\ud800"}, Exception),
        ("backups", {"when": LATER, "vm_id": "a\0b"}, InvalidRequestError),
        ("backups", {"when": LATER, "vm_id": float("nan")}, InvalidRequestError),
        ("backups", {"when": LATER, "vm_id": "x" * 300_000}, InvalidRequestError),
        ("backups", {"when": LATER, "options": {"after": [str(UUID(int=1))]}}, InvalidRequestError),
    ],
)
async def test_what_cannot_be_made_is_refused_at_once(
    clock: ManualClock, group: str, fields: dict[str, Any], error: type[Exception]
) -> None:
    """Where the job can catch it, and its traceback shows the call."""
    caught: list[Exception] = []

    def work(context: JobExecutionContext) -> None:
        with pytest.raises(error) as info:
            context.schedule(group, **fields)
        caught.append(info.value)

    ending = await ending_of(clock, a_job_class(async_def(work), Request=Request))

    assert (Outcome.SUCCEEDED, 1, ()) == (ending.outcome, len(caught), ending.follow_ups)


async def test_one_run_has_only_so_many_made(clock: ManualClock) -> None:
    """A loop without end must not fill the memory."""

    def work(context: JobExecutionContext) -> None:
        while True:
            context.schedule("backups", when=LATER)

    ending = await ending_of(clock, a_job_class(async_def(work)))

    assert f"a run can have {MOST_FOLLOW_UPS} jobs made" in (ending.reason or "")
