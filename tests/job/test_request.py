import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from time import thread_time
from typing import Any, ClassVar, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import (
    SCHEDULING_FIELDS,
    Backoff,
    JobRequest,
    Options,
    options_from_json,
    options_to_json,
    parse,
    read,
)
from mainspring.job.request import RESERVED
from mainspring.schedule import HORIZON, MICROSECOND, Every, Once, Period, Recurring, Trigger, format_time
from mainspring.schedule.rules import AnyOf, Cron, RRule
from mainspring.schedule.text import LONGEST
from mainspring.schedule.zones import DstGap, DstOverlap
from tests.rogues import UnkindType

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEN = datetime(2026, 12, 1, 10, tzinfo=UTC)
WHEN = "2026-12-01T10:00:00Z"


class Disk(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int


class BackupRequest(JobRequest):
    """A request with every kind of rule that a plugin can have."""

    vm_id: int
    backup_name: str = "backup"
    disks: tuple[Disk, ...] = ()
    keep_days: int = 7
    full: bool = False

    @field_validator("backup_name")
    @classmethod
    def check_name(cls, name: str) -> str:
        """Refuse a name under the plugin's own code."""
        if name.startswith("-"):
            raise PydanticCustomError("BACKUP_NAME", "must not begin with {sign}", {"sign": "a dash"})
        return name

    @field_validator("keep_days")
    @classmethod
    def check_keep_days(cls, days: int) -> int:
        """Refuse a number as a plain ValueError."""
        if days < 1:
            raise ValueError("must be a day or more")
        return days

    @model_validator(mode="after")
    def check_whole(self) -> Self:
        """Refuse a contradiction between two fields."""
        if self.full and self.keep_days > 30:
            raise PydanticCustomError("FULL_TOO_LONG", "a full backup is kept for 30 days at most")
        return self

    @model_validator(mode="after")
    def check_whole_again(self) -> Self:
        """Refuse another one."""
        if self.full and self.backup_name == "backup":
            raise ValueError("a full backup needs a name")
        return self


GOOD: dict[str, Any] = {"when": WHEN, "vmId": 4}


def problems_of(body: Mapping[str, Any], model: type[JobRequest] = BackupRequest) -> list[Problem]:
    """List what is wrong with a body."""
    with pytest.raises(InvalidRequestError) as caught:
        read(model, body, now=NOW)
    return list(caught.value.problems)


def faults(body: Mapping[str, Any], model: type[JobRequest] = BackupRequest) -> set[tuple[str, str]]:
    """Name each problem by its place and code; none may be told twice."""
    problems = [(problem.pointer, problem.code) for problem in problems_of(body, model)]
    assert len(problems) == len(set(problems))
    return set(problems)


def trigger_of(body: Mapping[str, Any]) -> Trigger:
    """Read when a body wants its job to run."""
    return read(JobRequest, body, now=NOW).trigger


# --- what is right


def test_read() -> None:
    """A good body gives the parsed request, its trigger and its options."""
    body = {**GOOD, "disks": [{"size": 1}], "options": {"maxAttempts": 2}}
    reading = read(BackupRequest, body, now=NOW)
    assert isinstance(reading.request, BackupRequest)
    assert (4, "backup", (Disk(size=1),), TEN) == (
        reading.request.vm_id,
        reading.request.backup_name,
        reading.request.disks,
        reading.request.when,
    )
    assert (Once(TEN), Options(max_attempts=2)) == (reading.trigger, reading.options)


def test_read_without_options_leaves_all_to_the_group() -> None:
    """A request that has no options has the empty ones."""
    assert Options() == read(BackupRequest, GOOD, now=NOW).options


# --- all problems at once


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({}, {("/vmId", "REQD_FIELD_MISSING"), ("/when", "REQD_FIELD_MISSING")}, id="empty"),
        pytest.param({**GOOD, "when": None}, {("/when", "REQD_FIELD_MISSING")}, id="null is as good as absent"),
        pytest.param({**GOOD, "when": 1_795_428_000}, {("/when", "WHEN_TYPE")}, id="a number is no time"),
        pytest.param({**GOOD, "when": True}, {("/when", "WHEN_TYPE")}, id="nor is true"),
        pytest.param({**GOOD, "when": ""}, {("/when", "WHEN_TYPE")}, id="nor is nothing"),
        pytest.param({**GOOD, "when": "tomorrow"}, {("/when", "WHEN_FORMAT")}, id="tomorrow"),
        pytest.param({**GOOD, "when": "2026-12-01"}, {("/when", "WHEN_ZONE_REQUIRED")}, id="a date"),
        pytest.param({**GOOD, "when": "2026-02-30T00:00:00Z"}, {("/when", "WHEN_RANGE")}, id="30 February"),
        pytest.param({**GOOD, "vmId": "x"}, {("/vmId", "INT_PARSING")}, id="wrong type"),
        pytest.param({**GOOD, "size": 1}, {("/size", "UNKNOWN_FIELD")}, id="unknown field"),
        pytest.param(
            {"when": WHEN, "vm_id": 4}, {("/vmId", "REQD_FIELD_MISSING"), ("/vm_id", "UNKNOWN_FIELD")}, id="snake_case"
        ),
        pytest.param({**GOOD, "job_type": "RECURRING"}, {("/job_type", "UNKNOWN_FIELD")}, id="snake_case of ours"),
        pytest.param({**GOOD, "backupName": "-x"}, {("/backupName", "BACKUP_NAME")}, id="the plugin's own code"),
        pytest.param({**GOOD, "keepDays": 0}, {("/keepDays", "INVALID_VALUE")}, id="a plain ValueError"),
        pytest.param(
            {**GOOD, "disks": [{"size": "x"}, {"size": 1, "mode": 2}, {}, 5]},
            {
                ("/disks/0/size", "INT_PARSING"),
                ("/disks/1/mode", "UNKNOWN_FIELD"),
                ("/disks/2/size", "REQD_FIELD_MISSING"),
                ("/disks/3", "OBJECT_TYPE"),
            },
            id="deep inside",
        ),
        pytest.param(
            {**GOOD, "full": True, "keepDays": 31},
            {("", "FULL_TOO_LONG"), ("", "INVALID_VALUE")},
            id="both checks of the whole",
        ),
        pytest.param(
            {"vmId": "x", "full": True, "keepDays": 31, "backupName": "weekly"},
            {("/vmId", "INT_PARSING"), ("", "FULL_TOO_LONG"), ("/when", "REQD_FIELD_MISSING")},
            id="a field, the whole and the schedule",
        ),
        pytest.param(
            {"full": True, "keepDays": -1, "id": "x", "when": "2046-01-01T00:00:00Z", "size": 5},
            {
                ("/vmId", "REQD_FIELD_MISSING"),
                ("/keepDays", "INVALID_VALUE"),
                ("/id", "RESERVED_FIELD"),
                ("/size", "UNKNOWN_FIELD"),
                ("/when", "WHEN_TOO_FAR"),
                ("", "INVALID_VALUE"),
            },
            id="everything, and the check that lacks a field says nothing",
        ),
        pytest.param(
            {"jobType": "RECURRING", "when": "x", "vmId": None},
            {
                ("/when", "WHEN_FORMAT"),
                ("/vmId", "INT_TYPE"),
                ("/repeatIntervalInDays", "INVALID_REPEAT_INTERVAL"),
            },
            id="a bad time does not hide a bad interval",
        ),
        pytest.param({**GOOD, "jobType": "DAILY"}, {("/jobType", "ENUM")}, id="no such job type"),
        pytest.param(
            {**GOOD, "schedule": "P1D", "options": 5},
            {("/schedule", "OBJECT_TYPE"), ("/options", "OBJECT_TYPE")},
            id="no objects",
        ),
        pytest.param(
            {
                "vmId": 4,
                "schedule": {"timeZone": "Mars", "count": 0, "start": 5, "end": "x", "crontab": "* * * * *"},
                "options": {"maxAttempts": 0, "timeout": "P1M", "backoff": {"factor": 0.5, "initial": "PT0S"}, "x": 1},
            },
            {
                ("/schedule/every", "REQD_FIELD_MISSING"),
                ("/schedule/timeZone", "TIME_ZONE_UNKNOWN"),
                ("/schedule/count", "GREATER_THAN_EQUAL"),
                ("/schedule/start", "WHEN_TYPE"),
                ("/schedule/end", "WHEN_FORMAT"),
                ("/schedule/crontab", "UNKNOWN_FIELD"),
                ("/options/maxAttempts", "GREATER_THAN_EQUAL"),
                ("/options/timeout", "DURATION_FORMAT"),
                ("/options/backoff/factor", "GREATER_THAN_EQUAL"),
                ("/options/backoff/initial", "GREATER_THAN"),
                ("/options/x", "UNKNOWN_FIELD"),
            },
            id="schedule and options",
        ),
        pytest.param(
            {**GOOD, "options": {"maxAttempts": "3", "timeout": 30, "backoff": 5}},
            {
                ("/options/maxAttempts", "INT_TYPE"),
                ("/options/timeout", "DURATION_TYPE"),
                ("/options/backoff", "OBJECT_TYPE"),
            },
            id="numbers as text and text as numbers",
        ),
    ],
)
def test_read_reports_every_problem_at_once(body: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """Required fields, single fields, the whole and the schedule: each fault is told, each once, in one answer."""
    assert expected == faults(body)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_what_the_service_writes_cannot_be_sent(name: str) -> None:
    """A body cannot set its own state, also where the model takes any field."""

    class Open(JobRequest):
        model_config = ConfigDict(extra="allow")

    assert {(f"/{name}", "RESERVED_FIELD")} == faults({**GOOD, name: 1})
    assert {(f"/{name}", "RESERVED_FIELD")} == faults({"when": WHEN, name: 1}, Open)


def test_a_reserved_name_that_the_group_declares_is_the_groups() -> None:
    """A plugin whose own field has such a name gets it."""

    class NodeRequest(JobRequest):
        node: str

    assert read(NodeRequest, {"when": WHEN, "node": "n"}, now=NOW).request == NodeRequest(when=TEN, node="n")
    assert {("/node", "STRING_TYPE"), ("/id", "RESERVED_FIELD")} == faults(
        {"when": WHEN, "node": 1, "id": 1}, NodeRequest
    )


def test_a_model_may_take_any_field() -> None:
    """With ``extra="allow"`` what is sent is kept as it is."""

    class Open(JobRequest):
        model_config = ConfigDict(extra="allow")

    request = read(Open, {"when": WHEN, "x": {"y": [1]}, "__class__": "z", "$ref": None}, now=NOW).request
    assert request.model_extra == {"x": {"y": [1]}, "__class__": "z", "$ref": None}


@pytest.mark.parametrize(
    ("name", "pointer"), [("a/b", "/a~1b"), ("a~b", "/a~0b"), ("~1", "/~01"), ("", "/"), ("x" * 65, "/" + "x" * 64)]
)
def test_pointers_are_escaped_and_bounded(name: str, pointer: str) -> None:
    """A place is a JSON pointer (RFC 6901), of which no more than 64 characters a name are repeated."""
    assert {(pointer, "UNKNOWN_FIELD")} == faults({**GOOD, name: 1})


def test_the_sentence_names_three_and_counts_the_rest() -> None:
    """The error's text is short; its list has everything."""
    with pytest.raises(InvalidRequestError) as caught:
        read(BackupRequest, {**GOOD, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, now=NOW)
    unknown = "is not a field of this job group"
    assert f"/a {unknown}; /b {unknown}; /c {unknown}; and 2 more" == str(caught.value)
    assert 5 == len(caught.value.problems)


def test_a_detail_is_bounded() -> None:
    """No message of a plugin, and no value it repeats, makes an answer long."""

    class Wordy(JobRequest):
        word: str

        @field_validator("word")
        @classmethod
        def check(cls, word: str) -> str:
            raise ValueError(f"{word} is no word" if word.startswith("a") else word + "!" * 1000)

    (problem,) = problems_of({"when": WHEN, "word": "a" * 500}, Wordy)
    assert "a" * 63 + "… is no word" == problem.detail
    (problem,) = problems_of({"when": WHEN, "word": "b"}, Wordy)
    assert "b" + "!" * 199 == problem.detail


def test_details_say_what_to_do() -> None:
    """Each problem has a sentence for a human, also when a check raises without one."""

    class Terse(BackupRequest):
        @model_validator(mode="after")
        def check_terse(self) -> Self:
            if self.vm_id == 5:
                raise AssertionError
            return self

    body = {"vmId": 5, "backupName": "-x", "keepDays": 0, "y": 1}
    assert {
        "/backupName": "must not begin with a dash",
        "/keepDays": "must be a day or more",
        "/y": "is not a field of this job group",
        "": "the request is refused by a check of the job group",
        "/when": "is required: when the job is to run, or a schedule",
    } == {problem.pointer: problem.detail for problem in problems_of(body, Terse)}
    (problem,) = problems_of({**GOOD, "vmId": 5}, Terse)
    assert "the request is refused by a check of the job group" == problem.detail


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"full": True, "keepDays": 31, "backupName": "a"}, "a full backup is kept for 30 days at most"),
        ({"full": True}, "a full backup needs a name"),
        ({"full": True, "vmId": "x"}, "a full backup needs a name; /vmId must be a whole number"),
    ],
)
def test_what_is_said_of_the_whole_is_a_sentence_of_its_own(body: dict[str, Any], said: str) -> None:
    """It is repeated as its author wrote it: nothing is put before it that would make nonsense of it."""
    with pytest.raises(InvalidRequestError) as caught:
        read(BackupRequest, {**GOOD, **body}, now=NOW)
    assert sorted(said.split("; ")) == sorted(sentence.partition(",")[0] for sentence in str(caught.value).split("; "))


# --- bugs of the plugin


class WordlessError(ValueError):
    """An error that fails when it is asked what it says."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3), RecursionError(), WordlessError()])
@pytest.mark.parametrize("place", ["field", "before", "after"])
def test_a_bug_in_a_check_is_one_of_the_problems(error: BaseException, place: str) -> None:
    """A check that raises what it should not is answered like a fault, and its author can hear of the cause."""

    class Buggy(JobRequest):
        size: int = 0

        @field_validator("size")
        @classmethod
        def check_size(cls, size: int) -> int:
            if place == "field":
                raise error
            return size

        @model_validator(mode="before")
        @classmethod
        def check_before(cls, data: Any) -> Any:
            if place == "before":
                raise error
            return data

        @model_validator(mode="after")
        def check_after(self) -> Self:
            if place == "after":
                raise error
            return self

    with pytest.raises(InvalidRequestError) as caught:
        read(Buggy, {"size": 1}, now=NOW)
    assert [("", "PLUGIN_VALIDATION_ERROR"), ("/when", "REQD_FIELD_MISSING")] == [
        (problem.pointer, problem.code) for problem in caught.value.problems
    ]
    assert caught.value.__cause__ is not None
    assert not isinstance(caught.value.__cause__, ValidationError)


def test_the_cause_of_plain_faults_is_pydantics() -> None:
    """A body that is wrong is no bug: the cause says so."""
    with pytest.raises(InvalidRequestError) as caught:
        read(BackupRequest, {"when": WHEN}, now=NOW)
    assert isinstance(caught.value.__cause__, ValidationError)


class NeedsItsFields(JobRequest):
    """A model that computes as it is made."""

    size: int
    area: ClassVar[int] = 0

    def model_post_init(self, _context: Any, /) -> None:
        """Fail where there is no size."""
        type(self).area = self.size**2


class Refuser(JobRequest):
    """A model that wants no subclasses."""

    size: int

    def __init_subclass__(cls, **_: object) -> None:
        raise TypeError("is final")


class Factory(JobRequest):
    """A model with a default that cannot be made."""

    size: int
    ratio: float = Field(default_factory=lambda: 1 / 0)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (NeedsItsFields, "INT_PARSING"),
        (Refuser, "INT_PARSING"),
        (Factory, "PLUGIN_VALIDATION_ERROR"),
    ],
)
def test_a_model_that_cannot_be_made_in_part(model: type[JobRequest], code: str) -> None:
    """Looking for further faults in what is right must not fail, whatever the model does when it is made."""
    found = {code for _, code in faults({"when": "2046-01-01T00:00:00Z", "size": "x"}, model)}
    assert code in found
    assert found <= {"INT_PARSING", "PLUGIN_VALIDATION_ERROR", "WHEN_TOO_FAR"}


def test_a_check_that_wants_to_know_more_is_run_when_the_fields_are_right() -> None:
    """A check of the whole whose call we do not know is left to pydantic."""

    class Asking(JobRequest):
        size: int

        @model_validator(mode="wrap")
        @classmethod
        def check(cls, data: Any, handler: Any) -> Any:
            made = handler(data)
            if made.size > 5:
                raise ValueError("is too large")
            return made

    assert {("", "INVALID_VALUE")} == faults({"when": WHEN, "size": 6}, Asking)
    assert {("/size", "INT_PARSING")} == faults({"when": WHEN, "size": "x"}, Asking)


# --- when


def test_when_may_be_in_the_past() -> None:
    """What was to run long ago is taken, and due at once."""
    assert Once(datetime(2017, 9, 21, 23, 58, 16, 797_000, tzinfo=UTC)) == trigger_of(
        {"when": "2017-09-21T23:58:16.797Z"}
    )


def test_the_horizon() -> None:
    """Ten years ahead is the limit, and the answer names it."""
    assert Once(NOW + HORIZON) == trigger_of({"when": format_time(NOW + HORIZON)})
    (problem,) = problems_of({"when": format_time(NOW + HORIZON + MICROSECOND)}, JobRequest)
    assert ("/when", "WHEN_TOO_FAR") == (problem.pointer, problem.code)
    assert format_time(NOW + HORIZON) in problem.detail


# --- the fields that clients of the first hour send


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Once(TEN)),
        ({"jobType": "ONE_TIME"}, Once(TEN)),
        ({"jobType": "ONE_TIME", "repeatCount": 3, "repeatIntervalInDays": 7}, Once(TEN)),
        ({"jobType": "ONE_TIME", "repeatCount": "x", "repeatIntervalInDays": -1}, Once(TEN)),
        ({"repeatCount": 3, "repeatIntervalInDays": 7}, Once(TEN)),
        ({"jobType": "RECURRING", "repeatIntervalInDays": 7}, Recurring(Every(Period(days=7)), TEN)),
        (
            {"jobType": "RECURRING", "repeatIntervalInDays": 7, "repeatCount": None},
            Recurring(Every(Period(days=7)), TEN),
        ),
        (
            {"jobType": "RECURRING", "repeatIntervalInDays": 7, "repeatCount": 0},
            Recurring(Every(Period(days=7)), TEN, 1),
        ),
        (
            {"jobType": "RECURRING", "repeatIntervalInDays": 7, "repeatCount": 3},
            Recurring(Every(Period(days=7)), TEN, 4),
        ),
        ({"jobType": "RECURRING", "repeatIntervalInDays": 3653}, Recurring(Every(Period(days=3653)), TEN)),
    ],
)
def test_legacy_fields(fields: dict[str, Any], expected: Trigger) -> None:
    """RECURRING repeats each so many days, `repeatCount` times after the first; ONE_TIME ignores both."""
    assert expected == trigger_of({"when": WHEN, **fields})


@pytest.mark.parametrize("interval", [None, 0, -1, 1.5, 1.0, "1", True, 10**9, 3654, [], {}])
def test_legacy_interval(interval: object) -> None:
    """A recurring job needs a whole number of days, at most ten years of them."""
    body = {"when": WHEN, "jobType": "RECURRING", "repeatIntervalInDays": interval}
    assert {("/repeatIntervalInDays", "INVALID_REPEAT_INTERVAL")} == faults(body, JobRequest)


@pytest.mark.parametrize("count", [-1, 1.5, "1", True, 2**31, []])
def test_legacy_count(count: object) -> None:
    """How often a job is repeated is a whole number, or left open."""
    body = {"when": WHEN, "jobType": "RECURRING", "repeatIntervalInDays": 1, "repeatCount": count}
    assert {("/repeatCount", "INVALID_REPEAT_COUNT")} == faults(body, JobRequest)


# --- schedule


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"schedule": {"every": "PT15M"}}, Recurring(Every(Period(exact=timedelta(minutes=15))), NOW)),
        ({"when": WHEN, "schedule": {"every": "P1D"}}, Recurring(Every(Period(days=1)), TEN)),
        ({"when": None, "schedule": {"every": "P1D", "start": WHEN}}, Recurring(Every(Period(days=1)), TEN)),
        (
            {"when": WHEN, "schedule": {"every": "P1D", "start": "2026-02-01T00:00:00Z"}},
            Recurring(Every(Period(days=1)), TEN),
        ),
        ({"schedule": {"every": "PT1S", "count": 5}}, Recurring(Every(Period(exact=timedelta(seconds=1))), NOW, 5)),
        (
            {
                "when": WHEN,
                "schedule": {
                    "every": "P1M",
                    "timeZone": "Europe/Berlin",
                    "end": "2027-12-01T00:00:00Z",
                    "count": 1,
                    "start": None,
                },
            },
            Recurring(Every(Period(months=1)), TEN, 1, datetime(2027, 12, 1, tzinfo=UTC), "Europe/Berlin"),
        ),
        ({"when": WHEN, "schedule": {"every": "P1D", "end": WHEN}}, Recurring(Every(Period(days=1)), TEN, end=TEN)),
        ({"when": WHEN, "schedule": None}, Once(TEN)),
    ],
)
def test_schedule(body: dict[str, Any], expected: Trigger) -> None:
    """A schedule begins with `when`, else with its own start, else now."""
    assert expected == trigger_of(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"schedule": {"every": "PT0.999999S"}}, {("/schedule/every", "SCHEDULE_TOO_FREQUENT")}),
        ({"schedule": {"every": "P0D"}}, {("/schedule/every", "SCHEDULE_TOO_FREQUENT")}),
        ({"schedule": {"every": "-P1D"}}, {("/schedule/every", "DURATION_FORMAT")}),
        ({"schedule": {"every": "P11Y"}}, {("/schedule/every", "DURATION_RANGE")}),
        ({"schedule": {"every": 86400}}, {("/schedule/every", "DURATION_TYPE")}),
        ({"schedule": {"every": "P1D", "start": "2046-01-01T00:00:00Z"}}, {("/schedule/start", "WHEN_TOO_FAR")}),
        ({"when": "2046-01-01T00:00:00Z", "schedule": {"every": "P1D"}}, {("/when", "WHEN_TOO_FAR")}),
        ({"schedule": {"every": "P1D", "end": "2025-12-31T00:00:00Z"}}, {("/schedule/end", "SCHEDULE_NEVER")}),
        (
            {"when": WHEN, "schedule": {"every": "P1D", "end": "2026-11-30T00:00:00Z"}},
            {("/schedule/end", "SCHEDULE_NEVER")},
        ),
        ({"schedule": {"every": "P1D", "count": True}}, {("/schedule/count", "INT_TYPE")}),
        ({"schedule": {"every": "P1D", "count": 1.0}}, {("/schedule/count", "INT_TYPE")}),
        ({"schedule": {"every": "P1D", "time_zone": "UTC"}}, {("/schedule/time_zone", "UNKNOWN_FIELD")}),
        (
            {"when": WHEN, "jobType": "RECURRING", "repeatIntervalInDays": 1, "schedule": {"every": "P1D"}},
            {("/jobType", "SCHEDULE_CONFLICT")},
        ),
        ({"schedule": {}}, {("/schedule/every", "REQD_FIELD_MISSING")}),
        ({"schedule": None}, {("/when", "REQD_FIELD_MISSING")}),
    ],
)
def test_schedule_refused(body: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """A schedule that is too frequent, too far off, over before it begins or said twice is refused, at its place."""
    assert expected == faults(body, JobRequest)


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"schedule": {"cron": "0 3 * * *"}}, Recurring(Cron("0 3 * * *"), NOW)),
        ({"schedule": {"cron": "0 3 * * *", "every": None}}, Recurring(Cron("0 3 * * *"), NOW)),
        (
            {"when": WHEN, "schedule": {"cron": "@daily", "timeZone": BERLIN}},
            Recurring(Cron("@daily"), TEN, time_zone=BERLIN, start_fires=True),
        ),
        (
            {"schedule": {"cron": "0 3 * * *", "start": WHEN, "startFires": True, "count": 5}},
            Recurring(Cron("0 3 * * *"), TEN, 5, start_fires=True),
        ),
        ({"schedule": {"every": "P1D", "startFires": True}}, Recurring(Every(Period(days=1)), NOW)),
        (
            {"schedule": {"rrule": "FREQ=DAILY;COUNT=5", "dstGap": "skip", "dstOverlap": "both"}},
            Recurring(RRule("FREQ=DAILY"), NOW, 5, dst_gap=DstGap.SKIP, dst_overlap=DstOverlap.BOTH),
        ),
        (
            {"schedule": {"rrule": "FREQ=DAILY;UNTIL=20270701T020000", "timeZone": BERLIN}},
            Recurring(RRule("FREQ=DAILY"), NOW, end=datetime(2027, 7, 1, tzinfo=UTC), time_zone=BERLIN),
        ),
        (
            {"schedule": {"rrule": "FREQ=DAILY;UNTIL=20270701T020000Z", "timeZone": BERLIN}},
            Recurring(RRule("FREQ=DAILY"), NOW, end=datetime(2027, 7, 1, 2, tzinfo=UTC), time_zone=BERLIN),
        ),
        (
            {"schedule": {"anyOf": [{"cron": "0 3 * * *"}, {"every": "P1D"}, {"rrule": "FREQ=WEEKLY;COUNT=3"}]}},
            Recurring(AnyOf((Cron("0 3 * * *"), Every(Period(days=1)), RRule("FREQ=WEEKLY;COUNT=3"))), NOW),
        ),
        (
            {"schedule": {"cron": "0 3 * * *", "misfire": "fireNow", "overlap": "queue", "jitter": "PT0S"}},
            Recurring(Cron("0 3 * * *"), NOW),
        ),
    ],
)
def test_schedule_of_each_kind(body: dict[str, Any], expected: Trigger) -> None:
    """What is sent is what the trigger says; an rrule's COUNT and UNTIL are the schedule's."""
    assert expected == trigger_of(body)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"when": ""}, "/when"),
        ({"schedule": {"cron": ""}}, "/schedule/cron"),
        ({"schedule": {"rrule": ""}}, "/schedule/rrule"),
        ({"schedule": {"every": ""}}, "/schedule/every"),
        ({"schedule": {"every": "P1D", "timeZone": ""}}, "/schedule/timeZone"),
        ({"schedule": {"anyOf": [{"cron": "0 3 * * *"}, {"cron": ""}]}}, "/schedule/anyOf/1/cron"),
    ],
)
def test_empty_text(body: dict[str, Any], pointer: str) -> None:
    """What is text and empty is not told to be text."""
    assert [(pointer, "is empty")] == [(problem.pointer, problem.detail) for problem in problems_of(body, JobRequest)]


@pytest.mark.parametrize(
    "schedule",
    [
        {"cron": "30 2 30 2 *"},
        {"rrule": "FREQ=YEARLY;INTERVAL=7;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU"},  # 2128
        {"rrule": "FREQ=YEARLY;INTERVAL=10;BYMONTH=2;BYMONTHDAY=29;BYDAY=SA"},
        {"anyOf": [{"cron": "0 0 30 2 *"}, {"rrule": "FREQ=YEARLY;INTERVAL=9;BYMONTH=2;BYMONTHDAY=29;BYDAY=FR"}]},
    ],
)
def test_never_is_said_of_the_years_that_were_looked_through(schedule: dict[str, Any]) -> None:
    """A rule may have a day beyond them, so that nothing is said of days that do not exist."""
    start = {"start": "2016-03-01T00:00:00Z"}
    (problem,) = problems_of({"schedule": schedule | start}, JobRequest)
    assert problem.code.endswith("_NEVER")
    assert "does not fire in the 40 years from its start" in problem.detail


def test_rrule_and_cron_begin_with_a_whole_second() -> None:
    """What begins now begins with the next second, and no fraction of it is counted or said."""
    for rule in ({"rrule": "FREQ=DAILY"}, {"cron": "* * * * *"}, {"anyOf": [{"cron": "* * * * *"}, {"every": "P1D"}]}):
        trigger = read(JobRequest, {"schedule": rule}, now=NOW + MICROSECOND).trigger
        assert isinstance(trigger, Recurring)
        assert NOW + timedelta(seconds=1) == trigger.start


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"cron": "0 3 * *"}, {("cron", "INVALID_CRON")}),
        ({"cron": ""}, {("cron", "INVALID_CRON")}),
        ({"cron": ["0 3 * * *"]}, {("cron", "INVALID_CRON")}),
        ({"cron": "* * * * * *"}, {("cron", "CRON_TOO_FREQUENT")}),
        ({"cron": "30 2 30 2 *"}, {("cron", "CRON_NEVER")}),
        ({"cron": "30 2 30 2 *", "startFires": True}, {("cron", "CRON_NEVER")}),
        ({"cron": "0 3 * * *", "end": "2026-01-01T02:59:59Z"}, {("end", "SCHEDULE_NEVER")}),
        ({"cron": "0 3 * * *", "startFires": 1}, {("startFires", "BOOL_TYPE")}),
        ({"rrule": "FREQ=OFTEN"}, {("rrule", "INVALID_RRULE")}),
        ({"rrule": 5}, {("rrule", "INVALID_RRULE")}),
        ({"rrule": "FREQ=SECONDLY"}, {("rrule", "INVALID_RRULE")}),
        ({"rrule": "FREQ=MINUTELY;BYSECOND=0,1"}, {("rrule", "SCHEDULE_TOO_FREQUENT")}),
        ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, {("rrule", "RRULE_NEVER")}),
        ({"rrule": "FREQ=DAILY;UNTIL=20251231"}, {("rrule", "SCHEDULE_NEVER")}),
        ({"rrule": "FREQ=DAILY;COUNT=5", "count": 5}, {("count", "SCHEDULE_CONFLICT")}),
        ({"rrule": "FREQ=DAILY;UNTIL=20271231", "end": "2027-01-01T00:00:00Z"}, {("end", "SCHEDULE_CONFLICT")}),
        ({"every": "P1D", "cron": "0 3 * * *"}, {("cron", "SCHEDULE_CONFLICT")}),
        (
            {"every": "P1D", "cron": "0 3 * * *", "rrule": "FREQ=DAILY"},
            {("cron", "SCHEDULE_CONFLICT"), ("rrule", "SCHEDULE_CONFLICT")},
        ),
        ({"every": "P1D", "cron": "x"}, {("cron", "INVALID_CRON")}),
        ({"anyOf": []}, {("anyOf", "TOO_SHORT")}),
        ({"anyOf": "0 3 * * *"}, {("anyOf", "TUPLE_TYPE")}),
        ({"anyOf": [{"cron": "0 3 * * *"}] * 11}, {("anyOf", "TOO_LONG")}),
        (
            {"anyOf": [{}, {"cron": "x"}, {"every": "P1D", "rrule": "FREQ=DAILY"}, {"anyOf": []}]},
            {
                ("anyOf/0/every", "REQD_FIELD_MISSING"),
                ("anyOf/1/cron", "INVALID_CRON"),
                ("anyOf/2/rrule", "SCHEDULE_CONFLICT"),
                ("anyOf/3/anyOf", "UNKNOWN_FIELD"),
                ("anyOf/3/every", "REQD_FIELD_MISSING"),
            },
        ),
        ({"anyOf": [{"every": "PT59S"}]}, {("anyOf/0/every", "SCHEDULE_TOO_FREQUENT")}),
        (
            {"anyOf": [{"cron": "* * * * * *"}]},
            {("anyOf/0/cron", "CRON_TOO_FREQUENT"), ("anyOf", "SCHEDULE_TOO_FREQUENT")},
        ),
        (
            {"anyOf": [{"cron": "0 * * * * *"}, {"cron": "1 * * * * *"}]},
            {("anyOf", "SCHEDULE_TOO_FREQUENT")},
        ),
        (
            {"anyOf": [{"cron": "@daily"}, {"rrule": "FREQ=DAILY\nEXDATE:20270101"}]},
            {("anyOf/1/rrule", "INVALID_RRULE")},
        ),
        ({"rrule": "RRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY"}, {("rrule", "INVALID_RRULE")}),
        ({"at": []}, {("at", "TOO_SHORT")}),
        ({"at": ["2027-01-01T00:00:00Z"] * 1001}, {("at", "TOO_LONG")}),
        ({"at": ["2027-01-01T00:00:00Z", "2027-01-01T00:00:00"]}, {("at/1", "WHEN_ZONE_REQUIRED")}),
        ({"every": "P1D", "except": ["2027-01-01"] * 1001}, {("except", "TOO_LONG")}),
        (
            {"every": "P1D", "except": ["2027-02-29", "2027-01-01 10:00Z"]},
            {("except/0", "WHEN_RANGE"), ("except/1", "WHEN_FORMAT")},
        ),
        ({"anyOf": [{"cron": "0 0 30 2 *"}]}, {("", "SCHEDULE_NEVER")}),
        ({"anyOf": [{"cron": "0 3 * * *"}, {"every": "PT7H"}], "count": 5}, {("count", "SCHEDULE_CONFLICT")}),
        ({"cron": "0 3 * * *", "dstGap": "later"}, {("dstGap", "ENUM")}),
        ({"cron": "0 3 * * *", "dstOverlap": None, "timeZone": "CET-1"}, {("timeZone", "TIME_ZONE_UNKNOWN")}),
        ({"every": "P1DT1H", "dstGap": "skip"}, {("dstGap", "SCHEDULE_CONFLICT")}),
        ({"every": "P1D", "count": 2**31}, {("count", "LESS_THAN_EQUAL")}),
        ({"every": "P1D", "jitter": "PT1M", "window": "PT1H"}, {("jitter", "SCHEDULE_CONFLICT")}),
        ({"every": "P1D", "window": "P8D"}, {("window", "LESS_THAN_EQUAL")}),
        ({"every": "P1D", "grace": "P1M"}, {("grace", "DURATION_FORMAT")}),
        ({"every": "P1D", "misfire": "later"}, {("misfire/policy", "ENUM")}),
        ({"every": "P1D", "misfire": {"policy": "fireAll", "cap": 0}}, {("misfire/cap", "GREATER_THAN_EQUAL")}),
        ({"every": "P1D", "misfire": {"policy": "fireAll", "often": 1}}, {("misfire/often", "UNKNOWN_FIELD")}),
        ({"every": "P1D", "misfire": "fireAll", "overlap": "skip"}, {("overlap", "SCHEDULE_CONFLICT")}),
        ({"every": "P1D", "calendar": "holidays"}, {("calendar", "CALENDAR_UNKNOWN")}),
        ({"every": "P1D", "overlap": "pile"}, {("overlap", "ENUM")}),
        ({"every": "P1D", "calendar": ""}, {("calendar/name", "STRING_PATTERN_MISMATCH")}),
        ({"every": "P1D", "calendar": {"name": "x", "days": "some"}}, {("calendar/days", "ENUM")}),
        ({"every": "P1D", "calendar": 5}, {("calendar", "OBJECT_TYPE")}),
    ],
)
def test_schedule_of_each_kind_refused(schedule: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """Each rule has its code, all that is wrong is told at once, at its place."""
    assert {(f"/schedule/{place}".removesuffix("/"), code) for place, code in expected} == faults(
        {"schedule": schedule}, JobRequest
    )


hostile = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="*/,-?LW#H()0123456789 @MONFRI", max_size=300),
    st.text(alphabet="FREQ=DAILYBYMONTHSETPOSINTERVAL;,-+0123456789", max_size=300).map("FREQ=YEARLY;".__add__),
    st.lists(
        st.sampled_from(
            [
                "BEGIN:VEVENT",
                "END:VEVENT",
                "DTSTART:",
                "DTSTART;TZID=",
                "RDATE:",
                "EXDATE:",
                "RRULE:FREQ=",
                "\r\n ",
                "\n",
                "UTC",
                "20270101",
                "T090000",
                "Z",
                "DAILY",
                ";COUNT=3",
                "RECURRENCE-ID:",
                ",",
            ]
        )
    ).map("".join),
    st.integers(),
    st.none(),
    st.lists(st.text(max_size=5), max_size=3),
)


@settings(deadline=None, max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "every",
                "cron",
                "rrule",
                "at",
                "anyOf",
                "timeZone",
                "start",
                "end",
                "count",
                "misfire",
                "calendar",
                "except",
            ]
        ),
        hostile,
        max_size=4,
    )
)
def test_any_schedule_is_read_or_refused(schedule: dict[str, Any]) -> None:
    """Whatever is sent, it is a trigger with a first fire time or a list of named faults, and soon."""
    begun = thread_time()
    try:
        trigger = trigger_of({"schedule": schedule})
    except InvalidRequestError as error:
        assert all(problem.code and problem.detail for problem in error.problems)  # noqa: PT017 - either will do
    else:
        assert trigger.first >= NOW
    assert thread_time() - begun < 0.5


# --- options


@pytest.mark.parametrize(
    ("sent", "expected", "written"),
    [
        ({}, Options(), {}),
        ({"maxAttempts": 1}, Options(max_attempts=1), {"maxAttempts": 1}),
        ({"timeout": "P1D"}, Options(timeout=timedelta(days=1)), {"timeout": "PT24H"}),
        (
            {"backoff": "PT5S"},
            Options(backoff=Backoff(initial=timedelta(seconds=5))),
            {"backoff": {"initial": "PT5S", "factor": 3.0, "longest": "PT1H"}},
        ),
        (
            {"backoff": {"factor": 1, "longest": "PT1M"}},
            Options(backoff=Backoff(factor=1.0, longest=timedelta(minutes=1))),
            {"backoff": {"initial": "PT1S", "factor": 1.0, "longest": "PT1M"}},
        ),
        ({"backoff": None, "timeout": None, "maxAttempts": None}, Options(), {}),
    ],
)
def test_options(sent: dict[str, Any], expected: Options, written: dict[str, Any]) -> None:
    """Options are read from the wire, `backoff` also as one duration, and written without what was left open."""
    assert expected == read(JobRequest, {"when": WHEN, "options": sent}, now=NOW).options
    assert written == options_to_json(expected)


@given(
    st.builds(
        Options,
        max_attempts=st.none() | st.integers(1, 1000),
        timeout=st.none() | st.timedeltas(MICROSECOND, LONGEST),
        backoff=st.none()
        | st.builds(
            Backoff, st.timedeltas(MICROSECOND, LONGEST), st.floats(1, 100), st.timedeltas(MICROSECOND, LONGEST)
        ),
    )
)
def test_options_round_trip(options: Options) -> None:
    """What a store keeps of options, it reads back."""
    assert options == options_from_json(options_to_json(options))


# --- at run time


def test_parse_takes_what_was_stored() -> None:
    """At run time the body is parsed again, without a look at its schedule."""
    assert 4 == parse(BackupRequest, {"vmId": 4}).vm_id
    with pytest.raises(InvalidRequestError, match=r"^/vmId is required$"):
        parse(BackupRequest, {})


def test_a_parsed_request_cannot_be_changed() -> None:
    """What a listener is told is what the job is told."""
    request = parse(BackupRequest, GOOD)
    with pytest.raises(ValidationError):
        request.vm_id = 5  # type: ignore[misc]


def test_scheduling_fields_are_those_of_the_base() -> None:
    """The names that a plugin must leave alone."""
    assert {"when", "job_type", "repeat_count", "repeat_interval_in_days", "schedule", "options"} == SCHEDULING_FIELDS


# --- what checks of a plugin may do

mark = ContextVar("mark", default="nothing")


class OddValueError(ValueError):
    """What pydantic takes for a refusal, and nothing can be said of."""

    def __str__(self) -> str:
        raise SystemExit(3)


class Doom(BaseException, metaclass=UnkindType):
    """Not even an `Exception`, nor does it tell what it is."""


class OddRequest(JobRequest):
    """A request with odd checks, of a field or of the whole."""

    field: str = ""
    whole: str = ""

    @field_validator("field")
    @classmethod
    def check_field(cls, what: str) -> str:
        """Check the field."""
        return raise_what(what)

    @model_validator(mode="after")
    def check_all(self) -> Self:
        """Check the whole."""
        raise_what(self.whole)
        return self


ODD: dict[str, BaseException] = {
    "exit": SystemExit(3),
    "cancelled": asyncio.CancelledError(),
    "closed": GeneratorExit(),
    "interrupted": KeyboardInterrupt(),
    "doom": Doom(),
    "surrogate": ValueError("half a pair: \ud800"),
    "wordless": OddValueError(),
    "long": ValueError("x" * 1_000_000),
}


def raise_what(what: str) -> str:
    """Raise what a request asks for."""
    if what in ODD:
        raise ODD[what]
    if what:
        mark.set(f"{mark.get()}, {what}")
        raise PydanticCustomError("MARK", "{mark}", {"mark": mark.get()})
    return what


@pytest.mark.parametrize("place", ["field", "whole"])
@pytest.mark.parametrize("odd", ODD)
def test_whatever_a_check_raises_is_a_refusal(place: str, odd: str) -> None:
    """In words that can be written and are not too long; it ends neither the call nor the service."""
    with pytest.raises(InvalidRequestError) as refused:
        read(OddRequest, {"when": WHEN, place: odd}, now=NOW)
    assert refused.value.problems
    for problem in refused.value.problems:
        assert len(problem.detail) <= 200
        assert problem.detail.encode()
        assert problem.code.encode()
    with pytest.raises(InvalidRequestError):
        parse(OddRequest, {"when": WHEN, place: odd})


def test_what_a_check_sets_in_a_context_is_seen_by_no_other_request() -> None:
    """However they share a task, such as those of one batch; the checks of one request share it."""
    seen = []
    for number in range(3):
        body = {"when": WHEN, "field": f"a{number}", "whole": f"b{number}"}
        with pytest.raises(InvalidRequestError) as refused:
            read(OddRequest, body, now=NOW)
        seen.append({problem.detail for problem in refused.value.problems})
        with pytest.raises(InvalidRequestError):
            parse(OddRequest, body)
    assert all(
        not any(f"{other}" in word for word in words for other in {0, 1, 2} - {n}) for n, words in enumerate(seen)
    )
    assert "nothing" == mark.get()
