"""One thing done to many jobs: once for each, whatever dies meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from mainspring import (
    Binder,
    JobExecutionContext,
    JobRequest,
    SchedulerJob,
    SchedulerPluginModule,
    job_group,
    product,
)
from mainspring.errors import NotFoundError, StoreUnavailableError
from mainspring.job import Job, JobFilter, JobKey, Scope, State
from mainspring.service.actions import CHUNK, SILENT, Action, action_from_json, action_to_json
from mainspring.testing import START, TestScheduler

KEY = JobKey("shop", "steps")
ALL = JobFilter()


class Steps(SchedulerPluginModule):
    """Jobs that do nothing, or fail."""

    def configure(self, binder: Binder) -> None:
        @product("shop")
        @job_group("steps")
        class StepJob(SchedulerJob):
            class Request(JobRequest):
                fails: bool = False

            request: Request
            max_attempts = 1

            async def execute(self, _: JobExecutionContext) -> None:
                if self.request.fails:
                    raise ValueError("it went wrong")

        binder.bind_job(StepJob)


@pytest.fixture
async def scheduler() -> AsyncIterator[TestScheduler]:
    """A scheduler with one job group."""
    async with TestScheduler(Steps()) as scheduler:
        yield scheduler


async def make(scheduler: TestScheduler, number: int, **more: Any) -> list[Job]:
    """Create jobs of tomorrow."""
    when = (START + timedelta(days=1)).isoformat()
    return [await scheduler.create(*KEY, {"when": when, **more}) for _ in range(number)]


async def done(scheduler: TestScheduler, verb: str, which: JobFilter = ALL, **told: Any) -> Action:
    """Plan an action and carry it out."""
    actions = scheduler.service.actions
    planned, _ = await actions.plan(verb, Scope(), which, None, told)
    begun = await actions.begin(planned)
    while not begun.is_over:
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
        begun = await actions.find(begun.id)
    return begun


@pytest.mark.parametrize("verb", ["pause", "cancel", "delete", "reschedule"])
async def test_each_job_is_touched(scheduler: TestScheduler, verb: str) -> None:
    """Also more than are touched at once; those that come after the plan are not."""
    jobs = await make(scheduler, CHUNK * 2 + 3)
    told = {"when": (START + timedelta(days=9)).isoformat()} if verb == "reschedule" else {}
    if verb == "pause":
        told = {"reason": "the storage is being moved"}
    planned, examples = await scheduler.service.actions.plan(verb, Scope(), ALL, None, told)
    assert (len(jobs), 10) == (planned.total, len(examples))
    scheduler.clock.advance(seconds=1)
    [late] = await make(scheduler, 1)

    action = await scheduler.service.actions.begin(planned)

    assert (True, len(jobs), 0) == (action.is_over, action.done, action.failed)
    assert late == await scheduler.get(late)
    for job in jobs:
        if verb == "delete":
            with pytest.raises(NotFoundError):
                await scheduler.get(job)
            continue
        found = await scheduler.get(job)
        assert job.version + 1 == found.version
        match verb:
            case "pause":
                assert found.hold is not None
                assert found.hold.reason == told["reason"]
            case "cancel":
                assert found.state is State.DONE
            case _:
                assert START + timedelta(days=9) == found.due_at


async def test_dead_jobs_are_retried_and_paused_ones_resumed(scheduler: TestScheduler) -> None:
    """By the filters that lists have."""
    dead = [await scheduler.create(*KEY, {"when": START.isoformat(), "fails": True}) for _ in range(3)]
    paused = await make(scheduler, 2, options={"paused": True})
    await scheduler.advance(seconds=1)
    assert 3 == (await done(scheduler, "retry", JobFilter(frozenset({State.DONE}), gave_up=True))).done
    assert {State.SCHEDULED} == {(await scheduler.get(job)).state for job in dead}
    assert 2 == (await done(scheduler, "resume", JobFilter(frozenset({State.PAUSED})))).done
    assert {State.SCHEDULED} == {(await scheduler.get(job)).state for job in paused}


async def test_what_cannot_be_done_is_said(scheduler: TestScheduler) -> None:
    """Job by job; the others are done."""
    jobs = await make(scheduler, 3)
    ids = (jobs[0].id, jobs[1].id, jobs[2].id)
    actions = scheduler.service.actions
    planned, _ = await actions.plan("retry", Scope(), ALL, ids, {})
    failed = await actions.begin(planned)
    assert (0, 3, "JOB_NOT_DEAD") == (failed.done, failed.failed, failed.errors[0]["code"])

    planned, _ = await actions.plan("pause", Scope(), ALL, ids, {})
    await scheduler.service.delete_job(KEY, jobs[1].id)
    action = await actions.begin(planned)
    assert (2, 1, str(jobs[1].id)) == (action.done, action.failed, action.errors[0]["id"])


async def test_an_action_is_done_once(scheduler: TestScheduler) -> None:
    """However often it is asked for, also at once."""
    jobs = await make(scheduler, 5)
    planned, _ = await scheduler.service.actions.plan("pause", Scope(), ALL, None, {})
    first, *others = await asyncio.gather(*(scheduler.service.actions.begin(planned) for _ in range(4)))
    await scheduler.service.control.resume_job(KEY, jobs[0].id)
    again = await scheduler.service.actions.begin(planned)
    assert [first.id] * 4 == [each.id for each in (*others, again)]
    assert 5 == again.done
    assert (await scheduler.get(jobs[0])).state is State.SCHEDULED


@pytest.mark.parametrize("answers", range(1, 60, 7))
async def test_a_process_dies_and_another_goes_on(
    scheduler: TestScheduler, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    """After any answer of the store: each job is touched once."""
    jobs = await make(scheduler, CHUNK + 5)
    planned, _ = await scheduler.service.actions.plan("pause", Scope(), ALL, None, {})
    left = answers
    store = scheduler.service.actions._store  # noqa: SLF001 - the store fails

    def failing(call: Any) -> Any:
        async def answer(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise StoreUnavailableError("the process died")
            return await call(*arguments, **named)

        return answer

    with monkeypatch.context() as patch:
        for verb in ("swap_note", "update", "find", "page", "get", "now"):
            patch.setattr(store, verb, failing(getattr(store, verb)))
        while left >= 0:
            with suppress(StoreUnavailableError):
                await scheduler.service.actions.begin(planned)
                await store.now()
        await asyncio.gather(*scheduler.service.actions._running.values())  # noqa: SLF001
    scheduler.clock.advance(seconds=SILENT.total_seconds() + 1)
    await scheduler.service.actions.take_up()
    action = await scheduler.service.actions.begin(planned)
    while not action.is_over:
        await asyncio.gather(*scheduler.service.actions._running.values())  # noqa: SLF001
        action = await scheduler.service.actions.find(planned.id)

    assert (len(jobs), 0) == (action.done, action.failed)
    assert {2} == {(await scheduler.get(job)).version for job in jobs}


async def test_an_action_is_written_and_read(scheduler: TestScheduler) -> None:
    """As it is kept, and as a token has it."""
    jobs = await make(scheduler, 1)
    which = JobFilter(labels=frozenset({"t:x"}), due_from=START, created_to=START + timedelta(days=2), node="n")
    action, _ = await scheduler.service.actions.plan("pause", Scope("shop"), which, (jobs[0].id,), {"reason": "x"})
    assert action == action_from_json(action_to_json(action))
    with pytest.raises(NotFoundError):
        await scheduler.service.actions.find(action.id)
