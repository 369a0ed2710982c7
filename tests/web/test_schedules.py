"""Schedules and options as POST takes them, in the form of today and in that of the first clients."""

from typing import Any

import httpx2
import pytest

from tests.web.answers import at, refusal, uncreatable
from tests.web.plugin import BACKUPS

SET = """DTSTART;TZID=W. Europe Standard Time:20260706T090000
RRULE:FREQ=WEEKLY;COUNT=5
RDATE;TZID=W. Europe Standard Time:20260708T090000
EXDATE;TZID=W. Europe Standard Time:20260713T090000,20260714T090000
X-EXTRA:1
"""


@pytest.mark.parametrize(
    ("body", "next_run", "schedule"),
    [
        pytest.param(
            {"schedule": {"every": "PT15M"}},
            "2026-06-01T12:00:00Z",
            {"every": "PT15M", "start": "2026-06-01T12:00:00Z", "timeZone": "UTC"},
            id="starts at once",
        ),
        pytest.param(
            {"when": "2026-07-01T03:00:00Z", "schedule": {"every": "P1M", "start": "2026-08-01T00:00:00Z"}},
            "2026-07-01T03:00:00Z",
            {"every": "P1M", "start": "2026-07-01T03:00:00Z", "timeZone": "UTC"},
            id="when is the first fire time",
        ),
        pytest.param(
            {
                "schedule": {
                    "every": "P1W",
                    "start": "2026-07-01T03:00:00+02:00",
                    "end": "2027-01-01T00:00:00Z",
                    "count": 3,
                    "timeZone": "Europe/Berlin",
                }
            },
            "2026-07-01T01:00:00Z",
            {
                "every": "P7D",
                "start": "2026-07-01T01:00:00Z",
                "end": "2027-01-01T00:00:00Z",
                "count": 3,
                "timeZone": "Europe/Berlin",
            },
            id="in full",
        ),
        pytest.param(
            {"schedule": {"cron": "0 3 * * MON-FRI", "timeZone": "Europe/Berlin"}},
            "2026-06-02T01:00:00Z",
            {"cron": "0 3 * * MON-FRI", "start": "2026-06-01T12:00:00Z", "timeZone": "Europe/Berlin"},
            id="cron",
        ),
        pytest.param(
            {"when": "2026-07-01T12:34:56Z", "schedule": {"cron": "@daily", "dstGap": "skip"}},
            "2026-07-01T12:34:56Z",
            {
                "cron": "@daily",
                "start": "2026-07-01T12:34:56Z",
                "timeZone": "UTC",
                "startFires": True,
                "dstGap": "skip",
            },
            id="cron, with a first fire time of its own",
        ),
        pytest.param(
            {"schedule": {"rrule": "freq=monthly;byday=-1fr;byhour=9;byminute=0;bysecond=0;count=3"}},
            "2026-06-26T09:00:00Z",
            {
                "rrule": "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",
                "start": "2026-06-01T12:00:00Z",
                "count": 3,
                "timeZone": "UTC",
            },
            id="rrule",
        ),
        pytest.param(
            {"schedule": {"anyOf": [{"cron": "0 9 * * *"}, {"every": "PT7H"}], "start": "2026-06-01T13:00:00Z"}},
            "2026-06-01T13:00:00Z",
            {
                "anyOf": [{"cron": "0 9 * * *"}, {"every": "PT7H"}],
                "start": "2026-06-01T13:00:00Z",
                "timeZone": "UTC",
            },
            id="several",
        ),
        pytest.param(
            {"schedule": {"at": ["2026-07-02T09:00:00+02:00", "2026-07-01T09:00:00Z"]}},
            "2026-07-01T09:00:00Z",
            {
                "at": ["2026-07-01T09:00:00Z", "2026-07-02T07:00:00Z"],
                "start": "2026-06-01T12:00:00Z",
                "timeZone": "UTC",
            },
            id="single moments",
        ),
        pytest.param(
            {"schedule": {"cron": "0 9 * * *", "except": ["2026-06-02", "2026-06-03T09:00:00Z"]}},
            "2026-06-04T09:00:00Z",
            {
                "cron": "0 9 * * *",
                "start": "2026-06-01T12:00:00Z",
                "timeZone": "UTC",
                "except": ["2026-06-02", "2026-06-03T09:00:00Z"],
            },
            id="with exceptions",
        ),
        pytest.param(
            {"schedule": {"rrule": SET, "count": 4}},
            "2026-07-06T07:00:00Z",
            {
                "anyOf": [{"rrule": "FREQ=WEEKLY;COUNT=5"}, {"at": ["2026-07-08T07:00:00Z"]}],
                "start": "2026-07-06T07:00:00Z",
                "timeZone": "Europe/Berlin",
                "count": 4,
                "except": ["2026-07-13T07:00:00Z", "2026-07-14T07:00:00Z"],
            },
            id="recurrence set",
        ),
        pytest.param(
            {"when": "2026-07-01T03:00:00Z", "jobType": "RECURRING", "repeatIntervalInDays": 7, "repeatCount": 2},
            "2026-07-01T03:00:00Z",
            {"every": "P7D", "start": "2026-07-01T03:00:00Z", "count": 3, "timeZone": "UTC"},
            id="as the first clients say it, with an end",
        ),
        pytest.param(
            {"when": "2026-07-01T03:00:00Z", "jobType": "RECURRING", "repeatIntervalInDays": 1},
            "2026-07-01T03:00:00Z",
            {"every": "P1D", "start": "2026-07-01T03:00:00Z", "timeZone": "UTC"},
            id="as the first clients say it, for ever",
        ),
        pytest.param(
            {"when": "2026-07-01T03:00:00Z", "jobType": "ONE_TIME", "repeatIntervalInDays": 0, "repeatCount": 0},
            "2026-07-01T03:00:00Z",
            None,
            id="as the first clients say it, once",
        ),
    ],
)
async def test_schedule_is_answered_as_it_was_understood(
    client: httpx2.AsyncClient, body: dict[str, Any], next_run: str, schedule: dict[str, Any] | None
) -> None:
    """All ways to say when and how often come out as one form, and the request stays as it was sent."""
    answer = await client.post(at(BACKUPS), json=body)

    job = answer.json()
    assert answer.status_code == 201
    assert (next_run, schedule, body) == (job["nextRun"], job["schedule"], job["jobRequest"])


async def test_warnings_of_a_recurrence_set(client: httpx2.AsyncClient) -> None:
    """They come with the new job, with a dry run, with a preview and with a change."""
    body = {"schedule": {"rrule": SET}}
    created = await client.post(at(BACKUPS), json=body)
    expected = [
        ("TIME_ZONE_READ_AS", "the time zone 'W. Europe Standard Time' is read as Europe/Berlin"),
        ("RRULE_IGNORED", "what does not say when it repeats is ignored: X-EXTRA"),
        ("NO_EFFECT", "these change no fire time: except 2026-07-14T07:00:00Z"),
    ]

    answers = [
        created,
        await client.post(at(BACKUPS), params={"dryRun": "true"}, json=body),
        await client.get(f"{created.headers['location']}/preview"),
        await client.patch(created.headers["location"], json={"schedule": {"count": 3}}),
    ]

    for answer in answers:
        assert expected == [(warning["code"], warning["detail"]) for warning in answer.json()["warnings"]]


async def test_all_that_a_recurrence_set_cannot_keep_is_told(client: httpx2.AsyncClient) -> None:
    """Each line by its number, in one answer."""
    text = SET + "".join(f"EXRULE:FREQ=MONTHLY;COUNT={number}\n" for number in range(1, 13))
    problem = (await client.post(at(BACKUPS), json={"schedule": {"rrule": text, "count": 0}})).json()

    assert {"/schedule/rrule", "/schedule/count"} == {error["pointer"] for error in problem["errors"]}
    details = [error["detail"] for error in problem["errors"] if error["pointer"] == "/schedule/rrule"]
    assert all(f"line {number} (EXRULE)" in detail for number, detail in zip(range(6, 16), details, strict=False))
    assert "has 2 more lines that cannot be kept" == details[10]


@pytest.mark.parametrize(
    ("schedule", "code", "pointer"),
    [
        ({}, "REQD_FIELD_MISSING", "/schedule/every"),
        ({"every": "P1D", "cron": "0 3 * * *"}, "SCHEDULE_CONFLICT", "/schedule/cron"),
        ({"cron": "0 3 * *"}, "INVALID_CRON", "/schedule/cron"),
        ({"cron": "0 3 * * * * * *"}, "INVALID_CRON", "/schedule/cron"),
        ({"cron": "L W #"}, "INVALID_CRON", "/schedule/cron"),
        ({"cron": "* " * 5000}, "INVALID_CRON", "/schedule/cron"),
        ({"cron": 5}, "INVALID_CRON", "/schedule/cron"),
        ({"cron": "30 2 30 2 *"}, "CRON_NEVER", "/schedule/cron"),
        ({"cron": "* * * * * *"}, "CRON_TOO_FREQUENT", "/schedule/cron"),
        ({"rrule": "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30"}, "INVALID_RRULE", "/schedule/rrule"),
        ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "RRULE_NEVER", "/schedule/rrule"),
        ({"anyOf": []}, "TOO_SHORT", "/schedule/anyOf"),
        ({"anyOf": [{}]}, "REQD_FIELD_MISSING", "/schedule/anyOf/0/every"),
        ({"every": "P1D", "calendar": "holidays"}, "CALENDAR_UNKNOWN", "/schedule/calendar"),
        ({"every": "PT0.999999S"}, "SCHEDULE_TOO_FREQUENT", "/schedule/every"),
        ({"every": "PT0S"}, "SCHEDULE_TOO_FREQUENT", "/schedule/every"),
        ({"every": "P11Y"}, "DURATION_RANGE", "/schedule/every"),
        ({"every": "-P1D"}, "DURATION_FORMAT", "/schedule/every"),
        ({"every": "1 day"}, "DURATION_FORMAT", "/schedule/every"),
        ({"every": 86400}, "DURATION_TYPE", "/schedule/every"),
        ({"every": "P1D", "timeZone": "Mars/Olympus"}, "TIME_ZONE_UNKNOWN", "/schedule/timeZone"),
        ({"every": "P1D", "timeZone": "../../etc/passwd"}, "TIME_ZONE_UNKNOWN", "/schedule/timeZone"),
        ({"every": "P1D", "timeZone": "Z" * 5000}, "TIME_ZONE_UNKNOWN", "/schedule/timeZone"),
        ({"every": "P1D", "timeZone": 1}, "TIME_ZONE_UNKNOWN", "/schedule/timeZone"),
        ({"every": "P1D", "count": 0}, "GREATER_THAN_EQUAL", "/schedule/count"),
        ({"every": "P1D", "count": "3"}, "INT_TYPE", "/schedule/count"),
        ({"every": "P1D", "count": True}, "INT_TYPE", "/schedule/count"),
        ({"every": "P1D", "start": "2036-06-01T12:00:01Z"}, "WHEN_TOO_FAR", "/schedule/start"),
        ({"every": "P1D", "start": "tomorrow"}, "WHEN_FORMAT", "/schedule/start"),
        ({"every": "P1D", "end": "2026-06-01T11:59:59Z"}, "SCHEDULE_NEVER", "/schedule/end"),
        ("P1D", "OBJECT_TYPE", "/schedule"),
    ],
)
async def test_schedule_that_cannot_be_is_refused(
    client: httpx2.AsyncClient, schedule: object, code: str, pointer: str
) -> None:
    """Each rule has its code, and the pointer names what was sent."""
    assert uncreatable(code, pointer) == refusal(await client.post(at(BACKUPS), json={"schedule": schedule}))


async def test_first_fire_time_is_checked_where_it_was_sent(client: httpx2.AsyncClient) -> None:
    """Not once more as the start of the schedule."""
    answer = await client.post(at(BACKUPS), json={"when": "2099-01-01T00:00:00Z", "schedule": {"every": "P1D"}})

    assert uncreatable("WHEN_TOO_FAR", "/when") == refusal(answer)


@pytest.mark.parametrize("interval", [None, 0, -1, 1.5, "1", 10**9, True, []])
async def test_recurring_needs_whole_days(client: httpx2.AsyncClient, interval: object) -> None:
    """The interval of the first clients is a whole number of days, at most ten years; null and nothing are none."""
    body = {"when": "2026-07-01T03:00:00Z", "jobType": "RECURRING", "repeatIntervalInDays": interval}
    if interval is None:
        del body["repeatIntervalInDays"]

    expected = uncreatable("INVALID_REPEAT_INTERVAL", "/repeatIntervalInDays")
    assert expected == refusal(await client.post(at(BACKUPS), json=body))


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        ({"jobType": "WEEKLY"}, "ENUM", "/jobType"),
        ({"repeatCount": -1}, "INVALID_REPEAT_COUNT", "/repeatCount"),
        ({"repeatCount": 2**31 - 1}, "INVALID_REPEAT_COUNT", "/repeatCount"),
        ({"repeatCount": 2**31}, "INVALID_REPEAT_COUNT", "/repeatCount"),
        ({"repeatCount": "2"}, "INVALID_REPEAT_COUNT", "/repeatCount"),
        ({"schedule": {"every": "P1D"}}, "SCHEDULE_CONFLICT", "/jobType"),
    ],
)
async def test_recurring_job_that_makes_no_sense_is_refused(
    client: httpx2.AsyncClient, more: dict[str, Any], code: str, pointer: str
) -> None:
    """The fields of the first clients are read as strictly as the schedule is."""
    body = {"when": "2026-07-01T03:00:00Z", "jobType": "RECURRING", "repeatIntervalInDays": 1} | more

    assert uncreatable(code, pointer) == refusal(await client.post(at(BACKUPS), json=body))


@pytest.mark.parametrize(
    ("sent", "options"),
    [
        ({"maxAttempts": 5}, {"maxAttempts": 5}),
        ({"timeout": "PT90S"}, {"timeout": "PT1M30S"}),
        ({"backoff": "PT5S"}, {"backoff": {"initial": "PT5S", "factor": 3.0, "longest": "PT1H"}}),
        ({"backoff": {"factor": 2}}, {"backoff": {"initial": "PT1S", "factor": 2.0, "longest": "PT1H"}}),
        ({}, {}),
        (None, {}),
    ],
)
async def test_options_are_answered_as_they_were_understood(
    client: httpx2.AsyncClient, sent: object, options: dict[str, Any]
) -> None:
    """What a request leaves open is absent: the job group decides it."""
    answer = await client.post(at(BACKUPS), json={"when": "2026-12-01T10:00:00Z", "options": sent})

    assert (201, options) == (answer.status_code, answer.json()["options"])


@pytest.mark.parametrize(
    ("options", "code", "pointer"),
    [
        ({"maxAttempts": 0}, "GREATER_THAN_EQUAL", "/options/maxAttempts"),
        ({"maxAttempts": 1001}, "LESS_THAN_EQUAL", "/options/maxAttempts"),
        ({"maxAttempts": 10**500}, "LESS_THAN_EQUAL", "/options/maxAttempts"),
        ({"maxAttempts": 1.0}, "INT_TYPE", "/options/maxAttempts"),
        ({"timeout": "P1M"}, "DURATION_FORMAT", "/options/timeout"),
        ({"timeout": "PT0S"}, "GREATER_THAN", "/options/timeout"),
        ({"timeout": 60}, "DURATION_TYPE", "/options/timeout"),
        ({"backoff": "soon"}, "DURATION_FORMAT", "/options/backoff/initial"),
        ({"backoff": {"factor": 0.5}}, "GREATER_THAN_EQUAL", "/options/backoff/factor"),
        ({"backoff": {"factor": 10**500}}, "FLOAT_TYPE", "/options/backoff/factor"),
        ({"prority": 1}, "UNKNOWN_FIELD", "/options/prority"),
        ([], "OBJECT_TYPE", "/options"),
    ],
)
async def test_option_out_of_bounds_is_refused(
    client: httpx2.AsyncClient, options: object, code: str, pointer: str
) -> None:
    """An option is taken as it is meant or not at all."""
    body = {"when": "2026-12-01T10:00:00Z", "options": options}

    assert uncreatable(code, pointer) == refusal(await client.post(at(BACKUPS), json=body))
