"""What may be read by a role that only creates jobs: views of PostgreSQL.

Nodes of the version before survive it.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the views."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
