"""Names and numbers of the pages are those of the code."""

import ast
import re
import shlex
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args
from uuid import UUID

import psycopg
import structlog

from mainspring import logs
from mainspring.cli.exits import INTERRUPTED, NOT_WELL, REFUSED, UNAVAILABLE
from mainspring.clock import SystemClock
from mainspring.errors import ConfigError, PortTakenError
from mainspring.execution import runner
from mainspring.execution.endings import REASON_LENGTH
from mainspring.job import (
    AGING,
    FIRST_PRIORITY,
    LAST_PRIORITY,
    PRIORITY,
    Backoff,
    Ending,
    Hold,
    JobKey,
    Limits,
    Options,
    Outcome,
    Pause,
    RetryPolicy,
    Scope,
    State,
    events,
    history,
    lifecycle,
    retry,
)
from mainspring.job.retry import backoff_delay
from mainspring.plugins import SchedulerJob
from mainspring.schedule import Once
from mainspring.settings import TABLE, Settings
from mainspring.store.postgres.schema import upgrade_schema
from mainspring.store.sqlite.file import check_schema
from mainspring.store.sqlite.store import SqliteStore
from mainspring.web import body
from mainspring.web.endpoints import jobs
from tests.cluster.process import Process
from tests.docs.reading import ROOT, blocks, table
from tests.postgres import PostgresServer, temporary_database

OPERATIONS = "docs/operations.md"
CONCEPTS = "docs/concepts.md"
SOURCE = ROOT / "src/mainspring"


def words(cell: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def flowing(page: str) -> str:
    """Return the text of a page without the ends of its lines."""
    return " ".join((ROOT / page).read_text().split())


def logged(*announced: events.Event) -> dict[str, tuple[set[str], set[str]]]:
    """Return what the log says of these events: for each line its levels and its fields."""
    bus = events.Events()
    said: dict[str, tuple[set[str], set[str]]] = {}
    with structlog.testing.capture_logs() as lines:
        logs.subscribe(bus, Settings(log_level="debug"))
        for event in announced:
            bus.announce(event)
    for line in lines:
        levels, fields = said.setdefault(line["event"], (set(), set()))
        levels.add(line["log_level"])
        fields |= {name.replace("exc_info", "exception") for name in line.keys() - {"event", "log_level"}}
    return said


def one_of_each() -> list[events.Event]:
    """Return an event of each kind; runs that ended well and badly."""
    key, now = JobKey("vps4", "backups"), datetime(2026, 1, 1, tzinfo=UTC)
    waiting = lifecycle.create(
        job_id=UUID(int=1), key=key, request={}, trigger=Once(now), options=Options(), now=now, calendars={}
    ).job
    job = waiting._replace(state=State.RUNNING, run=1, node="node", claimed_at=now)
    good, bad = (
        history.ended(job, Ending(outcome), started_at=now, now=now) for outcome in (Outcome.SUCCEEDED, Outcome.FAILED)
    )
    every: list[events.Event] = [
        events.NodeStarted("node", ("vps4/backups",)),
        events.NodeStopping("node", 2, 10.0),
        events.RunsInterrupted("node", 2, "the grace period is over"),
        events.RunLeft(job, "the store did not answer"),
        events.NodeStopped("node"),
        events.NodeLost("node", "silent"),
        events.NodeBuried("node"),
        events.TurnFailed("claim", ValueError()),
        events.StoreFailed(("claim", "beat"), ValueError(), 60.0),
        events.StoreRecovered(("claim", "beat"), 62.0),
        events.PluginFailed(key, ValueError()),
        events.JobScheduled(job),
        events.JobChanged(job, "paused"),
        events.JobDeleted(job),
        events.JobPaused(job),
        events.ScopePaused(Pause(Scope("vps4"), Hold(now, "it burns"), now)),
        events.ScopeResumed(Scope("vps4")),
        events.LimitsChanged(Scope("vps4"), Limits()),
        events.RunStarted(job),
        events.RunFinished(good, job),
        events.RunFinished(bad, job),
        events.GaveUp(bad, job),
        events.RunRefused(good),
        events.LoopBlocked((key,), job, 2.0, "jobs.py:7 (Job.execute)", over=False),
        events.ThreadsStuck((key,), 20, "jobs.py:7 (Job.execute)", over=False),
    ]
    assert {type(event) for event in every} == set(get_args(events.Event))
    return every


def test_events_of_the_log() -> None:
    """Operations lists each event that becomes a line, with its level and its fields."""
    listed = {
        words(row[0])[0]: (set(re.findall("debug|info|warning|error", row[1])), set(words(row[2])))
        for row in table(OPERATIONS, "event")
    }
    assert listed == logged(*one_of_each())


def test_other_lines_of_the_log() -> None:
    """What else the log says is listed too, and what is listed is still said somewhere."""
    listed = {words(row[0])[0] for row in table(OPERATIONS, "line")}
    trees = [ast.parse(path.read_text()) for path in SOURCE.rglob("*.py") if path.name != "logs.py"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    assert listed <= {node.value for node in nodes if isinstance(node, ast.Constant)}
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("log"), attr=level), args=[ast.Constant(event)]):
                assert level not in {"debug", "info", "warning", "error"} or event in listed
            case _:
                continue


def test_exit_codes() -> None:
    """Operations lists the codes that the command line leaves with."""
    wrong_usage = 2
    codes = {0, wrong_usage, REFUSED, NOT_WELL, UNAVAILABLE, INTERRUPTED, ConfigError.exit_code}
    assert PortTakenError.exit_code in codes
    assert sorted(codes) == [int(row[0]) for row in table(OPERATIONS, "exit code")]


def test_settings_of_operations() -> None:
    """The settings that operations explains exist."""
    assert {words(row[0])[0] for row in table(OPERATIONS, "setting")} <= TABLE.keys()


def test_outcomes_and_states() -> None:
    """Concepts has a row for each outcome, and names each state."""
    assert {outcome.value for outcome in Outcome} == {words(row[0])[0] for row in table(CONCEPTS, "outcome")}
    (state,) = (row[1] for row in table(CONCEPTS, "word") if row[0] == "**state**")
    assert {state.value for state in State} == set(words(state))


def test_numbers_of_concepts() -> None:
    """Tries, pauses and limits are the defaults of the code."""
    text = flowing(CONCEPTS)
    tries = RetryPolicy().max_attempts
    assert f"After `max_attempts` of them ({tries} by default)" in text
    assert SchedulerJob.max_attempts == tries
    pauses = [f"{backoff_delay(Backoff(), n, 0).total_seconds():g}" for n in range(1, tries)]
    assert f"up to {', '.join(pauses[:-1])} and {pauses[-1]} seconds" in text
    assert Backoff() == Backoff(timedelta(seconds=1), 3, timedelta(hours=1))
    assert "`initial` one second, `factor` 3, `longest` one hour" in text
    assert timedelta(hours=1) == SchedulerJob.timeout
    assert retry.POISON == len(["first", "second", "third"])
    assert "after two losses in [quarantine]" in text
    assert "after this third death it gives up" in text
    assert f"after {retry.HOPELESS} times for one fire time it gives up on it" in text
    assert f"After {retry.HOPELESS} losses for one fire time the job gives up on it" in text
    assert "PT10S" == TABLE["lease"].default
    assert f"from {LAST_PRIORITY} (last) to {FIRST_PRIORITY} (first). It is {PRIORITY} unless" in text
    assert f"one priority higher for every {AGING // timedelta(minutes=1)} minutes" in text


def test_example_of_attempts() -> None:
    """The failures of the example count as the example says, and then the job gives up."""
    now, key = datetime(2026, 1, 1, tzinfo=UTC), JobKey("vps4", "backups")
    job = lifecycle.create(
        job_id=UUID(int=1), key=key, request={}, trigger=Once(now), options=Options(), now=now, calendars={}
    ).job
    rows = table(CONCEPTS, "attempt")
    for attempt, outcome, failures, then in rows:
        job = job._replace(state=State.RUNNING, run=int(attempt), attempt=int(attempt), node="node", claimed_at=now)
        ending = Ending(Outcome(outcome.strip("`")))
        run = history.ended(job, ending, started_at=now, now=now)
        job = lifecycle.after(job, run, ending, policy=RetryPolicy(max_attempts=3), now=now, chance=0, calendars={}).job
        assert (int(failures), then == "gives up") == (job.failures, job.state is State.DONE)
    revived = lifecycle.retry(job, now=now)
    assert (0, len(rows)) == (revived.failures, revived.attempt)


def test_numbers_of_guides() -> None:
    """Limits that the guides name are those of the code."""
    operations, plugins = flowing(OPERATIONS), flowing("docs/plugins.md")
    assert f"at most {body.BODY_LIMIT // 1024} KiB, a page at most {jobs.LIMIT} jobs" in operations
    assert f"has at most {REASON_LENGTH} characters" in operations
    assert f"cut at {REASON_LENGTH} characters" in plugins
    assert f"takes longer than {runner.VETO_SECONDS:g} seconds" in plugins
    assert f"at most {TABLE['threads'].default} do at once" in plugins


def test_grants_are_enough(tmp_path: Path, postgres: PostgresServer) -> None:
    """A service whose role has the rights that operations names, and no more, takes a job and runs it."""
    grants, _ = (block.text for block in blocks(OPERATIONS, "sql"))
    with temporary_database(postgres.url()) as url:
        upgrade_schema(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create role app login")
            connection.execute(grants.encode())
        app = re.sub("//[^@]+@", "//app@", url)
        with Process.serve(app, tmp_path, "--log-level", "debug") as service:
            job = service.create(when="2026-01-01T00:00:00Z", path=str(tmp_path / "record.txt"))
            service.wait_for("run finished", job=job, outcome="succeeded")


def test_run_numbers_can_be_moved_on(postgres: PostgresServer) -> None:
    """The statement for PostgreSQL after a restore does what it says."""
    _, moves = (block.text for block in blocks(OPERATIONS, "sql"))
    with temporary_database(postgres.url()) as url:
        upgrade_schema(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(moves.splitlines()[0].encode())
            assert (1_000_001,) == connection.execute("select nextval('mainspring.fence')").fetchone()


async def test_a_file_can_be_copied_while_it_is_used(tmp_path: Path) -> None:
    """The copy of a SQLite file in use is a job store, and its run numbers can be moved on too."""
    _, moves = (block.text for block in blocks(OPERATIONS, "sql"))
    (command,) = (block.text for block in blocks(OPERATIONS, "sh") if "vacuum into" in block.text)
    _, name, statement = shlex.split(command.splitlines()[-1])
    store = SqliteStore(tmp_path / name, SystemClock())
    await store.open()
    with closing(sqlite3.connect(tmp_path / name)) as original:
        original.execute(statement.replace("backup.db", str(tmp_path / "backup.db")))
    await store.close()
    check_schema(tmp_path / "backup.db")
    with closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        backup.execute(moves.splitlines()[1])
        assert (1_000_000,) == backup.execute("select run from fence").fetchone()
