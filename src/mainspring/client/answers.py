"""What the service answers, as frozen dataclasses. `raw` keeps each as it came, with fields of later versions too.

Times are aware and in UTC. What an answer leaves out, such as by `fields`, is None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from mainspring.client.call import Answer, Page
from mainspring.client.times import read_moment

Raw: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobRef:
    """The name of a job: its product, its job group and its id."""

    product: str
    job_group: str
    id: str


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - the word of the service, for what is legal but may be a mistake
    """What is legal but may be a mistake."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Pause:
    """What holds a job or a group back: since when (`at`), why, and `until` when (None: until somebody resumes it)."""

    level: str
    at: datetime | None
    reason: str | None
    until: datetime | None
    by: str | None
    ended_at: datetime | None
    ended_by: str | None
    raw: Raw


@dataclass(frozen=True, slots=True)
class Run:
    """One run that has ended. `result`, `result_error` and `traceback` are only there where one run is asked for."""

    run: int
    job_id: str
    scheduled_fire_time: datetime | None
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    lateness_seconds: float
    attempt: int
    outcome: str
    reason: str | None
    node: str
    occurrences: int
    last_scheduled_fire_time: datetime | None
    backfill: bool
    result: Any
    result_error: str | None
    traceback: str | None
    raw: Raw


@dataclass(frozen=True, slots=True)
class CurrentRun:
    """The run under way: its number, where, which try it is, since when, and how far it says that it is."""

    run: int
    node: str
    attempt: int
    since: datetime | None
    progress: Raw | None
    raw: Raw


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it stood when the service answered."""

    id: str
    product: str
    job_group: str
    state: str
    """`scheduled`, `running`, `paused` or `done`."""
    is_paused: bool
    paused_by: tuple[Pause, ...]
    next_run: datetime | None
    request: Raw
    schedule: Raw | None
    options: Raw
    priority: int | None
    concurrency_key: str | None
    attempt: int
    outcome: str | None
    """How the last run ended; None before the first has."""
    current_run: CurrentRun | None
    last_run: Run | None
    version: int
    created_at: datetime | None
    updated_at: datetime | None
    warnings: tuple[Warning, ...]
    etag: str
    """To be passed as `if_match`, so that only this version is changed."""
    created: bool
    """Whether the call created it: false where a job that was there was kept or replaced, and for all other calls."""
    replayed: bool
    """Whether the answer is that of an earlier call with the same idempotency key."""
    raw: Raw

    @property
    def ref(self) -> JobRef:
        """Its name."""
        return JobRef(self.product, self.job_group, self.id)

    @property
    def is_done(self) -> bool:
        """Whether it has come to its end."""
        return self.state == "done"

    @property
    def gave_up(self) -> bool:
        """Whether the last run failed and is not tried again; of a job that is not done it cannot be told."""
        return self.is_done and self.outcome in {"failed", "timed_out", "lost"}


@dataclass(frozen=True, slots=True)
class Group:
    """A job group: whether a plugin registers it, and how many jobs it has in each state."""

    product: str
    job_group: str
    registered: bool
    counts: Mapping[str, int]
    is_paused: bool
    paused_by: tuple[Pause, ...]
    raw: Raw


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a group, a product or everything is paused, by what, and which pauses are over."""

    product: str | None
    job_group: str | None
    is_paused: bool
    paused_by: tuple[Pause, ...]
    history: tuple[Pause, ...]
    raw: Raw


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch created: how many jobs, and the ids in the order of the requests."""

    created: int
    ids: tuple[str, ...]
    replayed: bool
    raw: Raw


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact that holds a job back; it `clears` by itself then, or None."""

    code: str
    text: str
    since: datetime | None
    clears: datetime | None
    by: str | None
    links: tuple[Any, ...]
    raw: Raw


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a forecast: the fire time, the same by local clocks, when it begins, and a note."""

    utc: datetime | None
    local: str
    at: datetime | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a job will do: the schedule in English, its starts, what does not start, and warnings."""

    schedule: str
    fire_times: tuple[Start, ...]
    passed: tuple[Raw, ...]
    warnings: tuple[Warning, ...]
    raw: Raw


@dataclass(frozen=True, slots=True)
class Backfill:
    """How many runs of a past range were created, and how many were left out."""

    created: int
    left: int
    raw: Raw


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a group or a product, as they are sent. `source` is `api` or `declared`."""

    limits: Raw
    etag: str | None
    source: str | None


# --- how they are read ------------------------------------------------------------------------------------------------


def entry(answer: Answer) -> Any:
    """Read an answer as it stands."""
    return answer.json()


def nothing(_: Answer) -> None:
    """Read an answer that says no more than that it is done."""


def page_of(read: Any) -> Any:
    """Return the reader of a page whose entries `read` reads."""

    def page(answer: Answer) -> Page[Any]:
        return Page(tuple(read(raw) for raw in answer.json()), answer.next)

    return page


def job_answer(answer: Answer) -> Job:
    """Read the answer with one job."""
    job = job_of(answer.json())
    return replace(job, etag=answer.etag or job.etag, created=answer.status == 201, replayed=answer.is_replay)  # noqa: PLR2004 - an HTTP status is its own name


def job_of(raw: Raw) -> Job:
    """Read a job."""
    current, last = raw.get("currentRun"), raw.get("lastRun")
    return Job(
        id=raw.get("id", ""),
        product=raw.get("product", ""),
        job_group=raw.get("jobGroup", ""),
        state=raw.get("state", ""),
        is_paused=raw.get("isPaused", False),
        paused_by=pauses(raw.get("pausedBy")),
        next_run=read_moment(raw.get("nextRun")),
        request=raw.get("jobRequest") or {},
        schedule=raw.get("schedule"),
        options=raw.get("options") or {},
        priority=raw.get("priority"),
        concurrency_key=raw.get("concurrencyKey"),
        attempt=raw.get("attempt", 0),
        outcome=raw.get("outcome"),
        current_run=_current_run(current) if current else None,
        last_run=run_of(last) if last else None,
        version=raw.get("version", 0),
        created_at=read_moment(raw.get("createdAt")),
        updated_at=read_moment(raw.get("updatedAt")),
        warnings=warnings(raw),
        etag=f'"{raw.get("version", 0)}"',
        created=False,
        replayed=False,
        raw=raw,
    )


def _current_run(raw: Raw) -> CurrentRun:
    return CurrentRun(
        raw.get("run", 0),
        raw.get("node") or "",
        raw.get("attempt", 0),
        read_moment(raw.get("since")),
        raw.get("progress"),
        raw,
    )


def run_of(raw: Raw) -> Run:
    """Read a run."""
    return Run(
        run=raw.get("run", 0),
        job_id=raw.get("jobId", ""),
        scheduled_fire_time=read_moment(raw.get("scheduledFireTime")),
        due_at=read_moment(raw.get("dueAt")),
        started_at=read_moment(raw.get("startedAt")),
        finished_at=read_moment(raw.get("finishedAt")),
        lateness_seconds=raw.get("latenessSeconds", 0.0),
        attempt=raw.get("attempt", 0),
        outcome=raw.get("outcome", ""),
        reason=raw.get("reason"),
        node=raw.get("node") or "",
        occurrences=raw.get("occurrences", 1),
        last_scheduled_fire_time=read_moment(raw.get("lastScheduledFireTime")),
        backfill=raw.get("backfill", False),
        result=raw.get("result"),
        result_error=raw.get("resultError"),
        traceback=raw.get("traceback"),
        raw=raw,
    )


def warnings(raw: Raw) -> tuple[Warning, ...]:
    """Read the warnings of an answer."""
    return tuple(Warning(found.get("code", ""), found.get("detail", "")) for found in raw.get("warnings") or ())


def pauses(raw: Any) -> tuple[Pause, ...]:
    """Read a list of pauses."""
    return tuple(
        Pause(
            level=found.get("level", ""),
            at=read_moment(found.get("at")),
            reason=found.get("reason"),
            until=read_moment(found.get("until")),
            by=found.get("by"),
            ended_at=read_moment(found.get("endedAt")),
            ended_by=found.get("endedBy"),
            raw=found,
        )
        for found in raw or ()
    )


def group_of(raw: Raw) -> Group:
    """Read a job group."""
    return Group(
        raw.get("product", ""),
        raw.get("jobGroup", ""),
        raw.get("registered", False),
        raw.get("counts") or {},
        raw.get("isPaused", False),
        pauses(raw.get("pausedBy")),
        raw,
    )


def standing(answer: Answer) -> Standing:
    """Read what is paused."""
    raw = answer.json()
    held, over = pauses(raw.get("pausedBy")), pauses(raw.get("history"))
    return Standing(raw.get("product"), raw.get("jobGroup"), raw.get("isPaused", False), held, over, raw)


def batch(answer: Answer) -> Batch:
    """Read what a batch created."""
    raw = answer.json()
    return Batch(raw.get("created", 0), tuple(raw.get("ids") or ()), answer.is_replay, raw)


def facts(answer: Answer) -> tuple[Fact, ...]:
    """Read why a job has not run."""
    return tuple(
        Fact(
            raw.get("code", ""),
            raw.get("text", ""),
            read_moment(raw.get("since")),
            read_moment(raw.get("clears")),
            raw.get("by"),
            tuple(raw.get("links") or ()),
            raw,
        )
        for raw in answer.json()
    )


def forecast(answer: Answer) -> Forecast:
    """Read what a job will do."""
    raw = answer.json()
    starts = tuple(
        Start(read_moment(start.get("utc")), start.get("local", ""), read_moment(start.get("at")), start.get("note"))
        for start in raw.get("fireTimes") or ()
    )
    return Forecast(raw.get("schedule", ""), starts, tuple(raw.get("passed") or ()), warnings(raw), raw)


def backfill(answer: Answer) -> Backfill:
    """Read what a backfill created."""
    raw = answer.json()
    return Backfill(raw.get("created", 0), raw.get("left", 0), raw)


def limits(answer: Answer) -> Limits:
    """Read limits with where they come from."""
    return Limits(answer.json(), answer.etag, answer.headers.get("mainspring-source"))
