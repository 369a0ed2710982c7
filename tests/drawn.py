"""Jobs and runs of any shape, drawn for tests that compare a fast path with its plain twin."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from mainspring.job import Hold, Job, JobKey, Options, Outcome, Progress, Run, State, Success
from mainspring.schedule import Every, Once, Period, Recurring

KEY = JobKey("vps4", "backups")

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - zoned next
numbers = st.integers(0, 2**40)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
triggers = st.one_of(
    st.builds(Once, moments), st.builds(lambda start: Recurring(Every(Period(days=1)), start), moments)
)
options = st.sampled_from([Options(), Options(max_attempts=3), Options(timeout=timedelta(seconds=5))])
runs = st.builds(
    Run,
    damage=st.none(),
    number=numbers,
    job_id=st.just(UUID(int=7)),
    key=st.just(KEY),
    fire_time=moments,
    due_at=moments,
    attempt=numbers,
    node=texts,
    started_at=moments,
    finished_at=moments,
    outcome=st.sampled_from(Outcome),
    reason=st.none() | texts,
    last_fire_time=st.none() | moments,
    occurrences=numbers,
    backfill=st.booleans(),
    result=st.none(),
    result_error=st.none(),
    traceback=st.none(),
    log=st.none(),
)


def last_run(run: Run) -> Run:
    """Return a run as a job keeps it."""
    return run._replace(last_fire_time=None, occurrences=1, backfill=False)


jobs = st.builds(
    Job,
    format=st.just(1),
    damage=st.none(),
    id=st.just(UUID(int=7)),
    key=st.just(KEY),
    request=st.dictionaries(texts, numbers | texts, max_size=3),
    trigger=triggers,
    fire_time=moments,
    due_at=moments,
    created_at=moments,
    updated_at=moments,
    version=numbers,
    options=options,
    state=st.sampled_from(State),
    paused=st.booleans(),
    hold=st.none() | st.builds(Hold, moments, st.none() | texts, st.none() | texts),
    resume_at=st.none() | moments,
    cancelling=st.booleans(),
    priority=st.integers(0, 9),
    give_ups=numbers,
    last_success=st.none() | st.builds(Success, moments, moments, st.none() | texts),
    progress=st.none() | st.builds(Progress, numbers, st.none() | numbers, st.none() | texts),
    waits_for=st.just(()),
    labels=st.lists(st.text(max_size=20), max_size=3, unique=True).map(tuple),
    digest=st.none() | st.text("0123456789abcdef", max_size=64),
    attempt=numbers,
    failures=numbers,
    losses=numbers,
    run=st.none() | numbers,
    node=st.none() | texts,
    claimed_at=st.none() | moments,
    outcome=st.none() | st.sampled_from(Outcome),
    last_run=st.none() | runs.map(last_run),
    parent=st.none() | st.just(UUID(int=8)),
    backfill=st.booleans(),
)
