"""What only the SQLite store has: a file that must be the right one and its own, and a thread that commits for many."""

import asyncio
import contextlib
import os
import pwd
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mainspring.clock import ManualClock
from mainspring.errors import ConfigError, ConflictError, SchemaError, StoreUnavailableError
from mainspring.job import Counts
from mainspring.store.sqlite import backend
from mainspring.store.sqlite import thread as sqlite
from mainspring.store.sqlite.store import SqliteStore
from tests.contract.build import a_job, opened

# ruff: noqa: ASYNC220, ASYNC240 - these tests are about files and processes, and nothing else waits meanwhile

HOLD = """
import asyncio, pathlib, sys
from mainspring.clock import SystemClock
from mainspring.store.sqlite import SqliteStore
asyncio.run(SqliteStore(pathlib.Path(sys.argv[1]), SystemClock()).open())
print("open", flush=True)
input()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "jobs.db"


@pytest.fixture
def store(path: Path) -> SqliteStore:
    """A store that is not open yet."""
    return SqliteStore(path, ManualClock())


async def refusal(store: SqliteStore, kind: type[ConfigError] = ConfigError) -> str:
    """Try to open a store; say why it was refused."""
    with pytest.raises(ConfigError) as caught:
        await store.open()
    assert kind is caught.type
    return str(caught.value)


def execute(path: Path, statement: str) -> None:
    """Change a database from outside."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


# --- the file


async def test_second_store_on_a_file_is_refused(store: SqliteStore, path: Path) -> None:
    """The refusal names the process that has the file and what to do instead; the first one is not disturbed."""
    async with opened(store):
        words = await refusal(SqliteStore(path, ManualClock()))

        assert f"{path} is in use by another process (pid {os.getpid()})" in words
        assert "PostgreSQL" in words
        assert [] == await store.nodes()


async def test_second_process_on_a_file_is_refused(store: SqliteStore, path: Path) -> None:
    """The lock holds between processes, and is gone with its holder, however that ended."""
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert f"(pid {holder.pid})" in await refusal(store)
        holder.kill()

    async with opened(store):
        assert [] == await store.nodes()


async def test_file_is_free_after_close(store: SqliteStore, path: Path) -> None:
    """Jobs are found again by whoever opens the file next."""
    job = a_job()
    async with opened(store):
        await store.add([job])

    async with opened(SqliteStore(path, ManualClock())) as other:
        assert job == await other.get(job.id)


async def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Requests may hold secrets: nobody else can read what the store makes, with whatever umask it runs."""
    folder = tmp_path / "new" / "state"
    before = os.umask(0)
    try:
        async with opened(SqliteStore(folder / "jobs.db", ManualClock())) as store:
            await store.add([a_job()])
            modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    finally:
        os.umask(before)

    assert dict.fromkeys(["jobs.db", "jobs.db-shm", "jobs.db-wal", "jobs.db.lock"], 0o600) == modes
    assert 0o700 == folder.stat().st_mode & 0o777


@pytest.mark.parametrize("content", [b"Dear diary,\n" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
async def test_wrong_file_is_refused(store: SqliteStore, path: Path, content: bytes) -> None:
    """A file that is no database is left as it is."""
    path.write_bytes(content)

    assert f"{path} is not a usable SQLite database" in await refusal(store)

    assert content == path.read_bytes()


async def test_database_of_another_application_is_refused(store: SqliteStore, path: Path) -> None:
    """A database that has a table of ours, which is not ours, is left as it is."""
    execute(path, "create table jobs (wanted text)")

    assert "table jobs already exists" in await refusal(store, SchemaError)

    with contextlib.closing(sqlite3.connect(path)) as db:
        assert [("jobs",)] == db.execute("select name from sqlite_master").fetchall()


async def test_newer_schema_is_refused(store: SqliteStore, path: Path) -> None:
    """An older Mainspring does not touch the jobs of a newer one, and lets go of the file."""
    async with opened(store):
        pass
    execute(path, "update alembic_version set version_num = '9999'")

    with pytest.raises(SchemaError, match="version 9999, newer than this Mainspring knows") as caught:
        await store.open()

    assert caught.tb is not None, "while the error is told, the connection is closed already"
    assert {"jobs.db", "jobs.db.lock"} == {file.name for file in path.parent.iterdir()}


async def test_refused_store_opens_when_the_cause_is_gone(store: SqliteStore, path: Path) -> None:
    """A refusal leaves nothing behind in the store."""
    path.write_text("Dear diary,\n" * 100, "utf-8")
    await refusal(store)
    path.unlink()

    async with opened(store):
        assert [] == await store.nodes()


async def test_upgrade_that_failed_leaves_nothing(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema is made whole or not at all, so that the next start can make it."""
    with monkeypatch.context() as patch:
        patch.setattr("mainspring.store.migrations.statements", lambda *_: ["create table jobs (id)", "oops"])
        assert "oops" in await refusal(store, SchemaError)

    async with opened(store):
        assert [] == await store.nodes()


async def test_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    """A fresh machine needs no preparation."""
    async with opened(SqliteStore(tmp_path / "a" / "b" / "jobs.db", ManualClock())) as store:
        assert [] == await store.nodes()


async def test_folder_that_is_a_file_is_refused(path: Path) -> None:
    """A path that cannot be is named."""
    path.write_text("", "utf-8")
    below = path / "jobs.db"

    assert str(below) in await refusal(SqliteStore(below, ManualClock()))


async def test_path_that_is_a_folder_is_refused(store: SqliteStore, path: Path) -> None:
    """A folder is no file."""
    path.mkdir()

    assert f"{path} is no file" in await refusal(store)


@contextlib.contextmanager
def nobody_special() -> Iterator[None]:
    """Be no root meanwhile, to whom every folder is open."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


async def test_folder_that_is_closed_is_refused(store: SqliteStore, path: Path) -> None:
    """Missing rights are told, with the path."""
    path.parent.chmod(0o500)
    with nobody_special():
        words = await refusal(store)

    assert f"{path} cannot be opened: Permission denied" in words


@pytest.mark.parametrize("umask", [0o777, 0o700, 0o077, 0])
async def test_umask_does_not_matter(tmp_path: Path, umask: int) -> None:
    """What is made can be used by its owner, and by nobody else."""
    folder = tmp_path / "new" / "state"
    async with opened(SqliteStore(None, ManualClock())):
        pass  # what is imported for that may lie where nobody else can read it
    before = os.umask(umask)
    try:
        with nobody_owns(tmp_path):
            for _ in range(2):
                async with opened(SqliteStore(folder / "jobs.db", ManualClock())) as store:
                    await store.add([a_job()])
            modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    finally:
        os.umask(before)

    assert {0o600} == modes
    assert [0o700, 0o700] == [path.stat().st_mode & 0o777 for path in (folder, folder.parent)]


@contextlib.contextmanager
def nobody_owns(folder: Path) -> Iterator[None]:
    """Be no root meanwhile, in a folder of one's own; those above it can be entered."""
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        for parent in folder.parents:
            parent.chmod(parent.stat().st_mode | 0o011)
    with nobody_special():
        yield


def linked(path: Path) -> None:
    """Make a link to a file that is fine."""
    path.with_name("other").touch(0o600)
    path.symlink_to(path.with_name("other"))


def loose(path: Path) -> None:
    """Make a file that everybody may write to."""
    path.touch()
    path.chmod(0o666)


def foreign(path: Path) -> None:
    """Make a file of another user."""
    path.touch(0o600)
    os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)


STRANGE: dict[str, Callable[[Path], None]] = {
    "a link": linked,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a loose file": loose,
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
}
if os.geteuid() == 0:  # only root can give a file away
    STRANGE["a foreign file"] = foreign


@pytest.mark.parametrize("suffix", ["", ".lock", "-wal", "-shm"])
@pytest.mark.parametrize("kind", STRANGE)
async def test_strange_file_is_refused(store: SqliteStore, path: Path, kind: str, suffix: str) -> None:
    """By the check, by upgrade and by a service, without opening it: somebody else could change or read jobs by it."""
    there = path.with_name(path.name + suffix)
    STRANGE[kind](there)
    before = there.lstat()

    with pytest.raises(ConfigError, match=re.escape(str(there))):
        backend.check(f"sqlite:///{path}")
    with pytest.raises(ConfigError, match=re.escape(str(there))):
        await asyncio.to_thread(backend.upgrade, f"sqlite:///{path}")
    assert str(there) in await refusal(store)
    assert before == there.lstat()


@contextlib.contextmanager
def no_room() -> Iterator[None]:
    """No file can grow meanwhile."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("is_there", [False, True])
async def test_full_disk_is_told(store: SqliteStore, path: Path, is_there: bool) -> None:  # noqa: FBT001 - or new
    """That may pass, so it is no fault of the configuration; the sentence names the place."""
    if is_there:
        async with opened(store):
            pass
    with no_room():
        with pytest.raises(StoreUnavailableError, match=f"{path} cannot be kept"):
            backend.check(f"sqlite:///{path}")
        with pytest.raises(StoreUnavailableError, match=f"Make room in {path.parent}"):
            await store.open()
    async with opened(store):
        assert [] == await store.nodes()


async def test_disk_that_fills_up_is_told(store: SqliteStore) -> None:
    """A write that there is no room for is refused, and the next goes well when there is room."""
    async with opened(store):
        with no_room(), pytest.raises(StoreUnavailableError):
            await store.add([a_job() for _ in range(100)])
        await store.add([a_job()])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_small_disk_that_is_full(tmp_path: Path) -> None:
    """The real thing, where it can be had."""
    mount = ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with contextlib.suppress(OSError):
            (tmp_path / "filler").write_bytes(bytes(1 << 20))
        for verb in (backend.check, backend.upgrade):
            with pytest.raises(StoreUnavailableError, match="No space left on device"):
                verb(f"sqlite:///{tmp_path}/jobs.db")
    finally:
        subprocess.run(["/usr/bin/umount", tmp_path], check=True)


BROKEN: dict[str, Callable[[Path], Path]] = {
    "a closed folder": lambda folder: close(folder) / "jobs.db",
    "a folder that cannot be made": lambda folder: close(folder) / "deeper" / "jobs.db",
    "a file in the way": lambda folder: made(folder / "jobs.txt") / "jobs.db",
    "a file for reading": lambda folder: close(made(folder / "jobs.db"), 0o444),
    "a lock of somebody else": lambda folder: close(made(folder / "jobs.db.lock"), 0o400).with_suffix(""),
    "a folder of that name": lambda folder: made(folder / "jobs.db", Path.mkdir),
}


def close(path: Path, mode: int = 0o500) -> Path:
    """Leave others no right to write."""
    path.chmod(mode)
    return path


def made(path: Path, make: Callable[[Path], None] = Path.touch) -> Path:
    """Make a file or folder."""
    make(path)
    return path


@pytest.mark.parametrize("broken", BROKEN)
async def test_check_finds_what_a_service_would(broken: str) -> None:
    """Whatever keeps the store from being opened is found without it, and nothing is made."""
    with tempfile.TemporaryDirectory() as name:  # nobody may not enter `tmp_path`
        folder = close(Path(name), 0o777)
        path = BROKEN[broken](folder)
        before = set(folder.rglob("*"))
        with nobody_special():
            with pytest.raises(ConfigError, match=re.escape(str(path))):
                backend.check(f"sqlite:///{path}")
            assert before == set(folder.rglob("*"))
            await refusal(SqliteStore(path, ManualClock()))


def test_check_of_what_a_service_would_make(tmp_path: Path) -> None:
    """A file that is not there yet is no fault; its full path is told."""
    assert f"There is no {tmp_path}/a/b/jobs.db yet" in backend.check(f"sqlite:///{tmp_path}/a/b/jobs.db")


def test_upgrade_says_what_it_did(path: Path) -> None:
    """A file is made once."""
    assert "was made" in backend.upgrade(f"sqlite:///{path}")
    assert "nothing to do" in backend.upgrade(f"sqlite:///{path}")


# --- the thread


class Commits:
    """The groups of calls that were committed together; the first of a crowd waits for `released`."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.released = threading.Event()
        self.released.set()

    def together(self, db: sqlite3.Connection, calls: Sequence[Any], begin: str) -> None:
        """Stand in for `_commit_together`: note the call, and do it."""
        self.released.wait()
        self.sizes.append(len(calls))
        _commit_together(db, calls, begin)

    async def crowd(self, *calls: Coroutine[Any, Any, object]) -> list[object]:
        """Make calls, all of which arrive while the first is committed; return their answers."""

        async def release() -> None:
            self.released.set()

        self.sizes.clear()
        self.released.clear()
        return (await asyncio.gather(*calls, release(), return_exceptions=True))[:-1]


_commit_together = sqlite.commit_together


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    """Watch the commits."""
    commits = Commits()
    monkeypatch.setattr(sqlite, "commit_together", commits.together)
    return commits


async def test_writers_share_a_commit(store: SqliteStore, commits: Commits) -> None:
    """Whatever arrives while a commit is under way goes into the next one."""
    async with opened(store):
        answers = await commits.crowd(*(store.add([a_job()]) for _ in range(100)))

    assert [None] * 100 == answers
    assert len(commits.sizes) <= 2
    assert 100 == sum(commits.sizes)


async def test_call_that_fails_hurts_no_other(store: SqliteStore, commits: Commits) -> None:
    """In a shared commit each call is undone alone."""
    first, twice, last = a_job(), a_job(), a_job()
    async with opened(store):
        calls = ([first], [twice], [a_job(), twice], [last])
        answers = await commits.crowd(*map(store.add, calls))

        assert [type(None), type(None), ConflictError, type(None)] == [type(answer) for answer in answers]
        assert {first.key: Counts({first.state: 3})} == await store.counts()


async def test_failure_of_the_database_is_told(store: SqliteStore, path: Path) -> None:
    """What the database cannot do is no empty answer, and the next call may succeed."""
    async with opened(store):
        execute(path, "alter table nodes rename to away")
        with pytest.raises(StoreUnavailableError, match="no such table"):
            await store.nodes()

        execute(path, "alter table away rename to nodes")
        assert [] == await store.nodes()
