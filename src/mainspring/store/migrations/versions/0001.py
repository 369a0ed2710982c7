"""The first schema: jobs, runs, nodes and the fence. Nothing older exists, so no running node can mind it."""

from alembic import op

from mainspring.store.migrations import statements

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
