"""Calendars are read from the store when its notes have changed, and not before."""

from typing import Any

import pytest

from mainspring.clock import ManualClock
from mainspring.schedule import calendar_from_json
from mainspring.store import Notes
from mainspring.store.notes import BUSY, CALENDARS, DRAINED, LIMITS, PAUSES

CLOSED = calendar_from_json({"dates": ["2026-12-24"]})


class Noted:
    """A store that has notes only, and counts how often they are read."""

    def __init__(self) -> None:
        self.calendars: dict[str, Any] = {"closed": {"dates": ["2026-12-24"]}}
        self.reads = 0
        self.number = 7

    async def notes(self, kind: str) -> dict[str, Any]:
        if kind in {PAUSES, LIMITS, BUSY, DRAINED}:
            return {}
        assert CALENDARS == kind
        self.reads += 1
        return dict(self.calendars)

    async def noted(self) -> int:
        return self.number

    async def note(self, kind: str, name: str, value: Any) -> bool:
        assert CALENDARS == kind
        self.number += 1
        was_there = self.calendars.pop(name, None) is not None
        if value is not None:
            self.calendars[name] = value
        return was_there


@pytest.fixture
def store() -> Noted:
    """A store with one calendar."""
    return Noted()


@pytest.fixture
def clock() -> ManualClock:
    """Time stands."""
    return ManualClock()


@pytest.fixture
def notes(store: Any, clock: ManualClock) -> Notes:
    """The notes of that store."""
    return Notes(store, clock)


async def test_calendars_are_read_each_time_where_nobody_beats(notes: Notes, store: Noted) -> None:
    """Nothing tells whether they are still those."""
    assert {"closed": CLOSED} == await notes.calendars() == await notes.calendars()
    assert 2 == store.reads


async def test_calendars_are_kept_while_beats_say_that_nothing_is_new(notes: Notes, store: Noted) -> None:
    """A POST with a schedule costs no round trip for them."""
    assert notes.heard(7, seconds=10)
    for _ in range(5):
        assert {"closed": CLOSED} == await notes.calendars()
    assert not notes.heard(7, seconds=10)
    await notes.calendars()
    assert 1 == store.reads


async def test_a_new_number_has_them_read_again(notes: Notes, store: Noted) -> None:
    """Also when what is new is no calendar: the number is of all notes."""
    notes.heard(7, seconds=10)
    await notes.calendars()
    store.calendars.clear()
    store.number = 8
    assert notes.heard(8, seconds=10)
    assert {} == await notes.calendars()
    assert 2 == store.reads


async def test_what_no_beat_vouches_for_any_more_is_read_again(notes: Notes, store: Noted, clock: ManualClock) -> None:
    """A store that is away may have changed meanwhile."""
    notes.heard(7, seconds=10)
    await notes.calendars()
    clock.advance(seconds=10)
    await notes.calendars()
    assert 2 == store.reads


async def test_own_writes_are_seen_at_once(notes: Notes) -> None:
    """Though the number that a beat brings is still the old one."""
    notes.heard(7, seconds=10)
    await notes.calendars()
    assert await notes.put_calendar("closed", None)
    assert {} == await notes.calendars()
    notes.heard(7, seconds=10)  # a beat that was under way
    assert {} == await notes.calendars()


async def test_only_what_changed_is_read_anew(notes: Notes, store: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many others there are, one that is written costs the reading of one."""
    read: list[object] = []

    def reading(data: object) -> object:
        read.append(data)
        return calendar_from_json(data)

    monkeypatch.setattr("mainspring.store.notes.calendar_from_json", reading)
    store.calendars = {f"c{number}": {"dates": [f"2027-01-{number:02}"]} for number in range(1, 30)}

    assert 29 == len(await notes.calendars()) == len(read)
    read.clear()
    await notes.put_calendar("c7", CLOSED)
    store.calendars["c8"] = {"dates": ["2028-01-08"]}  # written elsewhere
    del store.calendars["c9"]

    assert CLOSED == (await notes.calendars())["c7"]
    assert [{"dates": ["2026-12-24"]}, {"dates": ["2028-01-08"]}] == read
    assert "c9" not in notes.known
    assert 28 == len(notes.sizes)


async def test_sizes_are_those_of_what_is_stored(notes: Notes) -> None:
    """In bytes of JSON."""
    assert {} == notes.sizes
    await notes.calendars()
    assert {"closed": len('{"dates":["2026-12-24"]}')} == notes.sizes
