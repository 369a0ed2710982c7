"""A crontab of fifty lines of the kinds that are found: imported, compared with another cron, and run."""

import re
import tomllib
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from mainspring.client import Client, JobRef
from mainspring.schedule import Recurring, trigger_from_json
from tests.cli.conftest import Run
from tests.cluster.process import Process

CRONTAB = Path(__file__).parents[1] / "data/crontab_50.txt"
ZONE = "UTC"
NEW_YEAR, NEXT_YEAR = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
MACROS = {"@hourly": "0 * * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
MACROS |= dict.fromkeys(("@daily", "@midnight"), "0 0 * * *") | dict.fromkeys(("@yearly", "@annually"), "0 0 1 1 *")


class Line(NamedTuple):
    """A line as this test reads it, by itself: its number, its fields, its zone, and what it prints."""

    number: int
    fields: str
    zone: str
    prints: str


def lines() -> list[Line]:
    """Read the lines that are jobs: those below a comment that says what they print."""
    found, zone, prints = [], ZONE, None
    for number, text in enumerate(CRONTAB.read_text().splitlines(), 1):
        if text.startswith("CRON_TZ"):
            zone = text.partition("=")[2].strip(' "')
        if prints is not None:
            fields = re.match(r"@\w+|(\S+\s+){4}\S+", text)
            assert fields is not None
            found.append(Line(number, MACROS.get(fields[0], fields[0]), zone, prints))
        said = text.removeprefix("# prints: ")
        prints = said.replace("\\n", "\n") if said != text else None
    return found


@pytest.fixture
def written(run: Run, tmp_path: Path) -> str:
    """Import the crontab into the settings of the directory; return what is told."""
    ran = run("crontab", "import", str(CRONTAB), "--time-zone", ZONE, "--user-field", "--output", "unused.toml")
    assert 0 == ran.code, ran.err
    ran = run("crontab", "import", str(CRONTAB), "--user-field", "--output", "mainspring.toml", "--preview", "0")
    assert 0 == ran.code, ran.err
    assert (tmp_path / "mainspring.toml").exists()
    return ran.err


def test_fifty_lines_become_fifty_jobs(run: Run) -> None:
    """And each of the others is one thing too."""
    ran = run("crontab", "import", str(CRONTAB), "--time-zone", ZONE, "--user-field", "--preview", "1")
    assert 50 == len(lines()) == len(tomllib.loads(ran.out)["jobs"])
    assert "jobs 50, @reboot 1, refused 0, variables 10," in ran.err


def test_a_year_of_each_line_is_that_of_another_cron(written: str, tmp_path: Path) -> None:
    """In its zone, with the rules of Debian's cron for the nights in which the clocks are changed."""
    assert "jobs 50" in written
    jobs = tomllib.loads((tmp_path / "mainspring.toml").read_text())["jobs"]
    for line, job in zip(lines(), jobs, strict=True):
        if line.zone != ZONE:
            assert line.zone == job["schedule"]["timeZone"]
        zone = job["schedule"]["timeZone"]
        trigger = trigger_from_json({**job["schedule"], "start": "2027-01-01T00:00:00Z"})
        assert isinstance(trigger, Recurring)
        begin = NEW_YEAR.astimezone(ZoneInfo(zone)) - timedelta(minutes=1)
        others = takewhile(lambda moment: moment < NEXT_YEAR, CronSim(line.fields, begin))
        expected = {moment.astimezone(UTC) for moment in others}
        actual = {moment for moment in trigger.fire_times(NEW_YEAR, NEXT_YEAR) if moment < NEXT_YEAR}
        assert expected, line
        assert [] == sorted(expected ^ actual)[:5], line


def test_what_changes_of_the_clocks_do_otherwise_is_told(written: str) -> None:
    """Lines of which a change skips several times, lines that follow the clock, and lines with a zone of their own."""
    by_zone = [line.number for line in lines() if line.zone != ZONE]
    assert f"Lines {', '.join(map(str, by_zone[:10]))} and {len(by_zone) - 10} more: the times were read in" in written
    for words in ("twice in the gap", "half hours of the night"):
        assert any(words in text for text in CRONTAB.read_text().splitlines())
    twice = next(line.number for line in lines() if line.prints == "twice in the gap")
    (skipped,) = (text for text in written.splitlines() if "skip several times of a line" in text)
    assert str(twice) in re.findall(r"\d+", skipped)


def test_all_of_them_run(written: str, tmp_path: Path) -> None:
    """Each, fired once, prints what it does under cron, and succeeds."""
    assert "jobs 50" in written
    groups = [job["job_group"] for job in tomllib.loads((tmp_path / "mainspring.toml").read_text())["jobs"]]
    with Process.serve("memory:", tmp_path) as service, Client(service.url) as client:
        for _ in groups:
            service.wait_for("declared job", was="created")
        fired = {job.job_group: client.fire(job).ref for job in [*client.jobs("cron")]}
        assert sorted(groups) == sorted(fired)
        seen: dict[str, tuple[str, str]] = {}
        while len(seen) < len(fired):
            group = service.wait_for("run finished")["group"].partition("/")[2]
            seen[group] = last_run(client, fired[group])
    expected = {group: ("succeeded", line.prints) for group, line in zip(groups, lines(), strict=True)}
    assert expected == seen


def last_run(client: Client, job: JobRef) -> tuple[str, str]:
    """Return how the first run of a job ended, and what it printed."""
    *_, run = client.runs(job)
    return run.outcome, client.run_log(job, run.run).removesuffix("\n")
