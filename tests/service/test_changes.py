"""PATCH of a job that lives: no occurrence that had its turn comes again, and what is not named stays as it was."""

from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.clock import ManualClock
from mainspring.job import Ending, Events, Job, Outcome, RetryPolicy, State, history, lifecycle
from mainspring.plugins import build
from mainspring.schedule import format_time
from mainspring.service import SchedulerService
from mainspring.store import NodeBeat, Notes
from mainspring.store.sqlite.store import SqliteStore
from tests.node.conftest import KEY, Module, Script

HOUR = timedelta(hours=1)
NODE = "n"


class Lived:
    """A job in a store in memory, whose occurrences a test runs at their times."""

    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2026, 6, 1, 12, tzinfo=UTC))
        self.store = SqliteStore(None, self.clock)
        registry = build([("test", Module(Script()))])
        self.service = SchedulerService(
            store=self.store, notes=Notes(self.store, self.clock), registry=registry, clock=self.clock, events=Events()
        )
        self.ran: list[datetime] = []

    async def __aenter__(self) -> Self:
        await self.store.open()
        await self.store.join(NodeBeat(NODE))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()

    async def create(self, **body: Any) -> Job:
        return await self.service.create_job(KEY, body)

    async def change(self, job: Job, **patch: Any) -> Job:
        return await self.service.change_job(KEY, job.id, patch)

    async def shown(self, job: Job) -> Job:
        return await self.service.get_job(KEY, job.id)

    async def run_due(self) -> int:
        """Run what is due, once; answer how many that was."""
        claims = (await self.store.claim(NODE, {KEY: 10}, 10)).claims
        for job, at in claims:
            self.ran.append(job.fire_time)
            ending = Ending(Outcome.SUCCEEDED)
            run = history.ended(job, ending, started_at=at, now=at)
            change = lifecycle.after(job, run, ending, policy=RetryPolicy(), now=at, chance=0, calendars={})
            await self.store.finish([change])
        return len(claims)

    async def live(self, hours: float) -> None:
        """Let time pass and run what comes due, each at its time."""
        end = self.clock.now() + hours * HOUR
        while (due := await self.store.next_due([KEY])) is not None and due.at <= end:
            self.clock.advance(seconds=max(0, due.wait.total_seconds()))
            await self.run_due()
        self.clock.advance(seconds=(end - self.clock.now()).total_seconds())


DAILY = {"every": "P1D", "count": 5}


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"schedule": {"misfire": "skip"}}, id="a term that is no time"),
        pytest.param({"schedule": {"jitter": "PT0S", "grace": "PT5M"}}, id="the grace"),
        pytest.param({"when": "2026-06-01T13:00:00Z"}, id="the start as it was"),
        pytest.param({"when": "2026-06-02T13:00:00Z"}, id="a time that had its turn"),
        pytest.param({"when": "2026-06-01T13:00:00Z", "schedule": DAILY}, id="all as it was"),
        pytest.param({"schedule": {"overlap": "allow"}}, id="the overlap"),
        pytest.param({"options": {"maxAttempts": 3}}, id="an option"),
    ],
)
async def test_patch_that_names_no_new_time_repeats_nothing(patch: dict[str, Any]) -> None:
    """The job waits for the fire time that it waited for, with as many left."""
    async with Lived() as lived:
        job = await lived.create(when="2026-06-01T13:00:00Z", schedule=DAILY)
        await lived.live(50)
        before = await lived.shown(job)

        changed = await lived.change(job, **patch)

        assert (before.fire_time, State.SCHEDULED) == (changed.fire_time, changed.state)
        await lived.live(24 * 30)
        assert [datetime(2026, 6, day, 13, tzinfo=UTC) for day in range(1, 6)] == lived.ran


@pytest.mark.parametrize(
    ("schedule", "patch"),
    [
        pytest.param({"every": "P2D"}, {"misfire": "skip"}, id="every other day"),
        pytest.param({"every": "P1D", "count": 5}, {"grace": "PT1H"}, id="a count"),
        pytest.param({"rrule": "FREQ=WEEKLY;INTERVAL=2"}, {"overlap": "allow"}, id="every other week"),
        pytest.param({"every": "PT36H"}, {"end": "2027-01-01T00:00:00Z"}, id="a period"),
    ],
)
async def test_schedule_that_began_with_its_job_goes_on_in_its_rhythm(
    schedule: dict[str, Any], patch: dict[str, Any]
) -> None:
    """A patch that does not name the start does not move it."""
    async with Lived() as lived, Lived() as twin:
        job = await lived.create(schedule=schedule)
        await twin.create(schedule=schedule)
        for each in (lived, twin):
            await each.live(60)

        changed = await lived.change(job, schedule=patch)

        assert job.created_at == changed.trigger.start  # type: ignore[union-attr]
        for each in (lived, twin):
            await each.live(24 * 60)
        assert twin.ran == lived.ran


async def test_other_rule_begins_after_what_had_its_turn() -> None:
    """Between the patch and the fire time that the job waited for, the new rule has its own."""
    async with Lived() as lived:
        job = await lived.create(when="2026-06-01T13:00:00Z", schedule={"every": "P1D"})
        await lived.live(3)

        await lived.change(job, schedule={"every": "PT1H"})
        await lived.live(3)

        hours = [13, 16, 17, 18]
        assert [datetime(2026, 6, 1, hour, tzinfo=UTC) for hour in hours] == lived.ran


async def test_overdue_occurrence_keeps_its_turn() -> None:
    """It was paused when its time came: what takes its place is not lost."""
    async with Lived() as lived:
        job = await lived.create(when="2026-06-01T13:00:00Z", schedule={"every": "P1D"})
        await lived.live(2)
        await lived.service.control.pause_job(KEY, job.id)
        await lived.live(24)

        await lived.change(job, schedule={"misfire": "fireAll"})
        await lived.service.control.resume_job(KEY, job.id)
        await lived.run_due()

        assert [datetime(2026, 6, day, 13, tzinfo=UTC) for day in (1, 2)] == lived.ran


RULES = st.sampled_from(
    [
        {"every": "PT1H"},
        {"every": "PT90M"},
        {"every": "P1D"},
        {"cron": "0 */5 * * *"},
        {"rrule": "FREQ=DAILY;BYHOUR=3,15"},
    ]
)
STARTS = st.integers(-72, 72).map(lambda hours: {"when": format_time(datetime(2026, 6, 2, tzinfo=UTC) + hours * HOUR)})
TERMS = st.sampled_from([{"misfire": "skip"}, {"grace": "PT1H"}, {"overlap": "allow"}])
PATCHES = st.one_of(
    RULES.map(lambda rule: {"schedule": rule}),
    TERMS.map(lambda terms: {"schedule": terms}),
    STARTS,
    st.tuples(STARTS, RULES).map(lambda both: both[0] | {"schedule": both[1]}),
    st.just({"options": {"maxAttempts": 2}}),
)


@settings(max_examples=60, deadline=None)
@given(RULES, st.lists(st.tuples(st.floats(0, 30), PATCHES), max_size=5))
async def test_no_occurrence_comes_twice_however_often_a_job_is_changed(
    rule: dict[str, Any], changes: list[tuple[float, dict[str, Any]]]
) -> None:
    """Against the plain model: a set of the fire times that had their turn.

    What has passed is run only where the patch names that time, or nothing had its turn before.
    """
    async with Lived() as lived:
        job = await lived.create(when="2026-06-01T13:00:00Z", schedule=rule)
        for hours, patch in changes:
            await lived.live(hours)
            names_time = patch.keys() == {"when"}
            await lived.change(job, **patch)
            before = len(lived.ran)
            await lived.run_due()
            late = [fire_time for fire_time in lived.ran[before:] if fire_time < lived.clock.now()]
            assert len(late) <= (names_time or not before)
        await lived.live(48)
        assert len(set(lived.ran)) == len(lived.ran)
