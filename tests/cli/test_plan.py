"""Schedules and times as flags: what is sent for them, and what contradicts itself."""

from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from tests.cli.conftest import Run, Service
from tests.cli.test_jobs import ID, JOB, PATH, PREVIEW, asked, body, cells

RULES = {"every": None, "cron": None, "rrule": None, "at": None, "anyOf": None}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is New Year."""
    monkeypatch.setattr("mainspring.clock.SystemClock.now", lambda _: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--every", "15m"], {"schedule": {"every": "PT15M"}}),
        (["--every", "PT15M"], {"schedule": {"every": "PT15M"}}),
        (["--every", "1d2h"], {"schedule": {"every": "P1DT2H"}}),
        (["--every", "90 minutes"], {"schedule": {"every": "PT90M"}}),
        (["--every", "P1M"], {"schedule": {"every": "P1M"}}),
        (["--when", "now", "--every", "1h"], {"when": "now", "schedule": {"every": "PT1H"}}),
        (
            ["--cron", "0 3 * * *", "--tz", "Europe/Berlin", "--from", "+2h", "--to", "in 7 days", "--count", "3"],
            {
                "schedule": {
                    "cron": "0 3 * * *",
                    "timeZone": "Europe/Berlin",
                    "start": "2026-01-01T02:00:00Z",
                    "end": "2026-01-08T00:00:00Z",
                    "count": 3,
                }
            },
        ),
        (["--rrule", "R", "--from", "now"], {"schedule": {"rrule": "R", "start": "2026-01-01T00:00:00Z"}}),
        (
            ["--data", '{"schedule": {"cron": "* * * * *", "count": 9}}', "--every", "1h"],
            {"schedule": {"every": "PT1H", "count": 9}},
        ),
        (["--data", '{"schedule": {"every": "P1D"}}', "--count", "3"], {"schedule": {"every": "P1D", "count": 3}}),
    ],
)  # fmt: skip
def test_schedule_of_a_new_job(run: Run, service: Service, flags: list[str], expected: dict[str, Any]) -> None:
    """Flags win over --data; one rule takes the place of another."""
    service.answer = httpx2.Response(201, json=JOB)
    assert 0 == run("jobs", "create", "vps4/backups", *flags).code
    assert expected == body(service)


def test_starts_are_shown_before_anything_is_created(run: Run, service: Service) -> None:
    """As many as asked for."""
    service.answer = httpx2.Response(200, json=PREVIEW)
    assert "Every day at 03:00" in run("jobs", "create", "vps4/backups", "--every", "1h", "--next", "5").out
    assert ("POST", f"{PATH}?dryRun=true&next=5") == asked(service)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--cron", "0 3 * * *"], {"schedule": RULES | {"cron": "0 3 * * *"}}),
        (["--every", "1h", "--tz", "UTC"], {"schedule": RULES | {"every": "PT1H", "timeZone": "UTC"}}),
        (["--count", "5"], {"schedule": {"count": 5}}),
        (["--when", "30 minutes ago"], {"when": "2025-12-31T23:30:00Z"}),
    ],
)
def test_schedule_of_a_job_that_is_there(
    run: Run, service: Service, flags: list[str], expected: dict[str, Any]
) -> None:
    """Another rule takes the place of the one that it has; what is not said stays."""
    service.answer = httpx2.Response(200, json=JOB)
    assert 0 == run("jobs", "reschedule", "vps4/backups", ID, *flags).code
    assert (("PATCH", f"{PATH}/{ID}"), expected) == (asked(service), body(service))


def test_starts_after_a_move_are_shown(run: Run, service: Service) -> None:
    """By another call; warnings of the move are told."""
    service.at[f"PATCH {PATH}/{ID}"] = httpx2.Response(
        200, json=JOB | {"warnings": [{"code": "NOT_MOVED", "detail": "it stays"}]}
    )
    service.at[f"GET {PATH}/{ID}/preview"] = httpx2.Response(200, json=PREVIEW | {"warnings": []})
    code, out, err = run("jobs", "reschedule", "vps4/backups", ID, "--every", "1h", "--next", "2")
    assert (0, True, "Warning: it stays (NOT_MOVED)\n") == (code, out.startswith("Every day at 03:00"), err)
    assert "next=2" == service.asked[-1].url.query.decode()


def test_change(run: Run, service: Service) -> None:
    """Fields, options and times in one patch, if nobody else has changed the job."""
    service.answer = httpx2.Response(200, json=JOB)
    fields = ["backupName=x", "note:=null", 'options:={"maxAttempts": 5}']
    code, out, _ = run("jobs", "change", "vps4/backups", ID, *fields, "--when", "+1h", "--if-version", "7")
    assert (0, ID) == (code, cells(out)[1][0])
    assert {
        "backupName": "x",
        "note": None,
        "options": {"maxAttempts": 5},
        "when": "2026-01-01T01:00:00Z",
    } == body(service)
    assert '"7"' == service.asked[0].headers["If-Match"]


def test_job_under_an_id_of_ones_own(run: Run, service: Service) -> None:
    """One that is there may be refused."""
    service.answer = httpx2.Response(201, json=JOB)
    run("jobs", "create", "vps4/backups", "--when", "now", "--id", ID, "--only-new")
    assert ("PUT", f"{PATH}/{ID}") == asked(service)
    assert "*" == service.asked[0].headers["If-None-Match"]


def test_idempotency_key(run: Run, service: Service) -> None:
    """It is sent as it is."""
    service.answer = httpx2.Response(201, json=JOB)
    run("jobs", "create", "vps4/backups", "--when", "now", "--idempotency-key", "k")
    assert "k" == service.asked[0].headers["Idempotency-Key"]


@pytest.mark.parametrize("content", ['[{"a": 1}, {"a": 2}]', '{"a": 1}\n\n{"a": 2}\n', '\ufeff{"a": 1}\n{"a": 2}'])
def test_batch(run: Run, service: Service, content: str, tmp_path: Any) -> None:
    """An array, or a line each."""
    (tmp_path / "jobs").write_text(content, "utf-8")
    service.answer = httpx2.Response(201, json={"created": 2, "ids": ["1", "2"]})
    assert (0, "2 jobs are scheduled.\n", "") == run("jobs", "batch", "vps4/backups", "jobs")
    assert (("POST", f"{PATH}/batch"), [{"a": 1}, {"a": 2}]) == (asked(service), body(service))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1}\n\n{"a"}', "for jobs, line 3: is not JSON"),
        (b'[{"a": 1}, 2, []]', "for jobs, entry 2; jobs, entry 3: is no JSON object"),
        (b"{}\n7\n8", "for jobs, line 2; jobs, line 3: is no JSON object"),
        (b"\xff", "for jobs: is not text in UTF-8"),
    ],
)
def test_batch_that_is_none(run: Run, service: Service, tmp_path: Any, content: bytes, said: str) -> None:
    """Where it is wrong is told, and nothing is sent."""
    (tmp_path / "jobs").write_bytes(content)
    code, _, err = run("jobs", "batch", "vps4/backups", "jobs")
    assert (2, True, []) == (code, said in err, service.asked)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["create", "a/b", "--every", "1h", "--cron", "* * * * *"], "--every and --cron say in several ways"),
        (["create", "a/b", "--count", "3", "--tz", "UTC"], "--tz and --count need --every, --cron or"),
        (["create", "a/b", "--count", "0"], "--count"),
        (["create", "a/b", "--only-new"], "--only-new needs --id beside it"),
        (["create", "a/b", "--id", ID, "--idempotency-key", "k"], "leave --idempotency-key out"),
        (["create", "a/b", "--id", "7"], "--id"),
        (["reschedule", "a/b", ID], "say with --when, --every, --cron, --rrule or another flag"),
        (["reschedule", "a/b", ID, "--when", "in a while"], "'in a while' is not a length of time"),
        (["reschedule", "a/b", ID, "--when", "long ago"], "'long ago' is not a length of time"),
        (["reschedule", "a/b", ID, "--when", "+999999w"], "'+999999w' is not a length of time"),
        (["retry", "a/b", ID, ID, "--run", "3"], "name one id with --run"),
        (["preview", "a/b", ID, "--outage-from", "+1h"], "--outage-from and --outage-to go together"),
        (["list", "--field", "vmId"], "'vmId' is not a field and its value, such as vmId=79bf"),
        (["list", "--from", "-x"], "for --from: '-x' is not a length of time"),
    ],
)  # fmt: skip
def test_wrong_flags(run: Run, service: Service, args: list[str], said: str) -> None:
    """Nothing is sent."""
    code, _, err = run("jobs", *args)
    assert (2, True, []) == (code, said in err, service.asked)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+2h", "2026-01-01T02:00:00Z"),
        ("in 2h", "2026-01-01T02:00:00Z"),
        ("in 2 hours", "2026-01-01T02:00:00Z"),
        ("in 1 day 2 hours", "2026-01-02T02:00:00Z"),
        ("in 90 min", "2026-01-01T01:30:00Z"),
        ("-30m", "2025-12-31T23:30:00Z"),
        ("30m ago", "2025-12-31T23:30:00Z"),
        ("1 week ago", "2025-12-25T00:00:00Z"),
        ("10 secs ago", "2025-12-31T23:59:50Z"),
        ("now", "2026-01-01T00:00:00Z"),
        ("2026-01-05T00:00:00Z", "2026-01-05T00:00:00Z"),
        ("monday", "monday"),
    ],
)
def test_moments(run: Run, service: Service, text: str, expected: str) -> None:
    """In both directions, wherever a time is taken."""
    service.answer = httpx2.Response(200, json=[])
    run("jobs", "list", "--from", text)
    run("jobs", "list", "--created-to", text)
    run("runs", "list", "--to", text)
    assert [("from", expected), ("createdTo", expected), ("to", expected)] == [
        next(pair for pair in request.url.params.multi_items() if pair[0] != "limit") for request in service.asked
    ]


def test_all_filters(run: Run, service: Service) -> None:
    """Each is a parameter of the list."""
    service.answer = httpx2.Response(200, json=[])
    flags = {
        "--state": "scheduled,paused",
        "--key": "k",
        "--concurrency-key": "c",
        "--field": "vmId=a=b",
        "--begins": "x",
        "--node": "n",
        "--order": "created",
    }
    run("jobs", "list", "--json", *(word for pair in flags.items() for word in pair))
    assert {
        "limit": "1000",
        "state": "scheduled,paused",
        "key": "k",
        "concurrencyKey": "c",
        "request.vmId": "a=b",
        "q": "x",
        "node": "n",
        "order": "created",
    } == dict(service.asked[0].url.params)
