"""Looks into a database without being counted: as a role of its own, which pg_stat_statements keeps apart."""

from typing import Any

import psycopg

OBSERVER = "observer"


def observe(url: str) -> psycopg.Connection[Any]:
    """Return a connection for looking on; it is closed when nobody holds it any more."""
    return psycopg.connect(url, autocommit=True, options=f"-c role={OBSERVER}")
