"""The judge of keys finds each thing that clients must not be told, and nothing in a good story."""

from collections.abc import Mapping
from typing import Any

import pytest

from prove.scenarios.keys import JOBS, Deed, doubled, stays_of, unlike, untold


def a_deed(number: int, job: str, **changes: Any) -> Deed:
    """Return a create of the key k that was sent at its number, answered half a second later, and made a job."""
    deed = Deed(number, "k", "reject", float(number), number + 0.5, 201, None, job, f"{JOBS}/{job}")
    return deed._replace(**changes)


def refused(number: int, job: str, **changes: Any) -> Deed:
    """Return one that was told of another job."""
    return a_deed(number, job, status=409, code="KEY_TAKEN")._replace(**changes)


MADE = a_deed(1, "a")


@pytest.mark.parametrize(
    ("deleted", "ends", "found"),
    [
        ({}, {}, 1),
        ({"a": (2.0, 2.2)}, {}, 0),
        ({"a": (4.0, 4.2)}, {}, 1),
        ({}, {"a": 2.0}, 0),
        ({}, {"a": 3.4}, 0),  # the second may have been made after that, though it was asked for before
        ({}, {"a": 2.0, "b": 3.2}, 0),
    ],
)
def test_two_jobs_of_a_key(deleted: Mapping[str, tuple[float, float]], ends: Mapping[str, float], found: int) -> None:
    """Both were surely there at one moment, or the first was over by then."""
    assert found == len([*doubled(stays_of([MADE, a_deed(3, "b")], deleted, ends))])


@pytest.mark.parametrize(
    ("deed", "found"),
    [
        (refused(2, "a"), 0),
        (refused(2, "b"), 1),
        (refused(2, "a")._replace(job=None), 1),
        (refused(2, "a", key="l"), 1),
        (refused(2, "a", address="/elsewhere/a"), 1),
        (refused(4, "a"), 1),  # it was deleted
        (refused(0, "a"), 1),  # it was not yet asked for
        (refused(2, "a", code="JOB_RUNNING"), 1),
        (refused(2, "a", conflict="replace", code="JOB_RUNNING"), 0),
        (refused(2, "a", conflict="keep"), 1),
        (a_deed(2, "a", conflict="keep", status=200), 0),
        (a_deed(2, "a", status=200), 1),
        (a_deed(2, "a", status=503, code="STORE_UNAVAILABLE"), 1),
    ],
)
def test_what_a_client_is_told(deed: Deed, found: int) -> None:
    """It names a job of the key that was there between question and answer, in the way that was asked for."""
    assert found == len([*untold([deed], stays_of([MADE], {"a": (3.0, 3.2)}, {}))])


def living(job: str, number: int) -> dict[str, Any]:
    """Return a job of the key k as it is listed, with what a create wrote."""
    return {"id": job, "options": {"key": "k", "tags": [f"n{number}"]}}


@pytest.mark.parametrize(
    ("jobs", "found"),
    [
        ([living("a", 3)], 0),
        ([], 1),
        ([living("a", 3), living("b", 4)], 1),
        ([living("b", 4)], 1),
        ([living("a", 1)], 1),
        ([living("a", 2)], 1),
    ],
)
def test_what_is_there_in_the_end(jobs: list[dict[str, Any]], found: int) -> None:
    """One job of the key: the one that the last client was told of, with what was written last."""
    deeds = [MADE, refused(2, "a"), a_deed(3, "a", conflict="replace", status=200)]
    assert found == len([*unlike(jobs, {"k": "a"}, deeds)])
