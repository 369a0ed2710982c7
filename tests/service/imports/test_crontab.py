"""Crontabs: what each line becomes, when it fires, what is refused, and that every line is accounted for."""

import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.schedule import LATEST, compile_cron
from mainspring.service.imports import (
    MOST_BYTES,
    CronJob,
    Crontab,
    CrontabError,
    Plan,
    differences,
    guess_user_field,
    plan,
    read_crontab,
    settings_file,
)
from mainspring.service.imports.crontab import split_input

SYSTEM = (Path(__file__).parent / "system.crontab").read_bytes()
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def read(text: str | bytes, *, user_field: bool = False, zone: str | None = BERLIN) -> tuple[Crontab, Plan]:
    """Read a crontab and plan its jobs."""
    content = text.encode() if isinstance(text, str) else text
    crontab = read_crontab(content, user_field=user_field)
    return crontab, plan(crontab, time_zone=zone, machine=BERLIN, start=NEW_YEAR)


def one(text: str | bytes) -> CronJob:
    """Read a crontab of one user that has one job."""
    _, made = read(text)
    assert [] == made.refusals
    (job,) = made.jobs
    return job


def refused(text: str | bytes, *, user_field: bool = False) -> tuple[str, str]:
    """Return what is said of the only line, which is refused."""
    crontab, made = read(text, user_field=user_field)
    assert ([], 1) == (made.jobs, len(made.refusals)), text
    assert 1 == crontab.lines
    return made.refusals[0].problem, made.refusals[0].advice


# --- a whole crontab


def test_every_line_is_counted() -> None:
    """Nothing is skipped: each line is one thing."""
    crontab, made = read(SYSTEM, user_field=True)
    assert SYSTEM.count(b"\n") == crontab.lines
    assert [] == made.refusals
    assert 50 <= len(made.jobs) == len(crontab.entries)
    assert (1, 6) == (len(crontab.reboots), len(crontab.variables))


@pytest.mark.parametrize("job", read(SYSTEM, user_field=True)[1].jobs, ids=lambda job: job.name)
def test_a_year_is_that_of_an_independent_cron(job: CronJob) -> None:
    """In a zone with summer time, with the rules of Debian's cron for the two nights of the year."""
    macros = {"@hourly": "0 * * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
    macros |= dict.fromkeys(("@daily", "@midnight"), "0 0 * * *") | dict.fromkeys(("@yearly", "@annually"), "0 0 1 1 *")
    fields = macros.get(job.entry.times.written, job.entry.times.written)
    zone = ZoneInfo(BERLIN)
    end = datetime(2029 if " 29 2 " in fields else 2027, 1, 1, tzinfo=UTC)
    simulated = CronSim(fields, NEW_YEAR.astimezone(zone) - timedelta(minutes=1))
    expected = {moment.astimezone(UTC) for moment in takewhile(lambda moment: moment < end, simulated)}
    actual = {moment for moment in job.trigger.fire_times(NEW_YEAR, end) if moment < end}
    assert actual
    assert [] == sorted(expected ^ actual)[:5]


def test_what_is_written_is_toml_that_says_the_same() -> None:
    """The file has a command and a schedule for each line, in the form that the settings take."""
    crontab, made = read(SYSTEM, user_field=True)
    written = tomllib.loads(settings_file(crontab, made, product="cron", source="system.crontab"))
    assert {"command_jobs", "jobs"} == written.keys()
    names = [job.name for job in made.jobs]
    assert names == [job["job_group"] for job in written["command_jobs"]] == [job["name"] for job in written["jobs"]]
    assert len(names) == len(set(names))
    mail = next(job for job in written["command_jobs"] if job["job_group"] == "mail")
    assert {
        "product": "cron",
        "job_group": "mail",
        "command": ["/bin/sh", "-c", 'mail -s "the week, 100% done" ada@example.com'],
        "environment": {
            "PATH": "/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin",
            "SHELL": "/bin/sh",
            "MAILTO": "",
            "HOME": "/var/lib/reports",
            "QUOTED NAME": " kept blanks ",
        },
        "working_directory": "/var/lib/reports",
        "stdin": "Dear Ada,\n\nall is well.\n",
        "time_limit": "PT24H",
    } == mail
    schedules = {job["name"]: job["schedule"] for job in written["jobs"]}
    assert {"cron": "45 6 * * 1-5", "timeZone": BERLIN} == schedules["mail"]
    real_time = {"dstGap": "skip", "dstOverlap": "both"}
    assert {"cron": "*/15 2 * * *", "timeZone": BERLIN, **real_time} == schedules["every-quarter-of-two"]


def test_names_are_those_of_the_commands() -> None:
    """They say what is run, not how."""
    names = {job.name for job in read(SYSTEM, user_field=True)[1].jobs}
    assert {
        "run-parts-cron-hourly", "run-parts-cron-daily", "sessionclean", "certbot-renew", "munin-cron", "logcheck",
        "occ-files-cleanup", "wal-archive", "fstrim", "find", "rsync", "backup", "backup-2", "reports-send", "build",
    } - names == set()  # fmt: skip


# --- fields


@pytest.mark.parametrize(
    ("written", "expression"),
    [
        ("0 3 * * *", "0 3 * * *"),
        ("0\t3  * * *", "0 3 * * *"),
        ("*/90 * * * *", "*/60 * * * *"),
        ("0-59/90 * * * *", "0 * * * *"),
        ("* */30 * * *", "* */24 * * *"),
        ("0 0 */40 * 1", "0 0 */31 * 1"),
        ("0 0 */40,15 * 1", "0 0 */31,15 * 1"),
        ("0 0 *,5 * *", "0 0 *,5 * *"),
        ("007 0 * * *", "7 0 * * *"),
        ("0 0 * * 0-6/9", "0 0 * * 0"),
        ("0 0 * * SUN-tue", "0 0 * * SUN-tue"),
        ("0 0 1 Jan mon", "0 0 1 Jan mon"),
        ("0~29 3 * * *", "H(0-29) 3 * * *"),
        ("~ ~5 20~ * 1~5", "H(0-59) H(0-5) H(20-31) * H(1-5)"),
        ("5,10~20 3 * * *", "5,H(10-20) 3 * * *"),
        ("@hourly", "@hourly"),
    ],
)
def test_fields_are_translated(written: str, expression: str) -> None:
    """What means the same stays as it is; what our dialect refuses is written in another way that means the same."""
    assert expression == one(f"{written} run").entry.times.expression


@pytest.mark.parametrize(
    ("line", "problem", "advice"),
    [
        ("60 * * * * x", "has 60 as its minute, which is 0 to 59", "there is"),
        ("* 24 * * * x", "has 24 as its hour", "there is"),
        ("* * 0 * * x", "has 0 as its day of month", "there is"),
        ("* * * 13 * x", "has 13 as its month", "there is"),
        ("* * * * 8 x", "has 8 as its day of week", "there is"),
        ("5/15 * * * * x", "a step needs a range or a * before it", "write 5-59/15 or 5"),
        ("22-2 * * * * x", "goes backwards", "write 22-59,0-2"),
        ("* * * * fri-sun x", "goes backwards", "write 5-7"),
        ("* * * * sat-mon x", "goes backwards", "write 6-6,0-1"),
        ("20~10 * * * * x", "goes backwards", "write 20-59,0-10"),
        ("*/0 * * * * x", "has the step 0", "at least 1"),
        ("1, 2 * * * x", "a comma without a value", "remove the comma"),
        ("0 0 ? * * x", "not of cron but of other programs", "by hand"),
        ("0 0 L * * x", "not of cron but of other programs", "by hand"),
        ("0 0 * * 5#2 x", "not of cron but of other programs", "by hand"),
        ("H * * * * x", "not of cron but of other programs", "by hand"),
        ("0 0 * januar * x", "has 'januar' as its month", "jan to dec"),
        ("0~5/2 * * * * x", "has '0~5/2' as its minute", "a range"),
        ("0-5-7 * * * * x", "has '0-5-7' as its minute", "a range"),
        ("*5 * * * * x", "has '*5' as its minute", "a range"),
        ("0 3 * * 1-5", "has no command", "what is to run"),
        ("0 3 * *", "has 4 fields", "write minute"),
        ("0 0 3 * * * x", "has a sixth *", "leave one field out"),
        ("0 3 * * * -nq x", "flags '-nq' of OpenBSD", "remove them"),
        ("0 3 * * * %only input", "has nothing before its first %", r"\%"),
        ("0 0 30 2 * x", "never fires", "remove it"),
        ("@Daily x", "in small letters only", "write @daily"),
        ("@fortnightly x", "which cron does not know", "@weekly"),
        ("@every_minute x", "only FreeBSD knows", "write * * * * *"),
        ("@600 x", "an interval of FreeBSD", 'every = "PT600S"'),
        ("@daily", "has no command", "what is to run"),
        ("MAILTO=", "sets MAILTO to nothing", 'write MAILTO=""'),
        ("MAILTO = 'root", "quotes end too early or not at all", "one pair of quotes"),
        ('A="b" c', "quotes end too early or not at all", "one pair of quotes"),
        ('"A=b', "quotes in the name", "A=…"),
        ("=x", "has no name", "NAME=value"),
        (b"0 3 * * * echo caf\xe9", "is not UTF-8: its byte 19 is 0xE9", "iconv"),
        (b"0 3 * * * echo\0x", "has a NUL byte", "remove it"),
        (b"hello", "has 1 fields", "minute, hour"),
    ],
)
def test_lines_are_refused_with_a_reason(line: str | bytes, problem: str, advice: str) -> None:
    """Each says what is wrong and what to do."""
    said, told = refused(line)
    assert problem in said
    assert advice in told


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("0 3 * * * root", "has no command behind its user"),
        ("0 3 * * * /opt/report.sh --all", "has '/opt/report.sh' in the place of the user"),
        ("@daily root", "has no command behind its user"),
    ],
)
def test_lines_without_a_user_are_refused(line: str, problem: str) -> None:
    """And whoever said that there is one learns how to say that there is none."""
    said, told = refused(line, user_field=True)
    assert problem in said
    assert "--no-user-field" in told


# --- commands and variables


@pytest.mark.parametrize(
    ("text", "command", "stdin"),
    [
        ("run", "run", None),
        (r"date +\%F", "date +%F", None),
        (r"echo \\ 'a\b' \\%x", r"echo \\ 'a\b' \\", "x\n"),
        ("cat%", "cat", ""),
        ("cat%one%two", "cat", "one\ntwo\n"),
        ("cat%one%two%", "cat", "one\ntwo\n"),
        (r"cat%100\% %\x", "cat", "100% \n\\x\n"),
        ("end with \\", "end with \\", None),
    ],
)
def test_percent_signs(text: str, command: str, stdin: str | None) -> None:
    """The first ends the command, each further one is a newline of its input, an escaped one is itself."""
    assert (command, stdin) == split_input(text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A=b", {"A": "b"}),
        ("  A\t= b c  ", {"A": "b c"}),
        ("A=' b '", {"A": " b "}),
        ("A=\"b 'c'\" ", {"A": "b 'c'"}),
        ("'A B'=c", {"A B": "c"}),
        ("A=$HOME/bin # x", {"A": "$HOME/bin # x"}),
        ('A=""', {"A": ""}),
        ("A=b'c", {"A": "b'c"}),
        ("LOGNAME=eve", {}),
    ],
)
def test_variables_are_read_as_cron_does(line: str, expected: dict[str, str]) -> None:
    """Quotes keep blanks, nothing is expanded, and what is empty needs quotes."""
    assert {"PATH": "/usr/bin:/bin", **expected} == one(f"{line}\n0 3 * * * x\n").environment


def test_what_is_written_runs_as_cron_ran_it() -> None:
    """The shell gets the line, the variables and the input."""
    text = "GREETING='good  night'\n0 3 * * * printf '\\%s, \\%s\\n' \"$GREETING\" $PATH; cat%one%two \\% three\n"
    crontab, made = read(text)
    (job,) = tomllib.loads(settings_file(crontab, made, product="cron", source="-"))["command_jobs"]
    ran = subprocess.run(job["command"], env=job["environment"], input=job["stdin"], text=True, check=True, stdout=-1)
    assert "good  night, /usr/bin:/bin\none\ntwo % three\n" == ran.stdout


def test_variables_hold_from_their_line_on() -> None:
    """A line has those that stand above it."""
    _, made = read("0 1 * * * x\nA=1\nSHELL=/bin/bash\nHOME=/srv\n0 2 * * * y\nA=2\n0 3 * * * z\n")
    assert [None, "1", "2"] == [job.environment.get("A") for job in made.jobs]
    assert [("/bin/sh", "-c", "x"), ("/bin/bash", "-c", "y")] == [job.command for job in made.jobs[:2]]
    assert [None, "/srv", "/srv"] == [job.working_directory for job in made.jobs]


def test_the_zone_of_a_line() -> None:
    """What was said goes before CRON_TZ, that before TZ, and that before the zone of the machine."""
    text = "0 1 * * * a\nTZ=:Asia/Tokyo\n0 1 * * * b\nCRON_TZ=America/New_York\n0 1 * * * c\n"
    assert [BERLIN, "Asia/Tokyo", "America/New_York"] == [
        job.trigger.time_zone for job in read(text, zone=None)[1].jobs
    ]
    assert {"UTC"} == {job.trigger.time_zone for job in read(text, zone="UTC")[1].jobs}
    _, made = read("CRON_TZ=Mars/Olympus\n0 1 * * * a\n", zone=None)
    assert [2] == [refusal.number for refusal in made.refusals]
    assert "CRON_TZ=Mars/Olympus is not an IANA time zone" in made.refusals[0].problem


def test_dst_is_set_only_where_it_matters() -> None:
    """A zone whose clocks are never changed needs none, nor a line that does by default what cron does."""
    assert {"cron": "*/15 2 * * *", "timeZone": "UTC"} == read("*/15 2 * * * x", zone="UTC")[1].jobs[0].schedule
    assert {"cron": "0 * * * *", "timeZone": BERLIN} == one("0 * * * * x").schedule
    by_number = {"dstGap": "nextValid", "dstOverlap": "first"}
    assert {"cron": "30 0-23 * * *", "timeZone": BERLIN, **by_number} == one("30 0-23 * * * x").schedule


# --- the file


def test_ends_of_lines_and_marks_are_told() -> None:
    """A file from Windows is read, and it is said what cron would have made of it."""
    crontab, made = read(b"\xef\xbb\xbfA=b\r\n0 3 * * * run\r\n0 4 * * * last")
    assert ["run", "last"] == [job.entry.command for job in made.jobs]
    said = " ".join(differences(crontab, made))
    assert "byte order mark" in said
    assert "2 lines end as Windows has it" in said
    assert "Line 3, the last, has no newline" in said


def test_long_lines_and_large_files() -> None:
    """A line may be longer than Debian's cron takes; a file has a limit."""
    crontab, made = read(f"0 3 * * * echo {'x' * 100_000}\n")
    assert "more than 999 bytes" in " ".join(differences(crontab, made))
    assert len(settings_file(crontab, made, product="cron", source="-")) < 101_000
    with pytest.raises(CrontabError, match="larger than 4 MiB"):
        read_crontab(b"#" * (MOST_BYTES + 1), user_field=False)


def test_what_differs_is_said_once() -> None:
    """Each difference has a sentence, with the lines that it concerns."""
    said = differences(*read(SYSTEM, user_field=True))
    assert len(said) == len(set(said))
    for words in (
        "sends no mail", "@reboot has no times", "a - keeps cronie", "*/90 * * * * is written */60",
        "cron runs it once for each", "dstGap and dstOverlap are set", "as backup, list", "still goes on",
        "while it was down", "exit code", "time_limit = 'PT24H'",
    ):  # fmt: skip
        assert 1 == sum(words in sentence for sentence in said), words


def test_random_lines_differ() -> None:
    """What cron chooses each time is chosen once."""
    crontab, made = read("0~59 3 * * * x\nRANDOM_DELAY=10\nLOGNAME=x\nB=$A # c\n")
    said = " ".join(differences(crontab, made))
    for words in (
        "chooses the value of a ~",
        "RANDOM_DELAY minutes",
        "sets LOGNAME",
        "a $ in the value",
        "comment behind",
    ):
        assert words in said


# --- whether lines name a user


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/etc/crontab", "", True),
        ("/etc/cron.d/certbot", "0 3 * * * x", True),
        ("/tmp/tab", "MAILTO=\n0 3 * * * root run me\n@daily backup run\n", True),  # noqa: S108 - a name
        ("/tmp/tab", "0 3 * * * backup --all\n0 4 * * * /opt/x\n", False),  # noqa: S108
        ("/tmp/tab", "0 3 * * * backup\n", False),  # noqa: S108
        ("/tmp/tab", "# nothing\n", False),  # noqa: S108
    ],
)
def test_the_user_field_is_guessed(path: str, text: str, *, expected: bool) -> None:
    """By the place of the file, or because each line has a user of the machine there."""
    assert expected is guess_user_field(text.encode(), path, {"backup"})[0]


# --- drawn lines


def a_field(least: int, most: int) -> st.SearchStrategy[str]:
    """Draw a field as cron takes it, with steps that are too large too."""
    value, step = st.integers(least, most), st.integers(1, 2 * most + 2)
    span = st.tuples(value, value).filter(lambda ends: ends[0] < ends[1]).map(lambda ends: f"{ends[0]}-{ends[1]}")
    starred = st.one_of(st.just("*"), step.map(lambda size: f"*/{size}"))
    term = st.one_of(value.map(str), span, st.tuples(span, step).map(lambda parts: f"{parts[0]}/{parts[1]}"), starred)
    return st.lists(term, min_size=1, max_size=4).map(",".join)


@settings(deadline=None)
@given(words=st.tuples(a_field(0, 59), a_field(0, 23), a_field(1, 28), a_field(1, 12), a_field(0, 7)))
def test_drawn_lines_name_the_values_that_another_cron_reads(words: tuple[str, ...]) -> None:
    """Whatever a line is written like for us, it has the minutes, hours, days and months that it had."""
    simulated = CronSim(" ".join(words), NEW_YEAR)
    found = compile_cron(one(f"{' '.join(words)} run").entry.times.expression)
    assert simulated.minutes == set(found.clock.minutes)
    assert simulated.hours == set(found.clock.hours)
    assert simulated.days == found.dates.month_days.days
    assert simulated.months == set(found.dates.months)
    assert {day % 7 for day in simulated.weekdays if isinstance(day, int)} == found.dates.weekdays.days
    assert simulated.day_and == (found.dates.month_days.starred or found.dates.weekdays.starred)


# --- anything


FRAGMENTS = st.sampled_from(
    ["*", "*/5", "1-5", "~", "0", "@daily", "@reboot", " ", "\t", "\n", "\r\n", "%", "\\", "=", "'", '"', "#", "-", "A",
     "root", "CRON_TZ=UTC\n", "0 3 * * * x\n", "\0", "é", "H", "L", ",", "/", "mon", "99", "\x7f", "\u202e"]
)  # fmt: skip


@settings(deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=200), st.lists(FRAGMENTS, max_size=30).map(lambda parts: "".join(parts).encode())
    ),
    user_field=st.booleans(),
)
def test_no_input_is_an_accident(content: bytes, *, user_field: bool) -> None:
    """Whatever the bytes, every line is counted, and what is written is TOML with as many jobs as it should have."""
    crontab = read_crontab(content, user_field=user_field)
    made = plan(crontab, time_zone=None, machine="UTC", start=NEW_YEAR)
    lines = content.removeprefix(b"\xef\xbb\xbf")
    assert lines.count(b"\n") + bool(lines and not lines.endswith(b"\n")) == crontab.lines
    assert len(crontab.entries) + len(crontab.refusals) == len(made.jobs) + len(made.refusals)
    written = tomllib.loads(settings_file(crontab, made, product="cron", source="a\nb"))
    assert len(made.jobs) == len(written.get("jobs", []))
    assert all(job.trigger.next_fire_time(NEW_YEAR) is None or job.trigger.first <= LATEST for job in made.jobs)
    assert all(differences(crontab, made))
    guess_user_field(content, "x", {"root"})
