"""What the running service can add to the command line while somebody types: groups, products, ids and other names.

Nobody waits for that: a service that is away, refuses or is slow has nothing to add, and nothing is said about it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from mainspring.client import Client, Group

T = TypeVar("T")
ANSWER_SECONDS = 0.5
"""How long the service may take to answer."""
MOST_JOBS = 200
"""How many jobs of a group are offered."""
_SAFE = re.compile(r"[A-Za-z0-9._~/:-]+", re.ASCII)
Candidate = tuple[str, str]
"""What may stand there, and a few words about it."""


def groups(ctx: typer.Context) -> list[Candidate]:
    """Name the job groups."""
    return _safe((_key(group), "job group") for group in _groups(ctx))


def scopes(ctx: typer.Context) -> list[Candidate]:
    """Name the products and the job groups."""
    found = _groups(ctx)
    products = dict.fromkeys(group.product for group in found)
    return _safe([*((product, "product") for product in products), *((_key(group), "job group") for group in found)])


def job_ids(ctx: typer.Context) -> list[Candidate]:
    """Name the jobs of the group that stands before them."""
    scope = ctx.params.get("group")
    if scope is None:
        return []
    found = _answer(ctx, lambda client: [*islice(client.jobs(*scope, page_size=MOST_JOBS), MOST_JOBS)])
    return _safe((job.id, f"{job.state} {job.raw.get('nextRun') or ''}".strip()) for job in found or ())


def calendars(ctx: typer.Context) -> list[Candidate]:
    """Name the calendars."""
    found = _answer(ctx, lambda client: client.calendars())
    return _safe((str(name), "calendar") for name in (found if isinstance(found, dict) else ()))


def nodes(ctx: typer.Context) -> list[Candidate]:
    """Name the nodes."""
    found = _answer(ctx, lambda client: [str(node["node"]) for node in client.nodes()])
    return _safe((name, "node") for name in found or ())


def webhooks(ctx: typer.Context) -> list[Candidate]:
    """Name the webhooks."""
    found = _answer(ctx, lambda client: [(str(each["name"]), str(each["url"])) for each in client.webhooks()])
    return _safe(found or ())


def contexts() -> list[Candidate]:
    """Name the contexts of this user."""
    from mainspring.cli.contexts import read_contexts

    with suppress(Exception):
        return _safe((name, "context") for name in read_contexts().all)
    return []


def _key(group: Group) -> str:
    return f"{group.product}/{group.job_group}"


def _groups(ctx: typer.Context) -> tuple[Group, ...]:
    found = _answer(ctx, lambda client: client.groups()) or ()
    return tuple(group for group in found if group.product and group.job_group)


def _answer(ctx: typer.Context, ask: Callable[[Client], T]) -> T | None:
    """Return what the service answers, or `None` if it does not in time."""
    from mainspring.cli import contexts, service

    found: list[Any] = []
    try:
        client = service.open_client(contexts.place_of(ctx.params.get("url"), ctx.params.get("context")))
    except Exception:  # noqa: BLE001 - whatever is wrong with the address, there is nothing to add
        return None

    def answer() -> None:
        with suppress(Exception), client:
            found.append(ask(client))

    # A timeout of the client limits each step, not the whole: so it is asked in a thread that nobody waits for.
    asking = threading.Thread(target=answer, daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    return found[0] if found else None


def _safe(found: Iterable[Candidate]) -> list[Candidate]:
    """Leave out what would need quotes in a shell, or be more than a word to it."""
    return [(value, text) for value, text in found if _SAFE.fullmatch(value)]
