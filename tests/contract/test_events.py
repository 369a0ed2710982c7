"""The feed: what happened is written with it, and read in one order, without a gap."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import pytest

from mainspring.clock import ManualClock
from mainspring.job import (
    EVENTS_KEPT_FOR,
    Edit,
    Entry,
    EventKind,
    Job,
    JobKey,
    Options,
    Outcome,
    Scope,
    State,
)
from mainspring.job.pause import Hold
from mainspring.store import NodeBeat, Store
from tests.contract.build import (
    ALL,
    BACKUPS,
    NODE,
    SECOND,
    SNAPSHOTS,
    START,
    Place,
    a_job,
    a_run,
    claim,
    edited,
    ended,
    opened,
    running,
)

GROUP = Scope(*BACKUPS)


async def told(store: Store, after: int = 0, *, scopes: Sequence[Scope] | None = None) -> list[Entry]:
    """Return all entries from beyond a number on."""
    return (await store.events(after, ALL, scopes)).entries


async def head(store: Store) -> int:
    """Return the number of the last entry."""
    return (await store.events(None, 0)).seen


Event = tuple[str, UUID | None, State | None, Outcome | None]


async def events(store: Store, after: int) -> list[Event]:
    """Return what happened from beyond a number on, one by one."""
    return [
        (entry.kind, job_id, entry.state, entry.outcome)
        for entry in await told(store, after)
        for job_id in entry.jobs or (None,)
    ]


async def test_new_jobs_are_told(store: Store) -> None:
    """With their groups, and where they stand."""
    job, other, paused = a_job(), a_job(key=SNAPSHOTS), a_job(state=State.PAUSED, paused=True)
    before = await head(store)

    await store.add([job, other, paused])

    assert sorted(await events(store, before), key=str) == sorted(
        [
            ("job.created", job.id, State.SCHEDULED, None),
            ("job.created", other.id, State.SCHEDULED, None),
            ("job.created", paused.id, State.PAUSED, None),
        ],
        key=str,
    )
    assert {entry.scope for entry in await told(store, before)} == {GROUP, Scope(*SNAPSHOTS)}


async def test_a_job_that_waits_for_others_is_scheduled(store: Store) -> None:
    """As everybody else is told."""
    await store.add([first := a_job()])
    before = await head(store)

    await store.add([job := a_job(waits_for=(first.id,))])

    assert await events(store, before) == [("job.created", job.id, State.SCHEDULED, None)]


async def test_many_new_jobs_are_told(store: Store) -> None:
    """Those of a batch that is written slice by slice too."""
    jobs = [a_job() for _ in range(600)]
    before = await head(store)

    async def slices() -> AsyncIterator[list[Edit]]:
        yield [Edit(job) for job in jobs[:300]]
        yield [Edit(job) for job in jobs[300:]]

    await store.add_slices(slices())

    assert {event[1] for event in await events(store, before)} == {job.id for job in jobs}


async def test_runs_are_told(store: Store) -> None:
    """When a node takes them, and when they end; with their numbers and the node."""
    await store.join(NodeBeat(NODE))
    await store.add([job := a_job()])
    before = await head(store)

    [(claimed, _)] = await claim(store)
    await store.finish([ended(claimed)])

    started, finished = await told(store, before)
    assert (started.kind, started.jobs, started.runs, started.state) == (
        EventKind.RUN_STARTED, (job.id,), (claimed.run,), State.RUNNING,
    )  # fmt: skip
    assert (started.scope, started.node) == (GROUP, NODE)
    assert (finished.kind, finished.jobs, finished.runs, finished.state, finished.outcome, finished.node) == (
        EventKind.RUN_ENDED, (job.id,), (claimed.run,), State.DONE, Outcome.SUCCEEDED, NODE,
    )  # fmt: skip


async def test_a_run_that_is_tried_again_is_told(store: Store) -> None:
    """The job waits then."""
    [job] = await running(store, a_job(options=Options(max_attempts=3)))
    before = await head(store)

    await store.finish([ended(job, Outcome.FAILED, delay=SECOND)])

    assert await events(store, before) == [("run.ended", job.id, State.SCHEDULED, Outcome.FAILED)]


async def test_what_was_refused_is_not_told(store: Store) -> None:
    """An end of a run that is no longer the job's, an edit of another version."""
    [job] = await running(store, a_job())
    change = ended(job)
    await store.delete(job, a_run(job, number=job.run, outcome=Outcome.CANCELLED))
    before = await head(store)

    await store.finish([change])
    await store.update(edited(job))

    assert await events(store, before) == []


async def test_a_claim_that_is_undone_is_told(store: Store) -> None:
    """The run did not begin."""
    [job] = await running(store, a_job())
    before = await head(store)

    await store.unclaim([job])

    [entry] = await told(store, before)
    assert (entry.kind, entry.jobs, entry.runs, entry.state) == (
        EventKind.RUN_RETURNED, (job.id,), (job.run,), State.SCHEDULED,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "kind", "state"),
    [
        ({"due_at": START + SECOND}, "job.changed", State.SCHEDULED),
        ({"paused": True, "state": State.PAUSED, "hold": Hold(START, "too loud")}, "job.paused", State.PAUSED),
    ],
)
async def test_edits_are_told(store: Store, changes: dict[str, object], kind: str, state: State) -> None:
    """As what they are."""
    await store.add([job := a_job()])
    before = await head(store)

    await store.update(edited(job, **changes))

    assert await events(store, before) == [(kind, job.id, state, None)]


async def test_why_a_job_was_paused_is_told(store: Store) -> None:
    """With the pause; its end is told as that."""
    await store.add([job := a_job()])
    before = await head(store)

    paused = edited(job, paused=True, state=State.PAUSED, hold=Hold(START, "too loud"))
    await store.update(paused)
    await store.update(edited(paused, paused=False, state=State.SCHEDULED, hold=None))

    assert [(entry.kind, entry.detail) for entry in await told(store, before)] == [
        ("job.paused", {"reason": "too loud"}),
        ("job.resumed", None),
    ]


async def test_a_job_that_pauses_itself_is_told(store: Store) -> None:
    """Beside the end of its run."""
    [job] = await running(store, a_job())
    before = await head(store)
    change = ended(job, Outcome.FAILED, delay=SECOND)
    paused = change.job._replace(paused=True, state=State.PAUSED, hold=Hold(START, "it gave up 3 times"))

    await store.finish([change._replace(job=paused)])

    found = {entry.kind: entry for entry in await told(store, before)}
    assert found.keys() == {"run.ended", "job.paused"}
    assert found["job.paused"].detail == {"reason": "it gave up 3 times"}


async def test_a_deleted_job_is_told_with_its_labels(store: Store) -> None:
    """They are found nowhere else any more; a run that this ends is told too."""
    [claimed] = await running(store, a_job(labels=("t:nightly",)))
    job = await store.get(claimed.id)
    assert job is not None
    before = await head(store)

    await store.delete(job, a_run(job, number=job.run, outcome=Outcome.CANCELLED))

    found = {entry.kind: entry for entry in await told(store, before)}
    assert found.keys() == {"run.ended", "job.deleted"}
    assert found["job.deleted"].detail == {"labels": ["t:nightly"]}
    assert found["run.ended"].outcome is Outcome.CANCELLED


async def test_done_jobs_are_told(store: Store) -> None:
    """When they are changed, are so no longer, or are deleted."""
    [job] = await running(store, a_job())
    await store.finish([ended(job)])
    done = await store.get(job.id)
    assert done is not None
    before = await head(store)

    amended = edited(done)
    await store.amend(amended)
    again = edited(amended, state=State.SCHEDULED, last_run=None)
    await store.revive(again)
    await store.delete(again, None)

    assert [event[0] for event in await events(store, before)] == ["job.changed", "job.retried", "job.deleted"]


async def test_a_job_that_ends_without_a_run_is_told(store: Store) -> None:
    """As a run that was none."""
    await store.add([job := a_job()])
    before = await head(store)

    await store.end(edited(job, state=State.DONE, outcome=Outcome.CANCELLED), a_run(job, outcome=Outcome.CANCELLED))

    assert await events(store, before) == [("run.ended", job.id, State.DONE, Outcome.CANCELLED)]


async def test_occurrences_that_were_passed_over_are_told(store: Store) -> None:
    """Of new jobs, of edits, and of runs."""
    job = a_job()
    skipped = a_run(job, attempt=0, outcome=Outcome.SKIPPED)
    before = await head(store)

    await store.add([job], [skipped])
    await store.update(edited(job), [skipped])
    await store.join(NodeBeat(NODE))
    [(claimed, _)] = await claim(store)
    await store.finish([ended(claimed)._replace(unrun=(skipped,))])

    kinds = [(entry.kind, entry.outcome) for entry in await told(store, before) for _ in entry.jobs]
    assert kinds.count(("run.ended", Outcome.SKIPPED)) == 3


async def test_follow_ups_are_told(store: Store) -> None:
    """As new jobs."""
    [job] = await running(store, a_job())
    before = await head(store)

    await store.finish([ended(job)._replace(added=(Edit(follow_up := a_job()),))])

    assert ("job.created", follow_up.id, State.SCHEDULED, None) in await events(store, before)


async def test_nodes_are_told(store: Store) -> None:
    """When they come, go and are lost."""
    before = await head(store)

    await store.join(NodeBeat("first", host="here"))
    await store.join(NodeBeat("second"))
    await store.leave("first")
    await store.leave("first")
    await store.bury(NodeBeat("second"))

    assert [(entry.kind, entry.node, entry.scope) for entry in await told(store, before)] == [
        ("node.joined", "first", None),
        ("node.joined", "second", None),
        ("node.left", "first", None),
        ("node.lost", "second", None),
    ]


async def test_a_note_is_written_with_its_entry(store: Store) -> None:
    """One that is refused is not."""
    before = await head(store)
    entry = Entry(EventKind.GROUP_PAUSED, GROUP, detail={"reason": "so"})

    await store.note("pause", "one", {}, entry)
    await store.swap_note("pause", "one", {"not": "it"}, {}, entry)
    await store.swap_note("pause", "one", {}, {"it": "is"}, entry._replace(kind=EventKind.GROUP_LIMITS))

    assert [(each.kind, each.scope, each.detail) for each in await told(store, before)] == [
        ("group.paused", GROUP, {"reason": "so"}),
        ("group.limits", GROUP, {"reason": "so"}),
    ]


async def test_entries_come_in_pages(store: Store) -> None:
    """Whoever goes on from what was seen gets the rest."""
    before = await head(store)
    for _ in range(5):
        await store.add([a_job()])

    first = await store.events(before, 3)
    second = await store.events(first.seen, 3)

    assert (len(first.entries), len(second.entries)) == (3, 2)
    assert first.seen == first.entries[-1].cursor
    assert second.seen == await head(store)
    numbers = [entry.cursor for entry in [*first.entries, *second.entries]]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("scope", [Scope(*SNAPSHOTS), Scope("other")])
async def test_other_groups_can_be_left_out(store: Store, scope: Scope) -> None:
    """But for what is of no group alone."""
    before = await head(store)
    await store.add([a_job(), a_job(key=SNAPSHOTS), a_job(key=JobKey("other", "one"))])
    await store.join(NodeBeat("first"))
    await store.note("pause", "one", {}, Entry(EventKind.GROUP_PAUSED, Scope("vps4")))

    found = await told(store, before, scopes=[scope])

    assert [(entry.kind, entry.scope) for entry in found] == [
        ("job.created", Scope(*SNAPSHOTS) if scope.job_group else Scope("other", "one")),
        ("node.joined", None),
        ("group.paused", Scope("vps4")),
    ]


async def test_nothing_is_missed_while_many_write(place: Place) -> None:
    """A reader that goes on from what it saw, beside writers of other connections, reads each job once."""
    async with opened(place()) as store:
        other = store if not store.shared else place()
        if other is not store:
            await other.open()
        jobs = [a_job() for _ in range(120)]
        seen: list[UUID] = []
        place_ = await head(store)

        async def write(of: Store, mine: Sequence[Job]) -> None:
            for job in mine:
                await of.add([job])

        async def follow() -> None:
            nonlocal place_
            while len(seen) < len(jobs):
                page = await store.events(place_, 7)
                seen.extend(id_ for entry in page.entries for id_ in entry.jobs)
                place_ = page.seen

        try:
            async with asyncio.timeout(60):
                writers = [write(of, jobs[first::6]) for first in range(6) for of in [(store, other)[first % 2]]]
                await asyncio.gather(follow(), *writers)
        finally:
            if other is not store:
                await other.close()

        assert sorted(seen) == sorted(job.id for job in jobs)


async def test_labels_of_jobs(store: Store) -> None:
    """Of those that have any."""
    await store.add([job := a_job(labels=("t:a", "k:b")), a_job()])

    assert await store.labels_of([job.id, a_job().id]) == {job.id: {"t:a", "k:b"}}


async def test_old_entries_are_forgotten(store: Store, clock: ManualClock) -> None:
    """It is known up to which; numbers go on rising."""
    await store.add([a_job()])
    last = await head(store)
    clock.advance(days=3650 + EVENTS_KEPT_FOR.days)

    while await store.prune_events():
        pass

    page = await store.events(0, ALL)
    assert (page.entries, page.seen, page.forgotten) == ([], last, last)
    await store.add([a_job()])
    assert await head(store) > last


async def test_what_cannot_be_read_of_an_entry_is_nothing(store: Store) -> None:
    """A later version may write kinds, states and details that are not known here."""
    before = await head(store)

    flew: Any = "flying"

    await store.note("x", "y", {}, Entry("job.flew", GROUP, state=flew, detail={"to": "moon"}))

    [entry] = await told(store, before)
    assert (entry.kind, entry.state, entry.detail) == ("job.flew", None, {"to": "moon"})
