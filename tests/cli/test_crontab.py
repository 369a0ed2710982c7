"""``mainspring crontab import``: what it writes where, what it tells, and its exit codes."""

import io
import stat
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from mainspring.cli.crontab import machine_zone
from tests.cli.conftest import Run

GOOD = "MAILTO=root\n# at night\n0 3 * * * /opt/report.sh --all\n\n@reboot /opt/start.sh\n"
BAD = "0 3 * * * good\n61 3 * * * bad\n"
IMPORT = ("crontab", "import")
BERLIN = ("--time-zone", "Europe/Berlin")


@pytest.fixture
def tab(tmp_path: Path) -> Path:
    """A crontab of one user."""
    path = tmp_path / "tab"
    path.write_text(GOOD)
    return path


def test_settings_go_to_stdout_and_the_rest_to_stderr(run: Run, tab: Path) -> None:
    """So that one can be written to a file while the other is read."""
    ran = run(*IMPORT, "tab", *BERLIN, "--from", "2026-03-27T12:00:00Z")

    assert 0 == ran.code
    (job,) = tomllib.loads(ran.out)["jobs"]
    assert {"cron": "0 3 * * *", "timeZone": "Europe/Berlin"} == job["schedule"]
    assert ("report", "cron") == (job["name"], job["product"])
    assert "# tab:5: @reboot /opt/start.sh" in ran.out
    assert "is read as the crontab of one user" in ran.err
    assert "  Sat 2026-03-28 03:00 +0100\n  Sun 2026-03-29 03:00 +0200\n  Mon 2026-03-30 03:00 +0200\n" in ran.err
    assert "sends no mail" in ran.err
    assert "tab: 5 lines: jobs 1, @reboot 1, refused 0, variables 1, comments 1, blank 1.\n" in ran.err
    assert tab.exists()


def test_flags(run: Run, tab: Path) -> None:
    """The product, the number of times and the place of the user can be said."""
    tab.write_text("0 3 * * * root /opt/report.sh\n")

    ran = run(*IMPORT, "tab", *BERLIN, "--product", "ops", "--preview", "0", "--user-field")

    assert "ops" == tomllib.loads(ran.out)["command_jobs"][0]["product"]
    assert "is read as" not in ran.err
    assert "next times" not in ran.err
    assert "# cron ran it as the user root" in ran.out
    assert "root" == tomllib.loads(run(*IMPORT, "tab", *BERLIN, "--no-user-field").out)["jobs"][0]["name"].split("-")[0]


def test_crontab_from_stdin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``crontab -l`` gives it."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))

    ran = run(*IMPORT, "-", *BERLIN)

    assert 1 == ran.code
    assert "stdin:2: has 61 as its minute" in ran.err
    assert ["good"] == [job["name"] for job in tomllib.loads(ran.out)["jobs"]]
    assert "The other lines were written." in ran.err


def test_strict_writes_nothing(run: Run, tab: Path) -> None:
    """One line that is refused is enough."""
    tab.write_text(BAD)

    ran = run(*IMPORT, "tab", *BERLIN, "--strict", "--output", "out.toml")

    assert (1, "") == (ran.code, ran.out)
    assert "Nothing was written, because of --strict." in ran.err
    assert not (tab.parent / "out.toml").exists()


def test_file_is_written_once_and_for_its_owner(run: Run, tab: Path) -> None:
    """A crontab may have secrets, and the settings of before may be precious."""
    assert (0, "") == run(*IMPORT, "tab", *BERLIN, "--output", "out.toml")[:2]
    written = tab.parent / "out.toml"
    assert 0o600 == stat.S_IMODE(written.stat().st_mode)
    assert tomllib.loads(written.read_text())["jobs"]

    before = written.read_bytes()
    ran = run(*IMPORT, "tab", *BERLIN, "--output", "out.toml")
    assert 1 == ran.code
    assert "out.toml exists, so nothing was written." in ran.err
    assert before == written.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing",), "missing cannot be read: No such file or directory"),
        (("tab", "--time-zone", "Mars"), "'Mars' is not an IANA time zone"),
        (("tab", "--product", "a/b"), "'a/b' is no name of a product"),
        (("tab", "--from", "yesterday"), "is not an ISO 8601 time"),
        (("tab", "--preview", "1001"), "less than or equal to 1000"),
    ],
)
def test_wrong_usage(run: Run, tab: Path, arguments: tuple[str, ...], message: str) -> None:
    """It is told in a sentence, and leaves with 2."""
    assert tab.exists()
    ran = run(*IMPORT, *arguments)

    assert (2, "") == (ran.code, ran.out)
    assert message in " ".join(ran.err.replace("│", " ").split())


def test_text_from_elsewhere_controls_no_terminal(run: Run, tab: Path) -> None:
    """Neither in what is written nor in what is told."""
    tab.write_text("0 3 * * * echo \x1b[2J\u202e\n\x1b[31m 3 * * * x\n")

    ran = run(*IMPORT, "tab", *BERLIN)

    assert "echo \x1b[2J\u202e" == tomllib.loads(ran.out)["command_jobs"][0]["command"][2]
    assert "\x1b" not in ran.out + ran.err
    assert "\u202e" not in ran.out + ran.err


# --- the zone of the machine


def test_zone_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TZ, then where localtime leads, then the name in timezone; a machine without any has UTC."""
    monkeypatch.delenv("TZ", raising=False)
    assert "UTC" == machine_zone(tmp_path)
    (tmp_path / "localtime").write_bytes(b"TZif")
    with pytest.raises(typer.BadParameter):
        machine_zone(tmp_path)
    (tmp_path / "timezone").write_text("Asia/Tokyo\n")
    assert "Asia/Tokyo" == machine_zone(tmp_path)
    (tmp_path / "localtime").unlink()
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Paris")
    assert "Europe/Paris" == machine_zone(tmp_path)
    monkeypatch.setenv("TZ", ":America/New_York")
    assert "America/New_York" == machine_zone(tmp_path)
