from collections import Counter

import pytest

from mainspring.job import JobKey
from mainspring.node.fairness import demands, still_hungry

A, B, C = (JobKey("p", name) for name in "abc")


def test_only_group_gets_all() -> None:
    """Nobody else could use the slots."""
    assert {A: 100} == demands([A], {A}, {A: 900}, {A: 100}, {A})


def test_hungry_groups_come_last_and_share() -> None:
    """Who had little to do is served first, with all there is room for; the hungry share alike."""
    rooms = dict.fromkeys([A, B, C], 100)
    assert [(C, 100), (A, 50), (B, 50)] == list(demands([A, B, C], {A, B}, {}, rooms, set()).items())


def holds_at_last(slow: set[JobKey]) -> Counter[JobKey]:
    """Return how many of 100 slots a group gets that always has more to do, while another has nothing."""
    held: Counter[JobKey] = Counter()
    for _ in range(20):
        room = 100 - held.total()
        held[A] += demands([A, B], {A}, held, {A: room, B: room}, slow)[A]
    return held


def test_quick_group_gets_all_that_nobody_else_wants() -> None:
    """One that comes later waits for a run of it to end, which is soon."""
    assert {A: 100} == holds_at_last(slow={B})


def test_slow_group_leaves_room_for_others() -> None:
    """Of the slots that others leave it, it never holds more than nine tenths, however often it asks."""
    held = holds_at_last(slow={A})

    assert {A: 90} == held
    assert 9 == demands([A, B], {A}, held, {A: 10, B: 10}, {A, B})[B]
    assert 10 == demands([A, B], {A}, held, {A: 10, B: 10}, {A})[B]


def test_group_that_runs_nothing_may_always_ask_for_one() -> None:
    """The last slot is for whoever has none."""
    assert {A: 0, B: 1} == demands([A, B], set(), {A: 99}, {A: 1, B: 1}, {A, B})


@pytest.mark.parametrize("slots", [1, 2, 3, 10, 100])
def test_every_group_runs_in_the_end(slots: int) -> None:
    """With any number of slots, groups whose jobs are endless in number and short all get their turns."""
    keys, hungry, done = [A, B, C], frozenset[JobKey](), Counter[JobKey]()
    for turn in range(300):
        order = keys[turn % 3 :] + keys[: turn % 3]
        asked, free, got = demands(order, hungry, {}, dict.fromkeys(keys, slots), set()), slots, Counter[JobKey]()
        for key, demand in asked.items():
            got[key] = min(demand, free)
            free -= got[key]
        done += got
        hungry = still_hungry(hungry, asked, got, cut_short=free == 0)

    assert min(done.values()) >= 0.8 * max(done.values())


def test_group_that_got_what_it_asked_for_is_hungry() -> None:
    """One that got less is not, unless the claim was over before its turn came."""
    assert {A} == still_hungry({B}, {A: 5, B: 5, C: 5}, {A: 5, B: 2}, cut_short=False)
    assert {A, B} == still_hungry({B}, {A: 5, B: 5, C: 5}, {A: 5, B: 2}, cut_short=True)
