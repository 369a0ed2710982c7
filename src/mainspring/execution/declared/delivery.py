"""Deliveries to webhooks: the job class of Mainspring's own group, and the module that binds it everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mainspring.clock import Clock
from mainspring.declared import AllowedTargets, Secret, Webhook, webhook_from_json
from mainspring.errors import ConfigError
from mainspring.execution.declared.secrets import problems_of_secrets
from mainspring.job import DELIVERIES, Backoff, JobRequest, Limit
from mainspring.plugins import (
    Binder,
    Cancel,
    JobExecutionContext,
    Scheduler,
    SchedulerJob,
    SchedulerPluginModule,
    ask,
)
from mainspring.settings import Settings

if TYPE_CHECKING:
    from mainspring.execution.declared.sender import Sender

AT_ONCE = 10
"""How many deliveries of one webhook are under way at once."""
AT_ONCE_IN_ALL = 50
"""The same of all webhooks: slow receivers leave slots for other jobs."""
PAUSED_WAIT = timedelta(seconds=30)
"""How often is looked whether a webhook is still paused for which deliveries wait."""
GONE = 410


class Post:
    """Sends deliveries. What that takes is loaded by the first one: that is 0.3 s, and most processes send none."""

    def __init__(self, secrets: Mapping[str, Secret], allowed: AllowedTargets) -> None:
        self._secrets = secrets
        self._allowed = allowed
        self._senders: list[Sender] = []

    async def sender(self) -> Sender:
        """Return what sends."""
        if not self._senders:
            module = await asyncio.to_thread(import_module, "mainspring.execution.declared.sender")
            if not self._senders:  # another may have loaded it meanwhile
                self._senders.append(module.Sender(self._secrets, self._allowed))
        return self._senders[0]

    def close(self) -> None:
        """Let go of what was loaded."""
        for sender in self._senders:
            sender.close()


class WebhookDelivery(SchedulerJob):
    """Tells the receiver of a webhook of one event, for about three days if need be."""

    class Request(JobRequest):
        """Which event is told to whom. `subscription` is the life of the webhook that it was made in."""

        webhook: str
        subscription: UUID
        event: dict[str, Any]

    product = DELIVERIES.product
    job_group = DELIVERIES.job_group
    concurrency_key = "webhook:{webhook}"
    limits = (Limit(AT_ONCE, by="key"), Limit(AT_ONCE_IN_ALL))
    timeout = timedelta(seconds=75)
    max_attempts = 24
    backoff = Backoff(timedelta(seconds=5), 3.0, timedelta(hours=6))

    request: Request

    def __init__(self, post: Post, scheduler: Scheduler, clock: Clock) -> None:
        self._post = post
        self._scheduler = scheduler
        self._clock = clock

    async def execute(self, context: JobExecutionContext) -> Any:
        """Make the call, unless the webhook was deleted or is paused; the answer decides how the run ends."""
        webhook = await self._webhook()
        sender = await self._post.sender()
        if webhook.is_paused:
            raise sender.busy(f"the webhook is paused: {webhook.reason or 'no reason was given'}", PAUSED_WAIT)
        now = self._clock.now()
        answer = await sender.send(webhook, context.job_id, self.request.event, now)
        if answer.status == GONE:
            reason = f"the receiver answered {GONE}: it is gone for good"
            await ask(self._scheduler, "pause", {**self._named(), "reason": reason})
            raise sender.busy(reason, PAUSED_WAIT)
        return sender.result_of(answer, now, now - context.scheduled_fire_time)

    async def _webhook(self) -> Webhook:
        """Return the webhook as it is by this time. Raises `Cancel` if it was deleted."""
        there = await ask(self._scheduler, "get", self._named())
        if there is None:
            raise Cancel("the webhook was deleted")
        return webhook_from_json(there)

    def _named(self) -> dict[str, str]:
        return {"webhook": self.request.webhook, "subscription": str(self.request.subscription)}


class WebhooksModule(SchedulerPluginModule):
    """Binds deliveries; `in_worker` says whether this process is a worker."""

    def __init__(self, settings: Settings, *, in_worker: bool = False) -> None:
        self._settings = settings
        self._in_worker = in_worker

    def configure(self, binder: Binder) -> None:
        """See `SchedulerPluginModule.configure`. Raises `ConfigError` for secrets that cannot be used."""
        settings = self._settings
        allowed = AllowedTargets(settings.allowed_targets.get(DELIVERIES.product, ()))
        binder.bind_job(WebhookDelivery)
        binder.bind_service(_post_of(settings.secrets, allowed), provides=Post)
        is_checked = self._in_worker or settings.http_jobs  # those check the same secrets
        if not is_checked and (problems := list(problems_of_secrets(settings.secrets))):
            raise ConfigError("; ".join(problems))


def _post_of(secrets: Mapping[str, Secret], allowed: AllowedTargets) -> Any:
    """Return what makes the service, and cleans it up."""

    def make() -> Any:
        post = Post(secrets, allowed)
        yield post
        post.close()

    return make
