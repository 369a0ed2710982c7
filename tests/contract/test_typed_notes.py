"""Notes as a process reads them: what was tampered with is none, and takes no other with it."""

from typing import Any

import pytest

from mainspring.clock import ManualClock
from mainspring.job import Hold, Pause, Scope
from mainspring.store import Notes, Progress, Store
from tests.contract.build import START

TAMPERED: list[Any] = [
    "text",
    7,
    [1],
    {},
    {"done": 1},
    {"done": "x", "of": 1, "number": 1, "after": None},
    {"done": 1, "of": 2, "number": 3, "after": "no id"},
    {"product": "p", "job_group": "g", "at": "long ago"},
    {"product": "p", "job_group": "g", "at": "2026-01-01T00:00:00Z", "until": 7},
    {"product": 7, "at": "2026-01-01T00:00:00Z"},
]


@pytest.mark.parametrize("value", TAMPERED, ids=str)
async def test_progress_that_cannot_be_read_is_none(store: Store, clock: ManualClock, value: Any) -> None:
    """That of other calendars is known all the same."""
    notes = Notes(store, clock)
    await store.note("replanning", "odd", value)
    await notes.put_progress("nights", Progress(1, 2, 3))

    assert {"nights": Progress(1, 2, 3)} == await notes.progress()


@pytest.mark.parametrize("value", TAMPERED, ids=str)
async def test_pause_that_cannot_be_read_is_none(store: Store, clock: ManualClock, value: Any) -> None:
    """Others hold."""
    notes = Notes(store, clock)
    await store.note("pause", "odd", value)
    await notes.put_pause(pause := Pause(Scope("vps4"), Hold(START, "why")))

    assert [pause] == list(notes.pauses)
    assert await notes.end_pauses(Scope("vps4"), START)
    assert [] == list(notes.pauses)
    assert [pause._replace(ended_at=START)] == await notes.past_pauses()


async def test_only_the_last_pauses_are_kept(store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest come first."""
    monkeypatch.setattr("mainspring.store.notes.MOST_PAST_PAUSES", 3)
    notes = Notes(store, clock)
    for number in range(5):
        clock.advance(seconds=1)
        await notes.put_pause(Pause(Scope(), Hold(clock.now(), str(number))))

    assert ["3", "2", "1"] == [pause.hold.reason for pause in await notes.past_pauses()]
    assert ["4"] == [pause.hold.reason for pause in notes.pauses]
