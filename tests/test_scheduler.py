"""The scheduler that jobs and trigger listeners are given, as the tests of their authors run it: all on one loop."""

import asyncio
import gc
import threading
import warnings
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from mainspring import (
    Binder,
    JobExecutionContext,
    JobRequest,
    Outcome,
    Scheduler,
    SchedulerJob,
    SchedulerPluginModule,
    SchedulerTriggerListener,
    Trigger,
    job_group,
    logs,
    product,
)
from mainspring.errors import (
    InvalidRequestError,
    JobFinishedError,
    JobNotRunningError,
    JobRunningError,
    KeyTakenError,
    MainspringError,
    NotFoundError,
    StoreUnavailableError,
)
from mainspring.job import REQUEST_LIMIT, Job, JobFilter, JobKey, State
from mainspring.plugins.scheduler import MOST_WAITING
from mainspring.testing import START, TestScheduler, run_job
from mainspring.web.answers import job_json

LATER = START + timedelta(hours=1)
LETTERS = JobKey("shop", "letters")
DONE = JobFilter(frozenset({State.DONE}))
Deed = Callable[[Scheduler, JobExecutionContext], Awaitable[Any]]
PlainDeed = Callable[[Scheduler, JobExecutionContext], Any]


@product("shop")
@job_group("letters")
class LetterJob(SchedulerJob):
    """A job that others name."""

    class Request(JobRequest):
        written_to: str
        until: str | None = None

    request: Request

    async def execute(self, context: JobExecutionContext) -> None:
        """Send nothing."""


@product("other")
@job_group("letters")
class OtherLetterJob(LetterJob):
    """A job of another product."""


class Shop(SchedulerPluginModule):
    """A group whose jobs do something with the scheduler, and the groups that there are besides."""

    def __init__(self, deed: Deed | None = None, plain: PlainDeed | None = None) -> None:
        self._deed = deed
        self._plain = plain

    def configure(self, binder: Binder) -> None:
        async def execute(job: Any, context: JobExecutionContext) -> Any:
            return self._deed and await self._deed(job.scheduler, context)

        def execute_plainly(job: Any, context: JobExecutionContext) -> Any:
            return self._plain and self._plain(job.scheduler, context)

        def __init__(job: Any, scheduler: Scheduler) -> None:  # noqa: N807 - that of a class
            job.scheduler = scheduler

        methods = {"__init__": __init__, "execute": execute_plainly if self._plain else execute, "max_attempts": 1}
        job_class: Any = type("CareJob", (SchedulerJob,), methods)
        binder.bind_job(product("shop")(job_group("care")(job_class)))
        binder.bind_job(LetterJob)
        binder.bind_job(OtherLetterJob)


async def care(scheduler: TestScheduler, **body: Any) -> Job:
    """Create a job that does the deed now."""
    return await scheduler.create("shop", "care", {"when": START.isoformat(), **body})


async def a_letter(scheduler: TestScheduler, product: str = "shop", **body: Any) -> Job:
    """Create a job that others may name."""
    return await scheduler.create(product, "letters", {"when": LATER.isoformat(), "writtenTo": "ada", **body})


async def outcome_of(deed: Deed) -> Any:
    """Do something within a run, which must succeed, and return what it returned."""
    found: list[Any] = []

    async def note(jobs: Scheduler, context: JobExecutionContext) -> None:
        found.append(await deed(jobs, context))

    async with TestScheduler(Shop(note)) as scheduler:
        job = await care(scheduler)
        await scheduler.advance(seconds=0)
        (run,) = await scheduler.runs(job)
        assert (Outcome.SUCCEEDED, None) == (run.outcome, run.reason)
    return found[0]


# --- what the calls do


async def test_a_job_is_created_read_changed_and_deleted() -> None:
    """At once: what the run reads is what others see, and what it is told is what `GET` answers."""
    seen: list[dict[str, Any]] = []

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> None:
        made = await jobs.create("letters", when=LATER, options={"tags": ["a"]}, written_to="bob", until="noon")
        seen.append(made)
        assert made == await jobs.get("letters", made["id"])
        changed = await jobs.change("letters", UUID(made["id"]), written_to="eve", until=None)
        seen.append(changed)
        gone = await jobs.create("letters", when=LATER, writtenTo="bob")
        await jobs.delete("letters", gone["id"])
        with pytest.raises(NotFoundError):
            await jobs.get("letters", gone["id"])

    async with TestScheduler(Shop(deed)) as scheduler:
        job = await care(scheduler)
        await scheduler.advance(seconds=0)
        (run,) = await scheduler.runs(job)
        assert run.reason is None
        made, changed = seen
        assert {"when": "2026-01-01T01:00:00Z", "options": {"tags": ["a"]}, "writtenTo": "bob", "until": "noon"} == (
            made["jobRequest"]
        )
        assert ("shop", "letters", "scheduled", "2026-01-01T01:00:00Z") == (
            made["product"],
            made["jobGroup"],
            made["state"],
            made["nextRun"],
        )
        stored = await scheduler.service.get_job(LETTERS, UUID(made["id"]))
        assert job_json(stored) == changed
        assert {"when", "options", "writtenTo"} == changed["jobRequest"].keys()
        assert "eve" == changed["jobRequest"]["writtenTo"]


async def test_a_job_is_paused_resumed_fired_and_cancelled() -> None:
    """Each call answers the job as it is then."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> list[Any]:
        made = await jobs.create("letters", schedule={"every": "PT1H"}, written_to="bob")
        paused = await jobs.pause("letters", made["id"], reason="holidays", until=LATER)
        resumed = await jobs.resume("letters", made["id"])
        fired = await jobs.fire("letters", made["id"])
        with pytest.raises(JobNotRunningError):
            await jobs.cancel("letters", made["id"])
        once = await jobs.create("letters", when=LATER, written_to="bob")
        cancelled = await jobs.cancel("letters", once["id"])
        with pytest.raises(JobFinishedError):
            await jobs.fire("letters", once["id"])
        hold = paused["pausedBy"][0]
        return [
            (paused["state"], hold["reason"], hold["until"]),
            resumed["isPaused"],
            fired["state"],
            (cancelled["state"], cancelled["outcome"]),
        ]

    assert [
        ("paused", "holidays", "2026-01-01T01:00:00Z"),
        False,
        "scheduled",
        ("done", "cancelled"),
    ] == await outcome_of(deed)


async def test_jobs_are_listed() -> None:
    """By state and tag, by next run; those that are not done unless others are asked for."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> list[Any]:
        ids = []
        for hours, tags in ((3, ["a"]), (1, ["a", "b"]), (2, [])):
            when = START + timedelta(hours=hours)
            made = await jobs.create("letters", when=when, options={"tags": tags}, written_to=str(hours))
            ids.append(made["id"])
        await jobs.pause("letters", ids[-1])
        done = await jobs.create("letters", when=LATER, written_to="done")
        await jobs.cancel("letters", done["id"])
        lists = [
            await jobs.list("letters"),
            await jobs.list("letters", limit=1),
            await jobs.list("letters", state="paused"),
            await jobs.list("letters", state=["scheduled", State.RUNNING], tag="a"),
            await jobs.list("letters", tag=("a", "b")),
            await jobs.list("letters", state="done"),
            await jobs.list("letters", state="dead"),
            await jobs.list("letters", state=()),
        ]
        return [[job["jobRequest"]["writtenTo"] for job in page] for page in lists]

    assert [["1", "2", "3"], ["1"], ["2"], ["1", "3"], ["1"], ["done"], [], []] == await outcome_of(deed)


# --- what is refused


@pytest.mark.parametrize(
    ("call", "error", "codes"),
    [
        (lambda jobs: jobs.get("letters", uuid4()), NotFoundError, {"JOB_NOT_FOUND"}),
        (lambda jobs: jobs.get("letters", "seven"), NotFoundError, {"JOB_NOT_FOUND"}),
        (lambda jobs: jobs.create("leters", when=LATER), NotFoundError, {"UNKNOWN_JOB_GROUP"}),
        (lambda jobs: jobs.list("le\0ters"), NotFoundError, {"UNKNOWN_JOB_GROUP"}),
        (lambda jobs: jobs.list("\N{SNOWMAN}"), NotFoundError, {"UNKNOWN_JOB_GROUP"}),
        (
            lambda jobs: jobs.create("letters", colour="red"),
            InvalidRequestError,
            {"REQD_FIELD_MISSING", "UNKNOWN_FIELD"},
        ),
        (lambda jobs: jobs.create("letters", when=LATER, written_to=object()), InvalidRequestError, {"MALFORMED_JSON"}),
        (lambda jobs: jobs.create("letters", written_to=float("nan")), InvalidRequestError, {"MALFORMED_JSON"}),
        (lambda jobs: jobs.create("letters", written_to="\0"), InvalidRequestError, {"NUL_IN_STRING"}),
        (lambda jobs: jobs.create("letters", written_to="\ud800"), InvalidRequestError, {"MALFORMED_JSON"}),
        (
            lambda jobs: jobs.create("letters", written_to="x" * REQUEST_LIMIT),
            InvalidRequestError,
            {"REQUEST_TOO_LARGE"},
        ),
        (
            lambda jobs: jobs.list("letters", state="asleep", tag="a,b", limit=1001),
            InvalidRequestError,
            {"STATE_INVALID", "TAG_INVALID", "NUMBER_RANGE"},
        ),
    ],
)
async def test_what_is_wrong_is_told(call: Callable[[Scheduler], Awaitable[Any]], error: type, codes: set[str]) -> None:
    """With the error that REST has for it, and every problem."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> set[str]:
        with pytest.raises(error) as refused:
            await call(jobs)
        assert isinstance(refused.value, MainspringError)
        return {problem.code for problem in refused.value.problems}

    assert codes == await outcome_of(deed)


async def test_a_key_that_is_taken_names_its_job() -> None:
    """As REST does."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> bool:
        first = await jobs.create("letters", when=LATER, options={"key": "k"}, written_to="ada")
        with pytest.raises(KeyTakenError) as refused:
            await jobs.create("letters", when=LATER, options={"key": "k"}, written_to="bob")
        kept = await jobs.create("letters", when=LATER, options={"key": "k", "onConflict": "keep"}, written_to="bob")
        return refused.value.other == (("shop", "letters"), UUID(first["id"])) and kept == first

    assert await outcome_of(deed)


async def test_jobs_of_other_products_are_out_of_reach() -> None:
    """Only groups of the job's own product can be named: one with the same name is another group."""
    seen: list[Any] = []

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> None:
        seen.append(await jobs.list("letters"))
        letter = UUID(str(seen_id[0]))
        for call in (jobs.get, jobs.delete, jobs.cancel, jobs.pause, jobs.resume, jobs.fire, jobs.change):
            with pytest.raises((NotFoundError, InvalidRequestError)):
                await call("letters", letter, **({"written_to": "me"} if call == jobs.change else {}))

    seen_id: list[UUID] = []
    async with TestScheduler(Shop(deed)) as scheduler:
        letter = await a_letter(scheduler, "other")
        seen_id.append(letter.id)
        job = await care(scheduler)
        await scheduler.advance(seconds=0)
        (run,) = await scheduler.runs(job)
        assert (Outcome.SUCCEEDED, [[]]) == (run.outcome, seen)
        assert letter == await scheduler.get(letter)


# --- a job and itself


async def test_a_job_that_cancels_itself_is_cancelled() -> None:
    """However it ends then."""

    async def deed(jobs: Scheduler, context: JobExecutionContext) -> None:
        await jobs.cancel("care", context.job_id)

    async with TestScheduler(Shop(deed)) as scheduler:
        job = await care(scheduler)
        await scheduler.advance(seconds=0)
        assert [Outcome.CANCELLED] == [run.outcome for run in await scheduler.runs(job)]
        assert State.DONE is (await scheduler.get(job)).state


async def test_a_job_that_deletes_itself_is_gone() -> None:
    """Its result is refused."""

    async def deed(jobs: Scheduler, context: JobExecutionContext) -> None:
        await jobs.delete("care", context.job_id)

    async with TestScheduler(Shop(deed)) as scheduler:
        job = await care(scheduler)
        await scheduler.advance(seconds=0)
        with pytest.raises(NotFoundError):
            await scheduler.get(job)


async def test_a_job_that_runs_once_cannot_change_itself() -> None:
    """It has begun."""

    async def deed(jobs: Scheduler, context: JobExecutionContext) -> None:
        with pytest.raises(JobRunningError):
            await jobs.change("care", context.job_id, when=LATER)

    async with TestScheduler(Shop(deed)) as scheduler:
        job = await care(scheduler)
        await scheduler.advance(seconds=0)
        assert [Outcome.SUCCEEDED] == [run.outcome for run in await scheduler.runs(job)]


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_job_that_recurs_changes_its_own_schedule(kind: str) -> None:
    """From now on it goes by the new one; this run still counts."""

    async def deed(jobs: Scheduler, context: JobExecutionContext) -> None:
        if not context.last_success:
            await jobs.change("care", context.job_id, schedule={"every": "PT6H"})

    def plain(jobs: Scheduler, context: JobExecutionContext) -> None:
        if not context.last_success:
            jobs.change("care", context.job_id, schedule={"every": "PT6H"}).result()

    module = Shop(deed) if kind == "async" else Shop(plain=plain)
    async with TestScheduler(module) as scheduler:
        job = await scheduler.create("shop", "care", {"when": START.isoformat(), "schedule": {"every": "PT1H"}})
        await scheduler.advance(hours=12)
        runs = await scheduler.runs(job)
        assert [(Outcome.SUCCEEDED, hours) for hours in (0, 6, 12)] == [
            (run.outcome, (run.fire_time - START) / timedelta(hours=1)) for run in runs
        ]


async def test_a_job_that_recurs_pauses_itself() -> None:
    """There are no more runs of it."""

    async def deed(jobs: Scheduler, context: JobExecutionContext) -> None:
        await jobs.pause("care", context.job_id, reason="enough")

    async with TestScheduler(Shop(deed)) as scheduler:
        job = await scheduler.create("shop", "care", {"when": START.isoformat(), "schedule": {"every": "PT1H"}})
        await scheduler.advance(hours=12)
        assert [Outcome.SUCCEEDED] == [run.outcome for run in await scheduler.runs(job)]
        assert State.PAUSED is (await scheduler.get(job)).state


async def test_a_job_that_is_made_at_once_runs() -> None:
    """Whatever becomes of the run that made it: that is what `context.schedule` is not for."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> None:
        await jobs.create("letters", when="now", written_to="bob")
        raise ValueError("too late")

    async with TestScheduler(Shop(deed)) as scheduler:
        job = await care(scheduler)
        await scheduler.advance(seconds=0)
        assert [Outcome.FAILED] == [run.outcome for run in await scheduler.runs(job)]
        (letter,) = await scheduler.service.list_jobs(LETTERS, DONE, after=None, limit=9)
        assert Outcome.SUCCEEDED is letter.outcome


# --- where one waits


async def test_a_plain_def_asks_for_the_result() -> None:
    """It runs in a thread, so nothing stands still meanwhile; many threads may ask at once."""
    found: list[list[str]] = []

    def plain(jobs: Scheduler, _: JobExecutionContext) -> None:
        def make(number: int) -> None:
            made = jobs.create("letters", when=LATER, written_to=str(number)).result()
            found.append([made["jobRequest"]["writtenTo"], str(number)])

        threads = [threading.Thread(target=make, args=[number]) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with pytest.raises(NotFoundError):
            jobs.get("letters", uuid4()).result(timeout=5)

    async with TestScheduler(Shop(plain=plain)) as scheduler:
        job = await care(scheduler)
        await scheduler.advance(seconds=0)
        assert [Outcome.SUCCEEDED] == [run.outcome for run in await scheduler.runs(job)]
    assert 20 == len(found)
    assert all(asked == made for asked, made in found)


async def test_many_calls_at_once() -> None:
    """Each has its own answer."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> list[str]:
        made = await asyncio.gather(
            *(jobs.create("letters", when=LATER, written_to=str(number)) for number in range(100))
        )
        return [job["jobRequest"]["writtenTo"] for job in made]

    assert [str(number) for number in range(100)] == await outcome_of(deed)


async def test_an_async_def_must_not_block() -> None:
    """Its loop would stand still, and here with it whoever is to answer."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> None:
        answer = jobs.list("letters")
        with pytest.raises(RuntimeError, match="await"):
            answer.result()
        assert [] == await answer

    await outcome_of(deed)


async def test_who_waits_no_more_stops_nothing() -> None:
    """A call that has begun goes to its end."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> int:
        waiting = asyncio.ensure_future(jobs.create("letters", when=LATER, written_to="bob"))
        asyncio.get_running_loop().call_soon(waiting.cancel)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        while not (found := await jobs.list("letters")):
            pass
        return len(found)

    assert 1 == await outcome_of(deed)


async def test_an_answer_that_nobody_waits_for_is_named() -> None:
    """Else nobody would hear that it was an error."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            jobs.get("letters", uuid4())
            gc.collect()
        return [str(warning.message) for warning in caught]

    assert ["nobody waited for the answer of Scheduler.get"] == await outcome_of(deed)


async def test_so_many_calls_may_wait() -> None:
    """A job that makes them in a loop, and waits for none, must not fill the memory of its node."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> None:
        answers = [jobs.list("letters") for _ in range(MOST_WAITING)]
        with pytest.raises(RuntimeError, match="wait for some"):
            jobs.list("letters")
        await asyncio.gather(*answers)
        await jobs.list("letters")

    await outcome_of(deed)


async def test_when_all_has_ended_nobody_answers() -> None:
    """What asks then is told so, and waits for nothing."""
    kept: list[Scheduler] = []

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> None:
        kept.append(jobs)

    await outcome_of(deed)
    with pytest.raises(StoreUnavailableError, match="the node ends"):
        await kept[0].list("letters")


async def test_a_call_under_way_when_all_ends_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever, in a thread neither."""
    kept: list[Scheduler] = []

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> None:
        kept.append(jobs)

    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    async with TestScheduler(Shop(deed)) as scheduler:
        await care(scheduler)
        await scheduler.advance(seconds=0)
        monkeypatch.setattr("mainspring.service.SchedulerService.list_jobs", never)
        waiting = asyncio.ensure_future(asyncio.to_thread(lambda: kept[0].list("letters").result(timeout=30)))
        answer = kept[0].list("letters")
    for each in (answer, waiting):
        with pytest.raises(StoreUnavailableError, match="the node ends"):
            await each


async def test_a_bug_of_ours_is_told_without_its_details(monkeypatch: pytest.MonkeyPatch) -> None:
    """As REST does: they are in the log of the service, and not in the history of the job."""

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> str:
        monkeypatch.setattr("mainspring.web.calls.job_json", lambda *_: 1 / 0)
        with pytest.raises(MainspringError) as refused:
            await jobs.create("letters", when=LATER, written_to="bob")
        return str(refused.value)

    assert "something went wrong in the scheduler; its log has the details" == await outcome_of(deed)


async def test_a_store_that_is_away_is_told_without_its_details(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words may name hosts and tables."""

    async def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailableError("no connection to secret.example.com")

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> str:
        monkeypatch.setattr("mainspring.service.SchedulerService.list_jobs", away)
        with pytest.raises(StoreUnavailableError) as refused:
            await jobs.list("letters")
        return str(refused.value)

    assert "secret" not in await outcome_of(deed)


async def test_what_the_service_logs_is_not_kept_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is nothing that the job has said."""
    keepers: list[object] = []

    async def away(*_: Any, **__: Any) -> None:
        keepers.append(logs.kept_by.get())
        raise StoreUnavailableError("away")

    async def deed(jobs: Scheduler, _: JobExecutionContext) -> bool:
        monkeypatch.setattr("mainspring.service.SchedulerService.list_jobs", away)
        with pytest.raises(StoreUnavailableError):
            await jobs.list("letters")
        return logs.kept_by.get() is not None

    assert await outcome_of(deed)
    assert [None] == keepers


# --- who may ask for it


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_listener_may_ask_too(is_async: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """Here it lets a job run only if no other of its group waits."""

    class Base(SchedulerTriggerListener):
        def __init__(self, scheduler: Scheduler) -> None:
            self._scheduler = scheduler

    class Waits(Base):
        async def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> bool:  # noqa: ARG002
            return bool(await self._scheduler.list("letters", state="scheduled"))

    class PlainWaits(Base):
        def veto_job_execution(self, trigger: Trigger, context: JobExecutionContext) -> bool:  # noqa: ARG002
            return bool(self._scheduler.list("letters", state="scheduled").result())

    class Module(Shop):
        def configure(self, binder: Binder) -> None:
            super().configure(binder)
            binder.bind_trigger_listener(product("shop")(job_group("care")(Waits if is_async else PlainWaits)))

    async with TestScheduler(Module()) as scheduler:
        free = await care(scheduler)
        await scheduler.advance(seconds=0)
        await a_letter(scheduler)
        held = await care(scheduler)
        await scheduler.advance(seconds=0)
        assert [Outcome.SUCCEEDED, Outcome.VETOED] == [
            run.outcome for job in (free, held) for run in await scheduler.runs(job)
        ]


@product("shop")
@job_group("care")
class CareJob(SchedulerJob):
    """A job that is run alone."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def execute(self, context: JobExecutionContext) -> None:
        """Count the letters."""
        context.log.info("counted", letters=len(await self._scheduler.list("letters")))


async def test_a_job_that_is_run_alone_knows_its_own_group() -> None:
    """There is no other."""
    run = await run_job(CareJob, {})
    assert (Outcome.FAILED, True) == (run.outcome, "no plugin has registered" in (run.reason or ""))


async def test_a_test_may_have_a_scheduler_of_its_own() -> None:
    """Where the groups are not there that the job names."""

    class Three:
        async def list(self, _: str) -> list[dict[str, Any]]:
            return [{}] * 3

    run = await run_job(CareJob, {}, services={Scheduler: Three()})
    assert Outcome.SUCCEEDED is run.outcome
