"""A format for rows of jobs, so that nodes leave alone what only later versions can read.

Nodes of the version before do not survive it: they write rows that lack the format. They answer 503 until they are
replaced.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
