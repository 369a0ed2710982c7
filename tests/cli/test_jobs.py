"""``mainspring jobs``: what is sent, what is printed, and how refusals and silence look."""

import io
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from mainspring.cli.filters import OUTCOMES
from mainspring.cli.output import length, relative
from mainspring.cli.tables import DEADLY as DEAD
from mainspring.job import DEADLY, Outcome
from mainspring.schedule import format_time
from tests.cli.conftest import Run, Service

ID = "019d0f7c-5b7e-7c3a-8000-000000000001"
PATH = "/api/schedulers/vps4/backups/jobs"
LAST_RUN = {
    "run": 7,
    "outcome": "failed",
    "reason": "no [red]space[/red] left",
    "attempt": 2,
    "scheduledFireTime": "2026-11-30T10:00:00Z",
    "dueAt": "2026-11-30T10:00:00Z",
    "startedAt": "2026-11-30T10:00:01Z",
    "finishedAt": "2026-11-30T10:00:02Z",
    "latenessSeconds": 1.0,
    "node": "n1",
}
JOB = {
    "id": ID,
    "nextRun": "2026-12-01T10:00:00Z",
    "jobRequest": {"vmId": "79bf"},
    "isPaused": False,
    "product": "vps4",
    "jobGroup": "backups",
    "state": "scheduled",
    "outcome": None,
    "lastRun": LAST_RUN,
}


def asked(service: Service) -> tuple[str, str]:
    """Return method and target of the one request that was sent."""
    (request,) = service.asked
    return request.method, request.url.raw_path.decode()


def body(service: Service) -> Any:
    """Return the JSON of the one request that was sent."""
    (request,) = service.asked
    assert request.headers["Content-Type"] == "application/json"
    return json.loads(request.content)


def cells(out: str) -> list[list[str]]:
    """Return the cells of a printed table."""
    return [line.split() for line in out.splitlines()]


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """It is half past nine on the first of December."""
    moment = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
    monkeypatch.setattr("mainspring.clock.SystemClock.now", lambda _: moment)
    return moment


def test_list(run: Run, service: Service) -> None:
    """Each job is a line: when it runs, and which one it is."""
    recurring = JOB | {"jobRequest": {"vmId": "79bf", "schedule": {"every": "PT1H", "timeZone": "UTC"}}}
    service.answer = httpx2.Response(200, json=[JOB, recurring])

    code, out, err = run("jobs", "list", "vps4/backups")

    assert (code, err) == (0, "")
    assert asked(service) == ("GET", f"{PATH}?limit=50")
    assert [line.rstrip().split(maxsplit=4) for line in out.splitlines()] == [
        ["id", "state", "when", "job"],
        [ID, "scheduled", "in", "30m", "vmId=79bf"],
        [ID, "scheduled", "in", "30m", "vmId=79bf every PT1H, timeZone UTC"],
    ]


def test_list_says_what_is_wrong(run: Run, service: Service) -> None:
    """Why a job failed comes first; one that gave up is dead, and what is there is when it did."""
    failed = JOB | {"outcome": "failed", "attempt": 0}
    service.answer = httpx2.Response(200, json=[failed, failed | {"state": "done", "nextRun": None}])

    _, first, second = run("jobs", "list", "vps4/backups", "--state", "dead").out.splitlines()

    what = "failed: no [red]space[/red] left (attempt 2); vmId=79bf"
    assert first.split(maxsplit=4) == [ID, "scheduled", "in", "30m", what]
    assert second.split(maxsplit=4) == [ID, "dead", "23h", "ago", what]


def test_outcomes_of_dead_jobs_are_those_of_the_service() -> None:
    """The command line tells them from others without loading what knows them."""
    assert {outcome.value for outcome in DEADLY} == DEAD
    assert {outcome.value for outcome in Outcome} == {*OUTCOMES}


def test_long_fields_are_cut_short(run: Run, service: Service) -> None:
    """So that several fit beside each other; the other form has all."""
    service.answer = httpx2.Response(200, json=[JOB | {"jobRequest": {"text": "x" * 100, "list": [1, 2]}}])

    assert f"text={'x' * 23}… list=[1, 2]" in run("jobs", "list", "vps4/backups").out
    assert "x" * 100 in run("jobs", "list", "vps4/backups", "-o", "wide").out


@pytest.mark.parametrize("command", [["list", "vps4/backups"], ["runs", "vps4/backups", ID]])
def test_tables_fit_a_terminal(run: Run, service: Service, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """A line each in 80 columns, however much there is to say."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    reason = "no space left on device " * 10
    item = {**JOB, **LAST_RUN, "jobRequest": {"vmId": "79bfd10c-1529-42de-bd68-1a6e084ee13d"}, "reason": reason}
    service.answer = httpx2.Response(200, json=[item, item])

    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in run("jobs", *command).out.splitlines()]

    assert len(lines) == 3
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert lines[1].rstrip().endswith("…")


def test_colours_are_for_terminals(run: Run, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is red there, unless nobody wants colours, and plain elsewhere."""
    service.answer = httpx2.Response(200, json=[LAST_RUN])
    command = ("jobs", "runs", "vps4/backups", ID)

    plain = run(*command).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    coloured = run(*command).out
    monkeypatch.setenv("NO_COLOR", "1")
    without = run(*command).out

    assert "\x1b" not in plain
    assert "\x1b[1;31mfailed" in coloured
    assert "31m" not in without


def test_wide_list_has_everything(run: Run, service: Service) -> None:
    """Full times and the whole request, without a line being folded."""
    service.answer = httpx2.Response(200, json=[JOB | {"schedule": {"every": "PT1H"}, "outcome": "failed"}])

    head, row = run("jobs", "list", "vps4/backups", "-o", "wide").out.splitlines()

    assert head.split() == ["id", "state", "nextRun", "attempt", "outcome", "reason", "schedule", "jobRequest"]
    for part in ("2026-12-01T10:00:00Z", "no [red]space[/red] left", '{"every": "PT1H"}', '{"vmId": "79bf"}'):
        assert part in row


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.5, "now"), (1, "in 1s"), (59, "in 59s"), (60, "in 1m"), (3599, "in 59m"), (3600, "in 1h"),
     (86_399, "in 23h"), (86_400, "in 1d"), (10**9, "in 31y"), (0, "now"), (-61, "1m ago"), (-200_000, "2d ago")],
)  # fmt: skip
def test_relative_times(now: datetime, seconds: float, said: str) -> None:
    """In the largest unit, and on which side of now."""
    assert relative(format_time(now + timedelta(seconds=seconds)), now) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, ""), (0.0041, "4ms"), (1, "1.0s"), (1.26, "1.3s"), (540.9, "9m"), (7200, "2h")]
)
def test_lengths_of_time(seconds: float | None, said: str) -> None:
    """As exact as people want to know."""
    assert length(seconds) == said


@pytest.mark.parametrize("text", ["", None, "soon", "2026-12-01"])
def test_times_that_are_none(now: datetime, text: str | None) -> None:
    """They are shown as they came."""
    assert relative(text, now) == (text or "")


def test_list_some(run: Run, service: Service) -> None:
    """The service does the filtering."""
    service.answer = httpx2.Response(200, json=[])

    assert run("jobs", "list", "vps4/backups", "--state", "dead", "--limit", "3").code == 0
    assert asked(service) == ("GET", f"{PATH}?limit=3&state=dead")


@pytest.mark.parametrize(
    ("args", "path"),
    [
        (["vps4/backups", "--gave-up"], f"{PATH}?limit=50&gaveUp=true"),
        (["--gave-up", "--all"], "/api/schedulers/jobs?limit=1000&gaveUp=true"),
        (["--outcome", "failed,lost", "--limit", "3"], "/api/schedulers/jobs?limit=3&outcome=failed%2Clost"),
        (["vps4/backups", "--outcome", "failed", "--json"], f"{PATH}?limit=1000&outcome=failed"),
        (["--state", "scheduled", "--gave-up"], "/api/schedulers/jobs?limit=50&state=scheduled&gaveUp=true"),
        ([], "/api/schedulers/jobs?limit=50"),
    ],
)
def test_list_by_how_jobs_ended(run: Run, service: Service, args: list[str], path: str) -> None:
    """Of a group, or of all."""
    service.answer = httpx2.Response(200, json=[])

    assert run("jobs", "list", *args).code == 0
    assert asked(service) == ("GET", path)


@pytest.mark.parametrize("form", ["table", "wide"])
def test_list_of_all_groups_says_whose_the_jobs_are(run: Run, service: Service, form: str) -> None:
    """As it is written in other commands."""
    service.answer = httpx2.Response(200, json=[JOB, JOB | {"product": "shop", "jobGroup": "mail"}])

    head, first, second = cells(run("jobs", "list", "-o", form).out)

    assert [["group", "id"], ["vps4/backups", ID], ["shop/mail", ID]] == [head[:2], first[:2], second[:2]]


@pytest.mark.parametrize(
    ("command", "flags", "asked_for", "said"),
    [
        (["list", "vps4/backups"], [], "limit=50", "--limit shows up to 1000, and --all all of them."),
        (["list", "vps4/backups"], ["--limit", "7"], "limit=7", "--limit shows up to 1000, and --all all of them."),
        (["runs", "vps4/backups", ID], [], "limit=50", "--limit shows up to 1000."),
    ],
)
def test_list_that_is_cut_says_so(
    run: Run, service: Service, command: list[str], flags: list[str], asked_for: str, said: str
) -> None:
    """And how to see more; what goes to stdout is the list alone."""
    size = int(asked_for.removeprefix("limit="))
    service.answer = httpx2.Response(200, json=[JOB] * size, headers={"Link": '</next>; rel="next"'})

    code, out, err = run("jobs", *command, *flags)

    assert (0, asked_for) == (code, service.asked[0].url.query.decode())
    assert err == f"These are the first {size}; there may be more. {said}\n"
    assert "more" not in out


@pytest.mark.parametrize("flags", [["--all"], ["--json"], ["-o", "json"]])
def test_list_of_all(run: Run, service: Service, flags: list[str]) -> None:
    """Who says so, and programs, get all."""
    service.answer = httpx2.Response(200, json=[])

    assert run("jobs", "list", "vps4/backups", *flags).err == ""
    assert asked(service) == ("GET", f"{PATH}?limit=1000")


def test_json_is_what_the_service_answered(run: Run, service: Service) -> None:
    """Programs get what was answered, all of it, as an array or line by line."""
    service.answer = httpx2.Response(200, json=[JOB, {"id": 1, "later": [None]}])

    assert json.loads(run("jobs", "list", "vps4/backups", "--json").out) == [JOB, {"id": 1, "later": [None]}]
    lines = run("jobs", "list", "vps4/backups", "--ndjson").out.splitlines()
    assert [json.loads(line) for line in lines] == [JOB, {"id": 1, "later": [None]}]


def test_show(run: Run, service: Service) -> None:
    """One job is shown field by field, and what its author wrote is not taken for markup."""
    service.answer = httpx2.Response(200, json=JOB)

    code, out, _ = run("jobs", "show", "vps4/backups", ID)

    assert code == 0
    assert asked(service) == ("GET", f"{PATH}/{ID}")
    assert ["jobRequest", '{"vmId":', '"79bf"}'] in cells(out)
    assert ["isPaused", "false"] in cells(out)
    assert ["lastRun.reason", "no", "[red]space[/red]", "left"] in cells(out)


def test_show_as_json(run: Run, service: Service) -> None:
    """A job can be had as JSON, too."""
    service.answer = httpx2.Response(200, json=JOB)

    assert json.loads(run("jobs", "show", "vps4/backups", ID, "--json").out) == JOB


def test_create(run: Run, service: Service) -> None:
    """Fields are text or JSON; they win over --data, as does --when."""
    service.answer = httpx2.Response(201, json=JOB)
    data = '{"a": {"b": 1}, "count": 1, "when": "never"}'
    fields = ["vmId=79bf:=x", "count:=3", "note=a=b", "empty="]

    code, out, _ = run("jobs", "create", "vps4/backups", "--when", "2026-12-01T10:00:00Z", *fields, "--data", data)

    assert code == 0
    assert cells(out)[1][0] == ID
    assert asked(service) == ("POST", PATH)
    assert body(service) == {
        "a": {"b": 1},
        "count": 3,
        "when": "2026-12-01T10:00:00Z",
        "vmId": "79bf:=x",
        "note": "a=b",
        "empty": "",
    }


def test_create_with_a_warning(run: Run, service: Service) -> None:
    """What is legal but perhaps not meant is told on stderr."""
    service.answer = httpx2.Response(201, json=JOB | {"warnings": [{"code": "WHEN_IN_PAST", "detail": "it is late"}]})

    code, out, err = run("jobs", "create", "vps4/backups")

    assert (code, err) == (0, "Warning: it is late (WHEN_IN_PAST)\n")
    assert ID in out


def test_create_without_anything(run: Run, service: Service) -> None:
    """Whether a time is needed is for the service to say."""
    service.answer = httpx2.Response(201, json=JOB)

    assert run("jobs", "create", "vps4/backups").code == 0
    assert body(service) == {}


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("+30s", "2026-01-01T00:00:30Z"),
        ("+5m", "2026-01-01T00:05:00Z"),
        ("+2h", "2026-01-01T02:00:00Z"),
        ("+1d", "2026-01-02T00:00:00Z"),
        ("+2w", "2026-01-15T00:00:00Z"),
        ("+1d2h", "2026-01-02T02:00:00Z"),
        ("+1h30m0.5s", "2026-01-01T01:30:00.500Z"),
        ("+PT30S", "2026-01-01T00:00:30Z"),
        ("+P1DT1H", "2026-01-02T01:00:00Z"),
        ("+T1H", "2026-01-01T01:00:00Z"),
        ("tomorrow", "tomorrow"),
    ],
)
def test_when(run: Run, service: Service, monkeypatch: pytest.MonkeyPatch, when: str, expected: str) -> None:
    """A time from now is counted here, on this machine's clock; everything else is sent as it is."""
    monkeypatch.setattr("mainspring.clock.SystemClock.now", lambda _: datetime(2026, 1, 1, tzinfo=UTC))
    service.answer = httpx2.Response(200, json=JOB)

    assert run("jobs", "reschedule", "vps4/backups", ID, "--when", when).code == 0
    assert asked(service) == ("PATCH", f"{PATH}/{ID}")
    assert body(service) == {"when": expected}


@pytest.mark.parametrize(("command", "told"), [("pause", "paused"), ("resume", "resumed")])
def test_pause_and_resume(run: Run, service: Service, command: str, told: str) -> None:
    """The command says in a sentence that it is done."""
    service.answer = httpx2.Response(200, json=JOB)

    assert run("jobs", command, "vps4/backups", ID) == (0, f"Job {ID} is {told}.\n", "")
    assert asked(service) == ("POST", f"{PATH}/{ID}/{command}")


def test_delete(run: Run, service: Service) -> None:
    """Deleting is one call."""
    assert run("jobs", "delete", "vps4/backups", ID) == (0, f"Job {ID} is deleted.\n", "")
    assert asked(service) == ("DELETE", f"{PATH}/{ID}")


def test_retry(run: Run, service: Service) -> None:
    """The job that tries again is shown."""
    service.answer = httpx2.Response(200, json=JOB)

    assert run("jobs", "retry", "vps4/backups", ID).out.count(ID) == 1
    assert asked(service) == ("POST", f"{PATH}/{ID}/retry")


def test_retry_of_a_run(run: Run, service: Service) -> None:
    """Which one is said by its number."""
    service.answer = httpx2.Response(200, json=JOB)

    assert run("jobs", "retry", "vps4/backups", ID, "--run", "7").code == 0
    assert asked(service) == ("POST", f"{PATH}/{ID}/retry")
    assert body(service) == {"run": 7}


def test_runs(run: Run, service: Service) -> None:
    """History is a table, too."""
    service.answer = httpx2.Response(200, json=[LAST_RUN])

    head, row = run("jobs", "runs", "vps4/backups", ID).out.splitlines()

    assert asked(service) == ("GET", f"{PATH}/{ID}/runs?limit=50")
    assert head.split() == ["run", "outcome", "attempt", "started", "late", "took", "reason"]
    assert row.split(maxsplit=7) == ["7", "failed", "2", "23h", "ago", "1.0s", "1.0s", "no [red]space[/red] left"]


def test_wide_runs(run: Run, service: Service) -> None:
    """Also when it was due, and on which node it ran."""
    service.answer = httpx2.Response(200, json=[LAST_RUN])

    head, row = cells(run("jobs", "runs", "vps4/backups", ID, "-o", "wide").out)

    assert "node" in head
    assert {"n1", "2026-11-30T10:00:00Z", "1.0"} <= {*row}


PREVIEW = {
    "valid": True,
    "schedule": "Every day at 03:00 (UTC).",
    "fireTimes": [
        {
            "utc": "2026-06-02T03:00:00Z",
            "local": "2026-06-02T03:00:00+00:00",
            "at": "2026-06-02T04:00:00Z",
            "note": "late",
        }
    ],
    "passed": [
        {
            "first": "2026-06-03T03:00:00Z",
            "last": "2026-06-03T03:00:00Z",
            "occurrences": 1,
            "fate": "skipped",
            "reason": "it is in the calendar freeze",
        }
    ],
    "warnings": [{"code": "JOB_PAUSED", "detail": "the job is paused"}],
}


def test_preview(run: Run, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule in English, what starts, what does not; warnings go to stderr."""
    monkeypatch.setattr("mainspring.clock.SystemClock.now", lambda _: datetime(2026, 1, 1, tzinfo=UTC))
    service.answer = httpx2.Response(200, json=PREVIEW)
    outage = ["--outage-from", "2026-06-01T00:00:00Z", "--outage-to", "+1h"]

    code, out, err = run("jobs", "preview", "vps4/backups", ID, "--next", "5", *outage)

    assert (0, "Warning: the job is paused (JOB_PAUSED)\n") == (code, err)
    assert asked(service) == (
        "GET",
        f"{PATH}/{ID}/preview?next=5&outageFrom=2026-06-01T00%3A00%3A00Z&outageTo=2026-01-01T01%3A00%3A00Z",
    )
    assert out.startswith("Every day at 03:00 (UTC).\n\n")
    assert ["2026-06-02T03:00:00Z", "2026-06-02T03:00:00+00:00", "2026-06-02T04:00:00Z", "late"] in cells(out)
    assert [
        "2026-06-03T03:00:00Z",
        "2026-06-03T03:00:00Z",
        "1",
        "skipped",
        *["it", "is", "in", "the", "calendar", "freeze"],
    ] in (cells(out))


def test_preview_of_nothing(run: Run, service: Service) -> None:
    """Without rows there are no tables; nothing is asked for that was not said."""
    service.answer = httpx2.Response(200, json=PREVIEW | {"fireTimes": [], "passed": [], "warnings": []})

    assert run("jobs", "preview", "vps4/backups", ID) == (0, "Every day at 03:00 (UTC).\n", "")
    assert asked(service) == ("GET", f"{PATH}/{ID}/preview")


def test_dry_run(run: Run, service: Service) -> None:
    """The request is sent as it would be, and what it would do is shown."""
    service.answer = httpx2.Response(200, json=PREVIEW)

    code, out, _ = run("jobs", "create", "vps4/backups", "vmId=79bf", "--dry-run")

    assert (0, True) == (code, out.startswith("Every day at 03:00"))
    assert asked(service) == ("POST", f"{PATH}?dryRun=true")
    assert body(service) == {"vmId": "79bf"}


@pytest.mark.parametrize("command", [["preview", "vps4/backups", ID], ["create", "vps4/backups", "--dry-run"]])
def test_preview_as_json(run: Run, service: Service, command: list[str]) -> None:
    """Programs get the answer unchanged."""
    service.answer = httpx2.Response(200, json=PREVIEW)

    assert PREVIEW == json.loads(run("jobs", *command, "--json").out)


@pytest.mark.parametrize(
    ("left", "said"), [(0, "20 runs are scheduled.\n"), (8, "20 runs are scheduled. 8 more are beyond the cap.\n")]
)
def test_backfill(run: Run, service: Service, left: int, said: str) -> None:
    """What is not said is left to the service."""
    service.answer = httpx2.Response(202, json={"created": 20, "left": left})
    span = ["--from", "2026-05-01T00:00:00Z", "--to", "2026-06-01T00:00:00Z"]

    assert run("jobs", "backfill", "vps4/backups", ID, *span) == (0, said, "")
    assert asked(service) == ("POST", f"{PATH}/{ID}/backfill")
    assert body(service) == {"from": span[1], "to": span[3]}


def test_backfill_of_what_is_past(run: Run, service: Service) -> None:
    """The range is said from now on backwards."""
    service.answer = httpx2.Response(202, json={"created": 20, "left": 0})

    assert run("jobs", "backfill", "vps4/backups", ID, "--from", "-7d", "--to", "-1h30m").code == 0
    assert body(service) == {"from": "2026-11-24T09:30:00Z", "to": "2026-12-01T08:00:00Z"}


def test_backfill_with_all_terms(run: Run, service: Service) -> None:
    """Cap and spacing go with it; the answer can be had as JSON."""
    service.answer = httpx2.Response(202, json={"created": 2, "left": 0})

    out = run(
        "jobs", "backfill", "vps4/backups", ID, "--from", "a", "--to", "b", "--cap", "2", "--spacing", "PT5M", "--json"
    ).out

    assert {"created": 2, "left": 0} == json.loads(out)
    assert body(service) == {"from": "a", "to": "b", "cap": 2, "spacing": "PT5M"}


def test_terminal_is_not_commanded(run: Run, service: Service) -> None:
    """What a job's author wrote cannot move the cursor or colour the screen."""
    service.answer = httpx2.Response(200, json=[LAST_RUN | {"reason": "\x1b[31mred\x9b2J"}])

    out = run("jobs", "runs", "vps4/backups", ID).out

    assert "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}2J" in out


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("evil", ["\x9b2J", "\x7f", "\u202e", "\u2066", "\U000e0001", "\u2028"])
def test_json_does_not_command_a_terminal(
    run: Run, service: Service, monkeypatch: pytest.MonkeyPatch, evil: str
) -> None:
    """There it says the same in escapes; for programs it is as it came."""
    text = json.dumps([LAST_RUN | {"reason": f"no {evil}"}], ensure_ascii=False)
    service.answer = httpx2.Response(200, content=text.encode())
    command = ("jobs", "runs", "vps4/backups", ID, "--json")
    assert text in run(*command).out

    monkeypatch.setattr(sys, "stdout", screen := Screen())
    run(*command)
    assert evil not in screen.getvalue()
    assert json.loads(text) == json.loads(screen.getvalue())


def test_group_is_quoted(run: Run, service: Service) -> None:
    """Any text stays within its segment of the path."""
    service.answer = httpx2.Response(200, json=[])

    run("jobs", "list", "v p?/ü#")

    assert asked(service) == ("GET", "/api/schedulers/v%20p%3F/%C3%BC%23/jobs?limit=50")


# --- where the service is ---------------------------------------------------------------------------------------------


def test_address(run: Run, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag wins over MAINSPRING_URL, which wins over this machine."""
    run("jobs", "delete", "vps4/backups", ID)
    monkeypatch.setenv("MAINSPRING_URL", "http://env:1")
    run("jobs", "delete", "vps4/backups", ID)
    run("jobs", "delete", "vps4/backups", ID, "--url", "https://flag/base/")

    assert [str(request.url).removesuffix(f"{PATH}/{ID}") for request in service.asked] == [
        "http://127.0.0.1:8089",
        "http://env:1",
        "https://flag/base",
    ]


def test_service_that_does_not_answer(run: Run, service: Service) -> None:
    """One sentence with the address, without its password, and exit code 69."""
    service.error = httpx2.ConnectError("Connection refused.")

    assert run("jobs", "list", "vps4/backups", "--url", "http://u:hunter2@h") == (
        69,
        "",
        "Mainspring does not answer at http://u:***@h: Connection refused. Is the service running?\n",
    )


def test_silence_without_a_reason(run: Run, service: Service) -> None:
    """Errors that have no words are named."""
    service.error = httpx2.ReadTimeout("")

    assert "http://127.0.0.1:8089: ReadTimeout." in run("jobs", "list", "vps4/backups").err


@pytest.mark.parametrize("url", ["localhost:8089", "ftp://h", "http://h:port", "nonsense"])
def test_address_that_is_none(run: Run, url: str) -> None:
    """A wrong address is wrong usage; the real client says so."""
    code, _, err = run("jobs", "list", "vps4/backups", "--url", url)

    assert code == 2
    assert f"'{url}' is not an address such as http://127.0.0.1:8089" in err


# --- refusals ---------------------------------------------------------------------------------------------------------


def problem(status: int, **members: object) -> httpx2.Response:
    """An answer in the form of RFC 9457."""
    return httpx2.Response(status, json=members, headers={"Content-Type": "application/problem+json; charset=utf-8"})


def test_refusal(run: Run, service: Service) -> None:
    """Every error goes to stderr once, with its place and its code."""
    service.answer = problem(
        422,
        title="Invalid request",
        detail="/vmId is required; makes no \x1bsense",
        id="JOB_CREATION_ERROR",
        errors=[
            {"pointer": "/vmId", "code": "REQD_FIELD_MISSING", "detail": "is required"},
            {"pointer": "", "code": "INVALID_VALUE", "detail": "makes no \x1bsense"},
        ],
        retryable=False,
    )

    code, out, err = run("jobs", "create", "vps4/backups")

    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "Invalid request (JOB_CREATION_ERROR):",
        "  /vmId is required (REQD_FIELD_MISSING)",
        "  makes no \N{REPLACEMENT CHARACTER}sense (INVALID_VALUE)",
    ]


@pytest.mark.parametrize(
    ("detail", "pointer", "said"),
    [
        ("there is no job 7", "", "there is no job 7"),
        ("/vmId is required", "/vmId", "/vmId is required"),
        ("the patch names nothing to change", "", "the patch names nothing to change"),
    ],
)
def test_refusal_for_one_reason(run: Run, service: Service, detail: str, pointer: str, said: str) -> None:
    """It is one line."""
    error = {"pointer": pointer, "code": "JUST_SO", "detail": said.removeprefix(f"{pointer} ")}
    service.answer = problem(409, title="Conflict", detail=detail, id="CONFLICT", errors=[error])

    assert run("jobs", "delete", "vps4/backups", ID) == (1, "", f"{said} (JUST_SO)\n")


def test_refusal_that_may_pass(run: Run, service: Service) -> None:
    """Whoever may simply try again is told so; a store that is away is told from a refusal."""
    service.answer = problem(503, title="The store is away", retryable=True)

    assert run("jobs", "list", "vps4/backups") == (
        69,
        "",
        "The store is away (503)\nThe same call may succeed later.\n",
    )


@pytest.mark.parametrize(
    ("status", "expected"), [(400, 1), (404, 1), (409, 1), (422, 1), (500, 1), (502, 69), (503, 69), (504, 69)]
)
@pytest.mark.parametrize("ours", [True, False])
def test_exit_code_of_an_answer(run: Run, service: Service, status: int, expected: int, *, ours: bool) -> None:
    """69 where nobody answers in the end, be it told by the service or by a proxy before it."""
    service.answer = problem(status, title="No") if ours else httpx2.Response(status, text="<html>")

    assert run("jobs", "show", "vps4/backups", ID).code == expected


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (httpx2.Response(502, text="<html>"), "502 Bad Gateway"),
        (httpx2.Response(307, headers={"Location": "http://x"}), "307 Temporary Redirect"),
        (httpx2.Response(200, text="<html>"), "200"),
        (httpx2.Response(200, json=[1]), "200"),
        (httpx2.Response(400, json=1, headers={"Content-Type": "application/problem+json"}), "400 Bad Request"),
    ],
)
def test_answer_of_somebody_else(run: Run, service: Service, answer: httpx2.Response, status: str) -> None:
    """What answers at the address may be another program; its password is not told."""
    service.answer = answer

    code, out, err = run("jobs", "list", "vps4/backups", "--url", "http://u:hunter2@h")

    assert (code, out) == (69 if status.startswith("502") else 1, "")
    assert err == f"http://u:***@h answered {status}, but not as Mainspring answers.\n"


# --- wrong usage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["create", "vps4"], "'vps4' is not a product and a job group such as vps4/backups"),
        (["create", "vps4/*"], "'vps4/*' is not a product and a job group"),
        (["list", "vps4/"], "'vps4/' is not a product such as vps4, a job group such as vps4/backups, or *"),
        (["list", "a/b/c"], "'a/b/c' is not a product"),
        (["list", "../b"], "'../b' is not a product"),
        (["list", "*/b"], "'*/b' is not a product"),
        (["list", "a/b", "--state", "schedulde"], "done, dead; did you mean scheduled?"),
        (["list", "a/b", "--outcome", "fialed"], "did you mean failed?"),
        (["list", "a/b", "--stat", "done"], "No such option: --stat (Possible options: --state"),
        (["lst", "a/b"], "Did you mean 'list'?"),
        (["list", "a/b", "--state", "gone"], "'gone' is none of scheduled, running, paused, done, dead"),
        (
            ["list", "a/b", "--state", "failed"],
            "scheduled, running, paused, done, dead: jobs that gave up have --gave-up",
        ),
        (["list", "a/b", "--state", "lost"], "jobs that gave up have --gave-up"),
        (["list", "a/b", "--outcome", "dead"], "'dead' is none of succeeded, failed, vetoed, postponed, skipped,"),
        (["list", "--outcome", "failed,"], "'' is none of succeeded, failed"),
        (["retry", "a/b", ID, "--run", "0"], "Invalid value for '--run'"),
        (["retry", "a/b", ID, "--run", "last"], "Invalid value for '--run': must be a whole number"),
        (["list", "a/b", "--limit", "1001"], "Invalid value for '--limit': must be less than or equal to 1000"),
        (["list", "a/b", "--limit", "x"], "Invalid value for '--limit': must be a whole number"),
        (["list", "a/b", "-o", "yaml"], "'-o': 'yaml' is not one of 'table', 'wide', 'json'"),
        (
            ["backfill", "a/b", ID, "--from", "-x", "--to", "-1h"],
            "for --from: '-x' is not a length of time",
        ),
        (["list", "a/b", "--limit", "0"], "--limit"),
        (["pause", "a/b", ""], "ID"),
        (
            ["pause", "a/b", "7"],
            "Invalid value for 'ID': '7' is not the id of a job: write it in full, as in 019d0f7c-",
        ),
        (["show", "a/b", "019d0"], "or at least its first 6 characters"),
        (["fire", "a/b", ID, "7", "x" * 6], "'7', 'xxxxxx' are not ids of jobs"),
        (["reschedule", "a/b", ID], "--when"),
        (["create", "a/b", "vmId"], "'vmId' is neither key=text nor key:=json"),
        (["create", "a/b", "=x"], "'=x' is neither key=text nor key:=json"),
        (["create", "a/b", "n:=x"], "Invalid value for n:=x: is not JSON: Expecting value"),
        (["create", "a/b", "--data", "[1]"], "Invalid value for --data: must be a JSON object"),
        (["create", "a/b", "--data", "{"], "Invalid value for --data: is not JSON"),
        (["create", "a/b", "--data", "[" * 100_000], "Invalid value for --data: is not JSON"),
        (["create", "a/b", "--when", "+5"], "'+5' is not a length of time such as +30s, +5m, +2h or -1d"),
        (["create", "a/b", "--when", "+x"], "'+x' is not a length of time"),
        (["create", "a/b", "n:=NaN"], "is not JSON: NaN is no number of JSON"),
        (["preview", "a/b", ID, "--next", "0"], "--next"),
        (["preview", "a/b", ID, "--outage-to", "+5"], "Invalid value for --outage-to: '+5' is not a length of time"),
        (["backfill", "a/b", ID, "--from", "x"], "--to"),
        (["create", "a/b", "--when", "+2h1d"], "'+2h1d' is not a length of time"),
    ],
)
def test_wrong_usage(run: Run, service: Service, args: list[str], said: str) -> None:
    """Nothing is sent, the exit code is 2, and the words are about what was typed."""
    code, out, err = run("jobs", *args)

    assert (code, out) == (2, "")
    assert said in err
    assert service.asked == []
