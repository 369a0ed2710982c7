from collections.abc import Awaitable, Callable

import pytest

from mainspring.errors import ConflictError
from mainspring.model import Job
from mainspring.store.protocol import Store
from tests.contract.build import BACKUPS, NODE, a_job, claim, edited, ended, running

CHANGES: dict[str, Callable[[Store, Job], Awaitable[object]]] = {
    "add": lambda store, _: store.add([a_job()]),
    "update": lambda store, job: store.update(edited(job)),
    "delete": lambda store, job: store.delete(job, None),
    "finish": lambda store, job: store.finish([ended(job)]),
}


@pytest.mark.parametrize("change", [pytest.param(change, id=verb) for verb, change in CHANGES.items()])
async def test_change_is_noticed(store: Store, change: Callable[[Store, Job], Awaitable[object]]) -> None:
    """Everyone who watches is told of what may make a job due or take a run away."""
    [job] = await running(store, a_job())
    noticed: list[str] = []
    store.watch(lambda: noticed.append("one"))
    store.watch(lambda: noticed.append("other"))

    await change(store, job)

    assert {"one", "other"} == set(noticed)


async def test_looking_and_claiming_are_not_noticed(store: Store) -> None:
    """A node that were woken by its own looks would never sleep."""
    job = a_job()
    await store.add([job])
    await store.join(NODE)
    noticed: list[None] = []
    store.watch(lambda: noticed.append(None))

    await claim(store)
    await store.due_in([BACKUPS])
    await store.beat(NODE)
    await store.stops(NODE)
    await store.orphans(10)

    assert [] == noticed


async def test_change_that_failed_is_not_noticed(store: Store) -> None:
    """Nothing was written, so there is nothing to look at."""
    job = a_job()
    await store.add([job])
    noticed: list[None] = []
    store.watch(lambda: noticed.append(None))

    with pytest.raises(ConflictError):
        await store.add([job])

    assert [] == noticed
