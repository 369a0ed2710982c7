import pytest

from mainspring.errors import ConflictError
from mainspring.job import JobKey, Outcome
from mainspring.store import NodeBeat, Pulse, Store
from tests.contract.build import BACKUPS, NODE, a_job, ended, running


async def beats(store: Store) -> dict[str, int]:
    """Return the beats of all nodes by name, in the order of the list."""
    return {node.name: node.beat for node in await store.nodes()}


async def test_nodes_that_joined_are_listed_by_name(store: Store) -> None:
    """Everybody can see who lives."""
    for name in ("c", "a", "B", "host:1f"):
        await store.join(NodeBeat(name))

    assert ["B", "a", "c", "host:1f"] == list(await beats(store))


async def test_node_is_listed_with_what_it_said_of_itself(store: Store) -> None:
    """Where it left its mark, and whether it has runs that must not overlap."""
    await store.join(NodeBeat(NODE, host="höst:7", patient=True))
    await store.join(NodeBeat("node-2"))

    assert [("höst:7", True), ("", False)] == [(node.host, node.patient) for node in await store.nodes()]


async def test_name_that_is_taken_is_refused(store: Store) -> None:
    """Two lives under one name could not be told apart."""
    await store.join(NodeBeat(NODE))
    await store.beat(NODE)

    with pytest.raises(ConflictError):
        await store.join(NodeBeat(NODE))

    assert {NODE: 1} == await beats(store)


async def test_beat_rises(store: Store) -> None:
    """Each beat can be told from the one before, and is one node's own."""
    await store.join(NodeBeat(NODE))
    await store.join(NodeBeat("node-2"))

    assert [True, True] == [(await store.beat(NODE)).alive for _ in range(2)]

    assert {NODE: 2, "node-2": 0} == await beats(store)


async def test_pulse_tells_of_all_nodes(store: Store) -> None:
    """Who beats sees the others, and that its own session is there."""
    await store.join(NodeBeat(NODE, host="here"))
    await store.join(NodeBeat("node-2"))
    await store.beat(NODE)

    pulse = await store.beat(NODE)

    assert [NODE, "node-2"] == [node.name for node in pulse.nodes]
    assert ("here", True) == (pulse.nodes[0].host, pulse.nodes[0].connected)


async def test_beat_without_a_row_says_so(store: Store) -> None:
    """A node that was buried learns it by its next beat, which does not bring it back."""
    pulse = await store.beat("stranger")
    assert Pulse(alive=False, stops=frozenset(), nodes=(), notes=0, now=pulse.now) == pulse

    assert {} == await beats(store)


async def test_node_that_leaves_is_gone(store: Store) -> None:
    """A life that ended in order leaves no row; ending it twice is harmless."""
    await store.join(NodeBeat(NODE))
    await store.join(NodeBeat("node-2"))

    await store.leave(NODE)
    await store.leave(NODE)

    assert {"node-2": 0} == await beats(store)


async def test_bury_takes_the_beat_that_was_seen(store: Store) -> None:
    """Nobody is buried who has beaten since."""
    await store.join(NodeBeat(NODE))
    [seen] = await store.nodes()
    await store.beat(NODE)

    assert not await store.bury(seen)
    assert not await store.bury(NodeBeat(NODE, 2))
    assert await store.bury(NodeBeat(NODE, 1))

    assert {} == await beats(store)


async def test_node_is_buried_once(store: Store) -> None:
    """Of those who watched a node die one buries it."""
    await store.join(NodeBeat(NODE))

    assert [True, False] == [await store.bury(NodeBeat(NODE, 0)), await store.bury(NodeBeat(NODE, 0))]


async def test_node_is_told_what_to_stop(store: Store) -> None:
    """The run of a job that was deleted under it is told to its node, once."""
    deleted, _, other = await running(store, a_job(), a_job(), a_job())
    elsewhere, *_ = await running(store, a_job(), node="node-2")
    for job in (deleted, elsewhere):
        await store.delete(job, ended(job, Outcome.CANCELLED).run)
    await store.finish([ended(other)])

    assert [{deleted.run}, set()] == [(await store.beat(NODE)).stops for _ in range(2)]


async def test_dead_are_told_nothing(store: Store) -> None:
    """What a node was to stop is forgotten with it, however it ends."""
    for name, end in {NODE: store.leave(NODE), "node-2": store.bury(NodeBeat("node-2", 0))}.items():
        [job] = await running(store, a_job(), node=name)
        await store.delete(job, ended(job, Outcome.CANCELLED).run)
        await end

    assert [frozenset(), frozenset()] == [(await store.beat(name)).stops for name in (NODE, "node-2")]


async def test_nodes_tell_what_they_run(store: Store) -> None:
    """Which groups, and how many jobs at once."""
    await store.join(NodeBeat(NODE, groups=(BACKUPS, JobKey("vps4", "patch")), slots=7))
    await store.join(NodeBeat("other"))

    one, other = sorted(await store.nodes(), key=lambda node: node.name)

    assert ((BACKUPS, JobKey("vps4", "patch")), 7) == (one.groups, one.slots)
    assert ((), 0) == (other.groups, other.slots)
