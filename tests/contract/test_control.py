"""What stores do for pauses that end, runs that are cancelled, jobs that end unrun, and tags."""

from datetime import timedelta
from typing import Any

import pytest

from mainspring.clock import ManualClock
from mainspring.job import (
    Counts,
    Ending,
    Hold,
    JobFilter,
    Options,
    Outcome,
    State,
    history,
    lifecycle,
    retry,
    tag_label,
)
from mainspring.schedule import Every, Once, Period, Recurring
from mainspring.store import Answer, NodeBeat, Store
from mainspring.store.postgres import store as postgres
from mainspring.store.postgres.connections import query
from tests.contract.build import (
    ALL,
    ANY,
    BACKUPS,
    DONE,
    NODE,
    SECOND,
    START,
    a_done_job,
    a_job,
    a_running_job,
    claim,
    edited,
    ended,
    in_order,
    put,
    running,
)
from tests.contract.build import history as rows

DAILY = Recurring(Every(Period(days=1)), START)
PAUSED: dict[str, Any] = {"state": State.PAUSED, "paused": True}
LATER = START + SECOND


# --- pauses


async def test_a_pause_says_why_and_until_when(store: Store) -> None:
    """As it was written, in lists too."""
    job = a_job(**PAUSED, hold=Hold(START, "it \N{SNOWMAN} burns", "ann"), resume_at=START + timedelta(days=9))
    await store.add([job])

    assert job == await store.get(job.id)
    assert [job] == await store.page(BACKUPS, ANY, after=None, limit=ALL)

    assert await store.update(resumed := edited(job, state=State.SCHEDULED, paused=False, hold=None, resume_at=None))
    assert resumed == await store.get(job.id)


async def test_what_is_to_go_on_is_found_when_its_time_has_come(store: Store, clock: ManualClock) -> None:
    """Not before; those that have waited longest first."""
    await store.join(NodeBeat(NODE))
    jobs = [a_job(**PAUSED, hold=Hold(START), resume_at=START + n * SECOND) for n in (3, 1, 2)]
    await store.add([*jobs, a_job(**PAUSED), a_job()])

    assert ([], False) == (await store.resumable(9), (await store.beat(NODE)).resumes)
    clock.advance(seconds=2)
    assert [jobs[1], jobs[2]] == await store.resumable(9)
    assert [jobs[1]] == await store.resumable(1)
    assert ((await store.beat(NODE)).resumes, (await store.beat(NODE)).now) == (True, START + 2 * SECOND)


async def test_a_run_may_leave_its_job_paused(store: Store) -> None:
    """With why, and on how many occurrences in a row it gave up."""
    job = a_job(trigger=DAILY, options=Options(max_attempts=1, pause_after=2), give_ups=1)
    [claimed] = await running(store, job)
    assert 1 == claimed.give_ups

    change = ended(claimed, Outcome.FAILED)
    assert [Answer.DONE] == await store.finish([change])

    found = await store.get(job.id)
    assert change.job._replace(last_run=found and found.last_run) == found
    assert found is not None
    assert (State.PAUSED, 2) == (found.state, found.give_ups)
    assert found.hold is not None
    assert found.hold.reason == "it gave up on 2 occurrences in a row"


# --- cancelling


async def test_a_run_that_is_cancelled_is_told_to_its_node(store: Store) -> None:
    """Once; its result is decided again from what the job is."""
    [job] = await running(store, a_job(trigger=DAILY))
    cancelling, none = lifecycle.cancel(job, now=LATER)
    assert none is None

    assert await store.cancel(cancelling)

    assert cancelling == await store.get(job.id)
    assert [[job.run], []] == [list((await store.beat(NODE)).stops) for _ in range(2)]
    assert [Answer.STALE] == await store.finish([ended(job)])
    assert [Answer.DONE] == await store.finish([over := ended(cancelling)])
    assert (Outcome.CANCELLED, State.SCHEDULED, False) == (over.run.outcome, over.job.state, over.job.cancelling)
    assert over.job == (found := await store.get(job.id)) or (
        found is not None and over.job._replace(last_run=found.last_run) == found
    )


@pytest.mark.parametrize("by", ["cancel", "delete", "deletion of its parent"])
async def test_a_run_that_is_to_stop_is_told_so_once(store: Store, by: str) -> None:
    """Whatever else is done to it before its node has heard that it is cancelled."""
    parent = a_job()
    await store.join(NodeBeat(NODE))
    await store.add([parent, job := a_running_job(parent=parent.id if by == "deletion of its parent" else None)])
    cancelling, _ = lifecycle.cancel(job, now=LATER)
    assert await store.cancel(cancelling)

    match by:
        case "cancel":
            assert await store.cancel(lifecycle.cancel(cancelling, now=LATER)[0])
        case "delete":
            run = history.ended(cancelling, Ending(Outcome.CANCELLED), started_at=START, now=LATER)
            assert await store.delete(cancelling, run)
        case _:
            assert await store.delete(parent, None)
            await store.delete_children(parent.id, "it was deleted", 10)

    assert [{job.run}, frozenset()] == [(await store.beat(NODE)).stops for _ in range(2)]


async def test_cancelling_is_guarded_by_the_version(store: Store) -> None:
    """Nobody is told of what was not written."""
    [job] = await running(store, a_job())
    assert await store.update(edited(job))

    assert not await store.cancel(lifecycle.cancel(job, now=LATER)[0])
    assert frozenset() == (await store.beat(NODE)).stops


async def test_what_is_being_cancelled_is_not_given_back(store: Store) -> None:
    """It would begin again; its node finds it among what it holds."""
    [job] = await running(store, a_job())
    assert await store.cancel(cancelling := lifecycle.cancel(job, now=LATER)[0])

    await store.unclaim([job])

    assert [cancelling] == [each.job for each in await store.holding(NODE)]


@pytest.mark.parametrize("state", [State.SCHEDULED, State.PAUSED])
async def test_a_job_can_end_without_a_run(store: Store, state: State) -> None:
    """History has a row that says how, and the job is done: counted, listed, and brought back like any other."""
    job = a_job(state=state, paused=state is State.PAUSED, priority=7, options=Options(key="k", tags=("a",)))
    await store.add([job, other := a_job()])
    done, run = lifecycle.cancel(job, now=LATER)
    assert run is not None

    assert await store.end(done, run)

    found = await store.get(job.id)
    assert found is not None
    assert found.last_run is not None
    assert run._replace(number=found.last_run.number) == found.last_run
    assert done._replace(last_run=found.last_run) == found
    assert [found] == await store.page(BACKUPS, DONE, after=None, limit=ALL)
    assert {BACKUPS: Counts({State.DONE: 1, State.SCHEDULED: 1})} == await store.counts()
    assert [other] == await store.page(BACKUPS, ANY, after=None, limit=ALL)
    assert not await store.end(done, run)
    assert await store.revive(edited(found, state=State.SCHEDULED, last_run=None))


async def test_a_job_that_is_brought_back_is_always_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for who has not found it among those that go on, and comes to history when it is there no more."""
    dead = a_done_job(outcome=Outcome.FAILED)
    await put(store, dead)
    found = await store.get(dead.id)
    assert found is not None
    back = edited(found, state=State.SCHEDULED, last_run=None)

    async def late(connection: Any, name: str, parameters: Any) -> Any:
        if name == "get_done":
            monkeypatch.undo()
            assert await store.revive(back)
        return await query(connection, name, parameters)

    monkeypatch.setattr(postgres, "query", late)

    again = await store.get(dead.id)
    assert again is not None
    assert dead.id == again.id


async def test_ending_is_guarded_by_the_version(store: Store) -> None:
    """Also where a node has claimed the job meanwhile."""
    await store.join(NodeBeat(NODE))
    await store.add([job := a_job()])
    done, run = lifecycle.cancel(job, now=LATER)
    assert run is not None
    [claimed] = await claim(store)

    assert not await store.end(done, run)
    assert not await store.end(done._replace(version=claimed.job.version + 1), run)
    assert ([], claimed.job) == (await rows(store), await store.get(job.id))


async def test_a_cancelled_run_whose_node_dies_is_cancelled(store: Store) -> None:
    """It is not tried again: whoever finds it lost knows that it was to be cancelled."""
    [job] = await running(store, a_job())
    assert await store.cancel(lifecycle.cancel(job, now=LATER)[0])
    await store.leave(NODE)

    [orphan] = await store.orphans([BACKUPS], 9)
    lost = Ending(Outcome.LOST, "the node that ran it died")
    run = history.ended(orphan, lost, started_at=START, now=LATER)
    policy = retry.RetryPolicy()
    change = lifecycle.after(orphan, run, lost, policy=policy, now=LATER, chance=0, calendars={})

    assert [Answer.DONE] == await store.finish([change])
    assert (State.DONE, Outcome.CANCELLED) == (change.job.state, change.run.outcome)


# --- tags


@pytest.mark.parametrize(
    ("tags", "expected"),
    [((), {0, 1, 2, 3}), (("a",), {0, 1}), (("a", "b"), {1}), (("b",), {1, 2}), (("c",), set()), (("a'\"",), set())],
)
async def test_lists_show_jobs_with_all_tags(store: Store, tags: tuple[str, ...], expected: set[int]) -> None:
    """Pending ones and done ones, in pages and in streams."""
    with_tags = [Options(tags=("a",)), Options(tags=("b", "a"), priority=7), Options(tags=("b",)), Options()]
    labels = [tuple(map(tag_label, options.tags or ())) for options in with_tags]
    pending = [
        a_job(options=options, priority=options.priority or 5, labels=said)
        for options, said in zip(with_tags, labels, strict=True)
    ]
    done = [a_done_job(options=options, labels=said) for options, said in zip(with_tags, labels, strict=True)]
    wanted = frozenset(map(tag_label, tags))
    await put(store, *pending, *done)
    jobs, which = in_order(*(pending[n] for n in expected)), JobFilter(labels=wanted)

    assert jobs == await store.page(BACKUPS, which, after=None, limit=ALL)
    assert b"".join(job.id.bytes for job in jobs) == await store.ids(BACKUPS, which, after=None)
    of_done = await store.page(BACKUPS, JobFilter(frozenset({State.DONE}), labels=wanted), after=None, limit=ALL)
    assert {done[n].id for n in expected} == {job.id for job in of_done}


async def test_tags_go_with_other_filters(store: Store) -> None:
    """Such as how the last run ended."""
    options = Options(tags=("a",))
    labels = ("t:a",)
    failed = [a_done_job(options=options, labels=labels, outcome=Outcome.FAILED), a_done_job(outcome=Outcome.FAILED)]
    tried = a_job(options=options, labels=labels, outcome=Outcome.FAILED, attempt=1, trigger=Once(START))
    await put(store, *failed, tried)
    outcomes = frozenset({Outcome.FAILED})

    done = await store.page(
        BACKUPS, JobFilter(frozenset({State.DONE}), outcomes, labels=frozenset(labels)), after=None, limit=ALL
    )
    pending = await store.page(BACKUPS, JobFilter(outcomes=outcomes, labels=frozenset(labels)), after=None, limit=ALL)

    assert ([failed[0].id], [tried.id]) == ([job.id for job in done], [job.id for job in pending])
