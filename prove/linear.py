"""Whether what many did at once could have been done one after the other: a search for a legal order.

Each deed took effect at one moment between its beginning and its end. An order is legal if it keeps to these times and
a sequential model allows each deed where it stands. The search is that of Wing and Gong, with a memory of what led
nowhere (Lowe), on one object at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Protocol, TypeVar


class Deed(Protocol):
    """Something that took effect at one moment, not before `since` and not after `until`, in seconds."""

    @property
    def since(self) -> float:
        """When it began."""

    @property
    def until(self) -> float:
        """When it was over."""


State = TypeVar("State", bound=Hashable)
Done = TypeVar("Done", bound=Deed)


def has_order(deeds: Sequence[Done], state: State, step: Callable[[State, Done], Iterable[State]]) -> bool:
    """Tell whether there is a legal order of all deeds, from a state on.

    `step` returns the states to which a deed, with the answer that it had, may lead: none if it is not allowed there.
    """
    everything = (1 << len(deeds)) - 1
    seen = {(0, state)}
    open_ = [(0, state)]
    while open_:
        done, at = open_.pop()
        if done == everything:
            return True
        left = [(1 << number, deed) for number, deed in enumerate(deeds) if not done >> number & 1]
        first_end = min(deed.until for _, deed in left)
        for bit, deed in left:
            if deed.since <= first_end:
                steps = {(done | bit, becomes) for becomes in step(at, deed)} - seen
                seen |= steps
                open_ += steps
    return False
