import asyncio
from typing import Any

import pytest

from mainspring.errors import ConflictError, KeyTakenError
from mainspring.job import Job, Options
from mainspring.store import Store
from tests.contract.build import (
    BACKUPS,
    SNAPSHOTS,
    Place,
    a_done_job,
    a_job,
    a_running_job,
    edited,
    ended,
    jobs_of,
    opened,
    put,
    running,
)

MANY = 600
"""More than SQLite writes at once."""


def keyed(key: str | None, **changes: Any) -> Job:
    """Make a job with a key."""
    return a_job(**{"options": Options(key=key), **changes})


@pytest.mark.parametrize("other", [keyed("k"), a_running_job(options=Options(key="k"))])
async def test_a_key_has_one_job(store: Store, other: Job) -> None:
    """Whatever state that is in: a second one is refused, and nothing of it is written."""
    await store.add([other])

    with pytest.raises(KeyTakenError):
        await store.add([a_job(), keyed("k")])

    assert {other.id} == (await jobs_of(store)).keys()
    assert [other] == await store.with_keys(BACKUPS, ["k", "l"])


async def test_other_groups_and_other_keys_are_free(store: Store) -> None:
    """So are jobs without a key, however many."""
    await store.add(
        [keyed("k"), keyed("l"), a_job(key=SNAPSHOTS, options=Options(key="k")), a_job(), a_job(), keyed(None)]
    )

    assert {"k", "l"} == {job.options.key for job in await store.with_keys(BACKUPS, ["k", "l", "m"])}


async def test_the_key_of_a_done_job_is_free(store: Store) -> None:
    """So is that of one that was deleted."""
    done, deleted = a_done_job(options=Options(key="k")), keyed("l")
    await put(store, done, deleted)
    assert await store.delete(deleted, None)

    await store.add([keyed("k"), keyed("l")])

    assert 2 == len(await store.with_keys(BACKUPS, ["k", "l"]))


async def test_a_job_that_comes_back_needs_its_key(store: Store) -> None:
    """Another may have it by now."""
    dead = a_done_job(options=Options(key="k"))
    await put(store, dead, keyed("k"))

    with pytest.raises(KeyTakenError):
        await store.revive(edited(dead, state=a_job().state, last_run=None))

    assert dead == await store.get(dead.id)


async def test_an_edit_may_bring_and_take_keys(store: Store) -> None:
    """One that is taken is refused, and the job stays as it was."""
    first, second = keyed("k"), keyed("l")
    await store.add([first, second])

    with pytest.raises(KeyTakenError):
        await store.update(edited(second, options=Options(key="k")))
    assert second == await store.get(second.id)

    assert await store.update(edited(first, options=Options()))
    assert await store.update(edited(second, options=Options(key="k")))


async def test_occurrences_beside_their_job_do_not_count(store: Store) -> None:
    """They have the options of their job."""
    [job] = await running(store, keyed("k"))
    await store.add([keyed("k", parent=job.id), keyed("k", parent=job.id)])

    assert [job] == await store.with_keys(BACKUPS, ["k"])
    await store.finish([ended(job)])
    assert [] == await store.with_keys(BACKUPS, ["k"])


async def test_two_of_one_batch_cannot_have_the_same(store: Store) -> None:
    """Nothing of it is written, however large it is."""
    for size in (2, MANY):
        with pytest.raises(KeyTakenError):
            await store.add([keyed(f"k{number % (size - 1)}") for number in range(size)])
    assert {} == await jobs_of(store)


async def test_large_batches_keep_their_keys_while_they_are_written(store: Store) -> None:
    """Whoever comes meanwhile is refused, or has come before and the batch is refused: never both."""
    batch = [keyed(f"k{number}") for number in range(MANY)]
    others = [keyed(f"k{number}") for number in range(0, MANY, 50)]

    answers = await asyncio.gather(store.add(batch), *(store.add([other]) for other in others), return_exceptions=True)

    assert all(answer is None or isinstance(answer, ConflictError) for answer in answers)
    keys = [job.options.key for job in (await jobs_of(store)).values()]
    assert len(keys) == len(set(keys)) == (MANY if answers[0] is None else sum(answer is None for answer in answers))


async def test_keys_of_a_batch_are_free_when_it_is_gone(place: Place) -> None:
    """After it was refused, and after a restart."""
    async with opened(place()) as store:
        await store.add([keyed("k7")])
        with pytest.raises(KeyTakenError):
            await store.add([keyed(f"k{number}") for number in range(MANY)])
        await store.add([keyed("k8")])
        await store.add([a_job() for _ in range(MANY)])
        await store.add([keyed(f"l{number}") for number in range(MANY)])
        with pytest.raises(KeyTakenError):
            await store.add([keyed("l5")])
        assert ["l5"] == [job.options.key for job in await store.with_keys(BACKUPS, ["l5"])]


async def test_many_at_once_make_one_job_for_each_key(store: Store) -> None:
    """Each that is refused is so alone."""
    answers = await asyncio.gather(
        *(store.add([keyed(f"k{number % 5}")]) for number in range(40)), return_exceptions=True
    )

    assert 5 == sum(answer is None for answer in answers)
    assert 35 == sum(isinstance(answer, KeyTakenError) for answer in answers)
    assert {f"k{number}" for number in range(5)} == {job.options.key for job in (await jobs_of(store)).values()}
