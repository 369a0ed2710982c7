"""Webhooks: events become deliveries, each once, and deliveries become calls, until they arrive."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from standardwebhooks import Webhook as Verifier

from mainspring import Binder, JobExecutionContext, JobRequest, SchedulerJob, SchedulerPluginModule, job_group, product
from mainspring.clock import SystemClock
from mainspring.declared import AllowedTargets, Reach, Webhook
from mainspring.errors import InvalidRequestError, JobNotDeadError, NotFoundError, PreconditionFailedError
from mainspring.execution import WebhooksModule
from mainspring.job import DELIVERIES, Job, JobFilter, JobKey, Outcome, State, delivery_id
from mainspring.service import delivering
from mainspring.service.webhooks import PLACES, WEBHOOKS, Adopted, Webhooks
from mainspring.settings import Settings
from mainspring.testing import START, TestScheduler
from tests.execution.declared.hostile import Behaviour, Listener, answering, listening, response

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ALL = JobFilter(frozenset(State))
ORDERS = JobKey("shop", "orders")
HERE = AllowedTargets(["127.0.0.1"])


@product("shop")
@job_group("orders")
class OrderJob(SchedulerJob):
    """Its events are delivered in these tests."""

    class Request(JobRequest):
        order: str = "o-1"

    searchable = ("order",)
    max_attempts = 1

    async def execute(self, _: JobExecutionContext) -> None:
        """Fail if that is asked for."""
        if self.request.order == "bad":
            raise ValueError("bad")


class Orders(SchedulerPluginModule):
    """The plugin of these tests."""

    def configure(self, binder: Binder) -> None:
        binder.bind_job(OrderJob)


class Hooked:
    """A scheduler whose events go to a receiver."""

    def __init__(self, scheduler: TestScheduler, receiver: Listener, reach: Reach) -> None:
        self.scheduler = scheduler
        self.store = scheduler._store  # noqa: SLF001 - what is noted there is looked at
        self.webhooks = Webhooks(scheduler.service, self.store, scheduler.clock, reach)
        self.receiver = receiver

    def another(self) -> delivering.Delivering:
        """Return what hands events on in another process."""
        scheduler = self.scheduler
        registry = scheduler._registry  # noqa: SLF001 - that of all processes
        return delivering.Delivering(scheduler.service, self.store, registry, scheduler.clock)

    async def put(self, name: str = "hook", **body: Any) -> None:
        """Write a webhook that calls the receiver."""
        await self.webhooks.put_webhook(name, {"url": f"{self.receiver.url}/{name}", **body})

    async def create(self, order: str = "o-1", **options: Any) -> Job:
        """Create a job that is due at once."""
        body = {"when": self.scheduler.clock.now().isoformat(), "order": order, "options": options}
        return await self.scheduler.create("shop", "orders", body)

    async def hand_on(self, turns: int = 3, **duration: float) -> None:
        """Hand on what has happened, and let time pass."""
        for _ in range(turns):
            await self.scheduler.service.delivering.turn("test")
        await self.scheduler.advance(**(duration or {"seconds": 0}))

    async def deliveries(self, which: JobFilter = ALL, name: str = "hook") -> list[Job]:
        """Return the deliveries to a webhook."""
        return list(await self.webhooks.deliveries(name, which, after=None, limit=1000))

    @property
    def heard(self) -> list[Any]:
        """What the receiver was told, by type."""
        return [json.loads(body)["type"].removeprefix("mainspring.") for _, _, body in self.receiver.requests]


@asynccontextmanager
async def hooked(behave: Behaviour | None = None, **told: Any) -> AsyncIterator[Hooked]:
    """Make a scheduler with webhooks, and a receiver."""
    start = told.pop("start", START)
    async with listening(behave or answering(response(204))) as receiver:
        settings = Settings.model_validate({"allowed_targets": {"mainspring": ["127.0.0.1"]}, **told})
        async with TestScheduler(WebhooksModule(settings), Orders(), start=start) as scheduler:
            yield Hooked(scheduler, receiver, Reach(settings.secrets, HERE))


def first(*answers: bytes) -> Behaviour:
    """Answer with these one after the other, then with 204."""
    left = list(answers)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(left.pop(0) if left else response(204))(reader, writer)

    return behave


# --- what is sent


async def test_each_event_is_told_once() -> None:
    """As a CloudEvent that has the event as the feed has it, in whatever order; and nothing of the deliveries."""
    async with hooked() as hook:
        await hook.put()
        job = await hook.create()
        for _ in range(5):
            await hook.hand_on(seconds=1)
        assert ["job.created", "run.ended", "run.started"] == sorted(hook.heard)
        line, head, body = hook.receiver.requests[0]
        assert ("POST /hook HTTP/1.1", "application/cloudevents+json") == (line, head["content-type"])
        event = json.loads(body)
        data = event.pop("data")
        feed = hook.scheduler.service.feed
        created = (await hook.webhooks.list_webhooks())["hook"].begins + 1
        assert {
            "specversion": "1.0",
            "id": f"{await feed.tag()}-{created}",
            "source": "/api/schedulers",
            "type": "mainspring.job.created",
            "time": "2026-01-01T00:00:00Z",
            "subject": str(job.id),
            "datacontenttype": "application/json",
        } == event
        assert ("job.created", event["id"], str(job.id)) == (data["type"], data["id"], data["jobId"])
        assert 3 == len({head["webhook-id"] for _, head, _ in hook.receiver.requests})
        assert {head["webhook-id"] for _, head, _ in hook.receiver.requests} == {
            str(job.id) for job in await hook.deliveries()
        }


async def test_signatures_are_those_of_standard_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that has the key takes the call; without a secret there is no signature."""
    monkeypatch.setenv("HOOKS", KEY)
    secrets = {"hooks": {"environment": "HOOKS"}}
    async with hooked(secrets=secrets, start=SystemClock().now()) as hook:
        await hook.put(secret="hooks")  # noqa: S106 - its name
        await hook.put("plain")
        await hook.create(order="bad")
        await hook.hand_on(seconds=1)
        requests = {line.split(" ")[1]: (head, body) for line, head, body in hook.receiver.requests}
        head, body = requests["/hook"]
        assert "mainspring.job.created" == Verifier(KEY).verify(body, head)["type"]
        assert "webhook-signature" not in requests["/plain"][0]
        stored = json.dumps([await hook.store.notes(kind) for kind in (WEBHOOKS, PLACES)])
        shown = repr([await hook.deliveries(), await hook.webhooks.list_webhooks()])
        assert KEY.removeprefix("whsec_") not in stored + shown


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, 6),
        ({"product": "shop"}, 6),
        ({"product": "shop", "jobGroup": "orders", "type": ["run.ended"]}, 2),
        ({"outcome": ["failed"]}, 1),
        ({"state": ["running"]}, 2),
        ({"tag": ["red"]}, 3),
        ({"key": "first"}, 3),
        ({"request": {"order": "bad"}}, 3),
        ({"node": "test"}, 4),
        ({"product": "other"}, 0),
    ],
)
async def test_filters(choice: dict[str, Any], expected: int) -> None:
    """Those of the events that followers may ask for."""
    async with hooked() as hook:
        await hook.put(filter=choice)
        await hook.create(tags=["red"], key="first")
        await hook.create(order="bad")
        await hook.scheduler.advance(seconds=1)
        await hook.hand_on(seconds=1)
        assert expected == len(hook.heard)


async def test_many_events_of_one_entry() -> None:
    """A page ends in the middle of what one write did, and the next begins there."""
    async with hooked() as hook:
        await hook.put(filter={"type": ["job.created"]})
        many = delivering.MOST_EVENTS + 20
        bodies = [{"when": "2026-02-01T00:00:00Z", "order": str(n)} for n in range(many)]
        for part in (bodies[:700], bodies[700:]):
            await hook.scheduler.service.batches.create(ORDERS, part)
        await hook.hand_on(5)
        jobs = [job.request["event"]["jobId"] for job in await hook.deliveries()]
        assert many == len(jobs) == len(set(jobs))


# --- each event once


async def test_whoever_does_it_again_makes_nothing_twice() -> None:
    """Neither where the place was not noted, nor where another node does it at the same time, nor when it was sent."""
    async with hooked() as hook:
        await hook.put()
        await hook.create()
        (subscription,) = (await hook.webhooks.list_webhooks()).values()
        await asyncio.gather(*(hook.another().turn("test") for _ in range(3)))
        assert 1 == len(await hook.deliveries())
        await hook.scheduler.advance(seconds=1)
        assert ["job.created"] == hook.heard
        await hook.store.note(PLACES, str(subscription.id), None)
        again = hook.another()
        for _ in range(3):
            await again.turn("test")
            await hook.scheduler.advance(seconds=1)
        assert ["job.created", "run.ended", "run.started"] == sorted(hook.heard)


def test_ids_of_deliveries() -> None:
    """They are UUIDs of version 8 that sort by time, and another subscription, entry or job has another."""
    ids = [delivery_id(UUID(int=n), cursor, number, START) for n in (1, 2) for cursor in (1, 2) for number in (0, 1)]
    assert 8 == len(set(ids))
    assert {8} == {each.version for each in ids}
    assert delivery_id(UUID(int=1), 1, 0, START) < delivery_id(UUID(int=1), 1, 0, START + timedelta(milliseconds=1))


async def test_a_place_that_moves_over_nothing_is_noted_now_and_then() -> None:
    """Else each event would be a write for each webhook; but what is forgotten must not be taken for lost."""
    async with hooked() as hook:
        await hook.put(filter={"product": "other"})
        await hook.create()
        await hook.hand_on()
        assert {} == await hook.store.notes(PLACES)
        await hook.scheduler.advance(hours=1)
        await hook.create()
        await hook.hand_on()
        assert 1 == len(await hook.store.notes(PLACES))


async def test_events_that_were_forgotten_are_told_of() -> None:
    """A webhook that is paused for longer than events are kept goes on with what there is."""
    async with hooked() as hook:
        await hook.put(isPaused=True)
        await hook.create()
        await hook.scheduler.advance(days=8)
        await hook.store.prune_events()
        await hook.put()
        with structlog.testing.capture_logs() as lines:
            await hook.hand_on()
        assert ["events were forgotten before a webhook heard of them"] == [line["event"] for line in lines]
        await hook.create()
        await hook.hand_on()
        await hook.hand_on()
        assert {"job.created", "run.started", "run.ended"} == set(hook.heard)


async def test_a_flood_waits_in_the_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where many deliveries wait, a webhook that has its share of them gets no more until some have gone."""
    monkeypatch.setattr(delivering, "MOST_IN_ALL", 20)
    monkeypatch.setattr(delivering, "MOST_OF_ONE", 10)
    async with hooked(answering(response(500))) as hook:
        await hook.put("flood")
        await hook.put("calm", filter={"request": {"order": "calm"}})
        for n in range(30):
            await hook.create(order=str(n))
        await hook.hand_on()
        flood = len(await hook.deliveries(name="flood"))
        await hook.scheduler.advance(seconds=1)
        await hook.create(order="calm")
        await hook.hand_on()
        assert flood == len(await hook.deliveries(name="flood"))
        assert 1 <= len(await hook.deliveries(name="calm"))


async def test_only_one_node_does_it_often() -> None:
    """The first by name; the others look now and then."""
    async with hooked() as hook:
        service = hook.scheduler.service.delivering
        await service.turn("test")
        assert delivering.IDLE_SECONDS == service.pause
        await hook.put()
        await service.turn("test")
        assert delivering.POLL_SECONDS == service.pause
        await service.turn("x")
        assert delivering.OTHERS_SECONDS == service.pause


# --- tries


async def test_a_receiver_that_fails_hears_again() -> None:
    """With the same id, after some seconds, then more, and after about three days no more."""
    async with hooked(answering(response(500))) as hook:
        await hook.put(filter={"type": ["job.created"]})
        await hook.create()
        await hook.hand_on(seconds=60)
        assert 3 <= len(hook.heard)
        assert 1 == len({head["webhook-id"] for _, head, _ in hook.receiver.requests})
        await hook.scheduler.advance(days=2)
        assert [State.SCHEDULED] == [job.state for job in await hook.deliveries()]
        await hook.scheduler.advance(days=2, hours=12)
        (dead,) = await hook.deliveries(JobFilter(frozenset({State.DONE}), gave_up=True))
        assert (24, "the receiver answered 500") == (len(hook.heard), dead.last_run and dead.last_run.reason)


async def test_what_was_given_up_can_be_sent_again() -> None:
    """One by one, or all."""
    async with hooked(first(*[response(500)] * 48)) as hook:
        await hook.put(filter={"type": ["job.created"]})
        await hook.create()
        await hook.create()
        await hook.hand_on(days=5)
        dead = await hook.deliveries(JobFilter(frozenset({State.DONE}), gave_up=True))
        assert 2 == len(dead)
        await hook.webhooks.replay("hook", dead[0].id)
        await hook.scheduler.advance(seconds=1)
        assert Outcome.SUCCEEDED == (await hook.scheduler.get(dead[0])).outcome
        with pytest.raises(JobNotDeadError):
            await hook.webhooks.replay("hook", dead[0].id)
        action = await hook.webhooks.replay_all("hook")
        await hook.scheduler.advance(seconds=1)
        assert 1 == action.total
        assert {Outcome.SUCCEEDED} == {job.outcome for job in await hook.deliveries()}
        with pytest.raises(NotFoundError, match="no delivery"):
            await hook.webhooks.replay("hook", UUID(int=3))


async def test_a_delivery_that_waits_can_be_hurried() -> None:
    """Its receiver may be back before the next try."""
    async with hooked(first(response(500))) as hook:
        await hook.put(filter={"type": ["job.created"]})
        await hook.create()
        await hook.hand_on()
        (job,) = await hook.deliveries()
        assert State.SCHEDULED == job.state
        assert job.last_run
        assert "the receiver answered 500" == job.last_run.reason
        await hook.webhooks.replay("hook", job.id)
        await hook.scheduler.advance(seconds=0)
        assert Outcome.SUCCEEDED == (await hook.scheduler.get(job)).outcome


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_receiver_is_left_alone(status: int) -> None:
    """For as long as it asks for; that is no failure."""
    async with hooked(first(response(status, retry_after="90"))) as hook:
        await hook.put(filter={"type": ["job.created"]})
        await hook.create()
        await hook.hand_on(seconds=89)
        assert 1 == len(hook.heard)
        await hook.scheduler.advance(seconds=30)
        (job,) = await hook.deliveries()
        assert (2, Outcome.SUCCEEDED, 0) == (len(hook.heard), job.outcome, job.failures)


async def test_a_receiver_that_is_gone_pauses_its_webhook() -> None:
    """With the reason; events and deliveries wait, and go on when it does."""
    async with hooked(first(response(410))) as hook:
        await hook.put(filter={"type": ["job.created"]})
        await hook.create()
        await hook.hand_on(seconds=1)
        webhook = (await hook.webhooks.get_webhook("hook")).webhook
        assert (True, "the receiver answered 410: it is gone for good") == (webhook.is_paused, webhook.reason)
        await hook.create()
        await hook.hand_on(hours=1)
        assert (1, 1) == (len(hook.heard), len(await hook.deliveries()))
        await hook.put(filter={"type": ["job.created"]})
        await hook.hand_on(minutes=2)
        assert (3, {Outcome.SUCCEEDED}) == (len(hook.heard), {job.outcome for job in await hook.deliveries()})


async def test_redirects_are_not_followed() -> None:
    """What is signed for one receiver is not for another."""
    async with hooked(first(response(302, location="http://127.0.0.1/"))) as hook:
        await hook.put(filter={"type": ["job.created"]})
        await hook.create()
        await hook.hand_on()
        (job,) = await hook.deliveries()
        assert job.last_run
        assert "the receiver answered 302: a redirect, which is not followed" == job.last_run.reason


async def test_a_change_holds_for_what_waits() -> None:
    """The receiver has another address, and hears of what it missed there."""
    async with hooked(first(response(500))) as hook:
        await hook.put(filter={"type": ["job.created"]})
        await hook.create()
        await hook.hand_on()
        await hook.put(url=f"{hook.receiver.url}/moved")
        await hook.scheduler.advance(minutes=1)
        assert ["POST /hook HTTP/1.1", "POST /moved HTTP/1.1"] == [line for line, _, _ in hook.receiver.requests]


async def test_a_webhook_that_is_deleted_hears_no_more() -> None:
    """What waits is cancelled; one of the same name is another."""
    async with hooked(answering(response(500))) as hook:
        await hook.put(filter={"type": ["job.created"]})
        await hook.create()
        await hook.hand_on()
        (job,) = await hook.deliveries()
        await hook.webhooks.delete_webhook("hook")
        await hook.put()
        await hook.scheduler.advance(days=4)
        assert (1, Outcome.CANCELLED) == (len(hook.heard), (await hook.scheduler.get(job)).outcome)
        with pytest.raises(NotFoundError):
            await hook.webhooks.delete_webhook("other")


async def test_a_delivery_of_a_webhook_that_is_gone_ends() -> None:
    """Also one that was made while the webhook was deleted."""
    async with hooked() as hook:
        await hook.put(filter={"type": ["job.created"]})
        await hook.create()
        await hook.scheduler.service.delivering.turn("test")
        (job,) = await hook.deliveries()
        await hook.store.note(WEBHOOKS, "hook", None)
        await hook.scheduler.advance(seconds=1)
        run = (await hook.scheduler.runs(job))[-1]
        assert ([], Outcome.CANCELLED, "the webhook was deleted") == (hook.heard, run.outcome, run.reason)


async def test_a_target_inside_is_not_called() -> None:
    """The guard of HTTP jobs stands before webhooks, when they are written and when they are called."""
    async with hooked(allowed_targets={}) as hook:
        await hook.put(filter={"type": ["job.created"]})
        await hook.create()
        await hook.hand_on()
        (job,) = await hook.deliveries()
        assert 0 == hook.receiver.connections
        assert job.last_run
        assert "ssrf-blocked: the URL has the host 127.0.0.1, which is loopback" == job.last_run.reason


# --- webhooks


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("/url", "REQD_FIELD_MISSING")]),
        ({"url": "ftp://x"}, [("/url", "HTTP_URL_SCHEME")]),
        ({"url": "http://10.0.0.1/"}, [("/url", "HTTP_TARGET_FORBIDDEN")]),
        ({"url": "https://x.example", "secret": "nope"}, [("/secret", "SECRET_UNKNOWN")]),
        ({"url": "https://x.example", "name": "other"}, [("/name", "WEBHOOK_NAME_INVALID")]),
        ({"url": "https://x.example", "filter": {"type": []}}, [("/filter/type", "INVALID_VALUE")]),
        ({"url": "https://x.example", "filter": {"jobGroup": "x"}}, [("/filter/product", "REQD_FIELD_MISSING")]),
        (
            {"url": "https://x.example", "filter": {"request": {"no": "1"}}, "secret": "nope"},
            [("/secret", "SECRET_UNKNOWN"), ("/filter/request/no", "FIELD_NOT_SEARCHABLE")],
        ),
        (
            {"url": "https://x.example", "time_limit": "PT1S", "isPaused": "yes", "timeLimit": "PT2M"},
            [("/timeLimit", "INVALID_VALUE"), ("/isPaused", "BOOL_TYPE"), ("/time_limit", "UNKNOWN_FIELD")],
        ),
    ],
)
async def test_what_is_wrong_is_told_at_once(body: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """With its place and a code."""
    async with hooked() as hook:
        with pytest.raises(InvalidRequestError) as caught:
            await hook.webhooks.put_webhook("hook", body)
        assert expected == [(problem.pointer, problem.code) for problem in caught.value.problems]


async def test_only_so_many_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is there can still be written."""
    monkeypatch.setattr("mainspring.service.webhooks.MOST_WEBHOOKS", 1)
    async with hooked() as hook:
        await hook.put()
        await hook.put(isPaused=True)
        with pytest.raises(InvalidRequestError) as caught:
            await hook.put("other")
        assert ["TOO_MANY_WEBHOOKS"] == [problem.code for problem in caught.value.problems]


async def test_tags() -> None:
    """A write by what was believed is refused where that is so no longer."""
    async with hooked() as hook:
        await hook.put()
        before = (await hook.webhooks.get_webhook("hook")).tag
        body = {"url": hook.receiver.url}
        await hook.webhooks.put_webhook("hook", body, tag=before)
        with pytest.raises(PreconditionFailedError):
            await hook.webhooks.put_webhook("hook", body, tag=before)
        with pytest.raises(PreconditionFailedError):
            await hook.webhooks.put_webhook("hook", body, is_new=True)
        with pytest.raises(PreconditionFailedError):
            await hook.webhooks.put_webhook("none", body, tag=before)
        with pytest.raises(PreconditionFailedError):
            await hook.webhooks.delete_webhook("hook", tag=before)


async def test_webhooks_of_settings() -> None:
    """They are written once; what people change stays until the declaration changes, and one that is gone is paused."""
    one = Webhook(name="one", url="https://x.example/")
    other = one.model_copy(update={"url": "https://y.example/"})
    async with hooked() as hook:
        assert [Adopted("one", "written")] == await hook.webhooks.adopt([one])
        await hook.put("one", isPaused=True)
        assert [] == await hook.webhooks.adopt([one])
        assert (await hook.webhooks.get_webhook("one")).webhook.is_paused
        assert [Adopted("one", "written")] == await hook.webhooks.adopt([other])
        assert other == (await hook.webhooks.get_webhook("one")).webhook
        await hook.put("own")
        assert [Adopted("one", "paused")] == await hook.webhooks.adopt([])
        assert (await hook.webhooks.get_webhook("one")).webhook.is_paused
        assert not (await hook.webhooks.get_webhook("own")).webhook.is_paused
        assert [Adopted("one", "written")] == await hook.webhooks.adopt([other])


async def test_nobody_else_makes_deliveries() -> None:
    """A job of the group would be an event that never happened, with our signature."""
    async with hooked() as hook:
        await hook.put()
        await hook.create()
        await hook.scheduler.service.delivering.turn("test")
        (job,) = await hook.deliveries()
        with pytest.raises(NotFoundError, match="Mainspring alone makes"):
            await hook.scheduler.create(*DELIVERIES, {"when": "now"})
        with pytest.raises(NotFoundError, match="Mainspring alone makes"):
            await hook.scheduler.service.change_job(DELIVERIES, job.id, {"event": {}})
        with pytest.raises(NotFoundError, match="Mainspring alone makes"):
            await hook.scheduler.service.put_job(DELIVERIES, UUID(int=5), {"when": "now"})


async def test_a_note_that_was_tampered_with_is_no_webhook() -> None:
    """It does not take the others with it."""
    async with hooked() as hook:
        await hook.put()
        for note in ({}, 7, {"id": "x"}):
            await hook.store.note(WEBHOOKS, "broken", note)
            assert ["hook"] == list(await hook.webhooks.list_webhooks())
        await hook.put("broken")
        assert ["broken", "hook"] == list(await hook.webhooks.list_webhooks())
