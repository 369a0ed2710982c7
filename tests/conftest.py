"""Fixtures that all tests share."""

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.postgres import PostgresServer, temporary_database


@pytest.fixture(autouse=True)
def logging_is_on() -> None:
    """A rogue that another test let loose may have turned it off for the whole process."""
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Async tests run on the loop that the service runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of our own, one for each xdist worker. Tests that stop it should start another one themselves."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database: on the server that MAINSPRING_TEST_PG_URL names, otherwise on our own."""
    server_url = os.environ.get("MAINSPRING_TEST_PG_URL") or request.getfixturevalue("postgres").url()
    with temporary_database(server_url) as url:
        yield url
