import inspect
from collections.abc import AsyncIterable, Coroutine, Iterator
from datetime import UTC, timedelta
from typing import Any
from uuid import uuid4

import anyio.from_thread
import anyio.to_thread
import httpx2
import pytest
from starlette.types import ASGIApp

from mainspring.client import AsyncClient, AsyncItems, Client, Conflict, Invalid, NotFound, PreconditionFailed
from mainspring.client.call import Listing, Method
from mainspring.client.service import ServiceCalls
from mainspring.clock import ManualClock
from tests.client.conftest import FromThread


class Noting:
    """A client that notes which of its methods are called."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.called.add(name)
        return self.got(getattr(self.client, name))

    def got(self, method: Any) -> Any:
        """Return what a method is to whoever waits for its answer."""
        return method


class Waited(Noting):
    """A client for asyncio, as a thread beside the loop sees it: it waits for what `Client` answers at once."""

    def got(self, method: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            answer = method(*args, **named)
            if inspect.iscoroutine(answer):
                return anyio.from_thread.run(wait, answer)
            return WaitedItems(answer) if isinstance(answer, AsyncItems) else anyio.from_thread.run(all_of, answer)

        return call


class WaitedItems:
    """A list of such a client."""

    def __init__(self, items: AsyncItems[Any]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(anyio.from_thread.run(all_of, self._items))

    def pages(self) -> Any:
        """Return whole pages."""
        return anyio.from_thread.run(all_of, self._items.pages())


async def wait(answer: Coroutine[Any, Any, Any]) -> Any:
    """Wait for an answer."""
    return await answer


async def all_of(items: AsyncIterable[Any]) -> list[Any]:
    """List what comes."""
    return [item async for item in items]


def use(client: Any) -> None:
    """Ask for all that the service has, as a program does."""
    use_jobs(client)
    use_groups(client)
    use_webhooks(client)
    use_many(client)


def use_jobs(client: Any) -> None:
    """Ask for what is about single jobs."""
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
    assert 5 == len(list(client.jobs())) == len(list(client.jobs("vps4", page_size=5)))
    assert [] == list(client.jobs(state="paused"))
    assert job.next_run.tzinfo is UTC
    assert job.created_at.tzinfo is UTC
    assert client.get_if_changed(job, job.etag) is None
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
    assert () == tuple(client.runs(job)) == tuple(client.all_runs("vps4"))
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


def use_groups(client: Any) -> None:
    """Ask for what is about groups, and the rest."""
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
    assert "properties" in client.schema("vps4", "backups")
    assert () == tuple(client.nodes())
    with pytest.raises(NotFound):
        client.drain("node-1")
    with pytest.raises(NotFound):
        client.resume_node("node-1")
    assert client.plugins()
    assert "JOB_NOT_FOUND" in {problem["code"] for problem in client.problems()}
    assert client.openapi()["info"]["version"]


def use_webhooks(client: Any) -> None:
    """Make the calls on webhooks; none has heard of anything yet."""
    client.set_webhook("hook", {"url": "https://receiver.example/"})
    assert ["hook"] == [webhook["name"] for webhook in client.webhooks()]
    assert "PT15S" == client.webhook("hook")["timeLimit"]
    assert [] == list(client.deliveries("hook", state="dead"))
    assert 0 == client.replay_deliveries("hook").total
    with pytest.raises(NotFound):
        client.replay_delivery("hook", str(uuid4()))
    client.delete_webhook("hook")


def use_many(client: Any) -> None:
    """Ask for what is about many jobs."""
    made = list(client.create_many("vps4", "backups", ({"when": timedelta(hours=n)} for n in range(1, 4)), chunk=2))
    assert [2, 1] == [batch.created for batch in made]
    mine = client.put_job("vps4", "backups", uuid4(), when=timedelta(days=1))
    assert not client.put_job("vps4", "backups", mine.id, when="2026-06-02T12:00:00Z").created
    assert 1 == client.create_batch("vps4", "backups", [{"when": timedelta(days=1)}]).created
    plan = client.plan_action("pause", "vps4", which={"state": "scheduled"})
    assert (9, False) == (plan.count, plan.estimated)
    begun = client.apply_action(plan.token, "vps4")
    assert (9, "done") == (client.action(begun.id).done, client.action(begun.id).state)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_every_call(app: ASGIApp, clock: ManualClock, kind: type[Client | AsyncClient]) -> None:
    """Each that the service has does what it says, and both clients have the same ones."""
    inner = httpx2.ASGITransport(app)
    if kind is Client:
        with Client("http://mainspring", transport=FromThread(inner), clock=clock) as client:
            used: Noting = Noting(client)
            await anyio.to_thread.run_sync(use, used)
    else:
        async with AsyncClient("http://mainspring", transport=inner, clock=clock) as on_loop:
            used = Waited(on_loop)
            await anyio.to_thread.run_sync(use, used)
    described = {name for name in dir(ServiceCalls) if isinstance(getattr(ServiceCalls, name), Method | Listing)}
    assert (described | {"create_many", "wait_for"}) == used.called
