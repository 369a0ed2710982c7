"""The calls about jobs and their runs, each described once for both clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypedDict, Unpack
from uuid import UUID

from mainspring.client import answers
from mainspring.client.answers import Backfill, Batch, Fact, Forecast, Job, Run
from mainspring.client.call import Answer, Call, Listing, Method, Page, delete, get, if_match, patch, post, put
from mainspring.client.paths import JobLike, job_path, level, params
from mainspring.client.times import When, moment_text, span_text
from mainspring.clock import Clock

Json = Mapping[str, Any]


class Plan(TypedDict, total=False):
    """When and how a job runs."""

    when: When
    """The first or only fire time: aware, or a span from the moment of the call, or text such as ``now``."""
    schedule: Json
    """How it repeats, such as ``{"every": "P1D"}``."""
    options: Json
    """What is decided about its runs, such as ``{"maxAttempts": 3, "tags": ["night"]}``."""


class Filter(TypedDict, total=False):
    """Which jobs or runs a list has. Several values of `state` and `outcome` mean any of them, of `tag` all."""

    state: str | Iterable[str]
    outcome: str | Iterable[str]
    tag: str | Iterable[str]
    gave_up: bool
    key: str
    concurrency_key: str
    due_from: When
    due_to: When
    created_from: When
    created_to: When
    node: str
    request: Mapping[str, object]
    """Fields of the request, and the value that each must have."""
    q: str
    order: str
    """`due`, `created` or `ended`."""
    fields: Iterable[str]
    """Only these fields are answered; the others are None or empty."""
    payload: bool
    """False leaves `request` out."""
    page_size: int
    """How many a page has, 1 to 1000."""
    cursor: str


_WIRE = {
    "gave_up": "gaveUp",
    "concurrency_key": "concurrencyKey",
    "due_from": "from",
    "due_to": "to",
    "created_from": "createdFrom",
    "created_to": "createdTo",
    "page_size": "limit",
}
_PAGE_SIZE = 200


class JobCalls:
    """Jobs: create, list, show, change, control, explain; and their runs."""

    clock: Clock

    # --- create

    @Method
    def create(
        self,
        product: str,
        job_group: str,
        request: Json | None = None,
        *,
        idempotency_key: str | None = None,
        **plan: Unpack[Plan],
    ) -> Call[Job]:
        """Create a job; the group's own fields stand in `request` by their names on the wire, such as ``vmId``.

        When it returns, the job is durable. Raises `Invalid`, `Conflict` if the key of its options is taken,
        `QuotaExceeded`, and `NotFound` if there is no such group.
        """
        body = self.body(request, plan)
        return post(level(product, job_group, "jobs"), answers.job_answer, body, key=idempotency_key)

    @Method
    def put_job(
        self,
        product: str,
        job_group: str,
        job_id: UUID | str,
        request: Json | None = None,
        *,
        only_new: bool = False,
        fires_from: When | None = None,
        **plan: Unpack[Plan],
    ) -> Call[Job]:
        """Create a job under an id of your own; if the same job is there already, return that.

        With `only_new` any job that is there is refused. A schedule that stood elsewhere goes on with its first fire
        time at or after `fires_from`. Raises `Conflict` if another job has the id, and `PreconditionFailed` with
        `only_new`.
        """
        headers = {"If-None-Match": "*"} if only_new else {}
        where = level(product, job_group, "jobs", str(job_id))
        asked = params(self.clock.now(), firesFrom=fires_from)
        return put(where, answers.job_answer, self.body(request, plan), headers, asked)

    @Method
    def create_batch(
        self, product: str, job_group: str, requests: Iterable[Json], *, idempotency_key: str | None = None
    ) -> Call[Batch]:
        """Create up to 100,000 jobs at once, all or none; each request may have `when`, `schedule` and `options`.

        Raises as `create`; pointers of `errors` begin with the index of the request.
        """
        body = [self.body(request, {}) for request in requests]
        return post(level(product, job_group, "jobs", "batch"), answers.batch, body, key=idempotency_key)

    @Method
    def dry_run(
        self,
        product: str,
        job_group: str,
        request: Json | None = None,
        *,
        starts: int | None = None,
        outage: tuple[When, When] | None = None,
        **plan: Unpack[Plan],
    ) -> Call[Forecast]:
        """Show what a job would do, without creating it. Raises what `create` would."""
        where = level(product, job_group, "jobs")
        asked = (("dryRun", "true"), *self._lookahead(starts, outage))
        return post(where, answers.forecast, self.body(request, plan), asked)

    # --- read

    @Listing
    def jobs(
        self, product: str | None = None, job_group: str | None = None, **which: Unpack[Filter]
    ) -> Call[Page[Job]]:
        """List jobs of a group, of a product, or of all; without a state those that are not done, by next run."""
        where = level(product, job_group, "jobs")
        return get(where, answers.page_of(answers.job_of), self.asked({"page_size": _PAGE_SIZE, **which}))

    @Method
    def get(self, job: JobLike) -> Call[Job]:
        """Show a job. Raises `NotFound`."""
        return get(job_path(job), answers.job_answer)

    @Method
    def get_if_changed(self, job: JobLike, etag: str) -> Call[Job | None]:
        """Show a job if it has another `etag` by now, else None. Raises `NotFound`."""

        def read(answer: Answer) -> Job | None:
            return None if answer.status == 304 else answers.job_answer(answer)  # noqa: PLR2004 - an HTTP status

        return Call("GET", job_path(job), read, headers={"If-None-Match": etag}, accepts=frozenset({304}))

    @Method
    def why(self, job: JobLike) -> Call[tuple[Fact, ...]]:
        """Tell every fact that holds a job back, in order; empty if it begins within moments."""
        return get(job_path(job, "why"), answers.facts)

    @Method
    def preview(
        self, job: JobLike, *, starts: int | None = None, outage: tuple[When, When] | None = None
    ) -> Call[Forecast]:
        """Show the next `starts` of a job (10 if not said), as if nothing began during the `outage`."""
        return get(job_path(job, "preview"), answers.forecast, self._lookahead(starts, outage))

    # --- change

    @Method
    def change(
        self, job: JobLike, change: Json | None = None, *, etag: str | int | None = None, **plan: Unpack[Plan]
    ) -> Call[Job]:
        """Move or change a job by a merge patch: None removes a member. With `etag` only that version is changed.

        It is not sent again by itself. Raises `Conflict`, `Invalid`, `NotFound` and `PreconditionFailed`.
        """
        return patch(job_path(job), answers.job_answer, self.body(change, plan), if_match(etag))

    @Method
    def delete(self, job: JobLike, *, etag: str | int | None = None) -> Call[None]:
        """Delete a job in any state; a run of it is asked to stop. Raises `NotFound` and `PreconditionFailed`."""
        return delete(job_path(job), answers.nothing, if_match(etag))

    @Method
    def pause(self, job: JobLike, *, reason: str | None = None, until: When | None = None) -> Call[Job]:
        """Hold a job back until it is resumed, or `until` then. Raises `Conflict` if it is done."""
        return post(job_path(job, "pause"), answers.job_answer, self.pause_body(reason, until))

    @Method
    def resume(self, job: JobLike) -> Call[Job]:
        """End the pause of a job. Raises `Conflict` if it is done."""
        return post(job_path(job, "resume"), answers.job_answer)

    @Method
    def fire(self, job: JobLike) -> Call[Job]:
        """Run a job at once. Raises `Conflict` if it is done, or runs and is not recurring."""
        return post(job_path(job, "fire"), answers.job_answer)

    @Method
    def cancel(self, job: JobLike) -> Call[Job]:
        """Cancel the run under way, or a job that has not begun. Raises `Conflict` where there is nothing to cancel."""
        return post(job_path(job, "cancel"), answers.job_answer)

    @Method
    def retry(self, job: JobLike, *, run: int | None = None) -> Call[Job]:
        """Try again what a job gave up on last, or on the run that is named. Raises `Conflict` if it did not."""
        return post(job_path(job, "retry"), answers.job_answer, None if run is None else {"run": run})

    @Method
    def backfill(
        self, job: JobLike, start: When, end: When, *, cap: int | None = None, spacing: timedelta | str | None = None
    ) -> Call[Backfill]:
        """Run the fire times of a schedule from `start` to `end`, both included and past; `cap` of them at most."""
        now = self.clock.now()
        body: dict[str, object] = {"from": moment_text(start, now), "to": moment_text(end, now)}
        if cap is not None:
            body["cap"] = cap
        if spacing is not None:
            body["spacing"] = span_text(spacing)
        return post(job_path(job, "backfill"), answers.backfill, body)

    # --- runs

    @Listing
    def runs(self, job: JobLike, *, page_size: int = _PAGE_SIZE, before: int | None = None) -> Call[Page[Run]]:
        """List the runs of a job that have ended, newest first; `before` continues below a run number."""
        asked = params(self.clock.now(), limit=page_size, before=before)
        return get(job_path(job, "runs"), answers.page_of(answers.run_of), asked)

    @Listing
    def all_runs(
        self, product: str | None = None, job_group: str | None = None, **which: Unpack[Filter]
    ) -> Call[Page[Run]]:
        """List the runs of a group, of a product, or of all that have ended."""
        where = level(product, job_group, "runs")
        return get(where, answers.page_of(answers.run_of), self.asked({"page_size": _PAGE_SIZE, **which}))

    @Method
    def run(self, job: JobLike, run: int) -> Call[Run]:
        """Show a run that has ended, with its result or its traceback. Raises `NotFound`."""
        return get(job_path(job, "runs", str(run)), lambda answer: answers.run_of(answer.json()))

    @Method
    def run_log(self, job: JobLike, run: int) -> Call[str]:
        """Return what a run that has ended logged. Raises `NotFound`."""
        return get(job_path(job, "runs", str(run), "log"), lambda answer: answer.content.decode())

    # --- how bodies and parameters are written

    def body(self, request: Json | None, plan: Plan) -> dict[str, Any]:
        """Return the body of a request; moments are written in UTC."""
        found = dict(request or {}) | dict(plan)
        if found.get("when") is not None:
            found["when"] = moment_text(found["when"], self.clock.now())
        return found

    def pause_body(self, reason: str | None, until: When | None) -> dict[str, str] | None:
        """Return the body of a pause; None if it says nothing."""
        body = {} if reason is None else {"reason": reason}
        if until is not None:
            body["until"] = moment_text(until, self.clock.now())
        return body or None

    def asked(self, which: Filter) -> tuple[tuple[str, str], ...]:
        """Return a filter as parameters."""
        now = self.clock.now()
        values: dict[str, object] = {_WIRE.get(name, name): value for name, value in which.items()}
        fields = values.pop("request", None)
        if isinstance(fields, Mapping):
            values |= {f"request.{name}": value for name, value in fields.items()}
        if (names := values.get("fields")) is not None and not isinstance(names, str) and isinstance(names, Iterable):
            values["fields"] = ",".join(map(str, names))
        return params(now, **values)

    def asked_in_body(self, which: Filter) -> dict[str, Any]:
        """Return a filter as an object; each member has its values as text, `request` its fields."""
        body: dict[str, Any] = {}
        for name, text in self.asked(which):
            kind, dot, field = name.partition(".")
            if dot:
                body.setdefault(kind, {})[field] = text
            else:
                body.setdefault(name, []).append(text)
        return body

    def _lookahead(self, starts: int | None, outage: tuple[When, When] | None) -> tuple[tuple[str, str], ...]:
        first, last = outage or (None, None)
        return params(self.clock.now(), next=starts, outageFrom=first, outageTo=last)
