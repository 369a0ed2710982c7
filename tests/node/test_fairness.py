"""Which groups a node asks for, and for how much, where slots are scarce."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from mainspring.job import JobKey
from mainspring.node.fairness import Fairness, Weights, shares

A, B, C = (JobKey("p", name) for name in "abc")
OTHER = JobKey("q", "a")


def hungry(*keys: JobKey) -> Fairness:
    """Return what knows that these groups are hungry."""
    fairness = Fairness()
    fairness.took(dict.fromkeys(keys, 1), dict.fromkeys(keys, 1), {}, cut_short=False)
    return fairness


def demands(
    fairness: Fairness,
    keys: Sequence[JobKey],
    held: Mapping[JobKey, int],
    rooms: Mapping[JobKey, int],
    slow: set[JobKey],
) -> dict[JobKey, int]:
    """Return the demands of groups that have no weights."""
    return fairness.demands(keys, held, rooms, slow, {})


def test_only_group_gets_all() -> None:
    """Nobody else could use the slots."""
    assert {A: 100} == demands(hungry(A), [A], {A: 900}, {A: 100}, {A})


def test_hungry_groups_come_last_and_share() -> None:
    """Who had little to do is served first, with all there is room for; the hungry share alike."""
    rooms = dict.fromkeys([A, B, C], 100)
    assert [(C, 100), (A, 50), (B, 50)] == list(demands(hungry(A, B), [A, B, C], {}, rooms, set()).items())


def holds_at_last(slow: set[JobKey]) -> Counter[JobKey]:
    """Return how many of 100 slots a group gets that always has more to do, while another has nothing."""
    held: Counter[JobKey] = Counter()
    for _ in range(20):
        room = 100 - held.total()
        held[A] += demands(hungry(A), [A, B], held, {A: room, B: room}, slow)[A]
    return held


def test_quick_group_gets_all_that_nobody_else_wants() -> None:
    """One that comes later waits for a run of it to end, which is soon."""
    assert {A: 100} == holds_at_last(slow={B})


def test_slow_group_leaves_room_for_others() -> None:
    """Of the slots that others leave it, it never holds more than nine tenths, however often it asks."""
    held = holds_at_last(slow={A})

    assert {A: 90} == held
    assert 9 == demands(hungry(A), [A, B], held, {A: 10, B: 10}, {A, B})[B]
    assert 10 == demands(hungry(A), [A, B], held, {A: 10, B: 10}, {A})[B]


def test_group_that_runs_nothing_may_always_ask_for_one() -> None:
    """The last slot is for whoever has none."""
    assert {A: 0, B: 1} == demands(Fairness(), [A, B], {A: 99}, {A: 1, B: 1}, {A, B})


def begun(
    keys: Sequence[JobKey],
    slots: Sequence[int],
    weights: Weights,
    *,
    rare: Mapping[JobKey, float] | None = None,
    turns: int = 600,
) -> dict[JobKey, float]:
    """Return each group's part of what begins, where slots come free in such numbers; of `rare` ones few are due."""
    fairness, done, due = Fairness(), Counter[JobKey](), Counter[JobKey]()
    for turn in range(turns):
        order = [*keys[turn % len(keys) :], *keys[: turn % len(keys)]]
        free = slots[turn % len(slots)]
        asked = fairness.demands(order, {}, dict.fromkeys(keys, free), set(), weights)
        got = Counter[JobKey]()
        for key, demand in asked.items():
            due[key] += (
                demand if rare is None or key not in rare else int(turn * rare[key]) - int((turn - 1) * rare[key])
            )
            got[key] = min(demand, free, due[key])
            due[key] -= got[key]
            free -= got[key]
        done += got
        fairness.took(asked, got, weights, cut_short=free == 0)
    return {key: done[key] / done.total() for key in keys}


@pytest.mark.parametrize("slots", [[1], [2], [3], [10], [100], [1, 7, 2, 40]])
@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({}, {A: 1 / 3, B: 1 / 3, C: 1 / 3}),
        ({A: (1, 3)}, {A: 3 / 5, B: 1 / 5, C: 1 / 5}),
        ({A: (1, 3), B: (1, 2)}, {A: 3 / 6, B: 2 / 6, C: 1 / 6}),
        ({A: (1, 1000)}, {A: 1000 / 1002, B: 1 / 1002, C: 1 / 1002}),
    ],
)
def test_hungry_groups_begin_in_proportion_to_their_weights(
    slots: list[int], weights: Weights, expected: dict[JobKey, float]
) -> None:
    """Whatever comes free at once; to one job a turn."""
    assert expected == pytest.approx(begun([A, B, C], slots, weights), abs=0.01)


def test_products_share_and_then_their_groups() -> None:
    """A product with many groups has no more than one with one."""
    assert {A: 0.25, B: 0.25, OTHER: 0.5} == pytest.approx(begun([A, B, OTHER], [1, 4], {}), abs=0.01)
    heavy = {A: (3, 1), B: (3, 1)}
    assert {A: 0.375, B: 0.375, OTHER: 0.25} == pytest.approx(begun([A, B, OTHER], [1, 4], heavy), abs=0.01)


def test_who_has_little_to_do_waits_for_nobody() -> None:
    """Whatever its weight; the rest is for the others."""
    part = begun([A, B], [10], {A: (1, 1000)}, rare={B: 0.5})

    assert {A: 0.95, B: 0.05} == pytest.approx(part, abs=0.01)


def test_who_was_not_hungry_has_saved_nothing() -> None:
    """A group that comes back does not make up for the time in which it had nothing to do."""
    fairness, both = Fairness(), {A: 1, B: 1}
    for _ in range(100):
        fairness.took({A: 1, B: 1}, {A: 1}, {}, cut_short=False)
    fairness.took(both, both, {}, cut_short=False)

    order = [next(iter(demands(fairness, [A, B], {}, both, set()))) for _ in range(2)]
    assert [A, A] == order


@pytest.mark.parametrize("number", [1, 2, 5, 9])
def test_shares_are_parts_of_one(number: int) -> None:
    """Whoever has none has the weight 1."""
    keys = [JobKey("pqr"[each % 3], "abcdef"[each % 5]) for each in range(number)]
    weights = {key: (ord(key.product) % 7 + 1, each + 1) for each, key in enumerate(keys[1:])}

    assert 1 == pytest.approx(sum(shares({*keys}, weights).values()))


def test_group_that_got_what_it_asked_for_is_hungry() -> None:
    """One that got less is not, unless the claim was over before its turn came."""
    for cut_short, expected in ((False, [B, C, A]), (True, [C, A, B])):
        fairness = hungry(B)
        fairness.took({A: 5, B: 5, C: 5}, {A: 5, B: 2}, {}, cut_short=cut_short)
        order = demands(fairness, [A, B, C], {}, dict.fromkeys([A, B, C], 9), set())
        assert expected == [*order]
