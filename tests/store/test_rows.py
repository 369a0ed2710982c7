"""Readers and writers that are made of the table of columns agree with a plain loop over it."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.job import Change, Job, Run, State
from mainspring.store import columns, rows
from mainspring.store.rows import PLAIN, Values, from_microseconds, near_microseconds, to_microseconds
from tests.drawn import jobs, moments, runs

VALUES = Values(str, UUID, to_microseconds, from_microseconds, json.loads, near_microseconds)


def names(**more: object) -> dict[str, Any]:
    """Return what expressions of the table may name."""
    return rows.EXPRESSIONS | VALUES._asdict() | more


def plain_values(of: str, fact: object, table: tuple[columns.Fact, ...]) -> dict[str, Any]:
    """Write a fact column by column, as the table says."""
    pairs = [pair for each in table for pair in zip(each.columns, each.writes, strict=True)]
    return {column: eval(write, names(**{of: fact})) for column, write in pairs}  # noqa: S307 - the table's


def plain_facts(values: dict[str, Any], table: tuple[columns.Fact, ...]) -> dict[str, Any]:
    """Read facts one by one, as the table says."""
    known = names(**values)
    for fact in table:
        known[fact.name] = eval(fact.reads, known)  # noqa: S307 - the table's
    return {fact.name: known[fact.name] for fact in table}


NOT_HELD: dict[str, Any] = {
    "paused": False,
    "hold": None,
    "resume_at": None,
    "cancelling": False,
    "progress": None,
    "digest": None,
    "labels": (),
}
"""What every job is that was just claimed, or is not told by a claim."""


@settings(deadline=None)  # expressions of the plain twin are compiled each time
@given(jobs)
def test_jobs_are_written_and_read_as_the_table_says(job: Job) -> None:
    """Row, names and reading agree with the loop, and nothing is lost on the way."""
    plain = plain_values("job", job, columns.JOB)

    assert list(columns.JOB_COLUMNS) == list(plain)
    assert plain == PLAIN.job_values(job)
    assert tuple(plain.values()) == PLAIN.job_row(job)
    assert job == PLAIN.job(PLAIN.job_row(job)) == Job(**plain_facts(plain, columns.JOB))


@settings(deadline=None)  # expressions of the plain twin are compiled each time
@given(runs)
def test_runs_are_written_and_read_as_the_table_says(run: Run) -> None:
    """The same for rows of history."""
    plain = plain_values("run", run, columns.RUN)

    assert plain == PLAIN.run_values(run)
    assert run == PLAIN.run(tuple(plain.values())) == Run(**plain_facts(plain, columns.RUN))


@settings(deadline=None)  # expressions of the plain twin are compiled each time
@given(st.lists(jobs, max_size=3), moments)
def test_claims_are_read_like_jobs(claimed: list[Job], at: datetime) -> None:
    """What a claim does not read is what every job has that was just claimed."""
    here = [
        job._replace(**NOT_HELD, state=State.RUNNING, node="n", claimed_at=at, updated_at=at, last_run=None)
        for job in claimed
    ]
    of_claim = [column for fact in columns.JOB if fact.claim is None for column in fact.columns]
    given_rows = [(*(PLAIN.job_values(job)[column] for column in of_claim), "the store's own") for job in here]

    claims = PLAIN.claims(given_rows, [job.key for job in here], "n", at)

    assert [(job, at) for job in here] == [tuple(claim) for claim in claims]


@settings(deadline=None)  # expressions of the plain twin are compiled each time
@given(jobs, runs, st.lists(runs, max_size=2))
def test_changes_are_written_as_the_table_says(job: Job, run: Run, unrun: list[Run]) -> None:
    """As rows, and what goes on also by name."""
    change = Change(run, job, tuple(unrun))
    known = names(job=job, run=run, unrun=tuple(unrun))
    ended, kept = (
        {name: eval(write, known) for name, write in members.items()}  # noqa: S307 - the table's
        for members in (columns.ENDED, columns.KEPT)
    )
    assert PLAIN.ended(change) == tuple(ended.values())
    assert PLAIN.kept(change) == tuple(kept.values())
    assert PLAIN.kept_values(change) == kept


@pytest.mark.parametrize("facts", [columns.JOB[1:], (*columns.JOB, columns.RUN[0])], ids=["one less", "one more"])
def test_forgotten_fact_is_an_error_at_start(facts: tuple[columns.Fact, ...]) -> None:
    """Not a wrong value later."""
    check: Callable[..., None] = columns.check
    with pytest.raises(TypeError, match=r"differ in (id|number)"):
        check(facts, Job._fields)
