"""Webhooks, and how far each has heard of events: notes by which no node decides.

Nodes of the version before survive it. They take webhooks for notes by which they decide, and so read their notes anew
whenever a webhook has heard of events: it is better to write webhooks when all nodes are of this version.
"""

from alembic import op

from mainspring.store.migrations import statements

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the index anew."""
    for statement in statements(op.get_bind().dialect.name.replace("postgresql", "postgres"), revision):
        op.execute(statement)
