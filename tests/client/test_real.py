import re
from datetime import timedelta
from functools import partial

import anyio.to_thread
import httpx2
import pytest
from starlette.types import ASGIApp

import mainspring.client
from mainspring.client import AsyncClient, Client, Conflict, Invalid, NotFound, PreconditionFailed
from mainspring.clock import ManualClock
from tests.client.conftest import FromThread
from tests.docs.reading import ROOT


def use(client: Client) -> None:
    """Ask for what the service has, as a program does."""
    assert client.live()
    assert client.ready().ready
    job = client.create("vps4", "backups", when=timedelta(hours=1))
    assert job.created
    assert job.ref == client.get(f"vps4/backups/{job.id}").ref
    for number in range(4):
        client.create("vps4", "backups", when=timedelta(hours=2 + number))
    listed = list(client.jobs("vps4", "backups", page_size=2))
    assert 5 == len(listed)
    assert [2, 2, 1] == [len(page.items) for page in client.jobs("vps4", "backups", page_size=2).pages()]
    assert 5 == len(list(client.jobs()))
    moved = client.change(job.ref, when=timedelta(hours=9), etag=job.etag)
    with pytest.raises(PreconditionFailed):
        client.delete(job, etag=job.etag)
    assert client.pause(moved, reason="moving", until=timedelta(hours=1)).is_paused
    assert "moving" == client.get(job).paused_by[0].reason
    assert not client.resume(job).is_paused
    assert "NOT_DUE" == client.why(job)[0].code
    assert client.preview(job, starts=1).fire_times
    assert client.dry_run("vps4", "backups", schedule={"every": "P1D"}, starts=2).fire_times
    with pytest.raises(Conflict):
        client.retry(job)
    with pytest.raises(Conflict):
        client.backfill(job, timedelta(days=-2), timedelta(days=-1), spacing=timedelta(seconds=5))
    assert () == tuple(client.runs(job))
    with pytest.raises(NotFound):
        client.run(job, 1)
    with pytest.raises(NotFound):
        client.run_log(job, 1)
    client.fire(job)
    assert client.wait_for(client.cancel(job)).is_done
    client.delete(job)
    with pytest.raises(Invalid) as refused:
        client.create("vps4", "backups")
    assert "REQD_FIELD_MISSING" == refused.value.code
    made = list(client.create_many("vps4", "backups", ({"when": timedelta(hours=n)} for n in range(1, 4)), chunk=2))
    assert [2, 1] == [batch.created for batch in made]
    assert ("vps4", "backups") in {(group.product, group.job_group) for group in client.groups()}
    limits = client.limits("vps4", "backups")
    written = client.set_limits({"rates": [{"limit": 9, "per": "PT1M"}]}, "vps4", "backups", etag=limits.etag)
    assert "api" == written.source
    assert "declared" == client.reset_limits("vps4", "backups").source
    assert client.pause_all("vps4").is_paused
    assert client.pauses("vps4", "backups").is_paused
    assert not client.resume_all("vps4").is_paused
    client.set_calendar("freeze", {"ranges": [{"first": "2026-12-21", "last": "2027-01-06"}]})
    assert ["freeze"] == list(client.calendars())
    assert client.calendar("freeze")
    client.delete_calendar("freeze")


async def test_a_program_that_waits(app: ASGIApp, clock: ManualClock) -> None:
    """Every call that the service has does what it says."""
    with Client("http://mainspring", transport=FromThread(httpx2.ASGITransport(app)), clock=clock) as client:
        await anyio.to_thread.run_sync(use, client)


async def test_a_program_on_a_loop(app: ASGIApp, clock: ManualClock) -> None:
    """The same methods are coroutines, and lists are iterated with `async for`."""
    transport = httpx2.ASGITransport(app)
    async with AsyncClient("http://mainspring", transport=transport, clock=clock) as client:
        batch = await client.create_batch("vps4", "backups", [{"when": timedelta(hours=n)} for n in range(1, 4)])
        jobs = [job async for job in client.jobs("vps4", "backups", page_size=2)]
        assert batch.ids == tuple(job.id for job in jobs)
        await client.cancel(jobs[0])
        assert (await client.wait_for(jobs[0], timeout=5)).is_done


async def test_the_example_of_the_page_runs(
    app: ASGIApp, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands there, but for where the service is."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/client.md").read_text(), re.DOTALL)
    here = partial(Client, transport=FromThread(httpx2.ASGITransport(app)), clock=clock)
    monkeypatch.setattr(mainspring.client, "Client", lambda _: here("http://mainspring"))
    await anyio.to_thread.run_sync(exec, example, {})
    assert "JobRef" in capsys.readouterr().out
