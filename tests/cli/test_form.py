"""Forms of output, for programs and for people, once and again and again."""

import json
import sys
from typing import Any

import httpx2
import pytest

from mainspring.cli.flags import _with_seconds
from tests.cli.conftest import Run, Service
from tests.cli.test_jobs import ID, JOB, LAST_RUN, PATH, Screen, problem


class Pauses:
    """What happens in the pauses of ``--watch``: answers change, and in the end somebody presses Ctrl-C."""

    def __init__(self, service: Service, *answers: httpx2.Response | Exception) -> None:
        self.service = service
        self.answers = [*answers]
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Let the service answer something else, or stop."""
        self.seconds.append(seconds)
        if not self.answers:
            raise KeyboardInterrupt
        match self.answers.pop(0):
            case Exception() as error:
                self.service.error = error
            case answer:
                self.service.error, self.service.answer = None, answer


@pytest.fixture
def watch(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set what the service answers after each pause of ``--watch``."""

    def watch(*answers: httpx2.Response | Exception) -> Pauses:
        pauses = Pauses(service, *answers)
        monkeypatch.setattr("mainspring.clock.SystemClock.sleep", lambda _, seconds: pauses.sleep(seconds))
        return pauses

    return watch


def jobs(*names: str) -> httpx2.Response:
    """Answer with jobs of these ids."""
    return httpx2.Response(200, json=[JOB | {"id": name} for name in names])


@pytest.mark.parametrize(("flag", "seconds"), [(["--watch"], 2), (["--watch", "5"], 5), (["--watch=0.5"], 0.5)])
def test_list_again_and_again(run: Run, service: Service, watch: Any, flag: list[str], seconds: float) -> None:
    """After each pause; Ctrl-C is how it ends."""
    service.answer = jobs("first")
    pauses = watch(jobs("second"), jobs("third"))
    code, out, err = run("jobs", "list", *flag, "vps4/backups")
    assert (0, "") == (code, err)
    assert ["first", "second", "third"] == [line.split()[0] for line in out.splitlines()[1::2]]
    assert [seconds] * 3 == pauses.seconds


def test_service_that_is_away_meanwhile(run: Run, service: Service, watch: Any) -> None:
    """It is asked again; one that refuses ends it."""
    service.answer = jobs("first")
    watch(
        httpx2.ConnectError("refused"),
        problem(503, detail="the store is away", id="S"),
        jobs("second"),
        problem(404, detail="gone"),
    )
    code, out, err = run("jobs", "list", "--watch")
    assert (1, True) == (code, "second" in out)
    assert [
        "Mainspring does not answer: refused. It is asked again.",
        "the store is away (S). It is asked again.",
        "gone (404)",
    ] == err.splitlines()


def test_service_that_is_away_from_the_beginning(run: Run, service: Service, watch: Any) -> None:
    """Is not waited for."""
    service.error = httpx2.ConnectError("refused")
    assert (69, []) == (run("status", "--watch").code, watch().seconds)


def test_screen_is_cleared_on_a_terminal(
    run: Run, service: Service, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each picture, and only there."""
    service.answer = jobs("first")
    watch(jobs("second"))
    assert "\x1b" not in run("jobs", "list", "--watch").out
    watch(jobs("second"))
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    run("jobs", "list", "--watch")
    assert 2 == screen.getvalue().count("\x1b[H\x1b[2J")


def test_lines_for_programs(run: Run, service: Service, watch: Any) -> None:
    """Each job of each picture is a line."""
    service.answer = jobs("a", "b")
    watch(jobs("c"))
    out = run("jobs", "list", "--ndjson", "--watch").out
    assert ["a", "b", "c"] == [json.loads(line)["id"] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("args", "read"),
    [
        (["--watch"], ["--watch=2"]),
        (["--watch", "3"], ["--watch=3"]),
        (["--watch", "x/y"], ["--watch=2", "x/y"]),
        (["--watch", "--watch", "1.5", "a"], ["--watch=2", "--watch=1.5", "a"]),
        (["--watch=7", "a"], ["--watch=7", "a"]),
    ],
)
def test_seconds_may_be_left_out(args: list[str], read: list[str]) -> None:
    """What follows is an argument, unless it is a number."""
    assert read == [*_with_seconds(args)]


def test_pause_that_is_none(run: Run) -> None:
    """Nobody asks a thousand times in a second."""
    assert 2 == run("jobs", "list", "--watch=0").code


# --- JSON


def test_all_pages_are_one_array(run: Run, service: Service) -> None:
    """However many there are."""
    more = httpx2.Response(200, json=[JOB] * 2, headers={"Link": f'<{PATH}/more>; rel="next"'})
    service.at[f"GET {PATH}"] = more
    service.at[f"GET {PATH}/more"] = httpx2.Response(200, json=[JOB])
    assert [JOB] * 3 == json.loads(run("jobs", "list", "vps4/backups", "--json").out)
    assert 3 == len(run("jobs", "list", "vps4/backups", "-o", "ndjson").out.splitlines())
    assert 4 == len(run("jobs", "list", "vps4/backups", "--all").out.splitlines())


def test_empty_array(run: Run, service: Service) -> None:
    """It is still JSON."""
    service.answer = httpx2.Response(200, json=[])
    assert ("[]\n", "") == (run("jobs", "list", "--json").out, run("jobs", "list", "--ndjson").out)


def test_one_object(run: Run, service: Service) -> None:
    """Is one line."""
    service.answer = httpx2.Response(200, json=JOB)
    assert JOB == json.loads(run("jobs", "show", "vps4/backups", ID, "--ndjson").out)


def test_half_a_character(run: Run, service: Service) -> None:
    """What is no text anywhere is escaped."""
    service.answer = httpx2.Response(200, text='[{"id": "\\ud800 \u00fc"}]')
    assert '[{"id": "\\ud800 \u00fc"}]\n' == run("jobs", "list", "--json").out
    assert 0 == run("jobs", "list").code


def test_argument_that_is_no_text(run: Run, service: Service) -> None:
    """Bytes that are not UTF-8 are told, not sent."""
    code, _, err = run("jobs", "list", "--tag", "\udcff")
    assert (2, [], True) == (code, service.asked, "is not text in UTF-8" in err)
    assert 2 == run("jobs", "list", "\udcff/b").code


# --- help


@pytest.mark.parametrize("command", [("jobs", "show"), ("actions", "start"), ("calendars", "put"), ("context", "add")])
def test_help_shows_no_types_of_python(run: Run, command: tuple[str, ...]) -> None:
    """Names of arguments are enough."""
    arguments = run(*command, "--help").out.split("Arguments:")[1].split("Options:")[0]
    assert "<" not in arguments


# --- narrow terminals


@pytest.mark.parametrize(("columns", "shown"), [("80", ID[:18]), ("200", ID)])
def test_ids_are_cut_where_there_is_no_room(
    run: Run, service: Service, monkeypatch: pytest.MonkeyPatch, columns: str, shown: str
) -> None:
    """To a beginning that can be typed; the number of a run is whole."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    service.answer = httpx2.Response(200, json=[LAST_RUN | {"jobId": ID, "run": 471_100, "reason": "no space " * 9}])
    (row,) = [line for line in run("runs", "list").out.splitlines() if "471100" in line]
    assert shown in row.replace("\x1b[1m", " ").split()


def test_cut_ids_are_told_apart(run: Run, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one batch begin alike; several runs of a job have the same."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    like = "019d0f7c-5b7e-7c3a-8001-000000000001"
    service.answer = httpx2.Response(
        200, json=[JOB | {"id": name, "jobRequest": {"a": "x" * 90}} for name in (ID, ID, like)]
    )
    out = run("jobs", "list").out
    assert [2, 1, 0] == [out.count(f"{name} ") for name in (ID[:23], like[:23], ID)]
