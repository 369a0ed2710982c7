"""``mainspring jobs export`` and ``jobs import``: what is written, what is made of it, and what is told."""

import io
import json
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

import mainspring.client
from mainspring.cli.job_line import line_of, read_line
from mainspring.client import AsyncClient, Client, Job
from mainspring.client.answers import job_of
from mainspring.clock import ManualClock
from mainspring.store.postgres.schema import upgrade_schema
from tests.cli.conftest import Run
from tests.client.conftest import NOON, Handler, client_with, no_pauses
from tests.cluster.process import Process
from tests.postgres import PostgresServer, temporary_database

__all__ = ["no_pauses"]

RECORDS = ("test", "records")
FAR = "2035-01-01T00:00:00Z"
MONTHLY = {"every": "P1M", "start": "2026-01-31T10:00:00Z", "count": 300}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The service that jobs come from, on SQLite."""
    folder = tmp_path_factory.mktemp("here")
    with Process.serve(f"sqlite:///{folder}/jobs.db", folder) as process:
        yield process


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Process]:
    """The service that they go to, on PostgreSQL."""
    with temporary_database(postgres.url()) as url:
        upgrade_schema(url)
        with Process.serve(url, tmp_path_factory.mktemp("there")) as process:
            yield process


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins with services that have no jobs."""
    yield
    for name in {"here", "there"} & {*request.fixturenames}:
        with Client(request.getfixturevalue(name).url) as client:
            for job in [*client.jobs()]:
                client.delete(job)


def facts(process: Process) -> dict[str, Any]:
    """Return what a service knows of its jobs, but for what does not travel."""
    with Client(process.url) as client:
        return {
            job.id: (
                job.ref,
                job.state,
                job.next_run,
                job.schedule,
                {name: value for name, value in job.request.items() if name in {"path", "vmId"}},
                {name: value for name, value in job.options.items() if name != "paused"},  # the state says it
                [(pause.reason, pause.until) for pause in job.paused_by],
            )
            for job in client.jobs()
        }


def far(**more: Any) -> dict[str, Any]:
    """Return the request of a job that does not run while tests do."""
    return {"path": "/dev/null", "when": FAR, **more}


def a_line(**more: Any) -> str:
    """Return a line of a job that runs once."""
    written = {"product": "test", "jobGroup": "records", "id": str(uuid4()), "jobRequest": far(), **more}
    return json.dumps({name: value for name, value in written.items() if value is not ...}) + "\n"


def fill(client: Client) -> None:
    """Create jobs of every kind that travels."""
    first = client.create(*RECORDS, far(options={"priority": 7, "tags": ["night"], "key": "first"}))
    client.create(*RECORDS, far(options={"after": [first.id]}))
    client.put_job(*RECORDS, uuid4(), {"path": "/dev/null", "schedule": MONTHLY}, fires_from="2035-03-01T00:00:00Z")
    client.create(*RECORDS, {"path": "/dev/null", "schedule": {"cron": "H H 1 1 *", "timeZone": "Asia/Tokyo"}})
    client.create(*RECORDS, {"path": "/dev/null", "jobType": "RECURRING", "repeatIntervalInDays": 9, "when": FAR})
    client.create(*RECORDS, far(options={"paused": True}))
    held = client.create(*RECORDS, far())
    client.pause(held, reason="why", until=timedelta(days=9))
    client.create("vps4", "backups", {"vmId": str(uuid4())}, when=FAR)
    moved = client.create(*RECORDS, {"path": "/dev/null", "schedule": {"every": "P1D", "count": 10}, "when": FAR})
    client.change(moved, when="2035-02-01T00:00:00Z")


# --- from one service to another


def test_jobs_go_on_in_another_service(run: Run, here: Process, there: Process) -> None:
    """From SQLite to PostgreSQL: each is what it was, and its schedule goes on where it stood."""
    with Client(here.url) as client:
        fill(client)

    exported = run("jobs", "export", "--to", "jobs.ndjson", "--url", here.url)
    assert (0, "", "9 jobs were written.\n") == exported
    imported = run("jobs", "import", "jobs.ndjson", "--url", there.url)
    assert (0, "9 created, 0 there already, 0 refused.\n", "") == imported
    assert facts(here) == facts(there)
    assert datetime(2035, 3, 31, 10, tzinfo=UTC) in {fact[2] for fact in facts(there).values()}

    assert "0 created, 9 there already, 0 refused.\n" == run("jobs", "import", "jobs.ndjson", "--url", there.url).out
    assert facts(here) == facts(there)
    with Client(there.url) as client:
        assert {1, 2} == {job.version for job in client.jobs()}  # the second is the reason of a pause


def test_and_back(run: Run, here: Process, there: Process) -> None:
    """From PostgreSQL to SQLite, and only of one group."""
    with Client(there.url) as client:
        fill(client)
    run("jobs", "export", "vps4/backups", "--to", "one.ndjson", "--url", there.url)
    run("jobs", "export", "vps4", "--to", "same.ndjson", "--url", there.url)
    assert Path("one.ndjson").read_bytes() == Path("same.ndjson").read_bytes()
    assert "1 created" in run("jobs", "import", "one.ndjson", "--url", here.url).out
    assert {job: fact for job, fact in facts(there).items() if fact[0].product == "vps4"} == facts(here)


def test_an_import_goes_on_where_it_was_stopped(run: Run, here: Process, tmp_path: Path) -> None:
    """What is there is skipped, and lines of jobs that wait for later ones find them."""
    first = json.loads(a_line())
    waits = a_line(jobRequest=far(options={"after": [first["id"]]}))
    whole = [waits, *(a_line() for _ in range(30)), json.dumps(first) + "\n", "\n"]
    (tmp_path / "part").write_text("".join(whole[1:11]))
    (tmp_path / "whole").write_text("".join(whole))

    assert "10 created" in run("jobs", "import", "part", "--url", here.url).out
    assert "22 created, 10 there already, 0 refused." in run("jobs", "import", "whole", "--url", here.url).out


def test_the_reason_of_a_pause_is_made_up_for(run: Run, here: Process, tmp_path: Path) -> None:
    """It may have been stopped between the creation of a job and the reason; what is done to the job later is kept."""
    held = {"reason": "why", "until": "2035-01-01T00:00:00Z"}
    line = read_line(a_line(jobRequest=far(options={"paused": True}), pause=held).encode())
    (tmp_path / "line").write_text(line.text())
    with Client(here.url) as client:
        client.put_job(line.product, line.job_group, line.id, line.job_request)
        assert "0 created, 1 there" in run("jobs", "import", "line", "--url", here.url).out
        assert "why" == client.get(line.ref).paused_by[0].reason
        client.resume(line.ref)
        assert "0 created, 1 there" in run("jobs", "import", "line", "--url", here.url).out
        assert not client.get(line.ref).is_paused


def test_a_pause_that_is_over_does_not_hold(run: Run, here: Process, tmp_path: Path) -> None:
    """Its end came between export and import."""
    held = {"reason": "why", "until": "2026-01-01T00:00:00Z"}
    line = read_line(a_line(jobRequest=far(options={"paused": True}), pause=held).encode())
    (tmp_path / "line").write_text(line.text())
    assert "1 created" in run("jobs", "import", "line", "--url", here.url).out
    with Client(here.url) as client:
        assert not client.get(line.ref).is_paused


def test_lines_that_are_refused_are_told_and_the_others_go_on(run: Run, here: Process, tmp_path: Path) -> None:
    """Each with its number and all that is wrong with it."""
    taken = json.loads(a_line())
    lines = [
        json.dumps(taken) + "\n",
        "{\n",
        "[]\n",
        a_line(product="../up", id="7", jobRequest=..., more=1),
        a_line(jobRequest={"path": 1, "seconds": "x"}),
        a_line(jobGroup="recordz"),
        a_line(jobRequest=far(options={"after": [str(uuid4())]})),
        a_line(firesFrom="2036-01-01T00:00:00Z", jobRequest={"path": "/x", "schedule": {"at": [FAR]}}),
        json.dumps({**taken, "jobRequest": far(seconds=9)}) + "\n",
        a_line(),
    ]
    (tmp_path / "lines").write_text("".join(lines))
    (tmp_path / "first").write_text(lines[0])
    assert "1 created" in run("jobs", "import", "first", "--url", here.url).out

    ran = run("jobs", "import", "lines", "--url", here.url)

    assert (1, "1 created, 1 there already, 8 refused.\n") == (ran.code, ran.out)
    told = sorted(ran.err.splitlines(), key=lambda line: int(line.split(":")[1]))
    assert [2, 3, 4, 4, 4, 4, 5, 5, 5, 6, 7, 8, 9] == [int(line.split(":")[1]) for line in told]
    for number, words in (
        (2, "lines:2: is not a line of jobs export: "),
        (4, "/more"),
        (4, "/jobRequest is required"),
        (5, "/when is required"),
        (6, "did you mean test/records?"),
        (7, "UNKNOWN_JOB"),
        (8, "?firesFrom is later than the last fire time of the schedule (SCHEDULE_NEVER)"),
        (9, "JOB_EXISTS"),
    ):
        assert any(f"lines:{number}: " in line and words in line for line in told), (words, told)


def test_a_dry_run_creates_nothing(run: Run, here: Process, tmp_path: Path) -> None:
    """And tells what would be refused."""
    (tmp_path / "lines").write_text(a_line() + a_line(jobRequest={}) + a_line(jobGroup="recordz"))

    ran = run("jobs", "import", "lines", "--dry-run", "--url", here.url)

    assert (1, "1 would be created, 0 there already, 2 refused.\n") == (ran.code, ran.out)
    assert "lines:2: /path is required (REQD_FIELD_MISSING)" in ran.err
    assert {} == facts(here)


# --- files


def test_a_file_is_whole_and_for_its_owner(run: Run, here: Process, tmp_path: Path) -> None:
    """An export that does not end leaves none, and none is written over."""
    assert 0 == run("jobs", "export", "--to", "out", "--url", here.url).code
    assert 0o600 == stat.S_IMODE((tmp_path / "out").stat().st_mode)
    assert "out exists, so nothing was written." in run("jobs", "export", "--to", "out", "--url", here.url).err
    assert 69 == run("jobs", "export", "--to", "other", "--url", "http://127.0.0.1:1").code
    assert ["out"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("import", "missing"), "missing cannot be read: No such file or directory"),
        (("export", "a/b/c"), "'a/b/c' is not a product such as vps4, a job group such as vps4/backups, or *"),
        (("export", "a/"), "'a/' is not a product"),
        (("export", "--to", "no/such"), "no/such cannot be written"),
        (("export", "--url", "nowhere"), "is not an address such as"),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...], message: str) -> None:
    """It is told in a sentence, and leaves with 2."""
    ran = run("jobs", *arguments)

    assert (2, "") == (ran.code, ran.out)
    assert message in " ".join(ran.err.replace("│", " ").split())


# --- a service that fails


def answered_by(monkeypatch: pytest.MonkeyPatch, handler: Handler) -> None:
    """Have a handler answer the calls of both commands."""
    for kind in (Client, AsyncClient):
        made = partial(kind, transport=httpx2.MockTransport(handler), clock=ManualClock(NOON))
        monkeypatch.setattr(mainspring.client, kind.__name__, made)


@pytest.mark.usefixtures("no_pauses")
def test_a_service_that_goes_away_ends_an_import(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It can be run again; nothing is told of the lines that it did not come to."""
    seen: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.path)
        if len(seen) > 20:
            raise httpx2.ConnectError("refused", request=request)
        return httpx2.Response(201, json={"id": "1", "version": 1})

    answered_by(monkeypatch, handler)
    (tmp_path / "lines").write_text("".join(a_line() for _ in range(1000)))

    ran = run("jobs", "import", "lines", "--url", "http://user:secret@mainspring")

    assert (69, "") == (ran.code, ran.out)
    assert ran.err.endswith("Is the service running?\nWhat is done stays done: run the same again to go on.\n")
    assert "secret" not in ran.err
    assert len(seen) < 200


def test_a_bar_is_shown_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And what is refused stands beside it, whole."""
    answered_by(monkeypatch, lambda _: httpx2.Response(201, json={"id": "1", "version": 1}))
    (tmp_path / "lines").write_text(a_line() + "{\n" + a_line())
    assert "%" not in run("jobs", "import", "lines").err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")

    ran = run("jobs", "import", "lines")

    assert (1, "2 created, 0 there already, 1 refused.\n") == (ran.code, ran.out)
    assert "100%" in ran.err
    assert "lines:2: is not a line of jobs export" in ran.err


def test_the_file_is_read_as_it_is_needed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen lines are under way at once, whatever the length of the file."""
    read = 0
    ahead: list[int] = []

    class Endless(io.RawIOBase):
        def __iter__(self) -> Iterator[bytes]:
            nonlocal read
            for read in range(1, 2001):  # noqa: B007 - what is counted is seen by the service
                yield a_line().encode()

        def fileno(self) -> int:
            raise OSError

    def handler(_: httpx2.Request) -> httpx2.Response:
        ahead.append(read - len(ahead))
        return httpx2.Response(201, json={"id": "1", "version": 1})

    answered_by(monkeypatch, handler)
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": Endless()}))

    assert "2000 created" in run("jobs", "import", "-").out
    assert max(ahead) <= 12


# --- lines


def a_job(**more: Any) -> Job:
    """Return a daily job as the service shows it."""
    raw = {
        "id": str(uuid4()), "product": "a", "jobGroup": "b", "state": "scheduled", "nextRun": "2026-06-01T13:00:00Z",
        "jobRequest": {"x": None}, "schedule": {"every": "P1D", "start": "2026-05-01T12:00:00Z"}, "attempt": 0,
    }  # fmt: skip
    return job_of(raw | more)


def test_the_fire_time_of_what_is_tried_again_is_kept() -> None:
    """Its next run is later than that; without it the fire time would be lost."""
    last = {"scheduledFireTime": "2026-06-01T12:00:00Z", "outcome": "failed"}
    client = client_with(lambda _: httpx2.Response(500))

    retried = line_of(a_job(attempt=2, lastRun=last), client)
    running = line_of(a_job(attempt=2, lastRun=last, state="running"), client)

    assert retried is not None
    assert running is not None
    assert ["2026-06-01T12:00:00Z", "2026-06-01T13:00:00Z"] == [retried.fires_from, running.fires_from]
    assert {"x": None} == {"x": retried.job_request["x"]}
    assert line_of(a_job(state="running", nextRun=None), client) is None


def test_the_fire_time_of_what_begins_later_is_asked_for() -> None:
    """A window puts the run off; the fire time is before it."""
    client = client_with(lambda _: httpx2.Response(200, json={"fireTimes": [{"utc": "2026-06-01T12:00:00Z"}]}))
    schedule = {"every": "P1D", "window": "PT2H", "start": "2026-05-01T12:00:00Z"}

    line = line_of(a_job(schedule=schedule), client)

    assert line is not None
    assert "2026-06-01T12:00:00Z" == line.fires_from


def test_what_waited_for_a_success_waits_no_more() -> None:
    """Its job does not travel, so the other service would not know it."""
    over, failed, waiting = (str(uuid4()) for _ in range(3))

    def handler(request: httpx2.Request) -> httpx2.Response:
        found = request.url.params["q"]
        outcome = {over: "succeeded", failed: "failed"}.get(found)
        return httpx2.Response(200, json=[{"id": found, "state": "done", "outcome": outcome}] if outcome else [])

    line = line_of(a_job(options={"after": [over, failed, waiting]}), client_with(handler))

    assert line is not None
    assert [failed, waiting] == line.job_request["options"]["after"]


def test_a_line_is_read_as_it_was_written() -> None:
    """With nulls, and with text of any kind."""
    line = line_of(a_job(jobRequest={"x": None, "y": "\u2028\x00é"}), client_with(lambda _: httpx2.Response(500)))
    assert line is not None
    assert "\n" not in line.text()
    assert line == read_line(line.text().encode())
