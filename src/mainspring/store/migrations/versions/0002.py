"""Live jobs apart from history, history by the day.

Nodes of the version before cannot read this schema, so they are stopped first; they would refuse it in words.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables anew and move what was in the old ones."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
