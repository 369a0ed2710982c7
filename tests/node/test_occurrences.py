"""Occurrences that come late, overlap or are ruled out, through the whole engine and on each store."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import structlog

from mainspring import logs
from mainspring.job import GaveUp, Job, JobFilter, Outcome, Run, RunFinished, RunStarted, Scope, State
from mainspring.schedule import format_time
from mainspring.settings import Settings
from mainspring.store.notes import CALENDARS
from tests.node.conftest import KEY, World

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


async def create(world: World, **schedule: Any) -> Job:
    """Create a job that recurs each hour, from now on."""
    return await world.create(schedule={"every": "PT1H", **schedule})


async def accounted(world: World, job: Job) -> list[tuple[Outcome, datetime, int]]:
    """Return what became of each occurrence, in the order of their fire times."""
    return sorted(
        ((run.outcome, run.fire_time, run.occurrences) for run in await world.runs(job)), key=lambda row: row[1]
    )


async def go_on(world: World, moment: datetime, runs: int) -> None:
    """Come to life at that moment, and live until so many runs have ended."""
    world.clock.set(moment)
    async with world.node():
        await world.happened(RunFinished, runs)


async def test_late_run_covers_what_was_missed_besides(world: World) -> None:
    """By default one run starts late, and a row says that it covers the others."""
    job = await create(world)
    start = world.clock.now()

    await go_on(world, start + 5 * HOUR + MINUTE, 1)

    assert [(Outcome.SUCCEEDED, start, 1), (Outcome.SKIPPED, start + HOUR, 5)] == await accounted(world, job)
    (row,) = [run for run in await world.runs(job) if run.outcome is Outcome.SKIPPED]
    assert (row.attempt, row.last_fire_time) == (0, start + 5 * HOUR)
    assert str(row.reason).startswith("coalesced: the late run for")
    assert start + 6 * HOUR == (await world.job(job)).fire_time


async def test_occurrence_that_is_later_than_its_grace_is_not_begun(world: World) -> None:
    """The run that was claimed too late ends as skipped, with what was missed besides; nothing runs before its time."""
    job = await create(world, misfire="skip", grace="PT30M")
    start = world.clock.now()

    await go_on(world, start + 5 * HOUR + 40 * MINUTE, 1)

    assert [] == world.script.contexts
    assert [(Outcome.SKIPPED, start, 1), (Outcome.SKIPPED, start + HOUR, 5)] == await accounted(world, job)
    assert all("grace of PT30M" in str(run.reason) for run in await world.runs(job))
    assert start + 6 * HOUR == (await world.job(job)).fire_time


async def test_catching_up_keeps_its_cap_and_its_pace(world: World) -> None:
    """The last of the missed occurrences each run, one after the other and apart."""
    job = await create(world, misfire={"policy": "fireAll", "cap": 3, "spacing": "PT10S"})
    start = world.clock.now()

    await go_on(world, start + 5 * HOUR + MINUTE, 4)

    done = [(Outcome.SUCCEEDED, start + n * HOUR, 1) for n in (3, 4, 5)]
    assert [(Outcome.SKIPPED, start, 1), (Outcome.SKIPPED, start + HOUR, 2), *done] == await accounted(world, job)
    begun = [context.fire_time for context in world.script.contexts]
    assert [timedelta(seconds=10)] * 2 == [later - earlier for earlier, later in pairwise(begun)]


async def test_jitter_and_window_move_the_start(world: World) -> None:
    """A run starts at its place in the window, not at its fire time."""
    await world.create(after=10**6)  # the first id has the first place of the window
    job = await create(world, window="PT30M")
    assert job.fire_time < job.due_at < job.fire_time + 30 * MINUTE

    world.clock.set(job.due_at - timedelta(seconds=5))
    async with world.node():
        await world.happened(RunFinished, 1)

    (context,) = world.script.contexts
    assert (job.fire_time, job.due_at) == (context.scheduled_fire_time, context.fire_time)


async def test_hash_of_a_cron_expression_is_settled_for_each_job(world: World) -> None:
    """Two jobs with an H are not due at the same time, and stay where they are."""
    one, other = [await world.service.create_job(KEY, {"schedule": {"cron": "H H * * *"}}) for _ in range(2)]

    assert one.fire_time != other.fire_time
    again = await world.service.change_job(one.key, one.id, {"options": {"maxAttempts": 2}})
    assert again.fire_time == one.fire_time


async def overlapping(world: World, overlap: str) -> tuple[Job, list[Run]]:
    """Let a run go on for longer than its job takes to come again, and let the run that comes meanwhile end too."""
    job = await create(world, every="PT10S", overlap=overlap, count=2)
    world.script.hold = asyncio.Event()
    async with world.node():
        await world.pass_time(15)
        world.script.hold.set()
        await world.happened(RunFinished, 1 if overlap in {"skip", "cancelPrevious"} else 2)
    return job, await world.runs(job)


async def test_occurrence_that_may_overlap_does_not_wait(world: World) -> None:
    """Both run at once, under the name of their job, and nothing else is left of them."""
    job, runs = await overlapping(world, "allow")

    assert 2 == world.script.most_at_once
    assert [Outcome.SUCCEEDED] * 2 == [run.outcome for run in runs]
    assert {job.id} == {run.job_id for run in runs} == {context.job_id for context in world.script.contexts}
    assert len({context.occurrence_id for context in world.script.contexts}) == 2
    assert (State.DONE, []) == ((await world.job(job)).state, await world.store.children(job.id))


async def test_occurrence_that_cancels_the_previous_one(world: World) -> None:
    """The one before is asked to stop, ends as cancelled, and its result is refused."""
    _, runs = await overlapping(world, "cancelPrevious")

    assert [Outcome.CANCELLED, Outcome.SUCCEEDED] == [run.outcome for run in sorted(runs, key=lambda run: run.number)]
    assert world.script.contexts[0].stopping.is_set()
    assert not world.script.contexts[1].stopping.is_set()


async def test_occurrence_that_is_skipped_because_the_job_runs(world: World) -> None:
    """It leaves a row, and no run."""
    job, runs = await overlapping(world, "skip")

    assert [(Outcome.SUCCEEDED, 1), (Outcome.SKIPPED, 1)] == [(run.outcome, run.occurrences) for run in runs]
    assert "was under way" in str(runs[1].reason)
    assert State.DONE is (await world.job(job)).state


async def test_occurrence_that_waits_for_the_job(world: World) -> None:
    """It starts when the run before has ended."""
    _, runs = await overlapping(world, "queue")

    assert 1 == world.script.most_at_once
    assert [Outcome.SUCCEEDED] * 2 == [run.outcome for run in runs]


async def test_deleting_a_job_stops_what_was_taken_out_of_it(world: World) -> None:
    """No occurrence goes on when its job is gone."""
    job = await create(world, overlap="allow")
    world.script.hold = asyncio.Event()
    async with world.node():
        await world.happened(RunStarted, 1)
        await world.service.delete_job(job.key, job.id)
        await world.until(world.script.contexts[0].stopping.is_set)

    assert [] == await world.store.children(job.id)
    assert [Outcome.CANCELLED] == [run.outcome for run in await world.store.runs(KEY, job.id, before=None, limit=9)]


async def test_calendar_that_changed_holds_for_what_was_planned_before(world: World) -> None:
    """An occurrence that a new calendar rules out is not begun, and the row says why."""
    await world.store.note(CALENDARS, "closed", {"dates": ["2030-01-01"]})
    job = await create(world, calendar="closed", misfire="skip")
    await world.store.note(CALENDARS, "closed", {"dates": [f"{world.clock.now():%Y-%m-%d}"]})

    async with world.node():
        await world.happened(RunFinished, 1)

    assert [] == world.script.contexts
    first, *_ = await world.runs(job)
    assert (Outcome.SKIPPED, "it is in the calendar closed") == (first.outcome, first.reason)
    tomorrow = world.clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert tomorrow <= (await world.job(job)).fire_time < tomorrow + HOUR


async def test_occurrence_in_a_blackout_is_put_off_to_its_end(world: World) -> None:
    """It waits, spread over the time after it, and history has the reason."""
    day = f"{world.clock.now():%Y-%m-%d}"
    await world.store.note(CALENDARS, "closed", {"dates": [day]})

    job = await create(world, calendar={"name": "closed", "blackout": "postpone", "spread": "PT10M"})

    tomorrow = world.clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert tomorrow <= job.due_at < tomorrow + 10 * MINUTE
    (row,) = await world.runs(job)
    assert (Outcome.POSTPONED, job.fire_time) == (row.outcome, row.fire_time)
    assert str(row.reason).startswith("it is in the calendar closed, and so is to start at ")


async def test_each_occurrence_that_a_job_gives_up_on_is_announced(world: World) -> None:
    """Once, after its last attempt, as a warning in the log; lists and counts show the job until a run goes well."""
    gave_up = JobFilter(frozenset(State), gave_up=True)
    logs.subscribe(world.events, Settings(log_level="warning"))
    world.script.failures = 4
    with structlog.testing.capture_logs() as lines:
        async with world.node():
            job = await world.create(
                schedule={"every": "P1D", "count": 3}, options={"maxAttempts": 2, "backoff": "PT1S"}
            )
            await world.happened(RunFinished)
            assert [] == await world.service.finding.page(Scope(), gave_up, after=None, limit=9)
            await world.happened(GaveUp)
            assert [job.id] == [
                each.id for each in await world.service.finding.page(Scope(), gave_up, after=None, limit=9)
            ]
            assert [1] == [group.counts.gave_up for group in await world.service.groups()]
            world.clock.advance(days=1)
            await world.happened(GaveUp, 2)
            world.clock.advance(days=1)
            await world.happened(RunFinished, 5)
            assert [0] == [group.counts.gave_up for group in await world.service.groups()]
    given_up = [event for event in world.seen if isinstance(event, GaveUp)]
    assert [2, 2] == [event.run.attempt for event in given_up]
    assert [job.fire_time, job.fire_time + timedelta(days=1)] == [event.run.fire_time for event in given_up]
    said = [line for line in lines if line["event"] == "job gave up"]
    assert ["warning", "warning"] == [line["log_level"] for line in said]
    assert str(job.id) == said[0]["job"]
    assert format_time(job.fire_time + timedelta(days=1)) == said[0]["next"]


async def test_occurrence_that_is_retried_tells_its_job_how_it_ended(world: World) -> None:
    """It runs beside the job, which gave up again, or no longer did; its attempts are counted on."""
    world.script.failures = 2
    async with world.node():
        job = await world.create(schedule={"every": "P1D"}, options={"maxAttempts": 1})
        for times, expected in ((1, True), (2, True), (3, False)):
            await world.happened(RunFinished, times)
            assert expected is (await world.job(job)).gave_up
            if expected:
                assert not (await world.service.control.retry_job(KEY, job.id)).gave_up
    assert [1, 2, 3] == [run.attempt for run in await world.runs(job)]
    assert [job.id, job.id] == [event.run.job_id for event in world.seen if isinstance(event, GaveUp)]
    assert 1 == len({context.occurrence_id for context in world.script.contexts})
