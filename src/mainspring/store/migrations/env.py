"""How alembic runs a version: on the connection it is handed, in one transaction, one migrator at a time."""

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
postgres = connection.dialect.name == "postgresql"

# Both databases undo DDL with the transaction; alembic must be told so for SQLite.
context.configure(
    connection=connection, version_table_schema="mainspring" if postgres else None, transactional_ddl=True
)
with context.begin_transaction():
    if postgres:
        # Any constant will do for the key; the lock ends with the transaction.
        connection.execute(text("select pg_advisory_xact_lock(7236341)"))
        connection.execute(text("create schema if not exists mainspring"))
    else:
        connection.execute(text("begin immediate"))
    context.run_migrations()
connection.commit()
