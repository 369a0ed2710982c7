"""Where jobs live: one protocol, two stores (SQLite, also in RAM, and PostgreSQL)."""
