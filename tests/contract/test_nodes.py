import pytest

from mainspring.errors import ConflictError
from mainspring.model import NodeBeat
from mainspring.store.protocol import Store
from tests.contract.build import NODE


async def test_nodes_that_joined_are_listed_by_name(store: Store) -> None:
    """Everybody can see who lives."""
    for name in ("c", "a", "B", "host:1f"):
        await store.join(name)

    assert [NodeBeat(name, 0) for name in ("B", "a", "c", "host:1f")] == await store.nodes()


async def test_name_that_is_taken_is_refused(store: Store) -> None:
    """Two lives under one name could not be told apart."""
    await store.join(NODE)
    await store.beat(NODE)

    with pytest.raises(ConflictError):
        await store.join(NODE)

    assert [NodeBeat(NODE, 1)] == await store.nodes()


async def test_beat_rises(store: Store) -> None:
    """Each beat can be told from the one before, and is one node's own."""
    await store.join(NODE)
    await store.join("node-2")

    assert [True, True] == [await store.beat(NODE), await store.beat(NODE)]

    assert [NodeBeat(NODE, 2), NodeBeat("node-2", 0)] == await store.nodes()


async def test_beat_without_a_row_says_so(store: Store) -> None:
    """A node that was buried learns it by its next beat, which does not bring it back."""
    assert not await store.beat("stranger")

    assert [] == await store.nodes()


async def test_node_that_leaves_is_gone(store: Store) -> None:
    """A life that ended in order leaves no row; ending it twice is harmless."""
    await store.join(NODE)
    await store.join("node-2")

    await store.leave(NODE)
    await store.leave(NODE)

    assert [NodeBeat("node-2", 0)] == await store.nodes()


async def test_bury_takes_the_beat_that_was_seen(store: Store) -> None:
    """Nobody is buried who has beaten since."""
    await store.join(NODE)
    [seen] = await store.nodes()
    await store.beat(NODE)

    assert not await store.bury(seen)
    assert not await store.bury(NodeBeat(NODE, 2))
    assert await store.bury(NodeBeat(NODE, 1))

    assert [] == await store.nodes()


async def test_node_is_buried_once(store: Store) -> None:
    """Of those who watched a node die one buries it."""
    await store.join(NODE)

    assert [True, False] == [await store.bury(NodeBeat(NODE, 0)), await store.bury(NodeBeat(NODE, 0))]
