"""One reader of URLs: whatever libpq knows means the same to both drivers, or is refused by name; no password shows."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from mainspring.errors import ConfigError, MainspringError, StoreUnavailableError
from mainspring.settings import masked
from mainspring.store import backend
from mainspring.store.postgres.address import SESSION, Address
from mainspring.store.postgres.schema import check_schema, rebuild_schema, upgrade_schema
from mainspring.store.postgres.store import PostgresStore
from tests.postgres import PostgresServer, temporary_database
from tests.silent import silent


class Told(Exception):  # noqa: N818 - no error: it ends the attempt to connect
    """What a driver was told."""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the machine has for other programs is not seen."""
    for name in list(os.environ):
        if name.startswith("PG"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


async def meant(url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what a URL means to both drivers, who must agree: one server after the other, as the first has it."""
    address = Address.read(url)
    told: dict[str, Any] = {}

    async def connect(_dsn: str, **arguments: Any) -> None:
        told.update(arguments)
        raise Told

    monkeypatch.setattr(asyncpg, "connect", connect)
    with pytest.raises(Told):
        await address.connect()
    theirs = conninfo_to_dict(address.conninfo())
    ours = {
        "host": told["host"][0],
        "port": str(told["port"][0]),
        "user": told["user"],
        "dbname": told["database"],
        "password": told["password"],
    }
    assert ours == {key: str(theirs.get(key) or "") for key in ours}
    options = told["server_settings"].get("options", "")
    assert str(theirs["options"]).startswith(options)
    return {**ours, "options": options, "shown": str(address)}


URLS: dict[str, tuple[str, dict[str, str]]] = {
    "all in its place": (
        "postgresql://u:pw@h:6432/d",
        {"user": "u", "password": "pw", "host": "h", "port": "6432", "dbname": "d", "shown": "h:6432/d"},
    ),
    "a plus is a plus": (
        "postgresql://a+b:p+w@h/d+e?options=-c+x",
        {"user": "a+b", "password": "p+w", "options": "-c+x"},
    ),
    "per cent forms": (
        "postgresql://u%40corp:p%40%2F%3A%23%25%20%3F@h/d%2Fe?options=-c%20work_mem%3D8MB",
        {"user": "u@corp", "password": "p@/:#% ?", "dbname": "d/e", "options": "-c work_mem=8MB"},
    ),
    "a hash is no fragment": ("postgresql://u:p#w@h/d", {"password": "p#w", "host": "h"}),
    "all as parameters": (
        "postgresql://?host=h&port=6432&user=u&password=p+w&dbname=d",
        {"user": "u", "password": "p+w", "host": "h", "port": "6432", "dbname": "d"},
    ),
    "a parameter wins": ("postgresql://u:pw@h/d?user=v&dbname=e", {"user": "v", "dbname": "e"}),
    "a socket": (
        "postgresql:///d?host=/run/pg&port=5433",
        {"host": "/run/pg", "port": "5433", "shown": "/run/pg:5433/d"},
    ),
    "a socket as a host": ("postgresql://%2Frun%2Fpg/d", {"host": "/run/pg", "port": "5432"}),
    "the default socket": ("postgresql:///d", {"host": psycopg.pq.PGconn.connect_start(b"gssencmode=-").host.decode()}),
    "IPv6": ("postgresql://u@[::1]:6432/d", {"host": "::1", "port": "6432", "shown": "[::1]:6432/d"}),
    "IPv6 with a zone": (
        "postgresql://u@[fe80::1%25eth0]/d",
        {"host": "fe80::1%eth0", "shown": "[fe80::1%eth0]:5432/d"},
    ),
    "several hosts": (
        "postgresql://u@a,b:5433,[::1]/d",
        {"host": "a", "port": "5432", "shown": "a:5432,b:5433,[::1]:5432/d"},
    ),
    "several hosts, one port": ("postgresql://u@/d?host=a,b&port=7", {"port": "7", "shown": "a:7,b:7/d"}),
    "the database is that of the user": ("postgresql://u@h", {"dbname": "u"}),
    "the other scheme": ("postgres://u@h/d", {"user": "u"}),
}


@pytest.mark.parametrize("name", URLS)
async def test_both_drivers_are_told_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every form that libpq reads."""
    url, expected = URLS[name]
    found = await meant(url, monkeypatch)
    assert expected == {key: found[key] for key in expected}


PASSFILE = r"""
# a comment
other:5432:d:u:wrong
h\:x:5432:d:u:a host with a colon
h:5432:d:u:p\:w\\d
*:5433:*:v:star
localhost:*:*:*:socket
"""
FOUND = [
    ("postgresql://u@h/d", r"p:w\d"),
    ("postgresql://u@h%3Ax/d", "a host with a colon"),
    ("postgresql://v@anywhere:5433/e", "star"),
    ("postgresql://u@nowhere/d", ""),
    ("postgresql://u:own@h/d", "own"),
]


@pytest.mark.parametrize(("url", "password"), FOUND)
@pytest.mark.parametrize("way", ["home", "environment", "parameter"])
async def test_password_file(
    url: str, password: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its escapes are those of libpq, wherever it is named."""
    file = tmp_path / ".pgpass"
    file.write_text(PASSFILE)
    file.chmod(0o600)
    if way == "environment":
        monkeypatch.setenv("PGPASSFILE", str(file.rename(tmp_path / "elsewhere")))
    if way == "parameter":
        url += f"?passfile={file.rename(tmp_path / 'elsewhere')}"
    assert (await meant(url, monkeypatch))["password"] == password


def test_each_host_has_its_own_password(tmp_path: Path) -> None:
    """The file may have one for each."""
    file = tmp_path / ".pgpass"
    file.write_text("a:*:*:*:for a\nb:*:*:*:for b\n")
    file.chmod(0o600)
    hosts = Address.read("postgresql://u@a,b,c/d").hosts
    assert [("a", "for a"), ("b", "for b"), ("c", "")] == [(host.name, host.password) for host in hosts]


def test_password_file_that_others_may_read_is_not_read(tmp_path: Path) -> None:
    """As libpq has it."""
    (tmp_path / ".pgpass").write_text("*:*:*:*:pw\n")
    (tmp_path / ".pgpass").chmod(0o644)
    assert Address.read("postgresql://u@a/d").hosts[0].password == ""


SERVICE = r"""
[jobs]
host=h,i
port=6432
dbname=d
user=u
password=p=w;#x
application_name=theirs
"""


@pytest.mark.parametrize(
    ("url", "environ"),
    [
        ("postgresql://?service=jobs", {}),
        ("postgresql:///?service=jobs", {}),
        ("postgresql:///", {"PGSERVICE": "jobs"}),
    ],
)
async def test_service(url: str, environ: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the URL leaves open is looked up there."""
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    (tmp_path / "services").write_text(SERVICE)
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    found = await meant(url, monkeypatch)
    assert ("h", "6432", "d", "u", "p=w;#x") == tuple(
        found[key] for key in ("host", "port", "dbname", "user", "password")
    )
    assert found["shown"] == "h:6432,i:6432/d"


async def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What neither the URL nor a service says, the variables may say."""
    for key, value in {"PGHOST": "h", "PGUSER": "u", "PGPASSWORD": "pw", "PGOPTIONS": "-c a=b", "PGPORT": "7"}.items():
        monkeypatch.setenv(key, value)
    found = await meant("postgresql:///d", monkeypatch)
    assert ("h:7/d", "u", "pw", "-c a=b") == tuple(found[key] for key in ("shown", "user", "password", "options"))


# --- what is refused, by every command alike

VERBS: dict[str, Callable[[str], object]] = {
    "check": check_schema,
    "upgrade": upgrade_schema,
    "rebuild": rebuild_schema,
    "db check": lambda url: backend(url).check(url),
}
REFUSED = {
    "connect_timeout=3": "connect_timeout",
    "hostaddr=127.0.0.1": "hostaddr",
    "channel_binding=require": "channel_binding",
    "require_auth=scram-sha-256": "require_auth",
    "gssencmode=require": "gssencmode",
    "load_balance_hosts=random": "load_balance_hosts",
    "sslsni=0": "sslsni",
    "colour=red": "colour",
    "sslmode=sometimes": 'invalid sslmode value: "sometimes"',
    "sslrootcert=system": "sslrootcert=system",
    "sslrootcert=/nowhere/root.crt": "sslrootcert=/nowhere/root.crt: the file cannot be read",
    "target_session_attrs=standby": "target_session_attrs=standby",
    "service=absent": 'service "absent" not found',
    "port=x": "a port that is no number",
    "port=70000": "a port that is no number",
    "port=1,2": "could not match 2 port numbers",
    "host=%40abstract": "abstract namespace",
}


@pytest.mark.parametrize("query", REFUSED)
@pytest.mark.parametrize("verb", VERBS)
def test_what_the_drivers_do_not_share_is_refused_by_name(verb: str, query: str) -> None:
    """Before anything is reached, and with no word of the password."""
    with pytest.raises(ConfigError) as caught:
        VERBS[verb](f"postgresql://u:s3cret@127.0.0.1:1/d?{query}")
    assert REFUSED[query] in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["PGHOSTADDR", "PGREQUIREAUTH", "PGCHANNELBINDING", "PGGSSENCMODE"])
def test_environment_is_refused_where_it_is_not_obeyed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demand for safety is not dropped without a word."""
    monkeypatch.setenv(name, {"PGHOSTADDR": "127.0.0.1", "PGREQUIREAUTH": "none"}.get(name, "require"))
    with pytest.raises(ConfigError, match=r"(?i)hostaddr|require_auth|channel_binding|gssencmode"):
        Address.read("postgresql://u@h/d")


def test_patience_of_other_programs_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is meant for all of them is no mistake."""
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "60")
    assert "connect_timeout=3" in Address.read("postgresql://u@h/d").conninfo()


HOSTLESS = ["qq", "qq/qq", "qq?qq", "qq#qq", "qq%qq", "qq:qq", "qq,qq", "qq&qq"]
PASSWORDS = ["qq@", "qq@qq", "@qq", "12/qq", "12?qq=qq", "qq:qq@qq", "qq,qq@qq", "qq&qq@[qq", *HOSTLESS]
"""Passwords that are not written as they should be, and those behind which even the host was forgotten."""
MISSPELT = [f"postgresql://u:{password}@127.0.0.1:1/d" for password in PASSWORDS]
MISSPELT += [f"postgresql://u:{password}{rest}" for password in HOSTLESS for rest in ("", "/d")]


@pytest.mark.parametrize("url", MISSPELT)
def test_no_piece_of_a_password_shows(url: str) -> None:
    """However it is misspelt, and whoever prints the address."""
    with pytest.raises(MainspringError) as caught:
        check_schema(url)
    assert "qq" not in str(caught.value)
    assert "qq" not in masked(url)


@pytest.mark.parametrize(
    "query", ["password=qq&qq", "passwrod=qq", "p%61ssword=qq", "user=v&password=qq@qq", "sslpassword=qq/qq"]
)
def test_no_piece_of_a_password_shows_among_parameters(query: str) -> None:
    """Behind what may be secret nothing is shown."""
    url = f"postgresql://127.0.0.1:1/d?{query}"
    with pytest.raises(MainspringError) as caught:
        check_schema(url)
    assert "qq" not in str(caught.value)
    assert "qq" not in masked(url)


# --- several servers


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database with the schema."""
    with temporary_database(postgres.url()) as url:
        upgrade_schema(url)
        yield url


async def test_first_host_that_can_be_used_is_used(database: str) -> None:
    """Whatever is wrong with those before it: nobody listens, nobody answers, it goes silent after the log-in."""
    here = database.removeprefix("postgresql://postgres@").partition("/")[0]
    with silent(database) as mute, silent(database, welcomes=False) as deaf:
        others = [server.url.partition("@")[2].partition("/")[0] for server in (mute, deaf)]
        url = database.replace(here, ",".join(["127.0.0.1:1", *others, here]))
        store = PostgresStore(url)
        await store.open()
        assert [] == await store.nodes()
        await store.close()


async def test_host_that_falls_silent_is_passed_by(database: str) -> None:
    """Also where each call has less patience than it takes to be sure: the next one begins elsewhere."""
    here = database.removeprefix("postgresql://postgres@").partition("/")[0]
    with silent(database) as mute:
        url = database.replace(here, f"{mute.url.partition('@')[2].partition('/')[0]},{here}")
        store = PostgresStore(url)
        await store.open()  # finds the second one
        await store.close()
        store = PostgresStore(url)
        store._session.open()  # noqa: SLF001 - which has no other patience than that of a call
        with pytest.raises(StoreUnavailableError):
            await store.beat("nobody")
        assert (await store.beat("nobody")).alive is False
        await store.close()


async def test_settings_of_a_session_are_ours(database: str) -> None:
    """Whatever the URL or a program's variables ask for."""
    address = Address.read(f"{database}?options=-c%20statement_timeout%3D7%20-c%20work_mem%3D8MB&application_name=x")
    connection = await address.connect()
    for name, value in {**SESSION, "work_mem": "8MB"}.items():
        shown = await connection.fetchval("select setting from pg_settings where name = $1", name)
        wanted = await connection.fetchval("select set_config($1, $2, true)", name, value)
        again = await connection.fetchval("select setting from pg_settings where name = $1", name)
        assert (name, shown) == (name, again), wanted
    await connection.close()
