"""What the running service can add to the command line while somebody types: groups, products, ids and calendars.

Nobody waits for that: a service that is away, refuses or is slow has nothing to add, and nothing is said about it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import typer

from mainspring.cli.flags import DEFAULT_URL

ANSWER_SECONDS = 0.5
"""How long the service may take to answer."""
MOST_JOBS = 200
"""How many jobs of a group are offered."""
_ROOT = "/api/schedulers"
_SAFE = re.compile(r"[A-Za-z0-9._~/-]+", re.ASCII)
Candidate = tuple[str, str]
"""What may stand there, and a few words about it."""


def groups(ctx: typer.Context) -> list[Candidate]:
    """Name the job groups."""
    return _safe((f"{product}/{group}", "job group") for product, group in _keys(ctx))


def scopes(ctx: typer.Context) -> list[Candidate]:
    """Name the products and the job groups."""
    keys = _keys(ctx)
    products = dict.fromkeys(product for product, _ in keys)
    return _safe([*((product, "product") for product in products), *((f"{p}/{g}", "job group") for p, g in keys)])


def job_ids(ctx: typer.Context) -> list[Candidate]:
    """Name the jobs of the group that stands before them."""
    from mainspring.cli.control import scope_path

    try:
        path = scope_path(ctx.params.get("group") or "")
    except typer.BadParameter:
        return []
    jobs = _answer(ctx, f"{path}/jobs", {"limit": MOST_JOBS})
    return _safe((_text(job, "id"), f"{_text(job, 'state')} {_text(job, 'nextRun')}".strip()) for job in _objects(jobs))


def calendars(ctx: typer.Context) -> list[Candidate]:
    """Name the calendars."""
    answered = _answer(ctx, f"{_ROOT}/calendars")
    return _safe((str(name), "calendar") for name in (answered if isinstance(answered, dict) else ()))


def _keys(ctx: typer.Context) -> list[tuple[str, str]]:
    keys = [(_text(group, "product"), _text(group, "jobGroup")) for group in _objects(_answer(ctx, _ROOT))]
    return [key for key in keys if all(key)]


def _answer(ctx: typer.Context, path: str, params: dict[str, Any] | None = None) -> Any:
    """Return what the service answers to a GET, or `None` if it does not in time."""
    from mainspring.cli import client

    found: list[Any] = []
    try:
        opened = client.open_client(ctx.params.get("url") or DEFAULT_URL)
    except Exception:  # noqa: BLE001 - whatever is wrong with the address, there is nothing to add
        return None

    def ask() -> None:
        with suppress(Exception), opened:
            response = opened.get(path, params=params, timeout=ANSWER_SECONDS)
            if response.is_success:
                found.append(response.json())

    # A timeout of the client limits each step, not the whole: so it is asked in a thread that nobody waits for.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    return found[0] if found else None


def _objects(answered: object) -> list[dict[str, Any]]:
    return [item for item in answered if isinstance(item, dict)] if isinstance(answered, list) else []


def _text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _safe(found: Iterable[Candidate]) -> list[Candidate]:
    """Leave out what would need quotes in a shell, or be more than a word to it."""
    return [(value, text) for value, text in found if _SAFE.fullmatch(value)]
