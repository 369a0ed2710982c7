"""A database on which a node has published its groups, and connections to it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import BaseModel, field_validator

from mainspring import Binder, JobExecutionContext, JobRequest, SchedulerJob, SchedulerPluginModule, job_group, product
from mainspring.clock import SystemClock
from mainspring.declared import HttpJob
from mainspring.execution.declared import DeclaredModule
from mainspring.plugins import build
from mainspring.service.cluster import Cluster
from mainspring.settings import Settings
from mainspring.store import Notes
from mainspring.store.enqueued import grants
from mainspring.store.postgres.schema import rebuild_schema
from mainspring.store.postgres.store import PostgresStore
from tests.contract.conftest import emptied


class Place(BaseModel):
    """Where; nested, so that the published schema has references."""

    rack: int


@product("vps4")
@job_group("backups")
class Backup(SchedulerJob):
    """A group of which everything can be published."""

    class Request(JobRequest):
        vm_id: UUID
        data_center: str | None = None
        copies: int = 1
        place: Place | None = None

    searchable = ("vm_id",)
    priority = 7
    concurrency_key = "dc:{data_center}"

    async def execute(self, context: JobExecutionContext) -> None:
        """Do nothing."""


@product("vps4")
@job_group("strict")
class Strict(SchedulerJob):
    """A group with code of its own."""

    class Request(JobRequest):
        name: str

        @field_validator("name")
        @classmethod
        def is_lower(cls, name: str) -> str:
            """Refuse capitals."""
            if name != name.lower():
                raise ValueError("must be in lower case")
            return name

    @classmethod
    def concurrency_key(cls, request: Any) -> str:
        """Make a key."""
        return f"n:{request.name}"

    async def execute(self, context: JobExecutionContext) -> None:
        """Do nothing."""


CALLS = HttpJob(
    product="vps4",
    job_group="calls",
    url="https://example.com/{name}",
    request={"required": ["name"], "properties": {"name": {"type": "string", "maxLength": 9}}},
)


class Module(SchedulerPluginModule):
    """Both."""

    def configure(self, binder: Binder) -> None:
        binder.bind_job(Backup)
        binder.bind_job(Strict)


MODULES = [("tests", Module()), ("declared", DeclaredModule(Settings(http_jobs=(CALLS,))))]


@pytest.fixture(scope="session")
def schema_url(postgres_url: str) -> str:
    """The URL of a database with the schema."""
    rebuild_schema(postgres_url)
    return postgres_url


@pytest.fixture
async def store(schema_url: str) -> AsyncIterator[PostgresStore]:
    """An empty store of which a node has published its groups."""
    # a connection that a test left open is an error, not a halt
    emptied(make_conninfo(schema_url, options="-c lock_timeout=10s"))
    store = PostgresStore(schema_url)
    await store.open()
    try:
        await Cluster(store, Notes(store, SystemClock()), build(MODULES)).publish()
        yield store
    finally:
        await store.close()


@pytest.fixture
def connection(schema_url: str, store: PostgresStore) -> Iterator[psycopg.Connection[Any]]:  # noqa: ARG001 - it must be there
    """A connection of the program that creates jobs, with a table of its own."""
    with psycopg.connect(schema_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def enqueuer(schema_url: str, store: PostgresStore) -> Iterator[psycopg.Connection[Any]]:  # noqa: ARG001 - it must be there
    """A connection of a role that may create jobs, as the command says."""
    name = f"enqueuer_{uuid4().hex}"
    with psycopg.connect(schema_url, autocommit=True) as owner:
        owner.execute(f"create role {name}".encode())
        owner.execute(grants(name).encode())
        try:
            with psycopg.connect(schema_url, options=f"-c role={name}") as connection:
                yield connection
                connection.rollback()
        finally:
            owner.execute(f"drop owned by {name}; drop role {name}".encode())
