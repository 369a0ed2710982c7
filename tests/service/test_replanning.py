"""What holds for many jobs at once, on each store: calendars of the settings, rules of time zones, and who follows."""

import sys
from datetime import timedelta
from typing import Any

import pytest

from mainspring.errors import ConfigError, StoreUnavailableError
from mainspring.job import Job, TurnFailed
from mainspring.schedule import calendar_from_json
from mainspring.schedule.calendars import holidays_of
from mainspring.service import CalendarService, Moved, Replanning
from mainspring.store.notes import CALENDARS
from tests.node.conftest import KEY, World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BERLIN = {"cron": "0 3 * * *", "timeZone": "Europe/Berlin"}


async def planned_by_other_rules(world: World, **schedule: Any) -> tuple[Job, Job]:
    """Create a job and let it wait for what is no fire time by the rules of today; answer it before and after."""
    job = await world.create(after=-1, schedule=BERLIN | schedule, when=None)
    late = job._replace(fire_time=job.fire_time + HOUR, due_at=job.fire_time + HOUR, version=2)
    assert await world.store.update(late)
    return job, await world.job(job)


@pytest.fixture
def replanning(world: World) -> Replanning:
    """Plans the jobs of the world's store anew."""
    return Replanning(world.store, world.notes)


@pytest.fixture
def calendars(world: World) -> CalendarService:
    """The calendars of the world's store."""
    return CalendarService(world.store, world.notes)


# --- rules of time zones ----------------------------------------------------------------------------------------------


async def test_jobs_that_new_rules_move_are_listed(world: World, replanning: Replanning) -> None:
    """With where they are to go; others, and what is due already, are not."""
    await world.create(after=-1, schedule=BERLIN, when=None)
    await world.create(after=3600)
    planned, moved = await planned_by_other_rules(world)

    assert [Moved(moved, planned.fire_time)] == [each async for each in replanning.moved_by_zone_rules()]
    world.clock.set(moved.due_at)
    assert [] == [each async for each in replanning.moved_by_zone_rules() if each.job.id == moved.id]


async def test_jobs_follow_new_rules_once(
    world: World, replanning: Replanning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are planned anew when the release is not the one that was noted, and then it is."""
    planned, moved = await planned_by_other_rules(world)

    assert (1, None) == (await replanning.follow_zone_rules(), await replanning.follow_zone_rules())
    job = await world.job(moved)
    assert (planned.fire_time, planned.due_at, 3) == (job.fire_time, job.due_at, job.version)
    monkeypatch.setattr("mainspring.service.replanning.zone_rules", lambda: "2099.1")
    assert 0 == await replanning.follow_zone_rules()
    assert "2099.1" == await world.notes.zone_rules()


async def test_following_that_was_cut_off_begins_again(world: World, replanning: Replanning) -> None:
    """The release is noted only when all jobs have followed."""
    planned, moved = await planned_by_other_rules(world)
    world.store.failing["update"] = 1

    with pytest.raises(StoreUnavailableError):
        await replanning.follow_zone_rules()

    assert await world.notes.zone_rules() is None
    assert 1 == await replanning.follow_zone_rules()
    assert planned.fire_time == (await world.job(moved)).fire_time


class Racing:
    """A store on which somebody else writes each job just before it is updated, so many times."""

    def __init__(self, world: World, times: int, *, delete: bool = False) -> None:
        self._world = world
        self._left = times
        self._delete = delete

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._world.store, verb)

    async def update(self, job: Job, unrun: Any = (), added: Any = (), _: Any = None) -> bool:
        """Lose the race, if it is time for that."""
        if self._left:
            self._left -= 1
            await (self._world.service.delete_job if self._delete else self._world.service.control.pause_job)(
                KEY, job.id
            )
            await self._world.service.control.resume_job(KEY, job.id) if not self._delete else None
        updated: bool = await self._world.store.update(job, unrun, added)
        return updated


async def test_lost_race_is_run_again(world: World) -> None:
    """What somebody else wrote stays, and the job follows all the same; one that is gone is gone."""
    planned, moved = await planned_by_other_rules(world)

    assert 1 == await Replanning(Racing(world, 3), world.notes).plan_anew()
    assert planned.fire_time == (await world.job(moved)).fire_time

    await planned_by_other_rules(world)
    assert 0 == await Replanning(Racing(world, 1, delete=True), world.notes).plan_anew()


# --- calendars --------------------------------------------------------------------------------------------------------


async def test_calendars_of_the_settings_are_written_where_they_differ(calendars: CalendarService) -> None:
    """Others stay; what is as it was is not written, so that nobody must read it again."""
    old, new = calendar_from_json({"dates": ["2026-12-24"]}), calendar_from_json({"dates": ["2026-12-25"]})
    await calendars.put_calendar("theirs", {})

    assert ["a", "b"] == await calendars.adopt({"a": old, "b": old})
    assert ["b"] == await calendars.adopt({"a": old, "b": new})
    assert [] == await calendars.adopt({"a": old, "b": new})
    assert {"a": old, "b": new, "theirs": calendar_from_json({})} == await calendars.list_calendars()


async def test_calendars_of_the_settings_obey_the_limits(
    calendars: CalendarService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than may be, more than there is room for, and days out of range: nothing is written."""
    christmas = calendar_from_json({"dates": ["2026-12-24", "2026-12-25", "2026-12-26"]})
    monkeypatch.setattr("mainspring.service.calendars.MOST_BYTES", 100)
    with pytest.raises(ConfigError, match="all calendars together can have"):
        await calendars.adopt({"a": christmas, "b": christmas, "c": christmas})
    monkeypatch.setattr("mainspring.service.calendars.MOST_CALENDARS", 1)
    with pytest.raises(ConfigError, match="there can be 1 calendars at most"):
        await calendars.adopt({"a": christmas, "b": calendar_from_json({})})
    for days in ({"dates": ["0001-01-01"]}, {"ranges": [{"first": "2026-12-24", "last": "9999-12-31"}]}):
        with pytest.raises(ConfigError, match=r"the calendar a: .* must be between 1900-01-01T00:00:00Z and 9900"):
            await calendars.adopt({"a": calendar_from_json(days)})

    assert {} == await calendars.list_calendars()


async def test_holidays_of_the_settings_must_be_known(calendars: CalendarService) -> None:
    """Nothing starts with a calendar that would rule nothing out."""
    with pytest.raises(ConfigError, match="the holidays of the calendar feasts are not known for ZZ"):
        await calendars.adopt({"feasts": calendar_from_json({"holidays": {"country": "ZZ"}})})

    assert {} == await calendars.list_calendars()


async def test_only_jobs_of_the_calendar_follow_it(
    world: World, calendars: CalendarService, replanning: Replanning
) -> None:
    """Others are not even looked at."""
    await calendars.put_calendar("freeze", {})
    await planned_by_other_rules(world)
    planned, _ = await planned_by_other_rules(world, calendar="freeze")

    assert 1 == await replanning.plan_anew(calendar="freeze")
    moved = [each.job.id async for each in replanning.moved_by_zone_rules()]
    assert (1, False) == (len(moved), planned.id in moved)


async def test_jobs_whose_holidays_are_not_known_here_are_left_alone(
    world: World, calendars: CalendarService, replanning: Replanning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot tell what a calendar rules out does not plan by it."""
    await calendars.put_calendar("feasts", {"holidays": {"country": "DE"}})
    _, moved = await planned_by_other_rules(world, calendar="feasts")
    holidays_of.cache_clear()
    monkeypatch.setitem(sys.modules, "holidays", None)

    assert 0 == await replanning.plan_anew()
    assert moved == await world.job(moved)
    holidays_of.cache_clear()


async def test_node_without_the_holidays_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it cannot keep to the calendar, and runs all else."""
    holidays_of.cache_clear()
    monkeypatch.setitem(sys.modules, "holidays", None)
    await world.store.note(CALENDARS, "feasts", {"holidays": {"country": "DE"}})
    job = await world.create()

    async with world.node():
        await world.until(lambda: len(world.script.contexts) > 0)

    assert ["calendars"] == [event.loop for event in world.seen if isinstance(event, TurnFailed)][:1]
    assert job.id == world.script.contexts[0].job_id
    holidays_of.cache_clear()
