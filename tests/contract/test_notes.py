"""What processes keep in the store for one another, typed."""

import asyncio

from mainspring.clock import ManualClock
from mainspring.store import Notes, Store


async def test_keys_of_cursors_are_shared(store: Store, clock: ManualClock) -> None:
    """By processes that begin one after the other, or at the same time: each knows all keys, and the same is first."""
    await asyncio.gather(*(Notes(store, clock).cursor_keys() for _ in range(4)))
    known = [await Notes(store, clock).cursor_keys() for _ in range(4)]

    assert 1 <= len(known[0])
    assert [known[0]] * 4 == known
    assert all(len(key) == 64 for key in known[0])


async def test_all_processes_have_the_same_tag_of_events(store: Store, clock: ManualClock) -> None:
    """Also those that begin to use the store at the same time; a note that was tampered with is written anew."""
    tags = await asyncio.gather(*(Notes(store, clock).feed_tag() for _ in range(4)))
    assert len(set(tags)) == 1

    await store.note("feed", "feed", {"not": "a tag"})
    assert 8 == len(await Notes(store, clock).feed_tag())
