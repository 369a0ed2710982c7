import ast
import asyncio
import gc
import json
import os
import re
import select
import signal
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from mainspring.clock import ManualClock, SystemClock
from mainspring.execution import Assignment, ProcessRunner, Quarantine, Slots, Spawner
from mainspring.execution.workers.output import OUTPUT_KEPT
from mainspring.execution.workers.pool import SHARED
from mainspring.execution.workers.wire import read_claim, read_ending, write_claim, write_ending
from mainspring.job import Backoff, Ending, Job, JobKey, Options, Outcome, Progress, State
from mainspring.plugins import load
from mainspring.schedule import Once, trigger_from_json
from mainspring.settings import PluginSettings, Settings, load_settings
from tests.rogues import FRAGILE, MEBIBYTE

ROGUES = "tests.rogues:RogueModule"
KILLED = "the worker process was killed by signal"
ASYNC, SYNC, BRIEF = JobKey("zoo", "async"), JobKey("zoo", "sync"), JobKey("zoo", "brief")
SECOND = Options(timeout=timedelta(seconds=1))
SUCCEEDED = Ending(Outcome.SUCCEEDED)
TIMED_OUT = Ending(Outcome.TIMED_OUT, "took longer than its limit of 1 s")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 10.0
"""Seconds after which a test that waits has failed."""


def a_job(
    deed: str, *, key: JobKey = ASYNC, path: Path | str = os.devnull, options: Options | None = None, run: int = 7
) -> Job:
    """Make a job of the zoo that has been claimed."""
    return Job(
        id=UUID(int=1),
        key=key,
        request={"when": "2026-01-01T00:00:00Z", "deed": deed, "path": str(path)},
        trigger=Once(NOW),
        fire_time=NOW,
        due_at=NOW,
        created_at=NOW,
        updated_at=NOW,
        options=options or Options(),
        state=State.RUNNING,
        attempt=1,
        run=run,
        node="one:1",
        claimed_at=NOW,
    )


def to_do(deed: str, **facts: Any) -> Assignment:
    """Make an assignment of the zoo."""
    return Assignment(a_job(deed, **facts), NOW.timestamp() - SystemClock().monotonic())


@asynccontextmanager
async def a_runner(
    processes: int = 4,
    plugin: str = ROGUES,
    *,
    shared: bool = False,
    told: PluginSettings | None = None,
    more: Sequence[str] = (),
) -> AsyncIterator[ProcessRunner]:
    """Make a runner, and close it afterwards. Its workers get `more` variables of the environment."""
    told = told or PluginSettings()
    settings = Settings(plugins=(plugin,), processes=processes, log_format="json", plugin_settings=told)
    spawner = Spawner(more)
    runner = ProcessRunner(load(settings.plugins, told), SystemClock(), settings, spawner, shared=shared)
    try:
        yield runner
    finally:
        await runner.close()
        await spawner.close()


@pytest.fixture(scope="module")
async def runner() -> AsyncIterator[ProcessRunner]:
    """A runner whose workers serve all tests of this file."""
    async with a_runner() as running:
        yield running


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe in which a job notes what it does; it goes on when the test has read it."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


async def said(pipe: Path) -> str:
    """Wait for what a job notes next."""
    async with asyncio.timeout(PATIENCE):
        return (await asyncio.to_thread(pipe.read_text)).strip()


async def noted(runner: ProcessRunner, deed: str, notes: Path) -> list[Any]:
    """Have a job do something, and return what it noted."""
    assert SUCCEEDED == await runner.run(to_do(deed, path=notes))
    return await asyncio.to_thread(lambda: [ast.literal_eval(line) for line in notes.read_text().splitlines()])


def died(pid: int) -> bool:
    """Wait for the end of any process."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([process], [], [], PATIENCE)
    os.close(process)
    return bool(ready)


# --- what crosses


def test_a_claim_crosses_whole() -> None:
    """A worker is told all that the node knows of a job."""
    job = a_job("nothing", options=Options(3, Backoff(timedelta(seconds=2)), timedelta(minutes=1)))._replace(
        trigger=trigger_from_json({"every": "PT1H", "start": "2026-01-01T00:00:00Z", "timeZone": "UTC"}),
        losses=2,
        failures=1,
        fire_time=NOW + timedelta(microseconds=1),
    )
    received = read_claim(json.loads(json.dumps(write_claim(job, NOW.timestamp() - 12.5))))
    clock = ManualClock()
    clock.advance(seconds=20)
    assert (job, NOW + timedelta(seconds=7.5)) == (received.job, received.store_time(clock.monotonic()))


@pytest.mark.parametrize(
    "ending", [SUCCEEDED, Ending(Outcome.POSTPONED, "busy: \N{SNOWMAN}", timedelta(microseconds=1500))]
)
def test_an_ending_crosses_whole(ending: Ending) -> None:
    """What a job asked for is what the node hears."""
    assert ending == read_ending(json.loads(json.dumps(write_ending(ending))))


# --- how runs end


@pytest.mark.parametrize(
    ("deed", "outcome", "reason"),
    [
        ("nothing", Outcome.SUCCEEDED, None),
        ("postpones", Outcome.POSTPONED, "busy: nest"),
        ("raises", Outcome.FAILED, "KeyError: 'colour'"),
        ("raises_wordless", Outcome.FAILED, "WordlessError: a WordlessError that has no words"),
        ("raises_base", Outcome.FAILED, "GeneratorExit: stop all"),
        ("exits", Outcome.FAILED, "SystemExit: 0"),
        ("leaks_files", Outcome.FAILED, r"OSError: \[Errno 24\] Too many open files.*"),
        ("bombs", Outcome.FAILED, "MemoryError.*"),
        ("bombs_slowly", Outcome.FAILED, "MemoryError.*"),
    ],
)
@pytest.mark.parametrize("key", [ASYNC, SYNC])
async def test_a_run_ends_as_it_would_in_the_node(
    runner: ProcessRunner, key: JobKey, deed: str, outcome: Outcome, reason: str | None
) -> None:
    """What a job returns, raises or asks for crosses; the worker lives."""
    ending = await runner.run(to_do(deed, key=key))
    assert (outcome, False) == (ending.outcome, ending.fatal)
    assert ending.reason == reason or re.fullmatch(reason or "", ending.reason or "")


async def test_listeners_are_asked_in_the_worker(runner: ProcessRunner) -> None:
    """What they say is what the node hears."""
    assert Ending(Outcome.VETOED, "vetoed by Porter") == await runner.run(to_do("forbidden"))


@pytest.mark.parametrize(
    ("key", "deed", "reason"),
    [
        (ASYNC, "exits_hard", "the worker process exited with code 0"),
        (SYNC, "exits_hard_3", "the worker process exited with code 3"),
        (
            ASYNC,
            "segfaults",
            f"{KILLED} 11 (SIGSEGV): native code used memory that is not its own, or the stack was full",
        ),
        (SYNC, "aborts", f"{KILLED} 6 (SIGABRT): abort() was called, as native code does that finds an error"),
        (
            ASYNC,
            "kills_itself",
            f"{KILLED} 9 (SIGKILL): by the system, if the machine ran out of memory, or by somebody",
        ),
        (
            ASYNC,
            "meets_no_instruction",
            f"{KILLED} 4 (SIGILL): native code has an instruction that this processor does not know",
        ),
        (ASYNC, "is_of_real_time", f"{KILLED} 40 (Real-time signal 6)"),
        (
            ASYNC,
            "has_no_memory_to_say_so",
            f"the worker process ran out of memory; it may take {200 * MEBIBYTE} bytes beyond what it held at first",
        ),
        (ASYNC, "closes_everything", "the worker process lost its channel to the node: the job has closed it"),
        (ASYNC, "talks_nonsense", "the worker process broke its channel to the node"),
        (
            ASYNC,
            "kills_what_started_it",
            "the process that starts workers died, and the worker process with it",
        ),
    ],
)
async def test_a_worker_that_dies_has_failed(runner: ProcessRunner, key: JobKey, deed: str, reason: str) -> None:
    """An end without a result is never success, and is said to be fatal."""
    ending = await runner.run(to_do(deed, key=key))
    assert (Outcome.FAILED, True) == (ending.outcome, ending.fatal)
    assert reason == ending.reason


async def test_a_worker_of_other_code_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that was updated under a running node is no fault of the job."""
    monkeypatch.setattr("mainspring.execution.workers.supervisor.write_claim", lambda *_: {"job": {}})
    async with a_runner() as runner:
        ending = await runner.run(to_do("nothing"))
    assert "the worker process runs other code than its node: it was updated; restart the node" == ending.reason


@pytest.mark.parametrize("key", [ASYNC, SYNC])
async def test_what_does_not_end_is_killed(runner: ProcessRunner, key: JobKey) -> None:
    """Nothing that a job can do makes it outlive its time limit by much, and that is not held to be poison."""
    deeds = ["loops", "holds_the_lock", "is_deaf", "swallows"]
    async with asyncio.timeout(PATIENCE):
        endings = await asyncio.gather(*(runner.run(to_do(deed, key=key, options=SECOND)) for deed in deeds))
    assert [TIMED_OUT] * 4 == endings


async def test_the_time_limit_of_the_class_holds(runner: ProcessRunner) -> None:
    """Where the request says nothing, its group's limit is the hard one too."""
    assert Ending(Outcome.TIMED_OUT, "took longer than its limit of 0.1 s") == await runner.run(
        to_do("loops", key=BRIEF)
    )


async def test_checks_that_do_not_end_are_killed(runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that blocks for ever holds up its job no longer than its limit, and is the reason."""
    monkeypatch.setattr("mainspring.execution.workers.supervisor.CHECK_SECONDS", -4.5)
    ending = await runner.run(to_do("vetoes_for_ever"))
    assert Ending(Outcome.TIMED_OUT, "the checks before the job took longer than 0.5 s") == ending


async def test_a_worker_that_cannot_start() -> None:
    """What the plugin's service says is the reason; nothing was killed by the job."""
    async with a_runner(plugin=FRAGILE) as runner:
        ending = await runner.run(to_do("nothing"))
    assert (Outcome.FAILED, False) == (ending.outcome, ending.fatal)
    assert "Secret cannot be built: OSError: too cold" in (ending.reason or "")


# --- workers


def is_ready_for(quarantine: Quarantine, runs: int) -> bool:
    """Tell whether an empty quarantine is ready for that many runs."""
    return quarantine.is_ready(runs)


@pytest.mark.parametrize(("quick", "runs"), [(0, 1), (1000, SHARED)])
async def test_a_quarantine_is_ready_for_as_many_runs_as_it_has_workers(
    monkeypatch: pytest.MonkeyPatch, quick: float, runs: int
) -> None:
    """Where starts are slow, one that is starting does not count: a run would be begun sooner elsewhere."""
    monkeypatch.setattr("mainspring.execution.workers.pool.QUICK_SECONDS", quick)
    async with a_runner(shared=True) as runner:
        quarantine = Quarantine(asyncio.get_running_loop(), runner, ManualClock(), Slots(100))
        assert not is_ready_for(quarantine, 1)
        await runner.run(to_do("nothing"))
        assert [True, False] == [is_ready_for(quarantine, busy) for busy in (runs, runs + 1)]


async def test_a_worker_that_died_is_none_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run that would wait until it is replaced is begun sooner elsewhere."""
    monkeypatch.setattr("mainspring.execution.workers.pool.QUICK_SECONDS", 0)
    async with a_runner(shared=True) as runner:
        quarantine = Quarantine(asyncio.get_running_loop(), runner, ManualClock(), Slots(100))
        [worker] = await noted(runner, "whoami", tmp_path / "notes")
        assert is_ready_for(quarantine, 1)
        os.kill(worker, signal.SIGKILL)
        await asyncio.to_thread(died, worker)
        assert not is_ready_for(quarantine, 1)


async def test_a_quarantine_that_can_have_no_worker_takes_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it ends, and says why, instead of going round for ever."""

    async def refuse(*_: object) -> None:
        raise OSError("no process left")

    monkeypatch.setattr("mainspring.execution.workers.spawner.Spawner.start", refuse)
    async with a_runner(shared=True) as runner:
        quarantine = Quarantine(asyncio.get_running_loop(), runner, ManualClock(), Slots(100))
        assert not is_ready_for(quarantine, 9)
        ending = await runner.run(to_do("nothing"))
        assert "no process left" in (ending.reason or "")
        assert is_ready_for(quarantine, 9)


async def test_workers_are_used_again(runner: ProcessRunner, tmp_path: Path) -> None:
    """A healthy worker serves the next job too."""
    pids = await noted(runner, "whoami", tmp_path / "notes")
    assert 2 * pids == await noted(runner, "whoami", tmp_path / "notes")
    assert [os.getpid()] != pids


async def test_what_a_job_changes_in_its_worker_is_put_back(tmp_path: Path) -> None:
    """The next job in it finds the directory, the mask, the environment and all else as the first did."""
    async with a_runner(processes=1) as runner:
        for notes, deed in (("before", "whoami"), ("before", "surroundings")):
            assert SUCCEEDED == await runner.run(to_do(deed, path=tmp_path / notes))
        assert SUCCEEDED == await runner.run(to_do("changes_the_worker"))
        for deed in ("whoami", "surroundings"):
            assert SUCCEEDED == await runner.run(to_do(deed, path=tmp_path / "after"))
    before, after = ((tmp_path / name).read_text().splitlines() for name in ("before", "after"))
    assert before == after


@pytest.mark.parametrize("deed", ["leaves_an_alarm", "leaves_a_crash_timer"])
async def test_a_timer_that_a_job_leaves_kills_no_other(deed: str) -> None:
    """Neither one of the system nor one of the interpreter."""
    async with a_runner(processes=1) as runner:
        for each in (deed, "takes_a_while", deed, "takes_a_while"):
            assert SUCCEEDED == await runner.run(to_do(each))


@pytest.mark.parametrize("deed", ["stops_the_loop", "exits_in_a_callback", "makes_tasks_oddly"])
async def test_a_job_cannot_end_the_loop_of_its_worker(tmp_path: Path, deed: str) -> None:
    """It runs the next job too."""
    async with a_runner(processes=1) as runner:
        first = await noted(runner, "whoami", tmp_path / "first")
        assert SUCCEEDED == await runner.run(to_do(deed))
        assert first == await noted(runner, "whoami", tmp_path / "second")


async def test_a_run_in_a_worker_that_dies_leaves_nothing(runner: ProcessRunner) -> None:
    """Without the garbage collector, nothing that belongs to the run is kept."""
    gc.collect()
    gc.disable()
    try:
        assignments = [to_do(deed) for deed in ("exits_hard", "segfaults", "talks_nonsense")]
        kept = [weakref.ref(assignment.stopping) for assignment in assignments]
        while assignments:
            assert (await runner.run(assignments.pop())).fatal
        assert [None] * 3 == [ref() for ref in kept]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "deed",
    [
        "keeps_memory",
        "leaks_files",
        "leaves_orphan",
        "leaves_fork",
        "bombs",
        "waits",
        "lowers_a_limit_for_good",
        "closes_stdout",
    ],
)
async def test_a_worn_worker_is_not_used_again(runner: ProcessRunner, tmp_path: Path, deed: str) -> None:
    """What a job left behind cannot hurt the next one, and the worker is gone with it."""
    before, after = tmp_path / "before", tmp_path / "after"
    [worn] = await noted(runner, "whoami", before)
    await runner.run(to_do(deed, options=SECOND))
    assert [worn] != await noted(runner, "whoami", after)
    assert died(worn)


@pytest.mark.parametrize("deed", ["leaves_child", "leaves_orphan", "leaves_fork", "leaves_child_and_loops"])
async def test_children_die_with_their_worker(runner: ProcessRunner, tmp_path: Path, deed: str) -> None:
    """A process that a job started does not outlive the run, however it ends."""
    notes = tmp_path / "notes"
    await runner.run(to_do(deed, path=notes, options=SECOND))
    assert await asyncio.to_thread(died, int(notes.read_text().split()[0]))


async def test_waiting_for_a_worker_takes_no_time_from_the_job() -> None:
    """The limit of one second holds from the moment that a worker is free; the time of the start is that moment."""
    async with a_runner(processes=1) as runner:
        first, second = to_do("loops", options=SECOND), to_do("nothing", options=SECOND)
        assert [TIMED_OUT, SUCCEEDED] == list(await asyncio.gather(runner.run(first), runner.run(second)))
    assert first.started_at is not None
    assert second.started_at is not None
    assert second.started_at - first.started_at >= timedelta(seconds=1)


async def test_nothing_of_the_node_is_in_a_worker(
    runner: ProcessRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable that nobody named, no descriptor but its own, no privilege to gain, a process group of its own."""
    secrets = ("MAINSPRING_STORE", "PGPASSWORD", "PLUGIN_TOKEN", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY")
    for name in (*secrets, "LC_TIME"):
        monkeypatch.setenv(name, "s3cret")
    async with a_runner(processes=1) as fresh:
        [environment] = await noted(fresh, "environment", tmp_path / "environment")
    assert ["LC_TIME"] == [name for name, value in environment.items() if value == "s3cret"]
    assert environment["PATH"] == os.environ["PATH"]
    async with a_runner(processes=1, more=["PLUGIN_TOKEN", "AWS_*", "M*"]) as told:
        [environment] = await noted(told, "environment", tmp_path / "told")
    found = {name for name, value in environment.items() if value == "s3cret"}
    assert found == {"LC_TIME", "PLUGIN_TOKEN", "AWS_SECRET_ACCESS_KEY"}
    [descriptors, *facts] = await noted(runner, "descriptors", tmp_path / "descriptors")
    kinds = [re.sub(r"[0-9]+", "", what) for what in descriptors if what and not what.startswith("/")]
    loop = ["anon_inode:[eventpoll]", "socket:[]", "socket:[]"]
    assert ["/dev/null", descriptors[1]] == [descriptors[0], descriptors[2]]
    assert len([kind for kind in kinds if kind == "socket:[]"]) == len(["channel", *loop[1:]])
    assert [["NoNewPrivs:\t1"], [True, True]] == facts


async def test_a_worker_is_told_what_the_node_is(tmp_path: Path) -> None:
    """Settings of plugins are the same in a worker, though it has neither the file nor the variables."""
    (tmp_path / "mainspring.toml").write_text("[plugins.zoo]\nopens = 2026-01-02\nkeeper = 'file'\n")
    environ = {"MAINSPRING_PLUGINS__ZOO__KEEPER": "s3cret"}
    settings = load_settings({"plugins": [ROGUES]}, environ=environ, config=tmp_path / "mainspring.toml")
    async with a_runner(told=settings.plugin_settings) as runner:
        assert [["s3cret", "2026-01-02"]] == await noted(runner, "told", tmp_path / "notes")


async def test_close_lets_services_clean_up_and_leaves_nothing(tmp_path: Path) -> None:
    """Workers go in good order when the node does."""
    with capture_logs() as entries:
        async with a_runner() as runner:
            [worker] = await noted(runner, "whoami", tmp_path / "notes")
    assert "secret closed\n" in [entry["output"] for entry in entries]
    assert died(worker)


async def test_an_idle_worker_that_died_is_replaced(runner: ProcessRunner, tmp_path: Path) -> None:
    """Nobody's job fails because a worker was killed between two jobs."""
    [worker] = await noted(runner, "whoami", tmp_path / "before")
    os.kill(worker, signal.SIGKILL)
    assert await asyncio.to_thread(died, worker)
    assert [worker] != await noted(runner, "whoami", tmp_path / "after")


@pytest.mark.parametrize("key", [ASYNC, SYNC])
async def test_workers_come_again_after_what_starts_them_died(key: JobKey, tmp_path: Path) -> None:
    """It takes its workers along, so that none is left of which nobody knows, and another one takes its place."""
    async with a_runner() as runner:
        [worker] = await noted(runner, "whoami", tmp_path / "before")
        ending = await runner.run(to_do("kills_what_started_it", key=key))
        assert (Outcome.FAILED, True) == (ending.outcome, ending.fatal)
        assert await asyncio.to_thread(died, worker)
        assert [worker] != await noted(runner, "whoami", tmp_path / "after")


# --- being stopped


@pytest.mark.parametrize("key", [ASYNC, SYNC])
async def test_a_run_is_told_to_stop(runner: ProcessRunner, key: JobKey, pipe: Path) -> None:
    """`context.stopping` is set in the worker when the node sets it, and the job may end in its own way."""
    assignment = to_do("waits", key=key, path=pipe)
    run = asyncio.create_task(runner.run(assignment))
    assert "begun" == await said(pipe)
    assignment.stopping.set()
    assert "told to stop" == await said(pipe)
    assert SUCCEEDED == await run


async def test_a_run_that_has_ended_stops_no_other(pipe: Path) -> None:
    """The wish to stop a run comes too late for it, and the next one in its worker is another."""
    async with a_runner(processes=1) as runner:
        ended, other = to_do("nothing"), to_do("waits", path=pipe, run=8)
        await runner.run(ended)
        run = asyncio.create_task(runner.run(other))
        assert "begun" == await said(pipe)
        ended.stopping.set()
        await asyncio.wait([run], timeout=0.2)
        assert not run.done()
        other.stopping.set()
        assert "told to stop" == await said(pipe)
        assert SUCCEEDED == await run


async def test_a_run_that_is_cancelled_is_cancelled_in_the_worker(runner: ProcessRunner, pipe: Path) -> None:
    """The job sees the cancellation and may clean up."""
    assignment = to_do("sleeps", path=pipe)
    run = asyncio.create_task(runner.run(assignment))
    assert "begun" == await said(pipe)
    assignment.stopping.why = "the node stopped"
    run.cancel()
    assert "cancelled" == await said(pipe)
    assert Ending(Outcome.INTERRUPTED, "the node stopped") == await run


@pytest.mark.parametrize("deed", ["loops", "is_deaf", "swallows"])
async def test_a_run_that_is_cancelled_and_goes_on_is_killed(runner: ProcessRunner, pipe: Path, deed: str) -> None:
    """However often it is cancelled, after a short patience its worker is gone."""
    assignment = to_do(deed, path=pipe)
    run = asyncio.create_task(runner.run(assignment))
    assert "begun" == await said(pipe)
    assignment.stopping.why = "the job was deleted"
    async with asyncio.timeout(PATIENCE):
        while not run.done():
            run.cancel()
            await asyncio.wait([run], timeout=0.1)
    assert Ending(Outcome.INTERRUPTED, "the job was deleted") == await run


@pytest.mark.parametrize("deed", ["loops", "sleeps"])
async def test_a_run_that_must_not_be_repeated_is_lost_when_it_is_cut_short(
    runner: ProcessRunner, pipe: Path, deed: str
) -> None:
    """Whether it heeds its cancellation or has to be killed: handed back it would be run again."""
    run = asyncio.create_task(runner.run(assignment := to_do(deed, key=JobKey("zoo", "once"), path=pipe)))
    assert "begun" == await said(pipe)
    assignment.stopping.why = "the node stopped"
    run.cancel()
    if deed == "sleeps":
        assert "cancelled" == await said(pipe)
    assert Ending(Outcome.LOST, "the node stopped while it ran") == await run


async def test_a_run_that_waits_for_a_worker_can_be_cancelled(pipe: Path) -> None:
    """It is handed back at once."""
    async with a_runner(processes=1) as runner:
        first = asyncio.create_task(runner.run(to_do("loops", path=pipe, options=SECOND)))
        assert "begun" == await said(pipe)
        waiting = to_do("nothing")
        run = asyncio.create_task(runner.run(waiting))
        await asyncio.wait([run], timeout=0)
        assert waiting.started_at is not None
        waiting.stopping.why = "the node stopped"
        run.cancel()
        assert Ending(Outcome.INTERRUPTED, "the node stopped") == await run
        assert not first.done()
        assert TIMED_OUT == await first


async def test_a_run_that_was_given_up_before_it_began(runner: ProcessRunner) -> None:
    """No worker is asked."""
    assignment = to_do("bombs")
    assignment.stopping.why = "the node stopped"
    assert Ending(Outcome.INTERRUPTED, "the node stopped") == await runner.run(assignment)


# --- what is written


async def test_output_is_logged_once(runner: ProcessRunner) -> None:
    """What a job and its children print is one entry of the log, which names the run."""
    with capture_logs() as entries:
        await runner.run(to_do("prints"))
    assert [
        {
            "event": "output of a worker process",
            "log_level": "info",
            "group": "zoo/async",
            "job": str(UUID(int=1)),
            "run": 7,
            "attempt": 1,
            "output": "hello\nworld\nfrom a shell\n",
            "more_bytes": 0,
        }
    ] == [entry for entry in entries if "run" in entry]  # workers of other tests may go meanwhile


async def test_a_flood_is_cut(runner: ProcessRunner) -> None:
    """Of what is too much the beginning is kept, and the rest is counted."""
    with capture_logs() as entries:
        await runner.run(to_do("floods"))
    [(output, more)] = [(entry["output"], entry["more_bytes"]) for entry in entries if "run" in entry]
    assert ("x" * OUTPUT_KEPT, 320 * 2**20 - OUTPUT_KEPT) == (output, more)


async def test_what_a_run_says_crosses(runner: ProcessRunner, tmp_path: Path) -> None:
    """Its log, its progress, a result as large as one may be, and the jobs that are to follow."""
    assignment = to_do("says_and_answers", path=tmp_path / "notes")
    ending = await runner.run(assignment)

    assert (Outcome.SUCCEEDED, json.dumps('"' * 32_000)) == (ending.outcome, ending.result)
    assert "half done" in (ending.log or "")
    [job] = ending.follow_ups
    assert (SYNC, {"when": "2026-01-01T01:00:00Z", "deed": "nothing", "path": os.devnull}) == (job.key, job.request)
    assert str(job.id) in (tmp_path / "notes").read_text()


async def test_what_a_run_said_outlives_its_worker(runner: ProcessRunner) -> None:
    """What led to the end is what people look for."""
    assignment = to_do("says_and_is_killed")
    ending = await runner.run(assignment)

    assert (Outcome.FAILED, True) == (ending.outcome, ending.fatal)
    assert "about to go" in (ending.log or "")
    assert Progress(1, 2, "on the way") == assignment.progress


async def test_a_traceback_crosses(runner: ProcessRunner) -> None:
    """It is that of the plugin."""
    assert "tests/rogues.py" in ((await runner.run(to_do("raises"))).traceback or "")


async def test_the_log_of_a_job_is_the_log_of_the_node(capfd: pytest.CaptureFixture[str]) -> None:
    """What a job says by `context.log` comes out where the node's own log does, in the same form."""
    async with a_runner(processes=1) as runner:
        await runner.run(to_do("logs"))
    [line] = [line for line in capfd.readouterr().err.splitlines() if "said by a job" in line]
    assert {"event": "said by a job", "colour": "blue", "run": 7}.items() <= json.loads(line).items()
