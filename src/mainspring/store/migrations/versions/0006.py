"""Priorities, keys, pauses that say why and end by themselves, and runs that people cancel.

Nodes of the version before do not survive it: they write rows that lack the columns. They answer 503 until they are
replaced.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns and their indexes."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
