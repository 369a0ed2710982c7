"""Labels, by which jobs are found.

Nodes of the version before do not survive it: they write rows that lack the column. They answer 503 until they are
replaced.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table, the columns and the triggers, and label the jobs that are there."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
