"""The judge of events finds each thing that must not be, and a trial in small finds none."""

import asyncio
from dataclasses import replace

import pytest

from mainspring.client import Event
from prove.ledger import Told
from prove.reader import Reader, place
from prove.scenarios.events import QUICK, differing, events, misled
from tests.postgres import PostgresServer
from tests.prove.test_scenarios import SEED, tried

GROUP = {"product": "prove", "jobGroup": "lead"}
HISTORY = [Told(1, "a", "lead", "x", "lost", None), Told(2, "a", "lead", "x", "succeeded", None)]


def an_event(number: int, kind: str, job: str = "a", **data: object) -> Event:
    """Return an event of a job."""
    return Event(f"t-{number}", kind, {**GROUP, "jobId": job, **data})


GOOD = [
    an_event(1, "job.created"),
    an_event(2, "run.started", run=1),
    an_event(3, "run.ended", run=1, outcome="lost"),
    an_event(4, "run.started", run=2),
    an_event(5, "run.ended", run=2, outcome="succeeded"),
    an_event(6, "job.created", "b"),
    an_event(7, "job.deleted", "b"),
]


def rules(told: list[Event], history: list[Told] = HISTORY, deleted: str = "b") -> set[str]:
    """Return what is wrong."""
    return {found.rule for found in misled(told, history, [], ["a"], deleted, [])}


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        (GOOD, set()),
        (GOOD[1:], {"job.created"}),
        ([*GOOD, GOOD[0]], {"job.created"}),
        ([*GOOD, an_event(8, "job.created", "c")], {"job.created"}),
        (GOOD[:1] + GOOD[2:], {"run.started"}),
        (GOOD[:2] + GOOD[3:], {"run.ended"}),
        ([*GOOD, GOOD[4]], {"run.ended"}),
        ([*GOOD, an_event(8, "run.ended", run=3, outcome="failed")], {"run.ended"}),
        ([*GOOD[:4], an_event(5, "run.ended", run=2, outcome="failed"), *GOOD[5:]], {"run.ended"}),
        (GOOD[:-1], {"job.deleted"}),
        ([*GOOD, GOOD[-1]], {"job.deleted"}),
        ([*GOOD, an_event(8, "job.deleted")], {"job.deleted"}),
    ],
)
def test_what_is_told(told: list[Event], wrong: set[str]) -> None:
    """Each fact once: none missing, none twice, none made up."""
    assert wrong == rules(told)


def test_what_others_got() -> None:
    """Readers of the same get the same."""
    assert [] == list(differing("other", GOOD, GOOD))
    assert 1 == len(list(differing("other", GOOD[1:], GOOD)))
    assert 1 == len(list(differing("other", GOOD, GOOD[1:])))


def test_what_a_reader_minds() -> None:
    """What comes again without cause, out of order, or otherwise than before."""
    reader = Reader("all", "/", list, "1", 1)
    for event in (GOOD[0], GOOD[2], GOOD[1], GOOD[2], replace(GOOD[0], data={})):
        reader._note(event)  # noqa: SLF001 - there is no stream here
    assert ["t-2", "t-3", "t-1", "t-1"] == [event for event, _ in reader.wrong]
    assert [(3, 1.0), (3, 2.0), (3, float("inf"))] == [place(text) for text in ("t-3-1", "t-3-2", "t-3")]


@pytest.mark.parametrize("store", ["PostgreSQL", "SQLite"])
def test_events(postgres: PostgresServer, store: str) -> None:
    """Whoever comes back with the last id has each fact once, though processes were killed meanwhile."""
    tried(asyncio.run(events(postgres, SEED, replace(QUICK, stores=(store,)))), "P30")
