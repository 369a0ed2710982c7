"""What runs answered: kept with them, and the last success with its job."""

from datetime import timedelta

import pytest

from mainspring.job import Change, Ending, Job, Outcome, Success, history, lifecycle, retry
from mainspring.schedule import Every, Period, Recurring
from mainspring.store import Answer, Store
from tests.contract.build import BACKUPS, NODE, START, a_job, claim, running
from tests.contract.build import history as rows

HOURLY = Recurring(Every(Period(exact=timedelta(hours=1))), START)
LARGE = '"' + "x" * 60_000 + '"'


def over(job: Job, outcome: Outcome = Outcome.SUCCEEDED, result: str | None = None, why: str | None = None) -> Change:
    """End a run with a result."""
    ending = Ending(outcome, result=result, result_error=why)
    run = history.ended(job, ending, started_at=START, now=START)
    return lifecycle.after(job, run, ending, policy=retry.RetryPolicy(), now=START, chance=0, calendars={})


@pytest.mark.parametrize(
    ("result", "why"), [("{}", None), ('[1,{"a":"\\u00e9"}]', None), (LARGE, None), (None, "no JSON"), (None, None)]
)
@pytest.mark.parametrize("trigger", [None, HOURLY])
async def test_result_is_kept_with_the_run(
    store: Store, trigger: Recurring | None, result: str | None, why: str | None
) -> None:
    """Whether its job is done or goes on; lists leave it out."""
    first, second = await running(store, a_job(trigger=trigger), a_job())
    assert [Answer.DONE] * 2 == await store.finish([over(first, result=result, why=why), over(second)])
    assert first.run is not None

    run = await store.run(BACKUPS, first.id, first.run)

    assert run is not None
    assert (first.run, result, why) == (run.number, run.result, run.result_error)
    listed = [each for each in await rows(store) if each.number == first.run]
    assert [run._replace(result=None, result_error=None)] == listed
    assert await store.run(BACKUPS, second.id, first.run) is None


async def test_last_success_stays_until_the_next(store: Store) -> None:
    """The next run gets it with its claim, also after others that failed."""
    [job] = await running(store, a_job(trigger=HOURLY))
    assert job.last_success is None
    await store.finish([over(job, result="1")])
    success = Success(START, START, "1")
    found = await store.get(job.id)
    assert found is not None
    assert success == found.last_success

    for outcome in (Outcome.FAILED, Outcome.SUCCEEDED):
        current = await store.get(job.id)
        assert current is not None
        due = current._replace(due_at=START, version=current.version + 1)
        assert await store.update(due)
        [claimed] = await claim(store)
        assert success == claimed.job.last_success
        await store.finish([over(claimed.job, outcome, "2")])
    found = await store.get(job.id)
    assert found is not None
    assert found.last_success is not None
    assert found.last_success.result == "2"


async def test_a_success_beside_the_job_is_its_own(store: Store) -> None:
    """Occurrences that run beside one another hand it to their job; a backfill does not."""
    [job] = await running(store, a_job(trigger=HOURLY))
    for backfill, expected in ((False, "7"), (True, "7")):
        child = a_job(parent=job.id, backfill=backfill)
        await store.add([child])
        [claimed] = (await store.claim(NODE, {BACKUPS: 1}, 1)).claims
        await store.finish([over(claimed.job, result="7" if not backfill else "8")])
        found = await store.get(job.id)
        assert found is not None
        assert found.last_success is not None
        assert (expected, START) == (found.last_success.result, found.last_success.finished_at)
