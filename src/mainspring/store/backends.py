"""Which store a URL names: its scheme leads to a backend, which can open, check, upgrade and rebuild it.

A store is a row here, a folder of its own with a `backend` module, and its migrations. Only the store that is used is
loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from mainspring.errors import ConfigError
from mainspring.store.protocol import Store

BACKENDS = {
    "memory": "mainspring.store.sqlite.backend",
    "sqlite": "mainspring.store.sqlite.backend",
    "postgresql": "mainspring.store.postgres.backend",
    "postgres": "mainspring.store.postgres.backend",
}
"""The module of each scheme."""


class Backend(Protocol):
    """What each kind of store can do without a node. All of it raises `ConfigError` and `StoreUnavailableError`."""

    def make(self, url: str) -> Store:
        """Return the store; it is not open yet."""

    def check(self, url: str) -> str:
        """Check that a service or node could use the store, and say so; nothing is changed."""

    def upgrade(self, url: str, *, force: bool = False) -> str:
        """Make the schema, or bring it up to date, and say what was done.

        Raises `NodesAliveError`, unless by `force`, while nodes work with a schema that would change under them.
        """

    def rebuild(self, url: str) -> None:
        """Drop all jobs and history, and make the schema anew."""

    def may_have_jobs(self, url: str) -> bool:
        """Tell whether there is anything to look at before a service was started."""


def backend(url: str) -> Backend:
    """Return the backend of a URL. Raises `ConfigError`."""
    scheme = url.partition(":")[0]
    if scheme not in BACKENDS:
        raise ConfigError(
            f"the store {scheme!r} is unknown; use memory:, sqlite:///path/to/file.db or postgresql://user@host/database"
        )
    return cast("Backend", import_module(BACKENDS[scheme]))
