"""Command jobs: what a program is given, what is kept of it, and that nothing of it is left over."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from mainspring.clock import SystemClock
from mainspring.errors import InvalidRequestError
from mainspring.execution import Assignment, DeclaredModule, ProcessRunner, Spawner, load_all
from mainspring.execution.declared.program import Program, ProgramOverdueError, Programs
from mainspring.job import Ending, Job, JobKey, Options, Outcome, Run, State
from mainspring.schedule import Once
from mainspring.settings import Settings
from mainspring.testing import TestScheduler

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 10.0
KEY = JobKey("shop", "dump")
ANY = {"additionalProperties": True}


def told(script: str, **more: Any) -> Settings:
    """Make settings with one command job, a script of the shell."""
    job = {"product": "shop", "job_group": "dump", "command": ["/bin/sh", "-c", script], "request": ANY, **more}
    return Settings.model_validate({"command_jobs": [job], "log_format": "json"})


async def ended(script: str, fields: dict[str, Any] | None = None, **more: Any) -> Run:
    """Run a script once, in this process, and return how it ended."""
    async with TestScheduler(DeclaredModule(told(script, max_attempts=1, **more)), start=NOW) as scheduler:
        job = await scheduler.create("shop", "dump", {"when": NOW.isoformat(), **(fields or {})})
        await scheduler.advance(seconds=0)
        (run,) = await scheduler.runs(job)
        return await scheduler.service.get_run(job.key, job.id, run.number)


# --- what it is given, and what is kept


async def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few variables of the service, those of the settings, and the facts of the run; nothing that may be secret."""
    monkeypatch.setenv("MAINSPRING_STORE", "postgresql://user:secret@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("TZ", "UTC")
    run = await ended("env", {"to": "a\nb; rm -rf $HOME `id` \0"}, environment={"LEVEL": "9 $HOME"})
    found = dict(line.partition("=")[::2] for line in (run.log or "").splitlines())
    assert {"to": "a\nb; rm -rf $HOME `id` \0"} == json.loads(found.pop("MAINSPRING_REQUEST"))
    assert str(run.job_id) == found["MAINSPRING_JOB_ID"]
    assert ("1", str(run.number)) == (found["MAINSPRING_ATTEMPT"], found["MAINSPRING_RUN"])
    assert "2026-01-01T00:00:00Z" == found["MAINSPRING_SCHEDULED_FIRE_TIME"]
    assert 36 == len(str(UUID(found["MAINSPRING_OCCURRENCE_ID"])))
    assert ("9 $HOME", "UTC") == (found["LEVEL"], found["TZ"])
    assert not {"MAINSPRING_STORE", "AWS_SECRET_ACCESS_KEY"} & found.keys()


async def test_input_directory_and_output(tmp_path: Path) -> None:
    """It reads what the settings say, where they say; what it writes is kept, both streams in their order."""
    run = await ended("pwd; cat; echo oops >&2; printf end", stdin="one\ntwo\n", working_directory=str(tmp_path))
    assert f"{tmp_path}\none\ntwo\noops\nend\n" == run.log
    assert (Outcome.SUCCEEDED, '{"exitCode":0}') == (run.outcome, run.result)


async def test_a_program_that_does_not_read() -> None:
    """It need not take what it is given; without input there is nothing to read."""
    assert Outcome.SUCCEEDED == (await ended("exit 0", stdin="x" * 10_000_000)).outcome
    assert Outcome.SUCCEEDED == (await ended("! read -r line")).outcome


async def test_a_flood_of_output() -> None:
    """The beginning and the end of it are kept."""
    run = await ended("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
    assert run.log is not None
    assert run.log.startswith("line 0\nline 1\n")
    assert run.log.endswith("line 19999\n")
    assert "bytes are left out" in run.log
    assert len(run.log) < 66_000


async def test_a_line_without_an_end() -> None:
    """It is cut, and takes no memory."""
    run = await ended("head -c 5000000 /dev/zero | tr '\\0' x")
    assert run.log is not None
    assert len(run.log) < 66_000


@pytest.mark.parametrize(
    ("script", "success", "reason"),
    [
        ("exit 3", [0], "exit code 3"),
        ("exit 0", [3], "exit code 0"),
        ("kill -9 $$", [0], "killed by signal 9 (SIGKILL)"),
        ("kill -TERM $$", [0], "killed by signal 15 (SIGTERM)"),
    ],
)
async def test_failures(script: str, success: list[int], reason: str) -> None:
    """An exit code that is no success, and a signal."""
    run = await ended(script, success=success)
    assert (Outcome.FAILED, reason) == (run.outcome, run.reason)


async def test_exit_codes_of_success() -> None:
    """The settings may name others than 0."""
    run = await ended("exit 3", success=[0, 3])
    assert (Outcome.SUCCEEDED, '{"exitCode":3}') == (run.outcome, run.result)


async def test_a_program_that_is_not_there() -> None:
    """The run fails, and says which."""
    run = await ended("", command=["/nowhere/at-all"])
    assert (Outcome.FAILED, "the program /nowhere/at-all cannot be started: No such file or directory") == (
        run.outcome,
        run.reason,
    )


async def test_a_request_that_no_variable_can_hold() -> None:
    """It is refused at POST."""
    with pytest.raises(InvalidRequestError) as caught:
        await ended("exit 0", {"to": "x" * 130_000})
    assert ["COMMAND_REQUEST_TOO_LARGE"] == [problem.code for problem in caught.value.problems]


async def test_a_request_brings_no_command() -> None:
    """Fields that are named like settings are only fields, and without a schema there are none."""
    with pytest.raises(InvalidRequestError) as caught:
        await ended("exit 0", {"command": ["id"], "environment": {}}, request={})
    assert {"/command", "/environment"} == {problem.pointer for problem in caught.value.problems}


# --- its end


def gone(pid: int) -> bool:
    """Wait for the end of any process."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([process], [], [], PATIENCE)
    os.close(process)
    return bool(ready)


def a_program(script: str, **more: Any) -> Program:
    """Make a program of a script."""
    facts = {"working_directory": None, "stdin": None, "memory_limit": None, **more}
    return Program(["/bin/sh", "-c", script], {"PATH": os.environ["PATH"]}, **facts)


async def test_the_time_limit() -> None:
    """SIGTERM lets a program say goodbye."""
    lines: list[str] = []
    program = a_program("trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done")
    with pytest.raises(ProgramOverdueError):
        await Programs().run(program, lines.append, 0.3)
    assert ("hello", "bye") == (lines[0], lines[-1])


async def test_who_ignores_it_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL follows, for all that the program has started."""
    monkeypatch.setattr("mainspring.execution.declared.program.GRACE_SECONDS", 0.2)
    lines: list[str] = []
    program = a_program("trap '' TERM; sleep 1000 & echo $!; echo $$; while :; do sleep 0.05; done")
    with pytest.raises(ProgramOverdueError):
        await Programs().run(program, lines.append, 0.3)
    assert all(gone(int(pid)) for pid in lines)


async def test_a_run_that_times_out() -> None:
    """The outcome and its reason."""
    run = await ended("sleep 1000", time_limit="PT0.2S")
    assert (Outcome.TIMED_OUT, "took longer than its limit of 0.2 s") == (run.outcome, run.reason)


async def test_cancelled() -> None:
    """Being cancelled ends the program."""
    pids: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(Programs().run(a_program("echo $$; exec sleep 1000"), pids.put_nowait, PATIENCE))
    pid = int(await pids.get())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(pid)


async def test_nothing_is_left_over() -> None:
    """What goes on in the background ends with the program, also if it holds the output open."""
    lines: list[str] = []
    assert 0 == await Programs().run(a_program("sleep 1000 & echo $!"), lines.append, PATIENCE)
    assert gone(int(lines[0]))


# --- in worker processes


@asynccontextmanager
async def a_runner(settings: Settings) -> AsyncIterator[ProcessRunner]:
    """Make a runner of worker processes, and close it afterwards."""
    spawner = Spawner()
    runner = ProcessRunner(load_all(settings), SystemClock(), settings, spawner)
    try:
        yield runner
    finally:
        await runner.close()
        await spawner.close()


def an_assignment(options: Options | None = None) -> Assignment:
    """Make a run of the group."""
    job = Job(
        id=UUID(int=1),
        key=KEY,
        request={"when": NOW.isoformat(), "to": "x"},
        trigger=Once(NOW),
        fire_time=NOW,
        due_at=NOW,
        created_at=NOW,
        updated_at=NOW,
        options=options or Options(),
        state=State.RUNNING,
        attempt=1,
        run=7,
        node="one:1",
        claimed_at=NOW,
    )
    return Assignment(job, NOW.timestamp() - SystemClock().monotonic())


async def in_a_worker(script: str, options: Options | None = None, **more: Any) -> Ending:
    """Run a script in a worker process."""
    async with a_runner(told(script, **more)) as runner:
        return await runner.run(an_assignment(options))


async def test_a_worker_runs_it() -> None:
    """Its output and its exit code cross; it has the limits of its worker and no new privileges."""
    ending = await in_a_worker("echo $MAINSPRING_REQUEST; grep NoNewPrivs /proc/self/status; ulimit -c; exit 4")
    assert (Outcome.FAILED, "exit code 4") == (ending.outcome, ending.reason)
    assert '{"to": "x"}\nNoNewPrivs:\t1\n0\n' == ending.log


async def test_the_limit_of_memory() -> None:
    """A program that takes too much is refused it."""
    python = [sys.executable, "-c", "x = bytearray(10**9)"]
    ending = await in_a_worker("", command=python, memory_limit=300_000_000)
    assert "exit code 1" == ending.reason
    assert "MemoryError" in (ending.log or "")


@pytest.mark.parametrize("options", [None, Options(timeout=timedelta(seconds=0.5))])
async def test_a_worker_ends_it_in_time(tmp_path: Path, options: Options | None) -> None:
    """By the limit of the settings, or the shorter one of a request; what it has started goes too."""
    script = f"trap '' TERM; sleep 1000 & echo $! $$ > {tmp_path}/pids; while :; do sleep 0.05; done"
    limit = "PT0.5S" if options is None else "PT1H"
    async with asyncio.timeout(3 * PATIENCE):
        ending = await in_a_worker(script, options, time_limit=limit)
    assert (Outcome.TIMED_OUT, "took longer than its limit of 0.5 s") == (ending.outcome, ending.reason)
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


async def test_a_worker_is_used_again() -> None:
    """A program that leaves nothing behind does not wear it out."""
    async with a_runner(told("ps -o ppid= -p $$ || cut -d' ' -f4 /proc/$$/stat")) as runner:
        endings = [await runner.run(an_assignment()) for _ in range(3)]
    assert 1 == len({ending.log for ending in endings})


def test_a_dead_node_leaves_nothing(tmp_path: Path) -> None:
    """When a node is killed, its programs and what they have started go too."""
    os.mkfifo(tmp_path / "pids")
    script = f"trap '' TERM HUP; sleep 1000 & echo $! $$ > {tmp_path}/pids; while :; do sleep 0.05; done"
    (tmp_path / "mainspring.toml").write_text(
        f'[[command_jobs]]\nproduct = "shop"\njob_group = "dump"\ncommand = {json.dumps(["/bin/sh", "-c", script])}\n'
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")}
    main = (
        "import sys\nfrom mainspring.cli import main\nmain(['serve', '--port', '0', '--store', 'sqlite:///jobs.db', "
        "'--log-format', 'json'])"
    )
    node = subprocess.Popen(
        [sys.executable, "-c", main], cwd=tmp_path, env=environ, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        assert node.stderr is not None
        url = next(line["url"] for line in map(json.loads, node.stderr) if line["event"] == "serving")
        with httpx2.Client(trust_env=False) as client:
            made = client.post(f"{url}/api/schedulers/shop/dump/jobs", json={"when": "now"})
        assert 201 == made.status_code
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert [True, True] == [Path(f"/proc/{pid}").exists() for pid in pids]
    finally:
        node.send_signal(signal.SIGKILL)
        node.wait(PATIENCE)
        if node.stderr is not None:
            node.stderr.close()
    assert all(gone(pid) for pid in pids)
