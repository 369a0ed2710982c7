"""Receipts of calls that may be sent again, and digests of the bodies of jobs that have their ids from callers.

Nodes of the version before do not survive it: they write rows that lack the column. They answer 503 until they are
replaced.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the table and the columns."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
