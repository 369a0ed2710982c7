"""The commands beside ``jobs``: flags become settings, errors become exit codes, and the documentation is in step."""

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn
from uuid import UUID

import pytest
import typer

from mainspring.cli.main import app
from mainspring.errors import ConfigError, MainspringError, NodesAliveError, PortTakenError, StoreUnavailableError
from mainspring.job import JobKey, Options, lifecycle
from mainspring.schedule import Once
from mainspring.service import Moved
from mainspring.settings import TABLE, Settings
from tests.cli.conftest import Compose, Run

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


class Keeper:
    """A function of `compose` that keeps the settings it was called with, and answers what the test wants."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.settings = Settings()
        self.terms: dict[str, object] = {}

    def __call__(self, settings: Settings, **terms: object) -> object:
        self.settings, self.terms = settings, terms
        return self.answer


def raising(error: BaseException) -> Callable[..., NoReturn]:
    """Return a function that raises `error`."""

    def function(*_args: object, **_named: object) -> NoReturn:
        raise error

    return function


# --- serve and node ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["serve", "node"])
def test_exit_code_is_the_services_own(run: Run, compose: Compose, command: str) -> None:
    """Both block until they are stopped, and leave with what they return."""
    vars(compose)[command] = Keeper(3)

    assert run(command) == (3, "", "")


def test_flags_are_settings(run: Run, compose: Compose) -> None:
    """Every setting can be given as a flag; --plugin more than once."""
    values = {
        "store": "memory:", "host": "::1", "port": "0", "allowed_hosts": "a,b", "node": "n", "slots": "1",
        "threads": "2", "processes": "3",
        "lease": "PT3S", "poll": "PT4S", "grace": "PT5S", "retention": "P6D", "log_level": "debug",
        "log_format": "json",
    }  # fmt: skip
    flags = [part for name, value in values.items() for part in (TABLE[name].flag, value)]
    compose.serve = serve = Keeper(0)

    assert run("serve", *flags, "--plugin", "a:B", "--plugin", "c:D").code == 0
    assert serve.settings == Settings(
        store="memory:", plugins=("a:B", "c:D"), host="::1", port=0, allowed_hosts=("a", "b"), node="n",
        slots=1, threads=2, processes=3,
        lease=timedelta(seconds=3), poll=timedelta(seconds=4), grace=timedelta(seconds=5), retention=timedelta(days=6),
        log_level="debug", log_format="json",
    )  # fmt: skip


def test_settings_come_from_the_other_sources_too(
    run: Run, compose: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What no flag says is taken from the environment and from the file that --config names."""
    (tmp_path / "my.toml").write_text("slots = 7\nthreads = 7\n")
    monkeypatch.setenv("MAINSPRING_SLOTS", "8")
    compose.node = node = Keeper(0)

    assert run("node", "--config", "my.toml", "--lease", "PT9S").code == 0
    assert (node.settings.threads, node.settings.slots, node.settings.lease) == (7, 8, timedelta(seconds=9))


@pytest.mark.parametrize(("command", "without"), [("serve", set()), ("node", {"host", "port", "allowed_hosts"})])
def test_help_tells_every_setting(run: Run, command: str, without: set[str]) -> None:
    """The help comes from the table of settings; a node listens nowhere."""
    out = " ".join(run(command, "--help").out.split())

    assert "--config" in out
    for name, row in TABLE.items():
        text = f"{row.flag} VALUE {row.description}: {row.legal}. [default: {row.default}; env {row.env}]"
        assert (text in out) == (name not in without), text


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("The settings are not right."), 78),
        (PortTakenError("The port is taken."), 69),
        (StoreUnavailableError("The store does not answer."), 69),
        (NodesAliveError("Nodes live."), 1),
        (MainspringError("Something else."), 1),
    ],
)
def test_error_is_a_sentence_and_an_exit_code(run: Run, compose: Compose, error: MainspringError, code: int) -> None:
    """Nobody sees a traceback of an error that Mainspring raised on purpose."""
    compose.serve = raising(error)

    assert run("serve") == (code, "", f"{error}\n")


def test_wrong_settings(run: Run) -> None:
    """All that is wrong is told, before anything starts."""
    code, out, err = run("serve", "--port", "x", "--lease", "y")

    assert (code, out) == (78, "")
    assert err.splitlines() == [
        "The settings are not right:",
        "  port: 'x' (flag --port) is not a whole number from 0 to 65535",
        "  lease: 'y' (flag --lease) is not an ISO 8601 duration from PT2S to PT1H",
    ]


def test_interrupt(run: Run, compose: Compose) -> None:
    """Ctrl-C is no error: it leaves with 130 and says nothing."""
    compose.serve = raising(KeyboardInterrupt())

    assert run("serve") == (130, "", "")


def test_interrupt_before_the_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it leave a traceback while the command line is being read."""
    monkeypatch.setattr("typer.Typer.__call__", raising(KeyboardInterrupt()))

    assert run("serve") == (130, "", "")


def test_wrong_usage(run: Run) -> None:
    """Wrong usage is told by typer and leaves with 2."""
    code, out, err = run("serve", "--prot", "1")

    assert (code, out) == (2, "")
    assert "--prot" in err


# --- db ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["upgrade", "check", "rebuild"])
def test_db(run: Run, compose: Compose, command: str) -> None:
    """Each prints the sentence that it gets; rebuild does not ask when told so."""
    vars(compose)[f"db_{command}"] = function = Keeper("The schema is fine.")
    yes = ["--yes"] if command == "rebuild" else []

    assert run("db", command, "--store", "memory:", *yes) == (0, "The schema is fine.\n", "")
    assert function.settings.store == "memory:"


@pytest.mark.parametrize(("flags", "force"), [([], False), (["--force"], True)])
def test_upgrade_under_living_nodes(run: Run, compose: Compose, flags: list[str], *, force: bool) -> None:
    """Only who says so upgrades the schema under them."""
    compose.db_upgrade = db_upgrade = Keeper("It was upgraded.")

    assert run("db", "upgrade", *flags).code == 0
    assert db_upgrade.terms == {"force": force}


def test_db_check_that_finds_something(run: Run, compose: Compose) -> None:
    """A schema that is not right is a wrong configuration."""
    compose.db_check = raising(ConfigError("The schema is too old."))

    assert run("db", "check") == (78, "", "The schema is too old.\n")


@pytest.mark.parametrize(
    ("answer", "code", "done"), [("y\n", 0, True), ("n\n", 1, False), ("\n", 1, False), ("", 1, False)]
)
def test_rebuild_asks(
    run: Run, compose: Compose, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, *, done: bool
) -> None:
    """Everything would be gone, so only a yes does it; the question names the store without its password."""
    compose.db_rebuild = Keeper("The store is empty.")
    monkeypatch.setattr("sys.stdin", StringIO(answer))

    ran = run("db", "rebuild", "--store", "postgresql://u:hunter2@h/d")

    assert ran.code == code
    assert "All jobs and all history in postgresql://u:***@h/d will be gone." in ran.out
    assert ("The store is empty." in ran.out) == done


def test_interrupt_at_the_question(run: Run, compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at the question is the same as elsewhere."""
    compose.db_rebuild = Keeper("The store is empty.")
    monkeypatch.setattr("builtins.input", raising(KeyboardInterrupt()))

    ran = run("db", "rebuild")

    assert (ran.code, ran.err) == (130, "")
    assert "The store is empty." not in ran.out


# --- plugins ----------------------------------------------------------------------------------------------------------


class BackupJob:
    pass


class BackupListener:
    pass


REGISTRY = SimpleNamespace(
    open_bindings={
        JobKey("vps4", "backups"): SimpleNamespace(
            job_class=BackupJob, listeners=(BackupListener,), plugin="plugin vps4:Module"
        )
    }
)


def test_plugins_list(run: Run, compose: Compose) -> None:
    """Every job group is shown with its classes and where it came from."""
    compose.load_registry = load_registry = Keeper(REGISTRY)

    code, out, _ = run("plugins", "list", "--plugin", "vps4:Module")

    assert code == 0
    assert load_registry.settings.plugins == ("vps4:Module",)
    head, row = out.splitlines()
    assert head.split() == ["product", "jobGroup", "jobClass", "listeners", "plugin"]
    assert f"{__name__}:BackupJob" in row
    assert f"{__name__}:BackupListener" in row
    assert "plugin vps4:Module" in row


def test_plugins_list_as_json(run: Run, compose: Compose) -> None:
    """The same for programs."""
    compose.load_registry = Keeper(REGISTRY)

    assert json.loads(run("plugins", "list", "--json").out) == [
        {
            "product": "vps4",
            "jobGroup": "backups",
            "jobClass": f"{__name__}:BackupJob",
            "listeners": [f"{__name__}:BackupListener"],
            "plugin": "plugin vps4:Module",
        }
    ]


LOOKS = [("plugins", "list"), ("doctor", "--store", "memory:", "--port", "0")]
OTHER = 65_534


def foreign_file(folder: Path) -> str:
    """Let somebody else own the settings."""
    os.chown(folder / "mainspring.toml", OTHER, OTHER)
    return f"{folder / 'mainspring.toml'} belongs to another user (uid {OTHER})"


def foreign_folder(folder: Path) -> str:
    """Let somebody else own the working directory."""
    os.chown(folder, OTHER, OTHER)
    return f"{folder} belongs to another user (uid {OTHER})"


def loose_file(folder: Path) -> str:
    """Let everybody write the settings."""
    (folder / "mainspring.toml").chmod(0o666)
    return f"everybody may write to {folder / 'mainspring.toml'}"


def loose_folder(folder: Path) -> str:
    """Let everybody add modules to the working directory."""
    folder.chmod(0o777)
    return f"everybody may write to {folder}"


STRANGERS = [loose_file, loose_folder, *([foreign_file, foreign_folder] if os.geteuid() == 0 else [])]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_code_that_others_may_have_written_is_told_before_it_runs(
    run: Run, compose: Compose, tmp_path: Path, stranger: Callable[[Path], str], look: tuple[str, ...]
) -> None:
    """Whoever looks at a folder of somebody else learns what that means, before anything of it is loaded."""
    (tmp_path / "mainspring.toml").write_text('plugins = ["theirs:Module"]\n')
    warning = stranger(tmp_path)

    def load(_settings: Settings) -> SimpleNamespace:
        print("loading", file=sys.stderr)  # noqa: T201 - to be seen in its place
        return SimpleNamespace(open_bindings={})

    compose.load_registry = load
    compose.db_check = Keeper("fine")
    compose.moved_by_zone_rules = Keeper((None, []))
    compose.check_machine = compose.jobs_without_plugin = lambda *_: {}
    err = run(*look).err

    assert f"Warning: {warning}. The plugins" in err
    assert err.index(warning) < err.index("loading")


@pytest.mark.parametrize("look", LOOKS)
def test_own_code_needs_no_warning(run: Run, compose: Compose, tmp_path: Path, look: tuple[str, ...]) -> None:
    """Nor does a folder of strangers in which no plugin is named."""
    compose.load_registry = Keeper(SimpleNamespace(open_bindings={}))
    compose.db_check = Keeper("fine")
    compose.moved_by_zone_rules = Keeper((None, []))
    compose.check_machine = compose.jobs_without_plugin = lambda *_: {}
    (tmp_path / "mainspring.toml").write_text('plugins = ["ours:Module"]\n')
    assert "Warning" not in run(*look).err
    (tmp_path / "mainspring.toml").write_text("")
    tmp_path.chmod(0o777)
    assert "Warning" not in run(*look).err


def test_no_plugins(run: Run, compose: Compose) -> None:
    """Nothing bound is nothing listed."""
    compose.load_registry = Keeper(SimpleNamespace(open_bindings={}))

    assert len(run("plugins", "list").out.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.EMFILE, "Too many open files"),
            "Too many open files; raise the limit of open files, with ulimit -n",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "/var/x"), "/var/x: No space left on device; make room"),
        (PermissionError(errno.EACCES, "Permission denied", "/var/x"), "The system refuses: /var/x: Permission denied"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "raise the limit of processes and threads"),
    ],
)
def test_what_the_system_refuses_is_no_traceback(run: Run, compose: Compose, error: OSError, said: str) -> None:
    """It is told in a sentence, with the way out."""
    compose.serve = raising(error)
    code, _, err = run("serve")
    assert code == 69
    assert said in err


# --- doctor -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def verdicts(out: str) -> dict[str, str]:
    """Return check and verdict of each line of the doctor's table that begins a finding."""
    return {line.split()[0]: line.split()[1] for line in out.splitlines()[1:] if not line.startswith(" ")}


@pytest.fixture
def healthy(compose: Compose) -> Compose:
    """Nothing is wrong with plugins and store."""
    compose.load_registry = Keeper(REGISTRY)
    compose.db_check = Keeper("The schema is up to date.")
    compose.moved_by_zone_rules = Keeper((None, []))
    compose.check_machine = lambda *_: "fine"
    compose.jobs_without_plugin = lambda *_: {}
    return compose


@pytest.mark.usefixtures("healthy")
def test_doctor_finds_nothing(run: Run) -> None:
    """Everything is ok, and no password is shown."""
    code, out, err = run("doctor", "--port", "0", "--store", "postgresql://u:hunter2@h/d")

    assert (code, err) == (0, "")
    assert verdicts(out) == dict.fromkeys(
        ["Python", "SQLite", "settings", "plugins", "machine", "store", "jobs", "zones", "port"], "ok"
    )
    assert f"tzdata {version('tzdata')}" in out
    assert "postgresql://u:***@h/d" in out
    assert "vps4/backups" in out


@pytest.mark.usefixtures("healthy")
def test_doctor_finds_old_programs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old versions are told with the ones that are needed."""
    monkeypatch.setattr("platform.python_version", lambda: "3.9.18rc1")
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 34, 1))

    code, out, _ = run("doctor", "--port", "0")

    assert code == 1
    assert "3.9.18rc1 is too old: Mainspring needs 3.11" in out
    assert "is too old: Mainspring needs 3.37.0" in out


@pytest.mark.usefixtures("healthy")
def test_doctor_finds_wrong_settings(run: Run) -> None:
    """What depends on the settings is not looked at."""
    code, out, _ = run("doctor", "--port", "x")

    assert code == 1
    assert verdicts(out) == {"Python": "ok", "SQLite": "ok", "settings": "wrong"}
    assert "port: 'x' (flag --port) is not a whole number from 0 to 65535" in out


def test_doctor_finds_everything_else(run: Run, healthy: Compose, taken_port: int) -> None:
    """One finding does not hide the next."""
    healthy.load_registry = raising(ConfigError("vps4:Module does not exist"))
    healthy.db_check = raising(StoreUnavailableError("the store does not answer"))

    code, out, _ = run("doctor", "--port", str(taken_port))

    assert code == 1
    expected = {"Python": "ok", "SQLite": "ok", "settings": "ok", "plugins": "wrong", "store": "wrong", "port": "wrong"}
    assert verdicts(out) == expected
    assert f"127.0.0.1:{taken_port} is taken by another process; stop it or choose another port with --port" in out


@pytest.mark.parametrize(("number", "more"), [(1, ""), (21, "and 1 more")])
def test_doctor_finds_jobs_that_zones_would_move(run: Run, healthy: Compose, number: int, more: str) -> None:
    """They are listed with their old and new fire times, but not all of very many."""
    job = lifecycle.create(
        job_id=UUID(int=7),
        key=JobKey("vps4", "backups"),
        request={},
        trigger=Once(NEW_YEAR),
        options=Options(),
        now=NEW_YEAR,
        calendars={},
    ).job
    healthy.moved_by_zone_rules = Keeper(("2020.1", [Moved(job, NEW_YEAR + timedelta(hours=1))] * number))

    code, out, _ = run("doctor", "--port", "0")

    text = " ".join(out.split())
    assert (1, "wrong") == (code, verdicts(out)["zones"])
    assert f"in place of 2020.1 moves the next fire time of {number} jobs when a node starts" in text
    assert f"vps4/backups {UUID(int=7)}: 2026-01-01T00:00:00Z to 2026-01-01T01:00:00Z" in text
    assert more in text


def test_doctor_finds_jobs_without_a_plugin(run: Run, healthy: Compose) -> None:
    """They are a warning: another node may have their plugin."""
    healthy.jobs_without_plugin = lambda *_: {JobKey("exp", "noop"): 551, JobKey("exp", "old"): 1}

    code, out, _ = run("doctor", "--port", "0")

    assert (0, "warning") == (code, verdicts(out)["jobs"])
    assert "no plugin here has exp/noop; jobs that wait there: 551" in out
    assert "exp/old; jobs that wait there: 1" in out


def test_doctor_cannot_look_at_jobs(run: Run, healthy: Compose) -> None:
    """A file that a service uses is no fault."""
    healthy.moved_by_zone_rules = raising(ConfigError("it is in use"))
    healthy.jobs_without_plugin = raising(ConfigError("it is in use"))

    code, out, _ = run("doctor", "--port", "0")

    assert (0, "ok", "ok") == (code, verdicts(out)["jobs"], verdicts(out)["zones"])
    assert out.count("jobs were not looked at: it is in use") == 2


def command_lines() -> list[str]:
    """Return every command in words, such as ``jobs list``."""
    commands = [command.callback.__name__ for command in app.registered_commands if command.callback]
    for group in app.registered_groups:
        assert isinstance(group.typer_instance, typer.Typer)
        for command in group.typer_instance.registered_commands:
            assert command.callback
            commands.append(f"{group.name} {command.name or command.callback.__name__}")
    return commands


# --- version, help, documentation -------------------------------------------------------------------------------------


def test_version(run: Run) -> None:
    """The version is one line."""
    code, out, _ = run("--version")

    assert code == 0
    assert out.startswith("mainspring")
    assert out.count("\n") == 1


def test_version_of_a_source_tree(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a package there is no version to tell."""
    monkeypatch.setattr("importlib.metadata.version", raising(PackageNotFoundError("mainspring")))

    assert run("--version").out == "mainspring, not installed as a package\n"


def test_help_is_light() -> None:
    """Help is there at once, because the command line brings in nothing heavy by itself."""
    code = (
        "import sys, mainspring\n"
        "before = set(sys.modules)\n"
        "import mainspring.cli\n"
        "try: mainspring.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=os.environ)

    assert "serve" in ran.stdout
    for heavy in ("asyncio", "httpx2", "pydantic", "pydantic_settings", "rich", "starlette", "uvicorn", "whenever"):
        assert f"'{heavy}'" not in ran.stderr


@pytest.mark.parametrize("command", ["", *(group.name or "" for group in app.registered_groups), *command_lines()])
def test_short_flag_asks_for_help(run: Run, command: str) -> None:
    """Everywhere, as in other programs."""
    code, out, err = run(*command.split(), "-h")

    assert (0, "") == (code, err)
    assert run(*command.split(), "--help").out == out


def test_module_is_the_command() -> None:
    """``python -m mainspring`` works without the script."""
    ran = subprocess.run(
        [sys.executable, "-m", "mainspring", "--help"], check=True, capture_output=True, text=True, env=os.environ
    )

    assert "doctor" in ran.stdout


@pytest.mark.parametrize("command", command_lines())
def test_docs_tell_every_command(run: Run, command: str) -> None:
    """The documentation has a section for every command, with all its own flags."""
    text = DOCS.read_text("utf-8")
    settings = {row.flag for row in TABLE.values()}
    shared = {"--context", "--ndjson", "--watch"}
    said = run(*command.split(), "--help").out.split()
    flags = {word.rstrip(",.;") for word in said if word.startswith("--")}

    assert f"### `mainspring {command}" in text
    section = text.split(f"### `mainspring {command}", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    own = flags - {"--help", "--url", "--config", "--state", "--output", "--json"} - settings - shared
    assert own <= set(section.replace("`", " ").replace(",", " ").split())
