"""What a node does, on every store."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

import pytest

from mainspring.errors import JobFinishedError, StoreUnavailableError
from mainspring.execution import Assignment, Places, Threads
from mainspring.job import (
    Change,
    Ending,
    Job,
    JobKey,
    NodeBuried,
    NodeLost,
    NodeStopping,
    Outcome,
    Run,
    RunFinished,
    RunLeft,
    RunRefused,
    RunsInterrupted,
    RunStarted,
    State,
    StoreFailed,
    StoreRecovered,
    ThreadsStuck,
    TurnFailed,
    history,
    lifecycle,
    retry,
)
from mainspring.node import yielding
from mainspring.plugins import JobExecutionContext
from mainspring.store import NodeBeat, Pulse
from tests.node.conftest import KEY, Script, ScriptedJob, World


async def test_a_due_job_runs_once_at_its_time(world: World) -> None:
    """A job runs when it is due, not before, once, and its history says so."""
    async with world.node():
        job = await world.create(after=30)
        await world.pass_time(29)
        assert world.script.contexts == []
        await world.happened(RunFinished)
        await world.pass_time(5)
    (run,) = await world.runs(job)
    assert (run.outcome, run.attempt, run.reason) == (Outcome.SUCCEEDED, 1, None)
    assert [job.fire_time] == [context.scheduled_fire_time for context in world.script.contexts]
    assert job.fire_time <= run.started_at <= run.finished_at
    assert (await world.job(job)).state == State.DONE


async def test_a_failing_job_is_retried_until_it_succeeds(world: World) -> None:
    """Each attempt is a run of its own with a higher fence; the occurrence stays the same."""
    world.script.failures = 2
    async with world.node():
        job = await world.create()
        await world.happened(RunFinished, 3)
    runs = await world.runs(job)
    assert [run.outcome for run in runs] == [Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED]
    assert [run.attempt for run in runs] == [1, 2, 3]
    assert sorted({run.number for run in runs}) == [run.number for run in runs]
    assert len({context.occurrence_id for context in world.script.contexts}) == 1


async def test_a_job_that_gave_up_is_dead_and_comes_back_by_retry(world: World) -> None:
    """After the last attempt the job is dead; retry runs it again, with the attempts counted on."""
    world.script.failures = 2
    async with world.node():
        job = await world.create(options={"maxAttempts": 2, "backoff": "PT1S"})
        await world.happened(RunFinished, 2)
        assert (await world.job(job)).is_dead
        await world.service.control.retry_job(KEY, job.id)
        await world.happened(RunFinished, 3)
    assert [(run.attempt, run.outcome) for run in await world.runs(job)] == [
        (1, Outcome.FAILED),
        (2, Outcome.FAILED),
        (3, Outcome.SUCCEEDED),
    ]


async def test_a_recurring_job_moves_on(world: World) -> None:
    """Each fire time is computed from the one before, and after the last the job is done."""
    async with world.node():
        job = await world.create(schedule={"every": "PT10S", "count": 3})
        await world.happened(RunFinished, 3)
    assert [(run.fire_time - job.fire_time).total_seconds() for run in await world.runs(job)] == [0, 10, 20]
    assert (await world.job(job)).state == State.DONE


async def test_a_job_paused_while_it_runs_waits_after_the_run(world: World) -> None:
    """An edit under way is not lost: the run ends normally, and the job is then held back."""
    world.script.hold = asyncio.Event()
    async with world.node():
        job = await world.create(schedule={"every": "PT1M"})
        await world.until(lambda: world.script.at_once == 1)
        await world.service.control.pause_job(KEY, job.id)
        world.script.hold.set()
        await world.happened(RunFinished)
        await world.pass_time(120)
        held = await world.job(job)
        assert (held.state, len(world.script.contexts)) == (State.PAUSED, 1)
        await world.service.control.resume_job(KEY, job.id)
        await world.happened(RunFinished, 2)


async def test_a_deleted_job_is_asked_to_stop_and_its_result_refused(world: World) -> None:
    """Deleting a running job stops the run; what it answers changes nothing."""
    world.script.hold = asyncio.Event()
    async with world.node():
        job = await world.create()
        await world.until(lambda: world.script.at_once == 1)
        await world.service.delete_job(KEY, job.id)
        await world.happened(RunRefused)
    (context,) = world.script.contexts
    assert context.stopping.is_set()
    assert [run.outcome for run in await world.store.runs(KEY, job.id, before=None, limit=9)] == [Outcome.CANCELLED]


async def test_what_a_dead_node_ran_runs_again(world: World) -> None:
    """A node that stops beating loses its runs after a lease: history calls them lost, and the job runs again."""
    job = await world.create()
    await world.store.join(NodeBeat("dead"))
    await world.store.claim("dead", {KEY: 1}, 1)
    async with world.node(lease="PT10S"):
        await world.happened(NodeLost)
        await world.happened(RunFinished, 2)
    lost, again = await world.runs(job)
    assert (lost.outcome, lost.node, lost.attempt) == (Outcome.LOST, "dead", 1)
    assert (again.outcome, again.attempt) == (Outcome.SUCCEEDED, 2)
    assert lost.number < again.number


async def test_the_result_of_a_zombie_is_refused(world: World) -> None:
    """A node that was given up for dead cannot write what its run came to."""
    job = await world.create()
    await world.store.join(NodeBeat("zombie"))
    (claim,) = (await world.store.claim("zombie", {KEY: 1}, 1)).claims
    async with world.node():
        await world.happened(RunFinished, 2)
    before = await world.job(job)
    ending = Ending(Outcome.FAILED, "too late")
    run = history.ended(claim.job, ending, started_at=claim.at, now=claim.at)
    change = lifecycle.after(claim.job, run, ending, policy=retry.RetryPolicy(), now=claim.at, chance=0, calendars={})
    assert await world.store.finish([change]) == ["lost"]
    assert before == await world.job(job)
    assert len(await world.runs(job)) == 2


async def test_a_node_taken_for_dead_begins_a_new_life(world: World) -> None:
    """It gives up its runs, joins under a new name, and goes on working."""
    world.script.hold = asyncio.Event()
    async with world.node() as node:
        job = await world.create()
        await world.until(lambda: world.script.at_once == 1)
        first = node.name
        await world.store.leave(first)
        await world.happened(NodeBuried)
        world.script.hold.set()
        await world.until(lambda: world.script.contexts[-1].attempt == 2 and world.script.at_once == 0)
        await world.happened(RunFinished, 2)
        assert first != node.name
    given_up, again = await world.runs(job)
    assert given_up.outcome in {Outcome.LOST, Outcome.INTERRUPTED}  # whichever of sweep and interrupt came first
    assert Outcome.SUCCEEDED == again.outcome


async def test_a_stopping_node_waits_for_its_runs(world: World) -> None:
    """A run that ends within the grace period ends normally, and the node leaves no row."""
    world.script.hold = asyncio.Event()
    async with world.node(grace="PT1M") as node:
        job = await world.create()
        await world.until(lambda: world.script.at_once == 1)
        node.stop()
        await world.pass_time(5)
        assert world.script.contexts[0].stopping.is_set()
        world.script.hold.set()
    assert [run.outcome for run in await world.runs(job)] == [Outcome.SUCCEEDED]
    assert await world.store.nodes() == []


async def test_what_is_claimed_while_the_node_stops_is_handed_back(world: World) -> None:
    """A claim that is under way when the node is told to stop is not forgotten, and its jobs do not begin."""
    async with world.node() as node:
        await world.pass_time(5)
        world.store.just_after["claim"] = node.stop
        job = await world.create()
    handed_back = await world.job(job)
    assert (State.SCHEDULED, 0) == (handed_back.state, handed_back.losses)
    assert {Outcome.INTERRUPTED} >= {run.outcome for run in await world.runs(job)}
    assert [] == world.script.contexts


@pytest.mark.parametrize("hurry", [False, True])
async def test_a_run_that_outlasts_the_grace_period_is_handed_back(world: World, hurry: bool) -> None:  # noqa: FBT001
    """It is interrupted, costs no attempt, and is due at once; a second stop does not wait for the grace period."""
    world.script.hold = asyncio.Event()
    async with world.node(grace="PT1M") as node:
        job = await world.create()
        await world.until(lambda: world.script.at_once == 1)
        started = world.clock.now()
        node.stop()
        await world.pass_time(1)
        if hurry:
            node.stop()
            await world.happened(RunFinished)
            assert (world.clock.now() - started).total_seconds() < 10
        else:
            await world.happened(RunFinished)
            assert (world.clock.now() - started).total_seconds() >= 60
    handed_back = await world.job(job)
    assert (handed_back.state, handed_back.outcome, handed_back.failures) == (State.SCHEDULED, Outcome.INTERRUPTED, 0)


def farewell(world: World) -> list[Any]:
    """Return what a node that stops announced of it."""
    kinds = (NodeStopping, RunsInterrupted, RunLeft)
    return [event for event in world.seen if isinstance(event, kinds)]


async def test_node_that_stops_says_what_it_waits_for(world: World) -> None:
    """At once: the runs that have begun, and how long they may take."""
    world.script.hold = asyncio.Event()
    async with world.node(grace="PT1M", slots=2) as node:
        for _ in range(3):
            await world.create()
        await world.until(lambda: world.script.at_once == 2)
        node.stop()
        await world.happened(NodeStopping)
        world.script.hold.set()
    assert [NodeStopping(node.name, 2, 60)] == farewell(world)


async def test_node_with_nothing_to_wait_for_says_so(world: World) -> None:
    """Also what was done before it was told to stop is not waited for; to be told twice changes nothing."""
    async with world.node() as node:
        await world.create()
        await world.happened(RunFinished)
        node.stop()
        node.stop()
    assert [NodeStopping(node.name, 0, 10)] == farewell(world)


@pytest.mark.parametrize(
    ("stops", "why"), [(1, "the grace period is over"), (2, "it was told to stop again")], ids=["grace", "again"]
)
async def test_node_says_when_and_why_it_waits_no_longer(world: World, stops: int, why: str) -> None:
    """A node that stops tells that it interrupts its runs."""
    world.script.hold = asyncio.Event()
    async with world.node(grace="PT1M") as node:
        await world.create()
        await world.until(lambda: world.script.at_once == 1)
        for _ in range(stops):
            node.stop()
            await world.pass_time(1)
        await world.happened(RunFinished)
    assert [NodeStopping(node.name, 1, 60), RunsInterrupted(node.name, 1, why)] == farewell(world)


async def test_run_that_does_not_heed_the_interrupt_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node leaves without it, and says of which job it is."""
    end = asyncio.Event()

    async def stubborn(*_: object) -> None:
        while not end.is_set():
            with suppress(asyncio.CancelledError):
                await end.wait()

    monkeypatch.setattr(ScriptedJob, "execute", stubborn)
    async with world.node(grace="PT1S") as node:
        job = await world.create()
        await world.happened(RunStarted)
    end.set()
    interrupted, left = farewell(world)[1:]
    assert RunsInterrupted(node.name, 1, "the grace period is over") == interrupted
    assert (job.id, "it goes on although it was interrupted") == (left.job.id, left.why)


async def test_run_whose_result_cannot_be_written_is_named(world: World) -> None:
    """It has ended, but the store does not take it: it is not interrupted, and counts as lost."""
    world.store.failing["finish"] = 10**6
    async with world.node(grace="PT5S") as node:
        job = await world.create()
        await world.happened(StoreFailed)
    stopping, left = farewell(world)
    assert NodeStopping(node.name, 0, 5) == stopping
    assert (job.id, "the store did not answer") == (left.job.id, left.why)


@pytest.mark.parametrize("verb", ["claim", "finish", "beat", "orphans", "prune", "next_due"])
async def test_a_store_that_fails_costs_time_not_results(world: World, verb: str) -> None:
    """A turn that fails is tried again; what jobs came to is kept until the store takes it. It is told at both ends."""
    async with world.node():
        world.store.failing[verb] = 3
        job = await world.create(after=5)
        await world.happened(StoreFailed)
        await world.happened(RunFinished)
        await world.happened(StoreRecovered)
    told = [event for event in world.seen if isinstance(event, StoreFailed | StoreRecovered | TurnFailed)]
    assert [StoreFailed, StoreRecovered] == [type(event) for event in told]
    assert [run.outcome for run in await world.runs(job)] == [Outcome.SUCCEEDED]
    assert len(world.script.contexts) == 1


async def test_long_outage_of_the_store_is_few_lines(world: World) -> None:
    """However many duties it hits and however often they try again."""
    async with world.node(lease="PT10S"):
        verbs = ("claim", "next_due", "holding", "beat", "orphans", "prune")
        await world.create()
        await world.happened(RunFinished)
        world.store.failing.update(dict.fromkeys(verbs, 10**6))
        await world.happened(StoreFailed)
        back = world.clock.now() + timedelta(minutes=15)
        await world.until(lambda: world.clock.now() >= back, step=0.5)
        world.store.failing.update(dict.fromkeys(verbs, 0))
        await world.happened(StoreRecovered)
        await world.pass_time(20)
    assert not [event for event in world.seen if isinstance(event, TurnFailed)]
    failed = [event for event in world.seen if isinstance(event, StoreFailed)]
    assert [0, 60, 660] == [pytest.approx(event.seconds, abs=2) for event in failed]
    (recovered,) = [event for event in world.seen if isinstance(event, StoreRecovered)]
    assert {"claim", "beat", "prune"} == set(recovered.loops) == set(failed[-1].loops)
    assert 900 == pytest.approx(recovered.seconds, abs=10)


async def test_no_more_runs_at_once_than_slots(world: World) -> None:
    """A node with two slots runs two jobs at a time, and all of them in the end."""
    world.script.hold = asyncio.Event()
    async with world.node(slots=2):
        jobs = [await world.create() for _ in range(20)]
        await world.until(lambda: world.script.at_once == 2)
        await world.pass_time(5)
        world.script.hold.set()
        await world.happened(RunFinished, len(jobs))
    assert world.script.most_at_once == 2


async def test_a_finished_job_cannot_be_edited(world: World) -> None:
    """What is done stays as it was."""
    async with world.node():
        job = await world.create()
        await world.happened(RunFinished)
    with pytest.raises(JobFinishedError):
        await world.service.control.pause_job(KEY, job.id)


def answer_lost() -> None:
    """Lose an answer on its way: what was asked for is done."""
    raise StoreUnavailableError("the answer was lost")


async def test_claims_whose_answer_was_lost_are_taken_up(world: World) -> None:
    """The node looks for what it holds without knowing: the job runs, once, by the run that was claimed."""
    async with world.node():
        await world.pass_time(2)
        world.store.just_after["claim"] = answer_lost
        job = await world.create()
        await world.happened(RunFinished)
        await world.pass_time(15)
    (run,) = await world.runs(job)
    assert (1, Outcome.SUCCEEDED) == (run.attempt, run.outcome)
    assert 1 == len(world.script.contexts)


async def test_result_whose_answer_was_lost_is_not_refused(world: World) -> None:
    """It is sent again and recognised: history has it once, and nobody is alarmed."""
    async with world.node():
        world.store.just_after["finish"] = answer_lost
        job = await world.create(schedule={"every": "PT1H"})
        await world.happened(RunFinished)
        await world.pass_time(5)
    assert [Outcome.SUCCEEDED] == [run.outcome for run in await world.runs(job)]
    assert [] == [event for event in world.seen if isinstance(event, RunRefused)]


@pytest.mark.parametrize(
    ("verb", "failing"), [("claim", "claims"), ("next_due", "claims"), ("beat", "beats"), ("finish", "writing results")]
)
async def test_node_names_what_keeps_jobs_from_running(world: World, verb: str, failing: str) -> None:
    """A vital duty that fails for longer than a moment is an obstacle until a turn of it goes well."""
    async with world.node() as node:
        world.store.failing[verb] = 10**6
        await world.create()
        await world.happened(StoreFailed)
        obstacles = [node.obstacle]
        await world.pass_time(5)
        obstacles.append(node.obstacle)
        assert obstacles == [None, f"jobs do not run: {failing} fail; the log says why"]
        world.store.failing[verb] = 0
        await world.until(lambda: node.obstacle is None)


async def test_store_that_hangs_is_an_obstacle(world: World) -> None:
    """A beat that neither fails nor ends says as much as one that fails, until one is answered."""
    released = asyncio.Event()

    async def hang(node: str) -> Pulse:
        await released.wait()
        del world.store.beat
        return cast("Pulse", await world.store.beat(node))

    async with world.node() as node:
        world.store.beat = hang
        await world.pass_time(2)
        assert node.obstacle is None
        await world.pass_time(4)
        assert "has not answered a beat for" in str(node.obstacle)
        released.set()
        await world.until(lambda: node.obstacle is None)


async def test_node_without_a_lease_is_not_ready(world: World) -> None:
    """It was taken for dead and cannot join again: its beats are answered, and it may claim nothing."""
    async with world.node() as node:
        world.store.failing["join"] = 10**6
        [beat] = await world.store.nodes()
        await world.store.bury(beat)
        await world.happened(NodeBuried)
        await world.pass_time(5)
        assert node.obstacle == "jobs do not run: the node has no lease; the log says why"
        world.store.failing["join"] = 0
        await world.until(lambda: node.obstacle is None)


async def test_history_that_cannot_be_pruned_is_no_obstacle(world: World) -> None:
    """Jobs run all the same."""
    world.store.failing["prune"] = 10**6
    async with world.node() as node:
        await world.happened(StoreFailed)
        await world.pass_time(6)
        assert node.obstacle is None


async def test_node_that_lost_touch_starts_nothing(world: World) -> None:
    """Without a beat for most of a lease it claims no more, until it has beaten again."""
    async with world.node(lease="PT10S"):
        world.store.failing["beat"] = 10**6
        await world.pass_time(9)
        job = await world.create()
        await world.pass_time(5)
        assert [] == world.script.contexts
        world.store.failing["beat"] = 0
        await world.happened(RunFinished)
    assert [Outcome.SUCCEEDED] == [run.outcome for run in await world.runs(job)]


@pytest.mark.parametrize("exclusive", [True, False])
async def test_what_runs_while_the_node_is_out_of_touch(
    world: World, monkeypatch: pytest.MonkeyPatch, *, exclusive: bool
) -> None:
    """Runs that must not overlap are cancelled before the lease is over; others go on and deliver what they came to."""
    monkeypatch.setattr(ScriptedJob, "exclusive", exclusive)
    world.script.hold = asyncio.Event()
    async with world.node(lease="PT10S"):
        job = await world.create()
        await world.until(lambda: world.script.at_once == 1)
        world.store.failing["beat"] = 10**6
        await world.pass_time(9.5)
        assert (not exclusive) == (world.script.at_once == 1)
        world.store.failing["beat"] = 0
        world.script.hold.set()
        await world.happened(RunFinished, 2 if exclusive else 1)
    outcomes = [run.outcome for run in await world.runs(job)]
    assert outcomes == ([Outcome.INTERRUPTED, Outcome.SUCCEEDED] if exclusive else [Outcome.SUCCEEDED])


async def test_job_that_runs_at_most_once_is_not_repeated_when_its_node_died(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows how far it came, so it ends dead, for a person to decide."""
    monkeypatch.setattr(ScriptedJob, "at_most_once", True)
    job = await world.create()
    await world.store.join(NodeBeat("dead"))
    await world.store.claim("dead", {KEY: 1}, 1)
    async with world.node(lease="PT10S"):
        await world.happened(RunFinished)
        await world.pass_time(30)
    assert [Outcome.LOST] == [run.outcome for run in await world.runs(job)]
    assert (await world.job(job)).is_dead
    assert [] == world.script.contexts


@pytest.mark.parametrize("world", ["postgres"], indirect=True)
async def test_two_nodes_that_come_back_from_an_outage_do_not_rob_each_other(world: World) -> None:
    """Neither has seen the other beat meanwhile, nor could it: each watches anew."""
    world.script.hold = asyncio.Event()
    async with world.node(node="one", lease="PT10S"), world.node(node="two", lease="PT10S"):
        job = await world.create()
        await world.until(lambda: world.script.at_once == 1)
        world.store.failing["beat"] = 10**6
        await world.pass_time(30)
        world.store.failing["beat"] = 0
        await world.pass_time(15)
        world.script.hold.set()
        await world.happened(RunFinished)
    assert [] == [event for event in world.seen if isinstance(event, NodeLost | NodeBuried)]
    assert [Outcome.SUCCEEDED] == [run.outcome for run in await world.runs(job)]


async def test_a_group_is_claimed_for_as_far_as_its_lane_has_room(world: World) -> None:
    """What has no thread or process to run in stays scheduled, for a node that has; its turn comes in time."""
    world.script.hold = asyncio.Event()
    async with world.node(places=Places(2)):
        jobs = [await world.create() for _ in range(5)]
        await world.until(lambda: world.script.at_once == 2)
        await world.pass_time(5)
        assert Counter(running=2, scheduled=3) == Counter([(await world.job(job)).state.value for job in jobs])
        world.script.hold.set()
        await world.happened(RunFinished, 5)
    assert 2 == world.script.most_at_once


async def test_a_claim_is_under_way_while_the_jobs_of_the_last_are_started(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that brought all it may is followed by one at once, which counts what is coming already."""
    monkeypatch.setattr(yielding, "BATCH", 2)
    world.script.hold = asyncio.Event()
    jobs = [await world.create() for _ in range(6)]
    seen: list[str] = []
    claim = world.store.claim

    async def seen_to_claim(name: str, demand: Mapping[JobKey, int], *more: Any) -> Any:
        seen.append(f"claim {sum(demand.values())}")
        return await claim(name, demand, *more)

    monkeypatch.setattr(world.store, "claim", seen_to_claim)
    world.events.subscribe(RunStarted, lambda _: seen.append("start"))
    async with world.node(places=Places(3)):
        await world.until(lambda: world.script.at_once == 3)
        await world.pass_time(5)
        assert Counter(running=3, scheduled=3) == Counter([(await world.job(job)).state.value for job in jobs])
        world.script.hold.set()
        await world.happened(RunFinished, 6)
    assert ["claim 2", "claim 1", "start", "start", "start"] == seen[:5]


class BlockedLoop:
    """The test's own loop, but what it is given waits until it is set free."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Callable[[], object]] | None = []

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: object) -> None:
        if self._waiting is None:
            self._loop.call_soon(callback, *arguments)
        else:
            self._waiting.append(partial(callback, *arguments))

    def is_closed(self) -> bool:
        return self._loop.is_closed()

    def set_free(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        for callback in waiting:
            callback()


async def test_what_waits_in_a_stuck_lane_is_handed_back(world: World) -> None:
    """It fills no slot and takes no attempt; no more is claimed for the group meanwhile."""
    loop = BlockedLoop()
    async with world.node(loop=cast("asyncio.AbstractEventLoop", loop)) as node:
        job = await world.create()
        await world.until(lambda: node.running == 1)
        await world.until(lambda: node.running == 0)
        await world.pass_time(10)
        assert [] == await world.runs(job)
        assert (State.SCHEDULED, 0) == ((found := await world.job(job)).state, found.attempt)
        loop.set_free()
        await world.happened(RunFinished)
        [run] = await world.runs(job)
        assert (Outcome.SUCCEEDED, 1) == (run.outcome, run.attempt)
    assert not [event for event in world.seen if isinstance(event, RunRefused)]
    assert 1 == len(world.script.contexts)


async def test_a_run_that_a_job_cancels_before_its_first_step_is_handed_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job may cancel all tasks of its loop: what has not begun has lost nothing, and does not run for ever."""
    play, rogues = Script.play, iter([True])

    async def cancel_all_others(script: Script, context: JobExecutionContext) -> None:
        if next(rogues, False):
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                if getattr(task.get_coro(), "__name__", "") == "_see_through":
                    task.cancel()
        await play(script, context)

    monkeypatch.setattr(Script, "play", cancel_all_others)
    jobs = [await world.create() for _ in range(3)]
    async with world.node(slots=3):
        await world.happened(RunFinished, 3)
    runs = [run for job in jobs for run in await world.runs(job)]
    assert [(Outcome.SUCCEEDED, 1)] * 3 == [(run.outcome, run.attempt) for run in runs]


async def test_a_node_whose_threads_are_all_stuck_says_so_and_leaves_its_jobs_to_others(world: World) -> None:
    """It claims none for the group, warns once, and goes on as soon as a thread is free."""
    gate, threads = threading.Event(), Threads(1)
    async with world.node(places=threads) as node:
        stuck = asyncio.create_task(threads.call(gate.wait, 60))
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
        stuck.cancel()
        await world.happened(ThreadsStuck)
        job = await world.create()
        await world.pass_time(30)
        assert (0, State.SCHEDULED) == (node.running, (await world.job(job)).state)
        gate.set()
        await world.happened(RunFinished)
        await world.happened(ThreadsStuck, 2)
    told = [event for event in world.seen if isinstance(event, ThreadsStuck)]
    assert [((KEY,), 1, False), ((KEY,), 1, True)] == [(event.groups, event.threads, event.over) for event in told]
    assert "threading.py" in told[0].where
    assert [1] == [run.attempt for run in await world.runs(job)]


async def test_claim_that_comes_about_long_after_it_failed_is_taken_up(world: World) -> None:
    """A database that was frozen does at its return what it was asked before: nothing of it stays running for ever."""
    async with world.node(lease="PT10S") as node:
        await world.pass_time(2)
        world.store.failing["claim"] = 1
        await world.create(after=1)
        await world.happened(StoreFailed)
        await world.pass_time(40)
        job = await world.create(after=1000)
        await world.store.update(job._replace(due_at=world.clock.now(), version=job.version + 1))
        await world.store.claim(node.name, {KEY: 1}, 1)
        await world.happened(RunFinished, 2)
    assert [Outcome.SUCCEEDED] == [run.outcome for run in await world.runs(job)]


async def test_job_that_may_kill_its_nodes_runs_in_the_shelter(world: World) -> None:
    """One that lost two nodes runs where it can hurt nobody; the others run where they always do."""
    quarantined: list[UUID] = []

    async def quarantine(assignment: Assignment) -> Ending:
        assignment.started_at = assignment.store_time(world.clock.monotonic())
        quarantined.append(assignment.job.id)
        return Ending(Outcome.SUCCEEDED)

    jobs = [await world.create(after=100) for _ in range(3)]
    for losses, job in enumerate(jobs):
        due = world.clock.now()
        await world.store.update(job._replace(losses=losses, due_at=due, version=job.version + 1))

    async with world.node(quarantine=quarantine):
        await world.happened(RunFinished, 3)

    assert [jobs[2].id] == quarantined
    assert {jobs[0].id, jobs[1].id} == {context.job_id for context in world.script.contexts}


async def test_job_that_cannot_be_decided_about_is_held_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours concerns one job: it waits for somebody to look, its run is in history, and others go on."""
    bad, good = await world.create(), await world.create()
    after = lifecycle.after

    def broken(job: Job, run: Run, ending: Ending, **facts: Any) -> Change:
        if job.id == bad.id:
            raise ZeroDivisionError("a bug")
        return after(job, run, ending, **facts)

    monkeypatch.setattr(lifecycle, "after", broken)
    async with world.node():
        await world.happened(RunFinished, 2)

    assert [State.PAUSED, State.DONE] == [(await world.job(job)).state for job in (bad, good)]
    assert [Outcome.SUCCEEDED] == [run.outcome for run in await world.runs(bad)]
    assert "decide" in {event.loop for event in world.seen if isinstance(event, TurnFailed)}


async def test_job_that_may_kill_its_nodes_waits_for_the_shelter(world: World) -> None:
    """While no worker process is at hand it is handed back for a moment, which costs it no attempt."""
    job = await world.create(after=100)
    await world.store.update(job._replace(losses=2, due_at=world.clock.now(), version=job.version + 1))

    async def quarantine(assignment: Assignment) -> Ending:
        assignment.started_at = assignment.store_time(world.clock.monotonic())
        return Ending(Outcome.SUCCEEDED)

    async with world.node(quarantine=quarantine, ready_after=2):
        await world.happened(RunFinished, 3)

    runs = await world.runs(job)
    assert [Outcome.INTERRUPTED, Outcome.INTERRUPTED, Outcome.SUCCEEDED] == [run.outcome for run in runs]
    assert {"two nodes died under it, and no worker process was at hand", None} == {run.reason for run in runs}
    assert [] == world.script.contexts


async def test_jobs_of_tomorrow_wake_nobody(world: World) -> None:
    """What comes in while a node looks makes it look again only if it is due before it would look anyway."""
    tomorrow, hints = world.clock.now() + timedelta(days=1), 30
    async with world.node() as node:
        await world.create(when=tomorrow.isoformat())
        await world.store.settle()

        def hint() -> None:
            nonlocal hints
            hints -= 1
            node._claimer.on_due_hint(tomorrow - timedelta(hours=1))  # noqa: SLF001 - as the store does
            if hints:
                world.store.just_after["next_due"] = hint

        world.store.just_after["next_due"] = hint
        before = world.store.calls["next_due"]
        node._claimer.wake()  # noqa: SLF001 - what a beat does
        await world.store.settle()
        assert world.store.calls["next_due"] - before <= 2

        job = await world.create()
        await world.store.settle()
        assert (await world.job(job)).state is State.DONE
