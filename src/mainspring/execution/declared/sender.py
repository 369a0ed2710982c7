"""Sends events to receivers: as CloudEvents, signed by Standard Webhooks, through the guard of all calls by HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from mainspring.declared import AllowedTargets, Secret, Webhook, read_target
from mainspring.errors import ConfigError
from mainspring.execution.declared.call import REDIRECTS, Answer, Caller, CallError, Message, OverdueError
from mainspring.execution.declared.http import Outside, busy, our_name, wait_asked
from mainspring.execution.declared.secrets import keys_of
from mainspring.execution.declared.signature import signature
from mainspring.job import Ending, Outcome
from mainspring.plugins import Retry, Signal

PATIENCE = timedelta(days=3)
"""How long a receiver may say that it is busy: after that it is a failure like others."""
SOURCE = "/api/schedulers"
"""Where events come from, as CloudEvents has it; their ids tell stores apart."""


class Sender:
    """Sends events by the secrets and allowed targets of this process."""

    def __init__(self, secrets: Mapping[str, Secret], allowed: AllowedTargets) -> None:
        self._outside = Outside(secrets)
        self._allowed = allowed

    async def send(self, webhook: Webhook, delivery: UUID, event: Mapping[str, Any], now: datetime) -> Answer:
        """Make a call and return its answer. Raises `Signal` if there is none."""
        caller = Caller(self._outside.resolver, self._outside.context, self._allowed)
        seconds = webhook.time_limit.total_seconds()
        try:
            message = self._message(webhook, str(delivery), event, int(now.timestamp()))
            return await caller.call(read_target(webhook.url), message, seconds=seconds)
        except OverdueError as error:
            raise Signal(Ending(Outcome.TIMED_OUT, str(error))) from None
        except (CallError, ConfigError) as error:
            raise Retry(reason=str(error)) from None

    def _message(self, webhook: Webhook, delivery: str, event: Mapping[str, Any], timestamp: int) -> Message:
        """Put together what is sent. Raises `ConfigError` if it cannot be signed."""
        body, own = to_json(cloud_event(event)), {}
        if webhook.secret is not None:
            if (secret := self._outside.secrets.get(webhook.secret)) is None:
                raise ConfigError(f"the secret {webhook.secret} is not in [secrets] of this node")
            own["webhook-signature"] = signature(keys_of(webhook.secret, secret), delivery, timestamp, body)
        headers = {
            "user-agent": our_name(),
            "accept": "*/*",
            "accept-encoding": "identity",
            "content-type": "application/cloudevents+json",
            "webhook-id": delivery,
            "webhook-timestamp": str(timestamp),
        }
        return Message("POST", body, headers, own)

    def result_of(self, answer: Answer, now: datetime, age: timedelta) -> dict[str, int]:
        """Return the result of a run whose delivery has arrived. Raises `Signal` if it has not."""
        if 200 <= answer.status < 300:  # noqa: PLR2004 - they are their names
            return {"status": answer.status}
        said = f"the receiver answered {answer.status}"
        wait = wait_asked(answer.headers, now)
        is_busy = answer.status == 429 or (answer.status == 503 and wait is not None)  # noqa: PLR2004 - same
        if is_busy and age < PATIENCE:
            raise busy(said, wait)
        if answer.status in REDIRECTS:
            raise Retry(reason=f"{said}: a redirect, which is not followed")
        raise Retry(wait, said)

    def busy(self, reason: str, wait: timedelta) -> Signal:
        """Return how a run ends that is to be left for so long, and all others of its webhook with it."""
        return busy(reason, wait)

    def close(self) -> None:
        """Let go of all threads."""
        self._outside.resolver.close()


def cloud_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event of the feed as a CloudEvent (1.0), in structured mode."""
    subject = {"subject": event["jobId"]} if "jobId" in event else {}
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": SOURCE,
        "type": f"mainspring.{event['type']}",
        "time": event["time"],
        **subject,
        "datacontenttype": "application/json",
        "data": event,
    }
