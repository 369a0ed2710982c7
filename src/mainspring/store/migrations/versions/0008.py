"""Logs, tracebacks and progress of runs, and jobs that wait for others.

Nodes of the version before do not survive it: they write rows that lack the columns. They answer 503 until they are
replaced.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns, the table of waits, and triggers that count jobs which wait as scheduled."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
