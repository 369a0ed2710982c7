"""Mistakes at start: one clear paragraph, an exit code, no traceback; and how a process finds its plugins."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

from mainspring.clock import SystemClock
from tests.cluster.process import PLUGIN, ROOT, Process
from tests.postgres import PostgresServer, temporary_database

EX_UNAVAILABLE = 69
EX_CONFIG = 78
ALL = "0.0.0.0"  # noqa: S104 - what happens then is tested


def mainspring(
    *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "mainspring", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": f"{ROOT}:{cwd}", "PATH": "/usr/bin:/bin", **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(ended: subprocess.CompletedProcess[str], code: int, *sayings: str) -> None:
    """Assert that a command ended with that code, said those things, and showed no traceback."""
    assert code == ended.returncode, ended.stderr
    assert "Traceback" not in ended.stderr
    for saying in sayings:
        assert saying in ended.stderr


@pytest.mark.parametrize("url", ["mysql://db/jobs", "nonsense", "sqlite://jobs.db", "redis://localhost"])
def test_an_unknown_store(tmp_path: Path, url: str) -> None:
    """A store address that means nothing names what is legal."""
    refused(mainspring("serve", "--store", url, cwd=tmp_path), EX_CONFIG, "store", "postgresql://", "sqlite:///")


def test_all_plugin_mistakes_at_once(tmp_path: Path) -> None:
    """Each plugin that cannot be used is named with its reason, all in one message."""
    (tmp_path / "broken.py").write_text("import os\nraise KeyError('colour')\n")
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(3)\n")
    names = ["broken:Module", "leaving:Module", "absent.module:Module", "json:JSONDecoder", "json:Absent"]
    flags = [part for name in names for part in ("--plugin", name)]
    ended = mainspring("serve", "--store", "memory:", *flags, cwd=tmp_path)
    refused(ended, EX_CONFIG, *names, "KeyError: 'colour'", "broken.py:2", "SystemExit: 3", "'absent'")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The address is named, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = mainspring("serve", "--store", "memory:", "--port", port, cwd=tmp_path)
    refused(ended, EX_UNAVAILABLE, f"127.0.0.1:{port}", "--port")


@pytest.mark.parametrize("host", [ALL, "0", "::", "0::0"])
def test_all_addresses_without_names(tmp_path: Path, host: str) -> None:
    """Whoever can be reached from anywhere says by which names; what to set is named, also by the check."""
    flags = ("--host", host, "--port", "0", "--store", "memory:")
    refused(mainspring("serve", *flags, cwd=tmp_path), EX_CONFIG, f"host is {host}", "MAINSPRING_ALLOWED_HOSTS")
    checked = mainspring("doctor", *flags, cwd=tmp_path)
    assert 1 == checked.returncode
    assert "allowed_hosts" in checked.stdout


def test_all_addresses_by_their_names(tmp_path: Path) -> None:
    """It answers for those that are allowed and for the machine itself, and not by every address that it listens on."""
    listen = ("--host", ALL, "--allowed-hosts", "scheduler.example.com,10.9.8.7")
    with Process.serve("memory:", tmp_path, *listen) as service:
        port = urlsplit(service.url).port
        hosts = ["scheduler.example.com", "10.9.8.7", "localhost", ALL, "10.9.8.6", "example.com"]
        answers = [
            httpx2.get(f"http://127.0.0.1:{port}/api/schedulers", headers={"Host": f"{host}:{port}"}) for host in hosts
        ]
    assert [200, 200, 200, 421, 421, 421] == [answer.status_code for answer in answers]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1"])
def test_the_address_that_it_listens_on(tmp_path: Path, host: str) -> None:
    """Is answered, as the setting names it and as the log does."""
    with Process.serve("memory:", tmp_path, "--host", host) as service:
        port = urlsplit(service.url).port
        named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        answers = [httpx2.get(f"{service.url}/api/schedulers", headers=headers) for headers in ({}, {"Host": named})]
    assert [200, 200] == [answer.status_code for answer in answers]


def test_a_database_without_schema(tmp_path: Path, postgres: PostgresServer) -> None:
    """The command that makes the schema is named; after it the check passes."""
    with temporary_database(postgres.url()) as url:
        refused(mainspring("serve", "--store", url, "--port", "0", cwd=tmp_path), EX_CONFIG, "mainspring db upgrade")
        assert 0 == mainspring("db", "upgrade", "--store", url, cwd=tmp_path).returncode
        assert 0 == mainspring("db", "check", "--store", url, cwd=tmp_path).returncode


def test_a_database_that_is_away(tmp_path: Path) -> None:
    """The place is named, the password is not."""
    url = "postgresql://scheduler:secret@127.0.0.1:1/jobs"
    ended = mainspring("serve", "--store", url, "--port", "0", cwd=tmp_path)
    refused(ended, EX_UNAVAILABLE, "127.0.0.1:1/jobs")
    assert "secret" not in ended.stderr


def test_unknown_settings(tmp_path: Path) -> None:
    """Unknown keys of file and environment are named, with what was probably meant."""
    (tmp_path / "mainspring.toml").write_text('prot = 8089\nstore = "memory:"\n')
    ended = mainspring("serve", cwd=tmp_path, environ={"MAINSPRING_SOLTS": "3"})
    refused(ended, EX_CONFIG, "prot", "port", "MAINSPRING_SOLTS", "MAINSPRING_SLOTS")


def test_a_file_that_another_process_uses(tmp_path: Path) -> None:
    """A second service on the same SQLite file is refused, and told which process has it."""
    store = f"sqlite:///{tmp_path}/jobs.db"
    with Process.serve(store, tmp_path) as service:
        ended = mainspring("serve", "--store", store, "--port", "0", cwd=tmp_path)
        refused(ended, EX_CONFIG, "jobs.db", str(service.pid), "PostgreSQL")
        assert 0 == mainspring("db", "check", "--store", store, cwd=tmp_path).returncode


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """A file that is something else is refused and stays as it was."""
    file = tmp_path / "letter.txt"
    file.write_text("Dear Sir or Madam,\n" * 100)
    before = file.read_bytes()
    refused(mainspring("serve", "--store", f"sqlite:///{file}", "--port", "0", cwd=tmp_path), EX_CONFIG, "letter.txt")
    assert before == file.read_bytes()


def test_a_plugin_is_found_by_its_entry_point(tmp_path: Path) -> None:
    """An installed package that announces a module needs no flag."""
    (tmp_path / "found.py").write_text(
        "from tests.cluster.plugin import RecorderModule\nclass Found(RecorderModule):\n    pass\n"
    )
    info = tmp_path / "found-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: found\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mainspring.plugins]\nfound = found:Found\n")
    ended = mainspring("plugins", "list", "--json", cwd=tmp_path)
    assert 0 == ended.returncode, ended.stderr
    assert "records" in ended.stdout


def test_calendars_of_the_settings(tmp_path: Path) -> None:
    """They are in the store when the service serves, and jobs follow when they have changed since the last start."""
    store, file = f"sqlite:///{tmp_path / 'jobs.db'}", tmp_path / "mainspring.toml"
    days = [(SystemClock().now() + timedelta(days=number)).date() for number in (30, 31, 32)]
    file.write_text(f"[calendars.freeze]\ndates = [{days[0]}]\n")
    with Process.serve(store, tmp_path) as service:
        schedule = {"cron": "0 0 * * *", "start": f"{days[0]}T00:00:00Z", "calendar": "freeze"}
        job = service.create(schedule=schedule, path="x")
        assert service.get(f"/{job}")["nextRun"] == f"{days[1]}T00:00:00Z"

    file.write_text(f"[calendars.freeze]\ndates = [{days[0]}, {days[1]}]\n")
    with Process.serve(store, tmp_path) as service:
        while service.get(f"/{job}")["nextRun"] != f"{days[2]}T00:00:00Z":
            pass


def test_calendars_of_the_settings_that_are_wrong(tmp_path: Path) -> None:
    """Each fault is named; holidays that nobody knows are found before anything starts."""
    (tmp_path / "mainspring.toml").write_text(
        "[calendars.a]\ndates = ['x']\n[calendars.b]\nranges = [{first = 2026-01-02, last = 2026-01-01}]\n"
    )
    ended = mainspring("serve", "--store", "memory:", "--port", "0", cwd=tmp_path)
    refused(ended, EX_CONFIG, "calendars.a.dates.0", "must be text such as 2026-12-24", "calendars.b.ranges.0")

    (tmp_path / "mainspring.toml").write_text("[calendars.c.holidays]\ncountry = 'ZZ'\n")
    ended = mainspring("node", "--store", "memory:", cwd=tmp_path)
    refused(ended, EX_CONFIG, "the holidays of the calendar c are not known for ZZ")


def test_settings_of_plugins_that_are_wrong(tmp_path: Path) -> None:
    """Each is named with its key and where it stands, and nothing of a secret is printed."""
    (tmp_path / "mainspring.toml").write_text("[plugins.zoo]\nkeper = 's3cret'\n")
    flags = ("--plugin", "tests.rogues:RogueModule")
    environ = {"MAINSPRING_PLUGINS__ZOO__OPENS": "s3cret"}
    ended = mainspring("node", "--store", "memory:", *flags, cwd=tmp_path, environ=environ)
    refused(
        ended,
        EX_CONFIG,
        "plugins.zoo.keper (mainspring.toml) is no setting; did you mean keeper?",
        "plugins.zoo.opens (environment MAINSPRING_PLUGINS__ZOO__OPENS) must be a date such as 2026-12-24",
    )
    assert "s3cret" not in ended.stderr


def test_settings_of_plugins_that_are_not_here(tmp_path: Path) -> None:
    """A node without a plugin may have the file of those that have it, and says so."""
    (tmp_path / "mainspring.toml").write_text("[plugins.shop]\ntoken = 's3cret'\n")
    with Process("node", "--store", "memory:", "--log-format", "json", cwd=tmp_path) as service:
        line = service.wait_for("settings of plugins that are not loaded here")
    assert (["shop"], "warning") == (line["sections"], line["level"])


def test_limits_of_groups_that_are_not_here(tmp_path: Path) -> None:
    """They may be those of another node, or mistyped."""
    (tmp_path / "mainspring.toml").write_text(
        '[limits."shop/mail"]\n[limits.shop]\n[limits.vps4]\n[limits."vps4/patch"]\n'
    )
    with Process("node", "--store", "memory:", "--log-format", "json", cwd=tmp_path) as service:
        line = service.wait_for("limits of job groups that no plugin here has")
    assert (["shop/mail", "shop"], "warning") == (line["scopes"], line["level"])


# --- the machine as it is found


def under(limits: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that is expected to end by itself, with limits that a shell sets."""
    return subprocess.run(
        ["/bin/sh", "-c", f'{limits}; exec "$@"', "sh", sys.executable, "-m", "mainspring", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": f"{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["serve --port 0", "node"])
@pytest.mark.parametrize("number", [16, 32, 63])
def test_few_descriptors(tmp_path: Path, command: str, number: int) -> None:
    """A process that could not open what it needs says how many it needs, and does not begin."""
    ended = under(f"ulimit -n {number}", *command.split(), "--store", "memory:", cwd=tmp_path)
    refused(ended, EX_CONFIG, f"may have {number} files and connections open", "ulimit -n")


def test_enough_descriptors(tmp_path: Path) -> None:
    """What it says that it needs is enough, also for jobs and requests."""
    shell = ("sh", "-c", 'ulimit -n 88; exec "$@"', "sh")
    flags = (
        "--store",
        f"sqlite:///{tmp_path}/jobs.db",
        "--plugin",
        PLUGIN,
        "--log-format",
        "json",
        "--log-level",
        "debug",
    )
    with Process("serve", "--port", "0", *flags, cwd=tmp_path, under=shell) as service:
        service.url = service.wait_for("serving")["url"]
        for number in range(20):
            service.create(when="2001-01-01T00:00:00Z", path=str(tmp_path / f"{number}"))
        for _ in range(20):
            service.wait_for("run finished", outcome="succeeded")


@pytest.mark.parametrize(
    "command", ["serve --port 0", "node", "db check", "db upgrade", "doctor --port 0", "plugins list"]
)
def test_working_directory_that_is_gone(tmp_path: Path, command: str) -> None:
    """Somebody removed it under us: what needs it says so, and what does not goes on."""
    (tmp_path / "gone").mkdir()
    ended = under("rmdir ../gone", *command.split(), cwd=tmp_path / "gone")
    assert "Traceback" not in ended.stdout + ended.stderr
    if command == "plugins list":
        assert ended.returncode == 0
    else:
        assert ended.returncode == (1 if command.startswith("doctor") else EX_CONFIG)
        assert "mainspring.db cannot be opened: No such file or directory" in ended.stdout + ended.stderr
        assert "--store" in ended.stdout + ended.stderr


def test_standard_output_that_cannot_be_written(tmp_path: Path) -> None:
    """A full disk behind it is told on stderr."""
    ended = under("exec > /dev/full", "db", "check", "--store", "memory:", cwd=tmp_path)
    refused(ended, EX_UNAVAILABLE, "No space left on device; make room on the disk")


def test_no_folder_for_temporary_files(tmp_path: Path, postgres: PostgresServer) -> None:
    """A node runs without, and says what is missing."""
    (tmp_path / "nowhere.py").write_text(
        "import tempfile\nfrom tests.cluster.plugin import RecorderModule\n"
        "def nowhere():\n    raise FileNotFoundError(2, 'No usable temporary directory found')\n"
        "tempfile.gettempdir = nowhere\nclass Module(RecorderModule):\n    pass\n"
    )
    with temporary_database(postgres.url()) as url:
        assert 0 == mainspring("db", "upgrade", "--store", url, cwd=tmp_path).returncode
        flags = ("--store", url, "--plugin", "nowhere:Module", "--log-format", "json")
        with Process("node", *flags, cwd=tmp_path) as node:
            line = node.wait_for("a node that died on this host is found late", level="warning")
            assert "TMPDIR" in line["reason"]
            node.wait_for("node started")


def test_presence_directory_of_somebody_else(tmp_path: Path, postgres: PostgresServer) -> None:
    """A node does not trust it, and names it."""
    marks = tmp_path / f"mainspring-{os.geteuid()}"
    marks.mkdir()
    marks.chmod(0o777)
    with temporary_database(postgres.url()) as url:
        assert 0 == mainspring("db", "upgrade", "--store", url, cwd=tmp_path).returncode
        ended = mainspring("node", "--store", url, cwd=tmp_path, environ={"TMPDIR": str(tmp_path)})
    refused(ended, EX_CONFIG, str(marks), "others may write to it", "TMPDIR")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_disk_that_fills_up_under_a_service(tmp_path: Path) -> None:
    """It is not ready while nothing could be kept, and is again when there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with Process.serve(f"sqlite:///{disk}/jobs.db", tmp_path) as service:
            assert service.ready() == 200
            with suppress(OSError):
                (disk / "filler").write_bytes(bytes(8 << 20))
            service.wait_for("store failed; it is tried again")
            while "beats fail" not in service.readiness():
                pass
            (disk / "filler").unlink()
            while service.ready() != 200:
                pass
            job = service.create(when="2001-01-01T00:00:00Z", path=str(tmp_path / "x"))
            service.wait_for("run finished", job=job, outcome="succeeded")
    finally:
        subprocess.run(["/usr/bin/umount", disk], check=True)


REFUSING = """
create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no room'; end $$;
create trigger refuse before update on mainspring.{} for each row execute function public.refuse()
"""


@pytest.mark.parametrize(("table", "says"), [("jobs", "claims fail"), ("nodes", "beats fail")])
def test_readiness_is_what_claims_and_beats_met(
    tmp_path: Path, postgres: PostgresServer, table: str, says: str
) -> None:
    """Whatever the database has against them, and as long as it has."""
    with temporary_database(postgres.url()) as url:
        assert 0 == mainspring("db", "upgrade", "--store", url, cwd=tmp_path).returncode
        with Process.serve(url, tmp_path) as service, psycopg.connect(url, autocommit=True) as connection:
            assert service.ready() == 200
            connection.execute(REFUSING.format(table).encode())
            job = service.create(when="2001-01-01T00:00:00Z", path=str(tmp_path / "x"))
            while says not in service.readiness():
                pass
            connection.execute(f"drop trigger refuse on mainspring.{table}".encode())
            while service.ready() != 200:
                pass
            service.wait_for("run finished", job=job, outcome="succeeded")


@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_address_that_is_shown_can_be_used(tmp_path: Path, host: str) -> None:
    """IPv6 addresses stand in brackets."""
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("there is no IPv6 here")
    with Process(
        "serve", "--host", host, "--port", "0", "--store", "memory:", "--log-format", "json", cwd=tmp_path
    ) as service:
        service.url = service.wait_for("serving")["url"]
        service.wait_for("node started")
        assert service.ready() == 200
        taken = mainspring(
            "serve", "--host", host, "--port", service.url.rpartition(":")[2], "--store", "memory:", cwd=tmp_path
        )
        refused(taken, EX_UNAVAILABLE, f"{service.url.removeprefix('http://')} is taken")


@pytest.mark.parametrize("stderr", ["2> /dev/full", "2>&-", "2> >(true)"])
def test_log_that_cannot_be_written(tmp_path: Path, stderr: str) -> None:
    """The disk behind it is full, there is none, or nobody reads it any more: jobs run all the same."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    flags = ("--store", "memory:", "--port", str(port), "--plugin", PLUGIN, "--log-level", "debug")
    command = ["bash", "-c", f'exec {stderr}; exec "$@"', "bash", sys.executable, "-m", "mainspring", "serve", *flags]
    environ = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, cwd=tmp_path, env=environ) as service, httpx2.Client() as client:
        url = f"http://127.0.0.1:{port}"
        while not answers(client, url):
            assert service.poll() is None
        path = tmp_path / "record"
        body = {"when": "2001-01-01T00:00:00Z", "path": str(path)}
        assert client.post(f"{url}/api/schedulers/test/records/jobs", json=body).status_code == 201
        while not (path.exists() and "end" in path.read_text()):
            assert service.poll() is None
        service.terminate()
        assert service.wait(60) == 0


def answers(client: httpx2.Client, url: str) -> bool:
    """Tell whether a service is ready."""
    try:
        return client.get(f"{url}/readyz").status_code == 200
    except httpx2.RequestError:
        return False
