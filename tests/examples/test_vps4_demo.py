import asyncio
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from mainspring_vps4.demo import at, hints, is_late, is_taken, outcome, shortened, tell_why, told, watch

from mainspring.clock import ManualClock
from tests.examples.conftest import NOON

JOB = {"state": "scheduled", "nextRun": "2026-01-01T12:00:00Z", "lastRun": None}


def a_job(outcome: str | None = None, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """Make a job on the wire, with the last run that is given."""
    last_run = outcome and {"outcome": outcome, "reason": reason}
    return {**JOB, "lastRun": last_run, **fields}


def test_nothing_is_told_of_a_job_that_is_the_same() -> None:
    """The reader sees changes only."""
    assert told(a_job(), a_job()) == ""


def test_state_is_told_when_it_changes() -> None:
    """A job that runs is worth a line."""
    assert told(a_job(), a_job(state="running")) == "running"


def test_postponement_is_told_with_its_reason_and_the_time_to_come() -> None:
    """The reader sees that the same job comes back, and when."""
    postponed = a_job("postponed", "busy: dc:ams3", nextRun="2026-01-01T12:00:07.123Z")
    expected = "postponed (busy: dc:ams3): the same job runs again at 12:00:07Z"
    assert expected == told(a_job(state="running"), postponed)


def test_end_is_told_by_its_outcome() -> None:
    """A job that is done has no time to come."""
    assert told(a_job(state="running"), a_job("succeeded", state="done", nextRun=None)) == "succeeded"


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (a_job(), True),
        (a_job(nextRun="2026-01-01T12:00:01.5Z"), True),
        (a_job(nextRun="2026-01-01T12:00:01.9Z"), False),
        (a_job(state="running"), False),
        (a_job("postponed"), False),
    ],
)
def test_job_is_late_when_it_should_have_begun(job: dict[str, Any], *, expected: bool) -> None:
    """A moment after its time; one that has run is told by how that ended."""
    assert expected == is_late(job, NOON + timedelta(seconds=2.1))


async def test_who_waits_is_told_with_the_reason_and_what_was_learned(capsys: pytest.CaptureFixture[str]) -> None:
    """The reader sees what the service says about it."""
    text = "It is left alone until 2026-01-01T12:00:07.123Z, and then one job goes ahead."
    learned = {"dc:ams3": {"limit": 1, "isProbing": True}}
    answers: dict[str, Any] = {
        "/api/schedulers/vps4/backups/jobs/job-1/why": [{"code": "BUSY_KEY", "text": text}],
        "/api/schedulers/vps4/limits": {"concurrency": [], "rates": [], "learned": learned},
    }
    async with client_of(answers) as scheduler:
        await tell_why(scheduler, "blog", a_job(id="job-1"), ManualClock(NOON))
    assert [
        "  12:00:00Z  blog waits: BUSY_KEY. It is left alone until 12:00:07Z, and then one job goes ahead.",
        "             The limits of vps4 show what was learned of dc:ams3: 1 at a time, and one goes ahead as a probe.",
    ] == capsys.readouterr().out.splitlines()


async def test_ends_are_told_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Also if the demo sees both with one look."""
    answers = {}
    jobs = {}
    for name, second in (("shop", 2), ("blog", 1)):
        jobs[name] = a_job(id=name)
        ended = a_job("succeeded", id=name, state="done", nextRun=None)
        ended["lastRun"]["finishedAt"] = f"2026-01-01T12:00:0{second}Z"
        answers[f"/api/schedulers/vps4/backups/jobs/{name}"] = ended
    clock = HurriedClock(NOON)
    async with client_of(answers) as scheduler:
        assert {"shop", "blog"} == (await watch(scheduler, jobs, clock)).keys()
    assert ["blog succeeded", "shop succeeded"] == [
        line.partition("Z  ")[2] for line in capsys.readouterr().out.splitlines()
    ]


class HurriedClock(ManualClock):
    """Whoever sleeps moves time on."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds=seconds)


def client_of(answers: dict[str, Any]) -> httpx2.AsyncClient:
    """Return a client of a service that answers so, by path."""
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=answers[request.url.path]))
    return httpx2.AsyncClient(base_url="http://127.0.0.1:8089", transport=transport)


def test_hints_name_the_job_and_times_that_are_near() -> None:
    """What is printed can be pasted as it is."""
    lines = hints("http://127.0.0.1:8089", "job-1", datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC))
    assert "http://127.0.0.1:8089/api/schedulers/vps4/backups/jobs/job-1" in lines
    assert '"when": "2026-01-01T12:01:00Z"' in lines
    assert lines.count("/jobs/job-1/why") == 1


def test_time_of_day() -> None:
    """A moment is told by its time of day."""
    assert at("2026-01-01T12:00:07.123Z") == "12:00:07Z"
    assert "from 12:00:07Z to 12:00:08Z." == shortened("from 2026-01-01T12:00:07.123Z to 2026-01-01T12:00:08Z.")


def test_taken_port_is_noticed() -> None:
    """A port that somebody listens on is taken until they leave."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert is_taken(port)
    assert not is_taken(port)


@pytest.mark.parametrize(("once", "expected"), [(True, 1), (False, 0)])
async def test_story_that_cannot_go_on_ends_nothing_else(
    capsys: pytest.CaptureFixture[str], *, once: bool, expected: int
) -> None:
    """Somebody who tries the service may be in its way, and wants to go on trying."""

    async def breaks() -> None:
        raise httpx2.ConnectError("the data centre is full\nand more")

    stopped = asyncio.Event()

    async def ended() -> None:
        await stopped.wait()

    story, waiting = asyncio.create_task(breaks()), asyncio.create_task(ended())
    result = asyncio.create_task(outcome(story, waiting, once=once))
    for _ in range(9):
        await asyncio.sleep(0)  # noqa: TID251 - turns of the loop, no time
    assert once == result.done()
    stopped.set()

    assert expected == await result
    assert "cannot go on: the data centre is full. " in capsys.readouterr().out
    await waiting
