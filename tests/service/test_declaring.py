"""Jobs that are declared: there once, changed where the declaration changed, paused when it is gone."""

from collections.abc import AsyncIterator
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
from mainspring.errors import ConfigError, KeyTakenError
from mainspring.job import Declaration, Job, JobKey, State
from mainspring.service.declaring import Declared, difference
from mainspring.testing import START, TestScheduler

KEY = JobKey("shop", "reports")
DAILY = {"cron": "0 3 * * *", "timeZone": "Europe/Berlin"}
HOURLY = {"every": "PT1H"}


@product("shop")
@job_group("reports")
class ReportJob(SchedulerJob):
    """Declared in these tests."""

    class Request(JobRequest):
        which_one: str = "all"
        days: int = 1

    async def execute(self, _: JobExecutionContext) -> None:
        """Do nothing."""


class Reports(SchedulerPluginModule):
    """Declares what it is told to."""

    def __init__(self, *declared: tuple[str, Any]) -> None:
        self._declared = declared

    def configure(self, binder: Binder) -> None:
        binder.bind_job(ReportJob)
        for name, more in self._declared:
            binder.schedule(name, ReportJob, **more)


def declared(name: str = "nightly", **more: Any) -> Declaration:
    """Return a declaration."""
    return Declaration(**{"name": name, "product": "shop", "job_group": "reports", "schedule": DAILY, **more})


@pytest.fixture
async def scheduler() -> AsyncIterator[TestScheduler]:
    """A scheduler of a plugin that declares nothing."""
    async with TestScheduler(Reports()) as scheduler:
        yield scheduler


async def adopt(
    scheduler: TestScheduler, *declarations: Declaration, source: str = "settings"
) -> list[tuple[str, str]]:
    """Start with these declarations; say what was done."""
    done = await scheduler.service.declaring.adopt(source, declarations)
    return [(name.rpartition("/")[2], what) for name, what in done]


async def the_job(scheduler: TestScheduler, declaration: Declaration | None = None) -> Job:
    """Return the job of a declaration."""
    return await scheduler.service.get_job(KEY, (declaration or declared()).job_id)


async def test_a_job_is_created_once(scheduler: TestScheduler) -> None:
    """However often somebody starts; it runs as any other, and its name is its key."""
    assert [[("nightly", "created")], [], []] == [await adopt(scheduler, declared()) for _ in range(3)]

    job = await the_job(scheduler)
    assert ("nightly", DAILY) == (job.options.key, job.request["schedule"])
    await scheduler.advance(days=2)
    assert 2 == len(await scheduler.runs(job))
    assert [] == await adopt(scheduler, declared())


async def test_only_what_was_changed_of_it_changes(scheduler: TestScheduler) -> None:
    """What people have changed stays, and so does the next time, unless the schedule is another."""
    await adopt(scheduler, declared(request={"whichOne": "all", "days": 2}))
    await scheduler.advance(days=1)
    before = await the_job(scheduler)
    await scheduler.service.change_job(KEY, before.id, {"days": 7, "options": {"priority": 9}})

    assert [("nightly", "changed")] == await adopt(scheduler, declared(request={"whichOne": "new", "days": 2}))

    after = await the_job(scheduler)
    assert ({"whichOne": "new", "days": 7}, 9) == (
        {name: after.request[name] for name in ("whichOne", "days")},
        after.options.priority,
    )
    assert (before.fire_time, before.due_at) == (after.fire_time, after.due_at)
    assert 1 == len(await scheduler.runs(after))

    assert [("nightly", "changed")] == await adopt(
        scheduler, declared(schedule=HOURLY, request={"whichOne": "new", "days": 2})
    )
    hourly = await the_job(scheduler)
    assert HOURLY == hourly.request["schedule"]
    assert hourly.due_at - scheduler.clock.now() <= timedelta(hours=1)
    assert 7 == hourly.request["days"]


async def test_one_that_is_gone_is_paused_and_comes_back(scheduler: TestScheduler) -> None:
    """With the reason; others of the same source, and those of other sources, stay."""
    await adopt(scheduler, declared(), declared("hourly", schedule=HOURLY))
    await adopt(scheduler, declared("weekly"), source="a.plugin:Module")

    assert [("nightly", "paused")] == await adopt(scheduler, declared("hourly", schedule=HOURLY))

    job = await the_job(scheduler)
    assert job.state is State.PAUSED
    assert job.hold is not None
    assert "it is no longer declared in settings" == job.hold.reason
    assert [] == await adopt(scheduler, declared("hourly", schedule=HOURLY))
    assert [("nightly", "resumed")] == await adopt(scheduler, declared("hourly", schedule=HOURLY), declared())
    assert (await the_job(scheduler)).state is State.SCHEDULED
    assert (await the_job(scheduler, declared("weekly"))).state is State.SCHEDULED


async def test_one_that_people_let_go_on_stays_so(scheduler: TestScheduler) -> None:
    """It is paused once."""
    await adopt(scheduler, declared())
    await adopt(scheduler)
    await scheduler.service.control.resume_job(KEY, declared().job_id)
    assert [] == await adopt(scheduler)
    assert (await the_job(scheduler)).state is State.SCHEDULED


async def test_one_that_was_deleted_stays_so_until_it_is_declared_otherwise(scheduler: TestScheduler) -> None:
    """Somebody wanted that."""
    await adopt(scheduler, declared())
    await scheduler.service.delete_job(KEY, declared().job_id)
    assert [] == await adopt(scheduler, declared())
    assert [("nightly", "created")] == await adopt(scheduler, declared(schedule=HOURLY))


async def test_one_that_was_deleted_may_be_gone(scheduler: TestScheduler) -> None:
    """Nothing is left of it."""
    await adopt(scheduler, declared())
    await scheduler.service.delete_job(KEY, declared().job_id)
    assert [[], []] == [await adopt(scheduler) for _ in range(2)]
    assert [("nightly", "created")] == await adopt(scheduler, declared())


async def test_a_start_that_was_cut_off_is_repeated(scheduler: TestScheduler) -> None:
    """The job is there, and nobody has noted that."""
    await scheduler.service.put_job(KEY, declared().job_id, declared().body)
    assert [] == await adopt(scheduler, declared())
    await scheduler._store.note("declared", str(declared()), None)  # noqa: SLF001 - as if it had not been written
    assert [("nightly", "changed")] == await adopt(scheduler, declared(schedule=HOURLY))
    assert HOURLY == (await the_job(scheduler)).request["schedule"]


async def test_a_key_that_another_job_has(scheduler: TestScheduler) -> None:
    """That is said: two jobs would do the same."""
    await scheduler.create(*KEY, {"schedule": DAILY, "options": {"key": "nightly"}})
    with pytest.raises(KeyTakenError):
        await adopt(scheduler, declared())


async def test_groups_that_no_plugin_here_has_are_left_alone(scheduler: TestScheduler) -> None:
    """Another node may have them."""
    other = Declaration(name="nightly", product="other", job_group="reports", schedule=DAILY)
    assert [[], []] == [await adopt(scheduler, other) for _ in range(2)]


async def test_a_plugin_declares_in_python() -> None:
    """Fields by their names in Python; the jobs are there when a test begins."""
    module = Reports(("nightly", {"schedule": DAILY, "which_one": "x"}), ("hourly", {"schedule": HOURLY, "days": 3}))
    async with TestScheduler(module) as scheduler:
        job = await the_job(scheduler)
        assert "x" == job.request["whichOne"]
        await scheduler.advance(hours=24)
        assert (1, 25) == (
            len(await scheduler.runs(job)),
            len(await scheduler.runs(await the_job(scheduler, declared("hourly")))),
        )
        assert START < scheduler.clock.now()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"schedule": {"cron": "0 3 * *"}}, "/schedule/cron"),
        ({"schedule": DAILY, "days": "many"}, "/days"),
        ({"schedule": DAILY, "no_such": 1}, "/no_such"),
        ({"schedule": DAILY, "options": {"priority": 10}}, "/options/priority"),
        ({"schedule": "0 3 * * *"}, "schedule"),
    ],
)
def test_what_is_wrong_is_said_at_the_start(more: dict[str, Any], said: str) -> None:
    """With the plugin and the name."""
    with pytest.raises(ConfigError) as caught:
        TestScheduler(Reports(("nightly", more)))
    assert all(part in str(caught.value) for part in ("Reports", "nightly", said))


def test_a_name_is_declared_once() -> None:
    """And is a name."""
    for declared_ in ([("a", {"schedule": DAILY})] * 2, [("a b", {"schedule": DAILY})]):
        with pytest.raises(ConfigError):
            TestScheduler(Reports(*declared_))


def test_a_difference_is_a_merge_patch() -> None:
    """What makes the second of the first."""
    before = {"same": 1, "gone": 2, "deep": {"a": 1, "b": {"c": [1]}}, "one": True}
    after = {"same": 1, "deep": {"a": 2, "b": {"c": [1]}, "d": {}}, "new": {"e": 1}, "one": 1}
    assert {"gone": None, "deep": {"a": 2, "d": {}}, "new": {"e": 1}, "one": 1} == difference(before, after)
    assert {} == difference(after, after)
    assert ("nightly", "x") == Declared("nightly", "x")
