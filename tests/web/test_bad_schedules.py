"""Schedules that make no sense, by each way into the service: a sentence and a pointer, never a crash, never a job."""

import random  # noqa: TID251 - drawn from a seed, always the same
from typing import Any

import httpx2
import pytest

from tests.web.answers import at, new_id, refusal
from tests.web.plugin import BACKUPS

CRON = [
    "", " ", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *",
    "* * * 13 *", "* * * * 8", "a * * * *", "-1 * * * *", "1.5 * * * *", "1e1 * * * *", "0x5 * * * *", "005 * * * *",
    "*/0 * * * *", "*/61 * * * *", "1/2/3 * * * *", "5-1 * * * *", "1- * * * *", "*-5 * * * *", "1-*/5 * * * *",
    "1,,2 * * * *", ", * * * *", "1;2 * * * *", "* * * FOO *", "* * * * MONDAY", "* * * * 7-1", "* * L-31 * *",
    "* * LW * *", "* * 15W * *", "L W #", "* * * * 5#6", "* * * * 5#0", "* * * * #2", "* * * * L", "@reboot",
    "@every 5m", "@", "?", "H(5-1) * * * *", "H(0-60) * * * *", "H/0 * * * *", "H/61 * * * *", "H( * * * *",
    "\u0663 * * * *", "\uff11 * * * *", "*\u2003* * *", "* * * * * #c", "0 0 1 1 * 2026", "* " * 5000, "*" * 5000,
    "0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "* * 30,31 2 *", "0 0 L-29 2 *", "0 0 31 H(2-2) *", "0 0 H(30-31) 2 *",
    "* * * * * *", "0,1 0 0 * * *", "59,0 59,0 * * * *", 5, 1.5, True, [], ["* * * * *"], {},
]  # fmt: skip
"""Not the form, not the range, never, or too often."""
RRULE = [
    "", "DAILY", "FREQ", "FREQ=", "FREQ=FOO", "FREQ=DAILY;;", "FREQ=DAILY;FREQ=DAILY", "INTERVAL=2", "FREQ=SECONDLY",
    "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=-1", "FREQ=DAILY;INTERVAL=1.5", "FREQ=DAILY;INTERVAL=99999999999",
    "FREQ=DAILY;INTERVAL=3654", "FREQ=DAILY;INTERVAL=\u0663", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=2147483648",
    "FREQ=DAILY;COUNT=1;UNTIL=20300101", "FREQ=DAILY;UNTIL=20250101", "FREQ=DAILY;UNTIL=2030-01-01",
    "FREQ=DAILY;UNTIL=20301301", "FREQ=DAILY;UNTIL=00000101", "FREQ=DAILY;UNTIL=00010101T000000Z",
    "FREQ=DAILY;BYDAY=XX", "FREQ=DAILY;BYDAY=1MO", "FREQ=MONTHLY;BYDAY=0MO", "FREQ=YEARLY;BYDAY=54MO",
    "FREQ=DAILY;BYMONTHDAY=0", "FREQ=DAILY;BYMONTHDAY=32", "FREQ=DAILY;BYMONTH=13", "FREQ=DAILY;BYHOUR=24",
    "FREQ=DAILY;BYMINUTE=60", "FREQ=DAILY;BYSECOND=60", "FREQ=DAILY;BYHOUR=", "FREQ=DAILY;BYHOUR=1,,2",
    "FREQ=DAILY;BYSETPOS=1", "FREQ=DAILY;BYHOUR=1;BYSETPOS=0", "FREQ=MINUTELY;BYSECOND=1;BYSETPOS=1",
    "FREQ=YEARLY;BYWEEKNO=54", "FREQ=MONTHLY;BYWEEKNO=1", "FREQ=YEARLY;BYYEARDAY=367", "FREQ=DAILY;WKST=1",
    "FREQ=DAILY;BYEASTER=0", "FREQ=DAILY;X-FOO=1", "FREQ=DAILY;RSCALE=GREGORIAN", "FREQ=DAILY;DTSTART=20260101",
    "DTSTART:1\nRRULE:FREQ=DAILY", "FREQ=DAILY\nEXDATE:x", "FREQ=DAILY ;INTERVAL=2", "A" * 5000, "A:\n" * 50_000,
    "DTSTART:20270101\nRRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY", "DTSTART;TZID=Mars/Olympus:20270101T000000", "RRULE:\n",
    "BEGIN:VEVENT\nEND:VEVENT", "BEGIN:VEVENT\nBEGIN:VEVENT", "END:VEVENT\nEND:VCALENDAR\nBEGIN:", "\n ;\n:\n",
    "RDATE:00010101T000000", "DTSTART;TZID=Asia/Tokyo:99991231T235959\nRRULE:FREQ=DAILY", "EXDATE:20270101", "DTSTART:",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MONTHLY;BYDAY=6MO", "FREQ=YEARLY;BYWEEKNO=30;BYMONTH=1",
    "FREQ=DAILY;BYHOUR=1;BYSETPOS=2", "FREQ=YEARLY;BYDAY=MO;BYSETPOS=366", "FREQ=DAILY;BYSECOND=0,1",
    "FREQ=YEARLY;BYDAY=MO;BYSETPOS=1,2,3,4,5,6,7,8,9,10,11,12,13", 5, True, [], {},
]  # fmt: skip
DURATION = [
    "", " ", "P", "PT", "P1", "1D", "1 day", "P1.5D", "P1H", "PT1D", "PT-1S", "-P1D", "+P1D", "-PT1S", "p1d", "PT1e3S",
    "PT,5S", "PT1S\n", " PT1S", "PT1S ", "PT60S;", "\uff30T1S", "PT\uff11S", "P11Y", "P3654D", "P9999999999D",
    "forever", "P1DT", "9" * 300, 86400, 1.5, -1, True, [], {},
]  # fmt: skip
RULES: dict[str, list[Any]] = {"cron": CRON, "rrule": RRULE, "every": [*DURATION, "PT0.5S"]}
MOMENT = [
    "", "2026-12-01", "2026-12-01T10:00:00", "2026-02-30T10:00:00Z", "2026-12-01 10:00:00Z", "2026-12-01T10.5Z",
    "2026-12-01T10:00:00+18:01", "2026-12-01T10:00:00\u221205:00", "0000-01-01T00:00:00Z", "now", "infinity", "P1D",
    1795428000, 1.8e9, True, [], {},
]  # fmt: skip
ZONE = [
    "", " ", "utc", "GMT+1", "+01:00", "CEST", "localtime", "europe/berlin", "Europe/Berlin ", "Europe/Berlin\n",
    "posix/Europe/Berlin", "../../etc/passwd", "/etc/localtime", "Mars/Olympus", "Z" * 5000, 1, True, [], {},
]  # fmt: skip
MEMBERS: dict[str, list[object]] = {
    "timeZone": ZONE,
    "start": [*MOMENT, "2036-06-01T12:00:01Z", "0001-01-01T00:00:00Z", "1996-05-31T00:00:00Z"],
    "end": [*MOMENT, "2026-06-01T11:59:59Z", "0001-01-01T00:00:00Z"],
    "count": [0, -1, 1.5, 1.0, 2**31, 10**30, 1e308, "3", True, [], {}],
    "startFires": [0, 1, "true", "yes", [], {}],
    "jitter": [*DURATION, "P8D", "P1M"],
    "window": [*DURATION, "P8D", "P1M"],
    "grace": [*DURATION, "P1M"],
    "dstGap": ["", "NEXT_VALID", "first", 1, True, [], {}],
    "dstOverlap": ["", "BOTH", "skip", 1, True, [], {}],
    "overlap": ["", "QUEUE", "both", 1, True, [], {}],
    "misfire": [
        "", "FIRE_NOW", "ignore", 1, True, [], {"policy": "x"}, {"policy": "fireAll", "cap": 0}, {"every": "P1D"},
        {"policy": "fireAll", "cap": 10_001}, {"policy": "fireAll", "cap": "5"}, {"policy": "fireAll", "cap": 1.5},
        {"policy": "fireAll", "spacing": "P8D"}, {"policy": "fireAll", "spacing": 1},
        {"policy": "fireAll", "spacing": ""},
    ],
    "except": [
        "", "2026-12-24", {}, 1, [1], [""], ["2026-12-24T10:00:00"], ["tomorrow"], ["9999-12-31"], ["20261224"], [[]],
    ],
    "calendar": [
        "", "holidays", "../x", "x" * 65, 1, True, [], {}, {"name": "x", "days": "y"}, {"name": "x", "blackout": 1},
        {"name": "x", "spread": "P8D"}, {"days": "include"},
    ],
    "nextRun": ["2026-12-01T10:00:00Z"],
    "__proto__": [{}],
}  # fmt: skip
TOGETHER: list[tuple[dict[str, Any], str]] = [
    ({}, "/schedule/every"),
    ({"cron": None}, "/schedule/every"),
    ({"every": "P1D", "cron": "@daily"}, "/schedule/cron"),
    ({"every": "P1D", "rrule": "FREQ=DAILY"}, "/schedule/rrule"),
    ({"every": "P1D", "anyOf": [{"cron": "@daily"}]}, "/schedule/anyOf"),
    ({"anyOf": []}, "/schedule/anyOf"),
    ({"anyOf": {}}, "/schedule/anyOf"),
    ({"anyOf": "P1D"}, "/schedule/anyOf"),
    ({"anyOf": [{"every": "P1D"}] * 11}, "/schedule/anyOf"),
    ({"anyOf": [{}]}, "/schedule/anyOf/0/every"),
    ({"anyOf": ["P1D"]}, "/schedule/anyOf/0"),
    ({"anyOf": [{"every": "P1D"}, {"cron": "x"}]}, "/schedule/anyOf/1/cron"),
    ({"anyOf": [{"every": "P1D", "timeZone": "UTC"}]}, "/schedule/anyOf/0/timeZone"),
    ({"anyOf": [{"anyOf": [{"every": "P1D"}]}]}, "/schedule/anyOf/0/anyOf"),
    ({"anyOf": [{"every": "PT59S"}, {"cron": "@daily"}]}, "/schedule/anyOf/0/every"),
    ({"anyOf": [{"rrule": "DTSTART:20270101\nRRULE:FREQ=DAILY"}, {"cron": "@daily"}]}, "/schedule/anyOf/0/rrule"),
    ({"at": []}, "/schedule/at"),
    ({"at": "2027-01-01T00:00:00Z"}, "/schedule/at"),
    ({"at": ["2027-01-01"]}, "/schedule/at/0"),
    ({"at": ["2027-01-01T00:00:00Z", 5]}, "/schedule/at/1"),
    ({"at": ["2025-01-01T00:00:00Z"]}, "/schedule"),
    ({"at": ["2027-01-01T00:00:00Z"], "every": "P1D"}, "/schedule/at"),
    ({"cron": "@daily", "except": ["2027-02-30"]}, "/schedule/except/0"),
    ({"cron": "@daily", "end": "2026-06-02T00:00:00Z", "except": ["2026-06-02"]}, "/schedule/end"),
    ({"every": "P1D", "count": 1, "at": None, "except": ["0001-01-01"]}, "/schedule/except/0"),
    ({"anyOf": [{"cron": "0 * * * * *"}, {"cron": "1 * * * * *"}]}, "/schedule/anyOf"),
    ({"anyOf": [{"cron": "0 0 30 2 *"}, {"cron": "0 0 31 4 *"}]}, "/schedule"),
    ({"anyOf": [{"cron": "@daily"}, {"every": "PT7H"}], "count": 3}, "/schedule/count"),
    ({"rrule": "FREQ=DAILY;COUNT=2", "count": 2}, "/schedule/count"),
    ({"rrule": "FREQ=DAILY;UNTIL=20300101", "end": "2030-01-01T00:00:00Z"}, "/schedule/end"),
    ({"rrule": "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29", "start": "2027-01-01T00:00:00Z"}, "/schedule/rrule"),
    ({"cron": "@daily", "jitter": "PT1M", "window": "PT1M"}, "/schedule/jitter"),
    ({"cron": "@daily", "misfire": "fireAll", "overlap": "skip"}, "/schedule/overlap"),
    ({"cron": "@daily", "misfire": "fireAll", "overlap": "cancelPrevious"}, "/schedule/overlap"),
    ({"every": "P1DT1H", "dstGap": "skip"}, "/schedule/dstGap"),
    ({"every": "PT0.999999S"}, "/schedule/every"),
    ({"every": "PT0S"}, "/schedule/every"),
    ({"cron": "@daily", "start": "2026-07-01T00:00:00Z", "end": "2026-06-30T00:00:00Z"}, "/schedule/end"),
    ({"cron": "0 H(5-9) * * *", "end": "2026-06-02T05:00:00Z"}, "/schedule"),
    ({"cron": "0 0 29 2 *", "end": "2028-02-28T23:59:59Z"}, "/schedule/end"),
]
"""Members that are right by themselves, with the pointer to the one that is wrong beside the others."""


async def refuse(client: httpx2.AsyncClient, schedule: object, pointer: str) -> None:
    """Assert that a schedule is refused, alone and in a batch, for what the pointer names."""
    answer = await client.post(at(BACKUPS), json={"schedule": schedule})
    errors = refusal(answer).errors if answer.status_code == 422 else []
    assert pointer in {where for where, _ in errors}, (schedule, answer.text[:300])
    assert all(error["detail"] and error["code"].isupper() for error in answer.json()["errors"])
    batch = await client.post(at(BACKUPS, "batch"), json=[{"schedule": schedule}])
    assert (422, [(f"/0{where}", code) for where, code in errors]) == (batch.status_code, refusal(batch).errors)


async def none_was_created(client: httpx2.AsyncClient) -> None:
    """Assert that nothing came of all this."""
    assert [] == (await client.get(at(BACKUPS))).json()


@pytest.mark.parametrize("kind", RULES)
async def test_bad_rule(client: httpx2.AsyncClient, kind: str) -> None:
    """It is refused where it stands, by itself and as one of several."""
    texts = RULES[kind]
    for text in texts:
        await refuse(client, {kind: text}, f"/schedule/{kind}")
    for text in texts[::7]:
        await refuse(client, {"anyOf": [{"cron": "@daily"}, {kind: text, "x": 1}]}, "/schedule/anyOf/1/x")
    await none_was_created(client)


@pytest.mark.parametrize("member", MEMBERS)
async def test_bad_member(client: httpx2.AsyncClient, member: str) -> None:
    """It is refused where it stands, beside any kind of rule."""
    rules: list[dict[str, Any]] = [
        {"cron": "0 3 * * *"},
        {"every": "P1D"},
        {"rrule": "FREQ=DAILY"},
        {"anyOf": [{"cron": "@daily"}]},
    ]
    for place, value in enumerate(MEMBERS[member]):
        sent = {**rules[place % 4], member: value}
        answer = await client.post(at(BACKUPS), json={"schedule": sent})
        where = {pointer for pointer, _ in refusal(answer).errors} if answer.status_code == 422 else set()
        assert any(f"{pointer}/".startswith(f"/schedule/{member}/") for pointer in where), (sent, answer.text[:300])
    await none_was_created(client)


async def test_members_that_contradict_each_other(client: httpx2.AsyncClient) -> None:
    """The pointer is that of the one to leave out or to mend."""
    for schedule, pointer in TOGETHER:
        await refuse(client, schedule, pointer)
    await none_was_created(client)


@pytest.mark.parametrize("schedule", [5, 1.5, True, "P1D", [], [{"every": "P1D"}]])
async def test_schedule_that_is_no_object(client: httpx2.AsyncClient, schedule: object) -> None:
    """It is refused as a whole."""
    await refuse(client, schedule, "/schedule")
    await none_was_created(client)


async def test_bad_change(client: httpx2.AsyncClient) -> None:
    """A patch with a bad schedule is refused like a new job, and the job stays as it is."""
    job_id = new_id(await client.post(at(BACKUPS), json={"schedule": {"cron": "0 3 * * *"}}))
    before = (await client.get(at(BACKUPS, job_id))).json()
    patches = [{"cron": text} for text in CRON[::5]] + [{"rrule": text} for text in RRULE[::5]]
    patches += [{member: value} for member, values in MEMBERS.items() for value in values[::5]]
    for patch in patches:
        answer = await client.patch(at(BACKUPS, job_id), json={"schedule": patch})
        merged = patch in [{"calendar": {}}, {"misfire": {}}, {"__proto__": {}}]
        assert answer.status_code == 422 or merged, (patch, answer.text[:300])
        if answer.status_code == 422:
            assert all(where.startswith("/schedule") for where, _ in refusal(answer).errors)
    after = (await client.get(at(BACKUPS, job_id))).json()
    assert (before["schedule"], before["nextRun"]) == (after["schedule"], after["nextRun"])


async def test_recurring_job_of_the_first_clients_that_began_long_ago(client: httpx2.AsyncClient) -> None:
    """It is refused like one with a schedule; a job that runs once may be due at any time."""
    for more in ({"jobType": "RECURRING", "repeatIntervalInDays": 1}, {"schedule": {"every": "P1D"}}):
        answer = await client.post(at(BACKUPS), json={"when": "1900-01-01T00:00:00Z", **more})
        assert [("/when", "WHEN_TOO_OLD")] == refusal(answer).errors


async def test_any_mix_has_an_answer(client: httpx2.AsyncClient) -> None:
    """Members with values that belong to others: a job or a refusal, whatever it is."""
    chance = random.Random(20261124)  # noqa: S311 - repeatable on purpose
    values = [
        *CRON,
        *RRULE,
        *DURATION,
        *MOMENT,
        *ZONE,
        "@daily",
        "FREQ=DAILY",
        "P1D",
        "PT1M",
        "UTC",
        "2026-07-01T00:00:00Z",
    ]
    values += [
        "skip",
        "both",
        "fireAll",
        "allow",
        None,
        {"policy": "fireAll"},
        [{"cron": "H H * * *"}],
        7,
        ["2027-01-01T00:00:00Z"],
    ]
    names = ["every", "cron", "rrule", "at", "anyOf", *MEMBERS]
    told = set()
    for _ in range(1000):
        sent = {name: chance.choice(values) for name in chance.sample(names, chance.randint(1, 4))}
        answer = await client.post(at(BACKUPS), json={"schedule": {chance.choice(["cron", "x"]): "@daily"} | sent})
        told.add(answer.status_code)
        assert answer.status_code in {201, 422}, (sent, answer.text[:300])
    assert {201, 422} == told
