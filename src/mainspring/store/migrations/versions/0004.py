"""Counts of jobs, and ways to find those that gave up.

Nodes of the version before go on working: what they write is counted too.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table and the indexes, and count what is there."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
