"""A real PgBouncer, in every mode, is seen at start and refused in words."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mainspring.errors import ConfigError
from mainspring.store.postgres.address import SESSION
from mainspring.store.postgres.schema import check_schema, rebuild_schema, upgrade_schema
from mainspring.store.postgres.store import PostgresStore
from tests.postgres import PostgresServer, temporary_database

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="there is no pgbouncer here; Debian's package has the name")
ALL = ",".join([*SESSION, "options", "extra_float_digits"])
CONFIG = """
[databases]
* = host={host} port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
ignore_startup_parameters = {ignored}
"""


@contextmanager
def pgbouncer(url: str, mode: str, ignored: str) -> Iterator[str]:
    """Yield the URL under which a database is reached through PgBouncer."""
    assert PGBOUNCER is not None
    server = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "pgbouncer.ini"
        file.write_text(CONFIG.format(host=server.hostname, port=server.port, own=own, mode=mode, ignored=ignored))
        root = os.geteuid() == 0  # as whom it does not run
        if root:
            nobody = pwd.getpwnam("nobody")
            for path in (file, file.parent):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        with subprocess.Popen(
            [PGBOUNCER, file], stderr=subprocess.PIPE, text=True, user="nobody" if root else None
        ) as process:
            assert process.stderr is not None
            assert any("process up" in line for line in process.stderr), "it did not start"
            yield url.replace(f"{server.hostname}:{server.port}", f"127.0.0.1:{own}")
            process.kill()


@pytest.mark.parametrize("ignored", ["", ALL])
@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
def test_pgbouncer_is_refused(postgres: PostgresServer, mode: str, ignored: str) -> None:
    """Whether or not it swallows the settings of a session: by the check, and before anything is changed."""
    with temporary_database(postgres.url()) as database:
        upgrade_schema(database)
        with pgbouncer(database, mode, ignored) as url:
            for verb in (check_schema, upgrade_schema, rebuild_schema):
                with pytest.raises(ConfigError, match="is a connection pooler such as PgBouncer"):
                    verb(url)


async def test_store_does_not_open_through_pgbouncer(postgres: PostgresServer) -> None:
    """A node finds what the check does."""
    with temporary_database(postgres.url()) as database:
        upgrade_schema(database)
        with pgbouncer(database, "transaction", ALL) as url:
            store = PostgresStore(url)
            with pytest.raises(ConfigError, match="PgBouncer"):
                await store.open()
            await store.close()
