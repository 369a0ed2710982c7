"""What can be done with a PostgreSQL store without a node. See `mainspring.store.backends.Backend`."""

from __future__ import annotations

from mainspring.store.migrations import upgraded
from mainspring.store.postgres.schema import check_schema, rebuild_schema, upgrade_schema
from mainspring.store.postgres.store import PostgresStore


def make(url: str) -> PostgresStore:
    """See `Backend.make`."""
    return PostgresStore(url)


def check(url: str) -> str:
    """See `Backend.check`."""
    check_schema(url)
    return "The job store can be used: its schema and the rights of the role fit."


def upgrade(url: str, *, force: bool = False) -> str:
    """See `Backend.upgrade`."""
    return upgraded(upgrade_schema(url, force=force))


def rebuild(url: str) -> None:
    """See `Backend.rebuild`."""
    rebuild_schema(url)


def may_have_jobs(_url: str) -> bool:
    """See `Backend.may_have_jobs`."""
    return True
