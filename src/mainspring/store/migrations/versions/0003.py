"""Occurrences without a run in history, jobs that are one occurrence of another, and notes that all nodes share."""

from alembic import op

from mainspring.store.migrations import statements

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns and the table."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
