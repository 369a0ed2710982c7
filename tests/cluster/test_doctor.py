"""Broken situations: ``doctor`` says in the right row what is wrong, and a service that starts there agrees."""

import json
import re
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from mainspring.store.postgres.schema import upgrade_schema
from tests.cluster.process import PLUGIN, Process
from tests.cluster.test_startup import EX_CONFIG, EX_UNAVAILABLE, mainspring, refused
from tests.pooler import pooler
from tests.postgres import PostgresServer, temporary_database

Arrange = Callable[[Path, str], AbstractContextManager[tuple[str, ...]]]


class Situation(NamedTuple):
    """What is broken, by a function from a folder and an empty database to flags; who says what; how a service ends."""

    arrange: Arrange
    row: str
    says: str
    code: int


def flags(*given: str) -> AbstractContextManager[tuple[str, ...]]:
    """Nothing but flags is needed."""
    return nullcontext(given)


def with_schema(url: str, *changes: str) -> str:
    """Make the schema and change something."""
    upgrade_schema(url)
    with psycopg.connect(url) as connection:
        for change in changes:
            connection.execute(change.encode())
    return url


def letter(folder: Path) -> Path:
    """Return a file that is no database."""
    path = folder / "letter.txt"
    path.write_text("Dear Sir or Madam,\n" * 100)
    return path


@contextmanager
def behind_a_pooler(_folder: Path, url: str) -> Iterator[tuple[str, ...]]:
    """A pooler before a database that is fine."""
    with_schema(url)
    with pooler(url) as other:
        yield ("--store", other)


@contextmanager
def a_taken_port(_folder: Path, _url: str) -> Iterator[tuple[str, ...]]:
    """Somebody who is no Mainspring has the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.settimeout(0.1)
        threading.Thread(target=hang_up, args=(taken,), daemon=True).start()
        yield ("--store", "memory:", "--port", str(taken.getsockname()[1]))


@contextmanager
def a_standby(_folder: Path, _url: str) -> Iterator[tuple[str, ...]]:
    """A server that waits for a primary."""
    with PostgresServer() as server:
        url = with_schema(server.create_database("jobs"))
        server.stop()
        server.become_standby()
        server.start()
        yield ("--store", url)


@contextmanager
def a_full_disk(folder: Path, _url: str) -> Iterator[tuple[str, ...]]:
    """No file of ours can grow: a limit that our children inherit does what a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield ("--store", f"sqlite:///{folder}/jobs.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def loose(folder: Path) -> Path:
    """Return a file that everybody may write to."""
    path = folder / "jobs.db"
    path.touch()
    path.chmod(0o666)
    return path


def hang_up(listener: socket.socket) -> None:
    """Close what is opened, until the listener is closed."""
    while listener.fileno() >= 0:
        try:
            listener.accept()[0].close()
        except TimeoutError:
            continue
        except OSError:
            return


NO_SERVER = "postgresql://app:secret@127.0.0.1:1/jobs"
SITUATIONS = {
    "a setting that is wrong": Situation(
        lambda *_: flags("--port", "x"), "settings", "port: 'x' (flag --port) is not a whole number", EX_CONFIG
    ),
    "a plugin that is missing": Situation(
        lambda *_: flags("--store", "memory:", "--plugin", "absent:Module"), "plugins", "absent:Module", EX_CONFIG
    ),
    "a file that is no database": Situation(
        lambda folder, _: flags("--store", f"sqlite:///{letter(folder)}"), "store", "not a usable SQLite", EX_CONFIG
    ),
    "a folder that is none": Situation(
        lambda folder, _: flags("--store", f"sqlite:///{letter(folder)}/jobs.db"),
        "store",
        "letter.txt/jobs.db cannot be opened",
        EX_CONFIG,
    ),
    "no schema": Situation(lambda _, url: flags("--store", url), "store", "mainspring db upgrade", EX_CONFIG),
    "a schema that is newer": Situation(
        lambda _, url: flags("--store", with_schema(url, "update mainspring.alembic_version set version_num = '9999'")),
        "store",
        "is version 9999, newer than this Mainspring knows",
        EX_CONFIG,
    ),
    "a right that is missing": Situation(
        lambda _, url: flags("--store", with_schema(url, *without_fence()) + "?options=-crole%3Dmainspring_test_app"),
        "store",
        "grant usage on sequence mainspring.fence to mainspring_test_app;",
        EX_CONFIG,
    ),
    "a parameter that only one driver knows": Situation(
        lambda _, url: flags("--store", f"{with_schema(url)}?connect_timeout=3"), "store", "connect_timeout", EX_CONFIG
    ),
    "a pooler": Situation(behind_a_pooler, "store", "a connection pooler such as PgBouncer", EX_CONFIG),
    "a database that is away": Situation(
        lambda *_: flags("--store", NO_SERVER), "store", "127.0.0.1:1/jobs cannot be reached", EX_UNAVAILABLE
    ),
    "a database that takes no writes": Situation(a_standby, "store", "takes no writes", EX_UNAVAILABLE),
    "a disk that is full": Situation(a_full_disk, "store", "jobs.db cannot be kept", EX_UNAVAILABLE),
    "a file that everybody may write to": Situation(
        lambda folder, _: flags("--store", f"sqlite:///{loose(folder)}"), "store", "chmod o-w", EX_CONFIG
    ),
    "a port that is taken": Situation(a_taken_port, "port", "is taken by another process", EX_UNAVAILABLE),
}


def without_fence() -> list[str]:
    """Return what makes a role with all rights but one."""
    return [
        "do $$ begin create role mainspring_test_app; exception when duplicate_object then null; end $$",
        "grant usage on schema mainspring to mainspring_test_app",
        "grant select, insert, update, delete on all tables in schema mainspring to mainspring_test_app",
    ]


def rows(out: str) -> dict[str, tuple[str, str]]:
    """Return verdict and detail of each finding that the doctor printed."""
    found: dict[str, tuple[str, str]] = {}
    name = ""
    for line in out.splitlines()[1:]:
        if first := re.match(r"(\S+) +(\S+) +(.*)", line.rstrip()):
            found[name := first[1]] = (first[2], first[3])
        else:
            found[name] = (found[name][0], f"{found[name][1]}\n{line.strip()}")
    return found


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database."""
    with temporary_database(postgres.url()) as url:
        yield url


@pytest.mark.parametrize("name", SITUATIONS)
def test_doctor_and_service_agree(tmp_path: Path, database: str, name: str) -> None:
    """What the doctor finds wrong, in its row and no other, keeps a service from starting."""
    situation = SITUATIONS[name]
    with situation.arrange(tmp_path, database) as given:
        port = [] if "--port" in given else ["--port", "0"]
        doctor, service = (mainspring(command, *given, *port, cwd=tmp_path) for command in ("doctor", "serve"))

    found = rows(doctor.stdout)
    assert doctor.returncode == 1, doctor
    assert [situation.row] == [row for row, (verdict, _) in found.items() if verdict != "ok"]
    assert situation.says in found[situation.row][1]
    assert "secret" not in doctor.stdout
    refused(service, situation.code, situation.says)


def test_doctor_beside_a_service_that_is_well(tmp_path: Path) -> None:
    """The port is taken by the very service that is asked for: all is well."""
    store = f"sqlite:///{tmp_path / 'jobs.db'}"
    with Process.serve(store, tmp_path) as service:
        ended = mainspring("doctor", "--store", store, "--port", service.url.rpartition(":")[2], cwd=tmp_path)

    assert ended.returncode == 0, ended.stdout
    assert f"answers at {service.url}" in rows(ended.stdout)["port"][1]


class Unready(BaseHTTPRequestHandler):
    """Answers as a Mainspring of which the claims fail."""

    def do_GET(self) -> None:
        """See `BaseHTTPRequestHandler`."""
        about = self.path == "/openapi.json"
        body = {"info": {"title": "Mainspring", "version": "9"}} if about else {"detail": "claims fail"}
        self.send_response(200 if about else 503)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_doctor_beside_a_service_that_is_not_ready(tmp_path: Path) -> None:
    """It is found, and what is wrong with it is told."""
    with HTTPServer(("127.0.0.1", 0), Unready) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        ended = mainspring("doctor", "--store", "memory:", "--port", str(server.server_port), cwd=tmp_path)
        server.shutdown()
        thread.join()

    assert ended.returncode == 1
    assert rows(ended.stdout)["port"] == (
        "wrong",
        f"Mainspring 9 answers at http://127.0.0.1:{server.server_port}, but it is not ready: claims fail",
    )


def test_jobs_whose_plugin_nobody_has(tmp_path: Path) -> None:
    """The doctor and the log of a service say so, with counts; the service is ready all the same."""
    store = f"sqlite:///{tmp_path / 'jobs.db'}"
    with Process.serve(store, tmp_path) as service:
        for _ in range(2):
            service.create(when="2035-01-01T00:00:00Z", path="x")

    ended = mainspring("doctor", "--store", store, "--port", "0", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert rows(ended.stdout)["jobs"] == (
        "warning",
        "no plugin here has test/records; jobs that wait there: 2",
    )
    well = mainspring("doctor", "--store", store, "--port", "0", "--plugin", PLUGIN, cwd=tmp_path)
    assert rows(well.stdout)["jobs"][0] == "ok"

    with Process("serve", "--port", "0", "--store", store, "--log-format", "json", cwd=tmp_path) as service:
        service.url = service.wait_for("serving")["url"]
        service.wait_for("jobs wait in groups that no plugin here has", level="warning", groups="test/records: 2")
        assert any(service.ready() == 200 for _ in range(1000))
