"""What jobs return: kept with their runs, and handed to the next."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from mainspring import JobExecutionContext
from mainspring.job import Outcome, RunFinished
from tests.node.conftest import KEY, Script, World

KEPT: list[tuple[Any, Any]] = [
    (0, 0),
    ("", ""),
    (False, False),
    ({"a": [1, None]}, {"a": [1, None]}),
    (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
    (UUID(int=1), str(UUID(int=1))),
    ("x" * 65_534, "x" * 65_534),
    (float("inf"), None),
]


class Odd:
    """What is no JSON."""


class Rude:
    """What raises when it is looked at."""

    def __iter__(self) -> Any:
        raise KeyboardInterrupt


NOT_KEPT = [
    ("x" * 65_535, "is larger than 64 KiB as JSON"),
    (Odd(), "is no JSON"),
    (Rude(), "is no JSON"),
    ("a\0b", "has a NUL character"),
    ({Odd: 1}, "is no JSON"),
    ("\ud800", "is no JSON"),
]


async def ran(world: World, monkeypatch: pytest.MonkeyPatch, answer: Any) -> Any:
    """Run a job that returns something; return its run."""

    async def play(_script: Script, _context: JobExecutionContext) -> Any:
        return answer

    async def execute(self: Any, context: JobExecutionContext) -> Any:
        return await play(self.script, context)

    monkeypatch.setattr("tests.node.conftest.ScriptedJob.execute", execute)
    async with world.node():
        job = await world.create()
        await world.happened(RunFinished)
    [run] = await world.runs(job)
    assert Outcome.SUCCEEDED is run.outcome
    return await world.service.get_run(KEY, job.id, run.number)


@pytest.mark.parametrize(
    ("answer", "expected"), KEPT, ids=["zero", "empty", "false", "nested", "moment", "id", "large", "infinity"]
)
async def test_what_a_job_returns_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: Any, expected: Any
) -> None:
    """As JSON."""
    run = await ran(world, monkeypatch, answer)
    assert (expected, None) == (json.loads(run.result), run.result_error)


@pytest.mark.parametrize(("answer", "why"), NOT_KEPT, ids=["large", "odd", "rude", "nul", "keys", "surrogate"])
async def test_what_cannot_be_kept_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: Any, why: str
) -> None:
    """The run succeeded all the same."""
    run = await ran(world, monkeypatch, answer)
    assert (None, True) == (run.result, run.result_error.startswith(why))


async def test_the_next_run_finds_the_last_success(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fire time, its end, and what it returned; a failure in between changes nothing."""
    seen: list[Any] = []

    async def execute(_job: Any, context: JobExecutionContext) -> int:
        seen.append(context.last_success)
        if len(seen) == 2:
            raise RuntimeError
        return len(seen)

    monkeypatch.setattr("tests.node.conftest.ScriptedJob.execute", execute)
    async with world.node():
        job = await world.create(schedule={"every": "PT10S", "count": 4}, options={"maxAttempts": 1})
        await world.happened(RunFinished, 4)
    first, second, third, fourth = seen
    assert first is None
    assert second == third
    assert (1, job.fire_time) == (second.result, second.scheduled_fire_time)
    assert (3, (await world.runs(job))[2].finished_at) == (fourth.result, fourth.finished_at)
