"""Where a PostgreSQL database is and how it is reached: the one reader of URLs, and what each session begins with.

libpq reads the URL, and with it the service, the password file and the variables of the environment. What it found is
told to both drivers in full, so that they look for nothing by themselves and mean the same.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import asyncpg
import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn

from mainspring.errors import ConfigError

CONNECT_SECONDS = 3.0
"""How long a server may take until it has taken a connection, and answered once."""
OURS = {
    # A role or a database may have other defaults for all of these.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "idle_session_timeout": "0",
    "search_path": "pg_catalog",
    "timezone": "UTC",
    "application_name": "mainspring",
}
"""What holds in each session of ours."""
SESSION = {
    **OURS,
    "statement_timeout": "2000",
    "lock_timeout": "1000",
    "idle_in_transaction_session_timeout": "10000",
    # A client that is gone is noticed: at once while its statement runs, within ten seconds while it is idle.
    "client_connection_check_interval": "1000",
    "tcp_keepalives_idle": "4",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    # All our statements find few rows by an index. A planner that does not know a table which was filled a moment ago
    # joined 1,000 changes to it by reading all of its 39,000 rows for each: 155 ms, where 7 are needed.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    # Nor do the plans depend on the values. To make them anew for each call took 0.2 ms for a claim, 0.3 for a finish.
    "plan_cache_mode": "force_generic_plan",
}
"""What else holds in the sessions of a node."""
_UPGRADE = {
    **OURS,
    "default_transaction_isolation": r"read\ committed",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
"""The same for who changes the schema, as the value of ``options``."""
_SINCE_17 = {"transaction_timeout": "0"}
"""What older servers do not know, and then refuse to be asked for."""
# Durability may be more than "on": only where it is off, what was answered could be lost.
SETTLE = """
select pg_backend_pid(), current_setting('statement_timeout'),
    case current_setting('synchronous_commit') when 'off' then set_config('synchronous_commit', 'on', false) end
"""
_TLS = (
    "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation",
    "ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib",
)  # fmt: skip
_KNOWN = {
    "host", "port", "dbname", "user", "password", "passfile", "service", "options", "application_name",
    "client_encoding", "target_session_attrs", *_TLS,
}  # fmt: skip
"""The parameters that mean the same to both drivers. What else libpq knows, asyncpg would not obey."""
_UNCLEAR = (
    "the job store's URL cannot be understood; in its user name and password special characters must be written as %XX"
)
# What a server says, or does not say, that cannot be used now: another host may do.
SILENT = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
)


class Host(NamedTuple):
    """One of the servers of an address; `name` is a name, an IP address or the folder of a socket."""

    name: str
    port: int
    password: str

    def __str__(self) -> str:
        """Say where it is, in the form of a URL."""
        return f"{f'[{self.name}]' if ':' in self.name else self.name}:{self.port}"


class Address:
    """A database, on one of several servers. The one that was reached last comes first the next time."""

    def __init__(self, hosts: list[Host], told: Mapping[str, str]) -> None:
        self._hosts = deque(hosts)
        self._told = told
        self._newer: Mapping[str, str] = _SINCE_17
        self._place = f"{','.join(map(str, hosts))}/{told['dbname']}"

    def __str__(self) -> str:
        """Say where it is, without user and password."""
        return self._place

    @property
    def hosts(self) -> list[Host]:
        """The servers, in the order in which they are tried."""
        return list(self._hosts)

    @classmethod
    def read(cls, url: str) -> Address:
        """Read a URL. Raises `ConfigError`, which shows nothing of a password, however it is written."""
        given = _parsed(url)
        encrypted = given.pop("gssencmode", os.environ.get("PGGSSENCMODE"))
        found = _completed(given)
        useless = set(found) - _KNOWN
        if encrypted == "require":
            useless.add("gssencmode")
        if found.get("sslcertmode") == "allow":  # what it means without being said
            useless.discard("sslcertmode")
        if "connect_timeout" not in given and found.get("connect_timeout") == os.environ.get("PGCONNECT_TIMEOUT"):
            useless.discard("connect_timeout")  # meant for all programs; we have limits of our own
        if useless:
            raise ConfigError(
                f"the job store's URL has parameters that Mainspring cannot use: {', '.join(sorted(useless))}. Leave "
                "them out, also of its service and of the environment; Mainspring sets its own time limits"
            )
        _refuse_what_differs(found)
        return cls(_hosts(given, found), found)

    async def connect(self, *_dsn: None, **driver: Any) -> Any:
        """Connect to the first server that can be used, and settle the session there; called as a pool does.

        Raises what asyncpg does, and `ConfigError` for a server that has no sessions of its own.
        """
        failure: Exception = TimeoutError()
        for host in self.hosts:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await self._session(host, driver)
            except SILENT as error:
                failure = error
                self._pass_by(host)
            except asyncio.CancelledError:  # the patience of our caller is less than ours
                self._pass_by(host)
                raise
        raise failure

    def _pass_by(self, host: Host) -> None:
        """Begin with another server the next time, unless somebody has seen to that."""
        if self._hosts[0] is host:
            self._hosts.rotate(-1)

    async def _session(self, host: Host, driver: Mapping[str, Any]) -> Any:
        options = {"options": self._told["options"]} if self._told.get("options") else {}
        tls = {key: self._told[key] for key in _TLS if self._told.get(key)}
        try:
            connection = await asyncpg.connect(
                f"postgresql://?{urlencode(tls, quote_via=quote)}",
                host=[host.name],
                port=[host.port],
                user=self._told["user"],
                password=host.password,
                database=self._told["dbname"],
                target_session_attrs=self._told["target_session_attrs"],
                server_settings={**options, **SESSION, **self._newer},
                **driver,
            )
        except asyncpg.UndefinedObjectError as error:
            if not any(name in str(error) for name in self._newer):
                raise
            self._newer = {}
            return await self._session(host, driver)
        except asyncpg.ProtocolViolationError as error:
            if "startup parameter" in str(error):
                raise self.pooled() from error
            raise
        try:
            pid, timeout, *_ = await connection.fetchrow(SETTLE)
        except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError) as error:
            connection.terminate()
            raise self.pooled() from error
        except BaseException:
            connection.terminate()
            raise
        if pid != connection.get_server_pid() or timeout != "2s":
            connection.terminate()
            raise self.pooled()
        return connection

    def pooled(self) -> ConfigError:
        """Return the error for what hands sessions of the server from client to client.

        It makes up the process id of a session, or does not let us decide about its settings.
        """
        return ConfigError(
            f"what answers at {self} is a connection pooler such as PgBouncer. Mainspring keeps sessions of its own: "
            "locks, notifications and prepared statements live in them. Give it the address of PostgreSQL itself"
        )

    def conninfo(self) -> str:
        """Return how psycopg reaches the server that `connect` reached last, for what may take long."""
        host = self._hosts[0]
        ours = " ".join(f"-c {name}={value}" for name, value in {**_UPGRADE, **self._newer}.items())
        return make_conninfo(
            host=host.name,
            port=host.port,
            password=host.password or None,
            user=self._told["user"],
            dbname=self._told["dbname"],
            options=f"{self._told.get('options', '')} {ours}".strip(),
            connect_timeout=int(CONNECT_SECONDS),
            gssencmode="disable",
            **{key: self._told[key] for key in _TLS if key in self._told},
        )


def _parsed(url: str) -> dict[str, str]:
    """Return what a URL says. libpq's own words are not repeated: they may have a piece of a password."""
    rest = url.partition("://")[2]
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    servers = authority.rpartition("@")[2]
    is_list = all(re.fullmatch(r"(\[[^\[\]]*\]|[^\[\]:]*)(:[0-9]*)?", server) for server in servers.split(","))
    if rest.count("@") != authority.count("@") or authority.count("@") > 1 or not is_list:
        raise ConfigError(_UNCLEAR)
    try:
        options = pq.Conninfo.parse(url.encode())
        return {option.keyword.decode(): option.val.decode() for option in options if option.val is not None}
    except UnicodeError:
        raise ConfigError(_UNCLEAR) from None
    except psycopg.OperationalError as error:
        unknown = re.search('invalid URI query parameter: "([a-z_]+)"', str(error))
        raise ConfigError(
            f"the job store's URL has parameters that Mainspring cannot use: {unknown[1]}. Leave them out"
            if unknown
            else _UNCLEAR
        ) from None


def _completed(given: Mapping[str, str]) -> dict[str, str]:
    """Return what libpq makes of parameters, by its service file and its environment, but for what is its default."""
    connection = _asked(given)
    found = {
        option.keyword.decode(): option.val.decode()
        for option in connection.info
        if option.val is not None and (option.val != option.compiled or option.keyword.decode() in _KNOWN)
    }
    connection.finish()
    del found["gssencmode"]
    return found


def _asked(given: Mapping[str, str]) -> PGconn:
    """Let libpq complete parameters. It stops before it reaches for anything, at one that cannot be."""
    connection = pq.PGconn.connect_start(make_conninfo(**given, gssencmode="-").encode())
    said = connection.error_message.decode(errors="replace").strip()
    if "gssencmode" not in said:
        connection.finish()
        raise ConfigError(f"the job store's URL cannot be used: {said}")
    return connection


def _hosts(given: Mapping[str, str], found: Mapping[str, str]) -> list[Host]:
    """Return the servers, each with its own password, which a file may have for it."""
    names, ports = found.get("host", "").split(","), found["port"].split(",")
    hosts = []
    for name, port in zip(names, ports * len(names) if len(ports) == 1 else ports, strict=True):
        connection = _asked({**given, "host": name, "port": port})
        number = connection.port.decode()
        if not number.isdecimal() or not 0 < int(number) < 1 << 16:
            raise ConfigError("the job store's URL has a port that is no number from 1 to 65535")
        hosts.append(Host(connection.host.decode(), int(number), connection.password.decode()))
        connection.finish()
    return hosts


def _refuse_what_differs(found: Mapping[str, str]) -> None:
    """Raise `ConfigError` for values that only one driver understands, or that no node could work with."""
    problems = [
        f"{key}={found[key]}: the file cannot be read"
        for key in ("sslcert", "sslkey", "sslrootcert", "sslcrl")
        if found.get(key) and not os.access(found[key], os.R_OK)
    ]
    if any(name.startswith("@") for name in found.get("host", "").split(",")):
        problems.append("host: sockets in the abstract namespace cannot be used")
    if found["target_session_attrs"] not in {"any", "read-write", "primary"}:
        problems.append(
            f"target_session_attrs={found['target_session_attrs']}: a node needs a server that takes writes"
        )
    if problems:
        raise ConfigError(f"the job store's URL cannot be used: {'; '.join(problems)}")
