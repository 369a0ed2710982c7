"""Events: what happened to jobs, runs, groups and nodes, to be followed.

Nodes of the version before survive it: what they do is written down by triggers on PostgreSQL, but for what these do
not see: that they begin runs, edit and delete jobs, pause groups, and come and go.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the tables and the triggers."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
