"""The use cases on webhooks: who hears of which events, what was sent to them, and sending it once more.

A webhook is a note. Its place in the feed of events is another, so that it moves on without changing the webhook. Each
life of a webhook, from the moment when it is made until it is deleted, is a subscription with an id of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2s
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import to_json

from mainspring import logs
from mainspring.clock import Clock
from mainspring.declared import WEBHOOK_NAME, Reach, Webhook, webhook_from_json, webhook_to_json
from mainspring.errors import ConflictError, InvalidRequestError, NotFoundError, PreconditionFailedError, Problem
from mainspring.job import (
    DELIVERIES,
    PENDING,
    Job,
    JobFilter,
    Position,
    Scope,
    State,
    concurrency_label,
    webhook_key,
)
from mainspring.problems import pointer, problems_of, sentence
from mainspring.service.control import EDIT_TRIES
from mainspring.store import Store

if TYPE_CHECKING:
    from mainspring.service.actions import Action
    from mainspring.service.jobs import SchedulerService

WEBHOOKS = "webhook"
"""The kind of notes that are webhooks, by name."""
PLACES = "webhook-place"
"""The kind of notes that say up to where in the feed events were handed on, by the ids of subscriptions."""
MOST_WEBHOOKS = 100
"""How many webhooks a store may have: each entry of the feed is looked at for each of them."""
_SETTINGS = "settings"
_DELIVERIES = Scope(*DELIVERIES)
log = logs.logger("mainspring")


class Subscription(NamedTuple):
    """A webhook as it is noted: with the id of its life, and where in the feed that began.

    `declared` is what settings said of it last, `None` if they never did.
    """

    id: UUID
    begins: int
    webhook: Webhook
    declared: Mapping[str, Any] | None = None

    @property
    def tag(self) -> str:
        """What tells this webhook from what it was before."""
        return blake2s(to_json(subscription_to_json(self)), digest_size=8).hexdigest()


class Adopted(NamedTuple):
    """What became of a webhook of the settings: it was ``written``, or ``paused`` as it is declared no more."""

    name: str
    what: str


class Webhooks:
    """The webhooks of one store; `reach` says what they may use."""

    def __init__(self, jobs: SchedulerService, store: Store, clock: Clock, reach: Reach) -> None:
        self._jobs = jobs
        self._store = store
        self._clock = clock
        self._reach = reach

    async def list_webhooks(self) -> dict[str, Subscription]:
        """Return all webhooks by name; a note that cannot be read is none."""
        return {
            name: read
            for name, note in sorted((await self._store.notes(WEBHOOKS)).items())
            if (read := _read_note(note)) is not None
        }

    async def get_webhook(self, name: str) -> Subscription:
        """Return a webhook. Raises `NotFoundError`."""
        return _found((await self.list_webhooks()).get(name), name)

    async def put_webhook(
        self, name: str, body: Mapping[str, Any], *, tag: str | None = None, is_new: bool = False
    ) -> tuple[Subscription, bool]:
        """Write a webhook; answer it, and whether it is new. It hears of what happens from then on.

        With `tag` only if it is that of the webhook, with `is_new` only if there is none. Raises `InvalidRequestError`
        with every problem, and `PreconditionFailedError`.
        """
        webhook = self._read(name, body)
        for _ in range(EDIT_TRIES):
            notes = await self._store.notes(WEBHOOKS)
            before = _read_note(notes.get(name))
            _check_tag(before, name, tag)
            if before is not None and is_new:
                raise PreconditionFailedError(f"there is a webhook {name} already")
            if before is None and len(notes) >= MOST_WEBHOOKS:
                raise _invalid("", "TOO_MANY_WEBHOOKS", f"there can be {MOST_WEBHOOKS} webhooks at most: delete one")
            after = await self._begun(webhook) if before is None else before._replace(webhook=webhook)
            if await self._store.swap_note(WEBHOOKS, name, notes.get(name), subscription_to_json(after)):
                return after, before is None
        raise ConflictError("the webhook kept changing; try again")

    async def _begun(self, webhook: Webhook) -> Subscription:
        return Subscription(self._clock.new_id(), (await self._store.events(None, 0)).seen, webhook)

    async def delete_webhook(self, name: str, *, tag: str | None = None) -> None:
        """Delete a webhook, and cancel its deliveries that wait. Raises `NotFoundError`, `PreconditionFailedError`."""
        for _ in range(EDIT_TRIES):
            note = (await self._store.notes(WEBHOOKS)).get(name)
            there = _found(_read_note(note), name)
            _check_tag(there, name, tag)
            if await self._store.swap_note(WEBHOOKS, name, note, None):
                await self._store.note(PLACES, str(there.id), None)
                await self._act("cancel", self._filter(name, PENDING))
                return
        raise ConflictError("the webhook kept changing; try again")

    async def pause(self, name: str, subscription: UUID, reason: str) -> None:
        """Pause a webhook that is still that subscription, unless it is paused already."""
        for _ in range(EDIT_TRIES):
            note = (await self._store.notes(WEBHOOKS)).get(name)
            there = _read_note(note)
            if there is None or there.id != subscription or there.webhook.is_paused:
                return
            paused = there.webhook.model_copy(update={"is_paused": True, "reason": reason})
            after = subscription_to_json(there._replace(webhook=paused))
            if await self._store.swap_note(WEBHOOKS, name, note, after):
                log.warning("webhook paused", webhook=name, reason=reason)
                return
        raise ConflictError("the webhook kept changing; try again")

    async def adopt(self, webhooks: Sequence[Webhook]) -> list[Adopted]:
        """Write webhooks of the settings that were declared otherwise before, and pause those that are no longer.

        So what people have changed of one stays until its declaration is changed. Answer what was done.
        """
        done = []
        known = await self._store.notes(WEBHOOKS)
        for webhook in webhooks:
            before, declared = _read_note(known.get(webhook.name)), webhook_to_json(webhook)
            if before is None or before.declared != declared:
                after = await self._begun(webhook) if before is None else before._replace(webhook=webhook)
                note = subscription_to_json(after._replace(declared=declared))
                if await self._store.swap_note(WEBHOOKS, webhook.name, known.get(webhook.name), note):
                    done.append(Adopted(webhook.name, "written"))
        here = {webhook.name for webhook in webhooks}
        for name, note in known.items():
            there = _read_note(note)
            if there is not None and there.declared is not None and name not in here:
                reason = f"it is no longer declared in the {_SETTINGS}"
                gone = there.webhook.model_copy(update={"is_paused": True, "reason": reason})
                if await self._store.swap_note(
                    WEBHOOKS, name, note, subscription_to_json(there._replace(webhook=gone, declared=None))
                ):
                    done.append(Adopted(name, "paused"))
        return done

    def _read(self, name: str, body: Mapping[str, Any]) -> Webhook:
        """Read a webhook as it is sent. Raises `InvalidRequestError` with every problem."""
        problems: list[Problem] = []
        if not re.fullmatch(WEBHOOK_NAME, name):
            detail = "the name must be 1 to 64 letters, digits, dots, _ or -, and begin with a letter or digit"
            raise _invalid("", "WEBHOOK_NAME_INVALID", detail)
        if body.get("name", name) != name:
            problems.append(Problem("/name", "WEBHOOK_NAME_INVALID", f"must be left out, or {name}, as in the path"))
        try:
            webhook = webhook_from_json({**body, "name": name})
        except ValidationError as error:
            problems += problems_of(error, body, owner="a webhook")
        else:
            problems += [Problem(pointer(each.place), each.code, each.words) for each in self._reach.problems(webhook)]
            searchable = self._jobs.searchable(webhook.filter.scope)
            problems += [
                Problem(pointer(("filter", "request", field)), "FIELD_NOT_SEARCHABLE", _not_searchable(searchable))
                for field in webhook.filter.request or {}
                if field not in searchable
            ]
            if not problems:
                return webhook
        raise InvalidRequestError(sentence(problems), problems=problems)

    # --- deliveries

    async def deliveries(self, name: str, which: JobFilter, *, after: Position | None, limit: int) -> Sequence[Job]:
        """Return a page of the deliveries to a webhook: those that wait by next try, then those that are done.

        Raises `NotFoundError`.
        """
        await self.get_webhook(name)
        mine = replace(which, labels=frozenset({concurrency_label(webhook_key(name))}))
        return await self._jobs.finding.page(_DELIVERIES, mine, after=after, limit=limit)

    async def replay(self, name: str, delivery: UUID) -> Job:
        """Have a delivery tried again at once: one that gave up, or one that waits for its next try.

        Raises `NotFoundError`, and `JobNotDeadError` for one that has arrived or was cancelled.
        """
        await self.get_webhook(name)
        job = await self._store.get(delivery)
        if job is None or job.key != DELIVERIES or job.concurrency_key != webhook_key(name):
            detail = f"there is no delivery {delivery} to the webhook {name}"
            raise NotFoundError(detail, problems=[Problem("", "DELIVERY_NOT_FOUND", detail)])
        if job.state is State.SCHEDULED:
            return await self._jobs.control.fire_job(DELIVERIES, delivery)
        if job.state is State.RUNNING:
            return job
        return await self._jobs.control.retry_job(DELIVERIES, delivery)

    async def replay_all(self, name: str) -> Action:
        """Have all deliveries to a webhook tried again that gave up. Raises `NotFoundError`."""
        await self.get_webhook(name)
        return await self._act("retry", self._filter(name, frozenset({State.DONE}), gave_up=True))

    async def _act(self, verb: str, which: JobFilter) -> Action:
        action, _ = await self._jobs.actions.plan(verb, _DELIVERIES, which, None, {})
        return await self._jobs.actions.begin(action)

    def _filter(self, name: str, states: frozenset[State], *, gave_up: bool = False) -> JobFilter:
        return JobFilter(states, gave_up=gave_up, labels=frozenset({concurrency_label(webhook_key(name))}))


def subscription_to_json(subscription: Subscription) -> dict[str, Any]:
    """Write a webhook as it is noted."""
    return {
        "id": str(subscription.id),
        "begins": subscription.begins,
        "webhook": webhook_to_json(subscription.webhook),
        "declared": subscription.declared,
    }


def _read_note(note: Any) -> Subscription | None:
    """Read what `subscription_to_json` wrote; anything else is none."""
    try:
        return Subscription(UUID(note["id"]), int(note["begins"]), webhook_from_json(note["webhook"]), note["declared"])
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


def _found(there: Subscription | None, name: str) -> Subscription:
    if there is None:
        detail = f"there is no webhook {name[:64]!r}"
        raise NotFoundError(detail, problems=[Problem("", "WEBHOOK_NOT_FOUND", detail)])
    return there


def _check_tag(there: Subscription | None, name: str, tag: str | None) -> None:
    if tag is not None and (there is None or tag != there.tag):
        what = f"there is no webhook {name}" if there is None else f"the webhook {name} is another by now"
        raise PreconditionFailedError(f"{what}; get it anew and decide again")


def _not_searchable(searchable: frozenset[str]) -> str:
    known = f"; those are {', '.join(sorted(searchable))}" if searchable else ""
    return f"is no field by which jobs can be found{known}"


def _invalid(place: str, code: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError(detail, problems=[Problem(place, code, detail)])
