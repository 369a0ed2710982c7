"""What is wrong with jobs without code among themselves: each may be right, and still not go with the others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from mainspring.declared.command_job import CommandJob
from mainspring.declared.http_job import HttpJob
from mainspring.declared.refusals import Refusal, refusal
from mainspring.declared.targets import AllowedTargets, TargetError
from mainspring.declared.webhook import Reach, Webhook
from mainspring.job import DELIVERIES

Place = tuple[str | int, ...]


def check_entries(entries: Sequence[str]) -> Sequence[str]:
    """Return a list of allowed targets if it can be used. Raises an error of pydantic that names each wrong entry."""
    found = []
    for number, entry in enumerate(entries):
        try:
            AllowedTargets([entry])
        except ValueError:
            words = "must be a host such as db.internal, a host and port such as db.internal:8080, or a network"
            found.append(Refusal((number,), "TARGET_FORM", words))
    if found:
        raise refusal("allowed_targets", found)
    return entries


def conflicts(
    http_jobs: Sequence[HttpJob],
    command_jobs: Sequence[CommandJob],
    webhooks: Sequence[Webhook],
    secrets: Collection[str],
    allowed_targets: Mapping[str, Sequence[str]],
) -> Iterator[tuple[str, Place, str]]:
    """Find groups and webhooks that are declared twice, secrets that are not, and hosts that are not allowed.

    Each comes with its table, its place there, and words that follow the place.
    """
    seen: dict[tuple[str, str], str] = {}
    tables: list[tuple[str, Sequence[HttpJob | CommandJob]]] = [
        ("http_jobs", http_jobs),
        ("command_jobs", command_jobs),
    ]
    for table, jobs in tables:
        for number, job in enumerate(jobs):
            place = f"{table}[{number}]"
            if (other := seen.setdefault((job.product, job.job_group), place)) != place:
                yield table, (number, "job_group"), f"makes {job.product}/{job.job_group} twice: {other} is that group"
    for number, http_job in enumerate(http_jobs):
        if http_job.secret is not None and http_job.secret not in secrets:
            yield "http_jobs", (number, "secret"), f"is {http_job.secret}, which [secrets] does not have"
        try:
            if http_job.place is not None:
                AllowedTargets(allowed_targets.get(http_job.product, ())).check(http_job.place)
        except TargetError as error:
            hint = f"; allowed_targets.{http_job.product} can allow it ({error.code})"
            yield "http_jobs", (number, "url"), f"{error}{hint}"
    yield from _of_webhooks(webhooks, Reach(secrets, AllowedTargets(allowed_targets.get(DELIVERIES.product, ()))))


def _of_webhooks(webhooks: Sequence[Webhook], reach: Reach) -> Iterator[tuple[str, Place, str]]:
    for number, webhook in enumerate(webhooks):
        first = next(place for place, other in enumerate(webhooks) if other.name == webhook.name)
        if first != number:
            yield "webhooks", (number, "name"), f"is that of webhooks[{first}] too"
        for each in reach.problems(webhook):
            yield "webhooks", (number, *each.place), each.words
