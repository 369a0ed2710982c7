"""The stores that the contract binds, each empty and on a clock that the test moves."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from mainspring.clock import ManualClock
from mainspring.store import Store
from mainspring.store.postgres.schema import rebuild_schema
from mainspring.store.postgres.store import PostgresStore
from mainspring.store.sqlite.store import SqliteStore
from tests.contract.build import Place, opened


@pytest.fixture
def clock() -> ManualClock:
    """The time of the stores."""
    return ManualClock()


@pytest.fixture(scope="session")
def schema_url(postgres_url: str) -> str:
    """The URL of a database with the schema."""
    rebuild_schema(postgres_url)
    return postgres_url


def emptied(url: str) -> str:
    """Empty the tables; the sequence goes on, as it does in life."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = (
            "jobs",
            "runs",
            "counts",
            "nodes",
            "notes",
            "stops",
            "deletions",
            "rates",
            "waits",
            "pressures",
            "receipts",
            "labels",
            "events",
        )
        connection.execute(f"truncate {', '.join(f'mainspring.{table}' for table in tables)}".encode())
    return url


@pytest.fixture
def empty_url(schema_url: str) -> str:
    """The URL of a database with empty tables."""
    return emptied(schema_url)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Place:
    """An empty place for jobs; each case runs on every kind there is."""
    if request.param == "memory":
        return partial(SqliteStore, None, clock)
    if request.param == "sqlite":
        return partial(SqliteStore, tmp_path / "jobs.db", clock)
    return partial(PostgresStore, request.getfixturevalue("empty_url"), clock)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """An open store without jobs."""
    async with opened(place()) as store:
        yield store
