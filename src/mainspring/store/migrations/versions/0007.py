"""Concurrency keys, and the rates at which jobs begin.

Nodes of the version before do not survive it: they write rows that lack the column. They answer 503 until they are
replaced.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column, its indexes and the table of rates."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
