"""Jobs that come after others, from the request to the run."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from mainspring import (
    Binder,
    Cancel,
    JobExecutionContext,
    JobRequest,
    Outcome,
    SchedulerJob,
    SchedulerPluginModule,
    job_group,
    product,
)
from mainspring.errors import InvalidRequestError, JobRunningError
from mainspring.job import Job, JobKey, State
from mainspring.testing import START, TestScheduler

STEPS = JobKey("shop", "steps")
SOON = {"when": START.isoformat()}


class Steps(SchedulerPluginModule):
    """Jobs that note their names, and fail if they are told to."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def configure(self, binder: Binder) -> None:
        steps = self.done

        @product("shop")
        @job_group("steps")
        class StepJob(SchedulerJob):
            class Request(JobRequest):
                name: str = ""
                ends: str = "well"

            request: Request
            max_attempts = 1

            async def execute(self, _: JobExecutionContext) -> None:
                steps.append(self.request.name)
                if self.request.ends == "badly":
                    raise ValueError("it went wrong")
                if self.request.ends == "early":
                    raise Cancel("no need")

        @product("else")
        @job_group("steps")
        class OtherJob(StepJob):
            """Of another product."""

        binder.bind_job(StepJob)
        binder.bind_job(OtherJob)


async def a_step(scheduler: TestScheduler, name: str, *after: Job, at: int = 0, **more: Any) -> Job:
    """Create a job, some seconds after the start, that comes after others."""
    options = {"after": [str(job.id) for job in after], **more.pop("options", {})} if after else {}
    when = (START + timedelta(seconds=at)).isoformat()
    return await scheduler.create(*STEPS, {"when": when, "name": name, "options": options, **more})


async def outcome(scheduler: TestScheduler, job: Job) -> Outcome | None:
    """Return how a job ended, if it has."""
    found = await scheduler.get(job)
    return found.outcome if found.state is State.DONE else None


async def refused(scheduler: TestScheduler, body: dict[str, Any], job: Job | None = None) -> list[tuple[str, str]]:
    """Send what must be refused; say where and why."""
    sending = scheduler.create(*STEPS, body) if job is None else scheduler.service.change_job(job.key, job.id, body)
    with pytest.raises(InvalidRequestError) as caught:
        await sending
    return [(problem.pointer, problem.code) for problem in caught.value.problems]


async def test_a_job_begins_when_all_are_done() -> None:
    """It was due long before."""
    steps = Steps()
    async with TestScheduler(steps) as scheduler:
        first, second = await a_step(scheduler, "first", at=10), await a_step(scheduler, "second", at=20)
        third = await a_step(scheduler, "third", first, second)
        await a_step(scheduler, "fourth", third)
        await scheduler.advance(seconds=15)
        assert ["first"] == steps.done
        [fact] = await scheduler.service.explaining.why(third.key, third.id)
        assert ("WAITS_FOR_JOBS", [second.id]) == (fact.code, [job.id for job in fact.jobs])
        assert str(second.id) in fact.text
        await scheduler.advance(seconds=10)
    assert ["first", "second", "third", "fourth"] == steps.done


@pytest.mark.parametrize("ends", ["badly", "early"])
@pytest.mark.parametrize(
    ("on_failure", "becomes"), [("wait", None), (None, None), ("run", Outcome.SUCCEEDED), ("cancel", Outcome.CANCELLED)]
)
async def test_what_becomes_of_it_after_a_failure(ends: str, on_failure: str | None, becomes: Outcome | None) -> None:
    """By default it waits until somebody has put that right. One that is cancelled takes others with it."""
    async with TestScheduler(Steps()) as scheduler:
        first = await a_step(scheduler, "first", at=5, ends=ends)
        second = await a_step(scheduler, "second", first, options={"onFailure": on_failure})
        third = await a_step(scheduler, "third", second, options={"onFailure": "cancel"})
        await scheduler.advance(seconds=10)
        assert [becomes] * 2 == [await outcome(scheduler, job) for job in (second, third)]
        if becomes is Outcome.CANCELLED:
            [run] = await scheduler.runs(second)
            assert str(first.id) in (run.reason or "")


async def test_a_job_that_is_deleted_did_not_succeed() -> None:
    """So those that wait for it are treated as after a failure."""
    async with TestScheduler(Steps()) as scheduler:
        first = await a_step(scheduler, "first", at=5)
        waits = await a_step(scheduler, "second", first)
        runs = await a_step(scheduler, "third", first, options={"onFailure": "run"})
        await scheduler.service.delete_job(first.key, first.id)
        await scheduler.advance(seconds=1)
        assert [None, Outcome.SUCCEEDED] == [await outcome(scheduler, job) for job in (waits, runs)]
        [fact] = await scheduler.service.explaining.why(waits.key, waits.id)
        assert "which is gone" in fact.text


async def test_one_that_waits_goes_on_when_the_failure_is_put_right() -> None:
    """The failed job is retried, or the waiting one is told to wait no more."""
    steps = Steps()
    async with TestScheduler(steps) as scheduler:
        first = await a_step(scheduler, "first", ends="badly")
        second, third = await a_step(scheduler, "second", first), await a_step(scheduler, "third", first)
        await scheduler.advance(seconds=1)
        await scheduler.service.change_job(third.key, third.id, {"options": {"after": None}})
        await scheduler.advance(seconds=1)
        assert ["first", "third"] == steps.done
        await scheduler.service.change_job(first.key, first.id, {"ends": "well"})
        await scheduler.service.control.retry_job(first.key, first.id)
        await scheduler.advance(seconds=1)
        assert ["first", "third", "first", "second"] == steps.done
        assert Outcome.SUCCEEDED is await outcome(scheduler, second)


async def test_on_failure_may_be_changed_afterwards() -> None:
    """Whoever waits after a failure hears of it again."""
    async with TestScheduler(Steps()) as scheduler:
        first = await a_step(scheduler, "first", ends="badly")
        second = await a_step(scheduler, "second", first)
        await scheduler.advance(seconds=1)
        await scheduler.service.change_job(second.key, second.id, {"options": {"onFailure": "run"}})
        await scheduler.advance(seconds=1)
        assert Outcome.SUCCEEDED is await outcome(scheduler, second)


async def test_after_jobs_that_are_done_already() -> None:
    """Those that succeeded are not waited for."""
    async with TestScheduler(Steps()) as scheduler:
        good, bad = await a_step(scheduler, "good"), await a_step(scheduler, "bad", ends="badly")
        await scheduler.advance(seconds=1)
        jobs = [
            await a_step(scheduler, "a", good),
            await a_step(scheduler, "b", good, bad, options={"onFailure": "run"}),
            await a_step(scheduler, "c", good, bad),
        ]
        await scheduler.advance(seconds=1)
        assert [Outcome.SUCCEEDED, Outcome.SUCCEEDED, None] == [await outcome(scheduler, job) for job in jobs]
        body = SOON | {"options": {"after": [str(bad.id)], "onFailure": "cancel"}}
        assert [("/options/after/0", "AFTER_FAILED")] == await refused(scheduler, body)


async def test_unknown_jobs_are_refused() -> None:
    """Those of another product too; each by its place, also in a batch."""
    async with TestScheduler(Steps()) as scheduler:
        there = await a_step(scheduler, "first", at=5)
        other = await scheduler.create("else", "steps", SOON)
        after = [str(there.id), str(uuid4()), str(other.id)]
        body = SOON | {"options": {"after": after}}
        places = [("/options/after/1", "UNKNOWN_JOB"), ("/options/after/2", "UNKNOWN_JOB")]
        assert places == await refused(scheduler, body)
        with pytest.raises(InvalidRequestError) as caught:
            await scheduler.service.batches.create(STEPS, [dict(SOON), body])
        assert [f"/1{pointer}" for pointer, _ in places] == [problem.pointer for problem in caught.value.problems]


async def test_a_batch_may_wait() -> None:
    """Each of its jobs for its own."""
    steps = Steps()
    async with TestScheduler(steps) as scheduler:
        first = await a_step(scheduler, "first", at=5)
        bodies: list[dict[str, Any]] = [
            SOON | {"name": "waits", "options": {"after": [str(first.id)]}},
            SOON | {"name": "does not"},
        ]
        await scheduler.service.batches.create(STEPS, bodies)
        await scheduler.advance(seconds=10)
    assert ["does not", "first", "waits"] == steps.done


async def test_a_circle_is_refused() -> None:
    """However long it is, and one with itself."""
    async with TestScheduler(Steps()) as scheduler:
        first = await a_step(scheduler, "first", at=60)
        second = await a_step(scheduler, "second", first)
        third = await a_step(scheduler, "third", second)
        for last in (first, second, third):
            patch = {"options": {"after": [str(last.id)]}}
            assert [("/options/after/0", "AFTER_CIRCLE")] == await refused(scheduler, patch, first)
        kept = await scheduler.get(first)
        assert () == kept.waits_for


async def test_one_that_runs_cannot_be_made_to_wait() -> None:
    """It is too late; other changes of options go on."""
    async with TestScheduler(Steps()) as scheduler:
        first = await a_step(scheduler, "first", at=60)
        daily = {"schedule": {"every": "P1D", "start": START.isoformat()}}
        running = await scheduler.create(*STEPS, daily)
        claimed = await scheduler._store.claim("test", {STEPS: 1}, 1)  # noqa: SLF001 - claimed, and not run
        assert [running.id] == [claim.job.id for claim in claimed.claims]
        with pytest.raises(JobRunningError):
            await scheduler.service.change_job(STEPS, running.id, {"options": {"after": [str(first.id)]}})


async def test_firing_a_job_waits_for_nobody() -> None:
    """Somebody wants it to run at once."""
    steps = Steps()
    async with TestScheduler(steps) as scheduler:
        first = await a_step(scheduler, "first", at=60)
        second = await a_step(scheduler, "second", first)
        await scheduler.service.control.fire_job(second.key, second.id)
        await scheduler.advance(seconds=1)
    assert ["second"] == steps.done


async def test_one_that_is_replaced_waits_for_what_it_is_to_wait_for() -> None:
    """Its new request says that; a circle is refused, and one that names nothing waits no more."""
    steps = Steps()
    async with TestScheduler(steps) as scheduler:
        first = await a_step(scheduler, "first", at=60)
        keyed = {"key": "one", "onConflict": "replace"}
        job = await a_step(scheduler, "old", at=5, options=keyed)
        assert job.id == (await a_step(scheduler, "new", first, at=5, options=keyed)).id
        await scheduler.advance(seconds=10)
        assert [] == steps.done
        circle = SOON | {"options": {**keyed, "after": [str((await a_step(scheduler, "last", job)).id)]}}
        assert [("/options/after/0", "AFTER_CIRCLE")] == await refused(scheduler, circle)
        await a_step(scheduler, "newest", at=15, options=keyed)
        await scheduler.advance(seconds=10)
    assert ["newest", "last"] == steps.done


async def test_a_dead_job_that_was_made_to_wait_waits_when_it_is_retried() -> None:
    """Jobs that are done are not waited for: whoever retries it wants it to run."""
    steps = Steps()
    async with TestScheduler(steps) as scheduler:
        over = await a_step(scheduler, "over", ends="badly")
        dead = await a_step(scheduler, "dead", ends="badly")
        await scheduler.advance(seconds=1)
        first = await a_step(scheduler, "first", at=60)
        patch = {"ends": "well", "options": {"after": [str(over.id), str(first.id)]}}
        await scheduler.service.change_job(dead.key, dead.id, patch)
        retried = await scheduler.service.control.retry_job(dead.key, dead.id)
        assert (first.id,) == retried.waits_for
        steps.done.clear()
        await scheduler.advance(seconds=70)
    assert ["first", "dead"] == steps.done


async def test_a_batch_waits_for_a_bounded_number_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them has to be looked up."""
    monkeypatch.setattr("mainspring.service.awaiting.MOST_AWAITED", 3)
    async with TestScheduler(Steps()) as scheduler:
        jobs = [await a_step(scheduler, str(number), at=60) for number in range(4)]
        bodies = [SOON | {"options": {"after": [str(job.id) for job in pair]}} for pair in (jobs[:2], jobs[1:3])]
        await scheduler.service.batches.create(STEPS, bodies)
        with pytest.raises(InvalidRequestError) as caught:
            await scheduler.service.batches.create(STEPS, [*bodies, SOON | {"options": {"after": [str(jobs[3].id)]}}])
        assert ["AFTER_TOO_MANY"] == [problem.code for problem in caught.value.problems]
