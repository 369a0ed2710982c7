"""The PostgreSQL store: many nodes, one database."""

from mainspring.store.postgres.schema import (
    check_schema,
    rebuild_schema,
    upgrade_schema,
)
from mainspring.store.postgres.store import (
    PostgresStore,
)

__all__ = ["PostgresStore", "check_schema", "rebuild_schema", "upgrade_schema"]
