"""The calls about all but single jobs: groups, pauses, limits, calendars, actions, nodes, webhooks and probes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mainspring.client import answers
from mainspring.client.answers import Group, Limits, Standing
from mainspring.client.call import Answer, Call, Listing, Method, Page, delete, get, if_match, post, put
from mainspring.client.jobs import Filter, JobCalls
from mainspring.client.paths import level, params, path
from mainspring.client.times import When

Json = Mapping[str, Any]
_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class ActionPlan:
    """What an action would do: how many jobs, whether that is an estimate, examples, and the `token` to apply it."""

    count: int
    estimated: bool
    examples: tuple[Any, ...]
    token: str
    raw: Json


@dataclass(frozen=True, slots=True)
class Action:
    """An action on many jobs: its `state`, and how many of its `total` jobs are `done` and `failed`.

    `errors` says what was wrong with the first that failed.
    """

    id: str
    state: str
    done: int
    failed: int
    total: int
    errors: tuple[Json, ...]
    raw: Json


@dataclass(frozen=True, slots=True)
class Ready:
    """Whether the service takes and runs jobs; `raw` says why not."""

    ready: bool
    durable: bool | None
    raw: Json


class ServiceCalls(JobCalls):
    """Everything that is not about one job."""

    @Method
    def groups(self) -> Call[tuple[Group, ...]]:
        """List the job groups with the number of jobs in each state."""
        return get(path(), lambda answer: tuple(answers.group_of(raw) for raw in answer.json()))

    @Method
    def schema(self, product: str, job_group: str) -> Call[Json]:
        """Return the JSON Schema of a request of a group. Raises `NotFound`."""
        return get(level(product, job_group, "schema"), answers.entry)

    # --- pauses of groups, products and everything

    @Method
    def pauses(self, product: str | None = None, job_group: str | None = None) -> Call[Standing]:
        """Show what holds a group, a product or everything back."""
        return get(level(product, job_group, "pause"), answers.standing)

    @Method
    def pause_all(
        self,
        product: str | None = None,
        job_group: str | None = None,
        *,
        reason: str | None = None,
        until: When | None = None,
    ) -> Call[Standing]:
        """Pause a group, a product or everything: no run of it begins until it is resumed, or `until` then."""
        return post(level(product, job_group, "pause"), answers.standing, self.pause_body(reason, until))

    @Method
    def resume_all(self, product: str | None = None, job_group: str | None = None) -> Call[Standing]:
        """End the pause of a group, a product or everything; pauses of other levels stay."""
        return post(level(product, job_group, "resume"), answers.standing)

    # --- limits

    @Method
    def limits(self, product: str, job_group: str | None = None) -> Call[Limits]:
        """Show the limits of a group or a product."""
        return get(level(product, job_group, "limits"), answers.limits)

    @Method
    def set_limits(
        self, limits: Json, product: str, job_group: str | None = None, *, etag: str | None = None
    ) -> Call[Limits]:
        """Write all limits of a group or a product; what is left out is not limited.

        With `etag` only if they are still those. Raises `Invalid`, `NotFound` and `PreconditionFailed`.
        """
        return put(level(product, job_group, "limits"), answers.limits, dict(limits), if_match(etag))

    @Method
    def reset_limits(self, product: str, job_group: str | None = None, *, etag: str | None = None) -> Call[Limits]:
        """Forget the limits that were written; those that are declared hold again. Raises as `set_limits`."""
        return delete(level(product, job_group, "limits"), answers.limits, if_match(etag))

    # --- calendars

    @Method
    def calendars(self) -> Call[Mapping[str, Json]]:
        """Return all calendars by their names."""
        return get(path("calendars"), answers.entry)

    @Method
    def calendar(self, name: str) -> Call[Json]:
        """Show a calendar. Raises `NotFound`."""
        return get(path("calendars", name), answers.entry)

    @Method
    def set_calendar(self, name: str, calendar: Json) -> Call[Json]:
        """Write a whole calendar, in place of one of that name. Raises `Invalid`."""
        return put(path("calendars", name), answers.entry, dict(calendar))

    @Method
    def delete_calendar(self, name: str) -> Call[None]:
        """Delete a calendar. Raises `Conflict` while jobs use it, and `NotFound`."""
        return delete(path("calendars", name), answers.nothing)

    # --- actions on many jobs

    @Method
    def plan_action(
        self,
        action: str,
        product: str | None = None,
        job_group: str | None = None,
        *,
        which: Filter | None = None,
        ids: Iterable[str] | None = None,
        terms: Json | None = None,
    ) -> Call[ActionPlan]:
        """Tell what an action would do to the jobs of a filter, or to those of `ids`, without doing it.

        `action` is `pause`, `resume`, `retry`, `cancel`, `delete` or `reschedule`. The `terms` of a pause are its
        `reason` and `until`, those of a reschedule what each job gets, as in `change`.
        """
        chosen: dict[str, object] = {"filter": self.asked_in_body(which or {})} if ids is None else {"ids": list(ids)}
        if terms:
            chosen["with"] = dict(terms)
        where = level(product, job_group, "jobs", "actions")
        return post(where, _plan, {"action": action, **chosen}, (("dryRun", "true"),))

    @Method
    def apply_action(self, token: str, product: str | None = None, job_group: str | None = None) -> Call[Action]:
        """Do what was planned, by the `token` of the plan. It may go on after the answer: ask `action` then."""
        return post(level(product, job_group, "jobs", "actions"), _action, {"token": token})

    @Method
    def action(self, action_id: str) -> Call[Action]:
        """Show how far an action is. Raises `NotFound`."""
        return get(path("actions", action_id), _action)

    # --- nodes and plugins

    @Method
    def nodes(self) -> Call[tuple[Json, ...]]:
        """List the nodes."""
        return get(path("nodes"), lambda answer: tuple(answer.json()))

    @Method
    def drain(self, node: str) -> Call[Json]:
        """Let a node end its runs and take no more. Raises `NotFound`."""
        return post(path("nodes", node, "drain"), answers.entry)

    @Method
    def resume_node(self, node: str) -> Call[Json]:
        """Let a drained node begin jobs again. Raises `NotFound`."""
        return post(path("nodes", node, "resume"), answers.entry)

    @Method
    def plugins(self) -> Call[tuple[Json, ...]]:
        """List the plugins."""
        return get(path("plugins"), lambda answer: tuple(answer.json()))

    # --- webhooks

    @Listing
    def webhooks(self) -> Call[Page[Json]]:
        """List the webhooks."""
        return get(path("webhooks"), answers.page_of(dict))

    @Method
    def webhook(self, name: str) -> Call[Json]:
        """Show a webhook. Raises `NotFound`."""
        return get(path("webhooks", name), answers.entry)

    @Method
    def set_webhook(self, name: str, webhook: Json) -> Call[Json]:
        """Write a whole webhook, in place of one of that name. Raises `Invalid`."""
        return put(path("webhooks", name), answers.entry, dict(webhook))

    @Method
    def delete_webhook(self, name: str) -> Call[None]:
        """Delete a webhook. Raises `NotFound`."""
        return delete(path("webhooks", name), answers.nothing)

    @Listing
    def deliveries(self, webhook: str, *, state: str | None = None, page_size: int | None = None) -> Call[Page[Json]]:
        """List what was, or is to be, sent to a webhook; with the `state` `dead` what was given up.

        Raises `NotFound`.
        """
        asked = params(self.clock.now(), state=state, limit=page_size)
        return get(path("webhooks", webhook, "deliveries"), answers.page_of(dict), asked)

    @Method
    def replay_delivery(self, webhook: str, delivery_id: str) -> Call[Json]:
        """Send a delivery to its webhook once more. Raises `NotFound`."""
        where = path("webhooks", webhook, "deliveries", delivery_id, "replay")
        return post(where, lambda answer: answer.json() if answer.content else {})

    @Method
    def replay_deliveries(self, webhook: str) -> Call[Action]:
        """Send all deliveries to a webhook once more that were given up. Raises `NotFound`."""
        return post(path("webhooks", webhook, "replay"), _action)

    # --- probes

    @Method
    def problems(self) -> Call[tuple[Json, ...]]:
        """List the codes of errors: what each means, what to do, and whether it helps to send the call again."""
        return get("/problems", lambda answer: tuple(answer.json()))

    @Method
    def openapi(self) -> Call[Json]:
        """Return the OpenAPI document: `info` has the version of the service."""
        return get("/openapi.json", answers.entry)

    @Method
    def live(self) -> Call[bool]:
        """Return True if the process answers; otherwise it raises."""
        return get("/livez", lambda _: True)

    @Method
    def ready(self) -> Call[Ready]:
        """Tell whether jobs are taken and run. It is asked once: that it is not ready is an answer."""
        return Call("GET", "/readyz", _ready, accepts=frozenset({_UNAVAILABLE}))


def _plan(answer: Answer) -> ActionPlan:
    raw = answer.json()
    examples = tuple(raw.get("examples") or ())
    return ActionPlan(raw.get("count", 0), raw.get("estimated", False), examples, raw.get("token", ""), raw)


def _action(answer: Answer) -> Action:
    raw = answer.json()
    done, failed, total = (raw.get(name, 0) for name in ("done", "failed", "total"))
    return Action(raw.get("id", ""), raw.get("state", ""), done, failed, total, tuple(raw.get("errors") or ()), raw)


def _ready(answer: Answer) -> Ready:
    raw = answer.json()
    return Ready(answer.status != _UNAVAILABLE, raw.get("durable"), raw)
