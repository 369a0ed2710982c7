"""Waiting for the end of a job, and the end of a client."""

from typing import Any

import httpx2
import pytest

from mainspring.client import Job, NotFound, WaitTimeout
from tests.client.conftest import Handler, async_client_with, client_with
from tests.client.test_sending import JOB, PROBLEM

DONE = {**JOB, "state": "done", "outcome": "succeeded"}
DEAD = {**JOB, "state": "done", "outcome": "failed"}
DELETED = {"id": "NOT_FOUND", "errors": [{"code": "JOB_NOT_FOUND", "detail": "gone"}]}


def after(looks: int, answer: dict[str, Any]) -> Handler:
    """Return a service in which a job is done after so many looks."""
    left = looks

    def handler(_: httpx2.Request) -> httpx2.Response:
        nonlocal left
        left -= 1
        if left >= 0:
            return httpx2.Response(200, json=JOB)
        return (
            httpx2.Response(404, json=answer, headers=PROBLEM)
            if answer is DELETED
            else httpx2.Response(200, json=answer)
        )

    return handler


async def waited(looks: int, answer: dict[str, Any], longest: float | None) -> list[Job]:
    """Wait with both clients."""
    async with async_client_with(after(looks, answer)) as client:
        return [
            client_with(after(looks, answer)).wait_for("a/b/1", timeout=longest),
            await client.wait_for("a/b/1", timeout=longest),
        ]


@pytest.mark.parametrize(("answer", "gave_up"), [(DONE, False), (DEAD, True)])
async def test_it_returns_the_job_that_is_done(
    no_pauses: list[float], answer: dict[str, Any], *, gave_up: bool
) -> None:
    """Dead ones too; what has not ended is looked at again."""
    for job in await waited(3, answer, None):
        assert (True, gave_up) == (job.is_done, job.gave_up)
    assert 6 == len(no_pauses)
    assert [True, True] == [job.is_done for job in await waited(0, answer, 0)]


@pytest.mark.usefixtures("no_pauses")
async def test_a_job_that_is_deleted_is_not_found() -> None:
    """Nobody knows how it would have ended."""
    with pytest.raises(NotFound):
        client_with(after(2, DELETED)).wait_for("a/b/1")
    async with async_client_with(after(2, DELETED)) as client:
        with pytest.raises(NotFound):
            await client.wait_for("a/b/1")


async def test_it_waits_no_longer_than_was_said(no_pauses: list[float]) -> None:
    """And says how the job stands."""
    with pytest.raises(WaitTimeout, match="the job 1 is scheduled after 7 seconds"):
        client_with(after(999, DONE)).wait_for("a/b/1", timeout=7)
    assert 7 == pytest.approx(sum(no_pauses))
    async with async_client_with(after(999, DONE)) as client:
        with pytest.raises(TimeoutError):
            await client.wait_for("a/b/1", timeout=7)
    assert 14 == pytest.approx(sum(no_pauses))


async def test_a_client_is_closed_once_and_for_all() -> None:
    """By its block or by a call; what is asked after that is a mistake of the program."""
    with client_with(after(0, DONE)) as client:
        client.get("a/b/1")
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.get("a/b/1")
    async with async_client_with(after(0, DONE)) as on_loop:
        await on_loop.get("a/b/1")
    await on_loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        await on_loop.get("a/b/1")
