"""The PostgreSQL store: many nodes, one database."""

from mainspring.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
