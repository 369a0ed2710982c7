"""The schema of PostgreSQL: what is said when it does not fit, and how it is made."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from mainspring.errors import ConfigError, MainspringError, NodesAliveError, SchemaError, StoreUnavailableError
from mainspring.store.migrations import HEAD, statements, upgraded, verdict
from mainspring.store.postgres.schema import check_schema, rebuild_schema, upgrade_schema
from mainspring.store.postgres.store import PostgresStore
from tests.pooler import pooler
from tests.postgres import PostgresServer, temporary_database

UPGRADE = "import sys; from mainspring.store.postgres.schema import upgrade_schema; upgrade_schema(sys.argv[1])"
WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
TABLES = {
    "alembic_version",
    "counts",
    "deletions",
    "events",
    "events_head",
    "jobs",
    "labels",
    "nodes",
    "notes",
    "pressures",
    "rates",
    "receipts",
    "runs",
    "stops",
    "waits",
}


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    with temporary_database(postgres_url) as url:
        yield url


def tables(url: str) -> set[str]:
    """Name the tables of the schema, but for the days of history."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "select tablename from pg_tables where schemaname = 'mainspring' and tablename not like 'runs\\_%'"
        ).fetchall()
    return {name for (name,) in found}


def execute(url: str, statement: str) -> None:
    """Change a database from outside."""
    with psycopg.connect(url) as connection:
        connection.execute(statement)


def old_schema(url: str) -> None:
    """Make the schema of the version before."""
    with psycopg.connect(url, autocommit=True) as connection:
        for version in ("0001", "0002"):
            for statement in statements("postgres", version):
                connection.execute(statement.encode())
        connection.execute("create table mainspring.alembic_version (version_num varchar(32) primary key)")
        connection.execute("insert into mainspring.alembic_version values ('0002')")


def refusal(verb: Callable[[str], object], url: str, kind: type[MainspringError]) -> str:
    """Call a verb that must fail; say why it did."""
    with pytest.raises(MainspringError) as caught:
        verb(url)
    assert kind is caught.type
    return str(caught.value)


# --- versions


def test_version_that_is_needed_passes() -> None:
    """The version of this Mainspring is fine."""
    verdict(HEAD, "mainspring db upgrade")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "has no schema yet; make it with: mainspring db upgrade"),
        ("0000", f"is version 0000, this Mainspring needs {HEAD}; upgrade it with: mainspring db upgrade"),
        ("9999", f"is version 9999, newer than this Mainspring knows ({HEAD}); upgrade Mainspring"),
    ],
)
def test_other_version_is_refused_with_what_helps(found: str | None, words: str) -> None:
    """The sentence says what is there, what is needed and what to do."""
    with pytest.raises(SchemaError) as caught:
        verdict(found, "mainspring db upgrade")

    assert words in str(caught.value)


async def test_store_without_a_schema_does_not_open(database: str) -> None:
    """A store never makes its schema by itself where others use it too."""
    store = PostgresStore(database)
    with pytest.raises(SchemaError, match="mainspring db upgrade"):
        await store.open()
    await store.close()

    assert set() == tables(database)


def test_upgrade_makes_the_schema(database: str) -> None:
    """One call makes all that is needed."""
    upgrade_schema(database)

    check_schema(database)
    assert tables(database) == TABLES


def test_upgrade_twice_changes_nothing(database: str) -> None:
    """An upgrade of what is up to date keeps everything."""
    upgrade_schema(database)
    execute(database, "insert into mainspring.nodes (name, beat) values ('here', 1)")

    upgrade_schema(database)

    with psycopg.connect(database) as connection:
        assert ("here", 1) == connection.execute("select name, beat from mainspring.nodes").fetchone()


def test_upgrade_of_a_newer_schema_is_refused(database: str) -> None:
    """An older Mainspring leaves a newer schema alone, in words."""
    upgrade_schema(database)
    execute(database, "update mainspring.alembic_version set version_num = '9999'")

    assert "newer than this Mainspring knows" in refusal(check_schema, database, SchemaError)
    assert "newer than this Mainspring knows" in refusal(upgrade_schema, database, SchemaError)


def test_rebuild_makes_anew(database: str) -> None:
    """A rebuild drops what is there, whatever its version, and makes what is needed."""
    upgrade_schema(database)
    execute(database, "update mainspring.alembic_version set version_num = '9999'")
    execute(database, "create table mainspring.older ()")

    rebuild_schema(database)

    check_schema(database)
    assert tables(database) == TABLES


def test_upgrade_that_failed_leaves_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema is made whole or not at all, so that the next try can make it."""
    with monkeypatch.context() as patch:
        patch.setattr("mainspring.store.migrations.statements", lambda *_: ["create table mainspring.jobs ()", "oops"])
        assert "oops" in refusal(upgrade_schema, database, SchemaError)
    assert set() == tables(database)

    upgrade_schema(database)


def test_upgrades_at_once_wait_for_each_other(database: str) -> None:
    """Two who start the upgrade in the same moment both find it done."""
    with psycopg.connect(database) as gate:
        gate.execute("create schema mainspring")  # whoever makes it too waits for us
        upgrades = [subprocess.Popen([sys.executable, "-c", UPGRADE, database]) for _ in range(2)]
        with psycopg.connect(database, autocommit=True) as watcher:
            while watcher.execute(WAITING).fetchone() != (2,):
                assert [None, None] == [upgrade.poll() for upgrade in upgrades]
        gate.rollback()

    assert [0, 0] == [upgrade.wait(60) for upgrade in upgrades]
    assert tables(database) == TABLES


@pytest.mark.parametrize("node", ["living", "dead"])
def test_upgrade_under_living_nodes_is_refused(database: str, node: str) -> None:
    """The nodes are named and nothing is changed; those without a session are dead and in nobody's way."""
    old_schema(database)
    execute(database, "insert into mainspring.nodes (name, beat) values ('a:1', 1)")

    with psycopg.connect(database, autocommit=True) as session:
        if node == "dead":
            assert upgrade_schema(database) == "0002"
            return
        session.execute("select pg_try_advisory_lock(7236342, hashtext('a:1'))")
        said = refusal(upgrade_schema, database, NodesAliveError)
        assert "the schema is in use by nodes that live: a:1. Stop them first" in said
        assert ("0002",) == session.execute("select version_num from mainspring.alembic_version").fetchone()
        assert upgrade_schema(database, force=True) == "0002"
    check_schema(database)


def test_upgrade_with_nothing_to_do_minds_no_node(database: str) -> None:
    """What changes nothing can be run at any time."""
    upgrade_schema(database)
    execute(database, "insert into mainspring.nodes (name, beat) values ('a:1', 1)")

    with psycopg.connect(database, autocommit=True) as session:
        session.execute("select pg_try_advisory_lock(7236342, hashtext('a:1'))")
        assert upgrade_schema(database) == HEAD


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (None, f"The job store's schema was made; it is version {HEAD}."),
        ("0001", f"The job store's schema was upgraded from version 0001 to {HEAD}."),
        (HEAD, f"The job store's schema was version {HEAD} already; there was nothing to do."),
    ],
)
def test_upgrade_says_what_it_did(before: str | None, said: str) -> None:
    """From which version to which, or that there was nothing to do."""
    assert upgraded(before) == said


# --- who may use it


@pytest.fixture
def role(postgres: PostgresServer) -> Iterator[tuple[str, str, str]]:
    """A role with the rights that docs/operations.md gives to nodes, its URL and that of the owner."""
    name = f"app_{uuid4().hex}"
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
    grants = text[text.index("grant usage on schema") :].partition("```")[0].replace(" to app;", f" to {name};")
    with temporary_database(postgres.url()) as database:
        upgrade_schema(database)
        execute(database, f"create role {name} login; {grants}")
        yield name, database.replace("postgres@", f"{name}@", 1), database
        execute(database, f"drop owned by {name}; drop role {name}")


def test_rights_of_the_documentation_are_enough(role: tuple[str, str, str]) -> None:
    """The page for operators and the check agree, also about the partitions that the owner made."""
    check_schema(role[1])


@pytest.mark.parametrize(
    ("revoked", "granted"),
    [
        ("usage on sequence mainspring.fence", ["usage on sequence mainspring.fence"]),
        ("usage on schema mainspring", ["usage on schema mainspring"]),
        ("insert, delete on mainspring.runs", ["insert, delete on table mainspring.runs"]),
        ("select on mainspring.alembic_version", ["select on table mainspring.alembic_version"]),
        ("select on mainspring.done_jobs", ["select on table mainspring.done_jobs"]),
        (
            "all on mainspring.nodes, mainspring.stops",
            [f"select, insert, update, delete on table mainspring.{table}" for table in ("nodes", "stops")],
        ),
    ],
)
def test_missing_rights_are_named_with_what_grants_them(
    role: tuple[str, str, str], revoked: str, granted: list[str]
) -> None:
    """Each at once, in words that can be pasted, after which all is well; nothing is tried out."""
    name, url, database = role
    execute(database, f"revoke {revoked} from {name}")

    said = refusal(check_schema, url, ConfigError)

    assert f"the role {name} lacks rights" in said
    grants = [line.strip() for line in said.splitlines()[1:]]
    assert sorted(grants) == sorted(f"grant {right} to {name};" for right in granted)
    execute(database, "".join(grants))
    check_schema(url)


FUNCTIONS = ["turn_days(date,date)", "turn_counts(date)", "moment(bigint)"]


@pytest.mark.parametrize(
    "right", [*(f"execute on function mainspring.{each}" for each in FUNCTIONS), "usage on type mainspring.kept"]
)
def test_missing_rights_that_everybody_had_are_named_too(role: tuple[str, str, str], right: str) -> None:
    """PostgreSQL gives everybody the use of functions and types; who takes that away must give it to nodes."""
    name, url, database = role
    execute(database, f"revoke {right} from public, {name}")

    said = refusal(check_schema, url, ConfigError)

    assert [f"grant {right} to {name};"] == [line.strip() for line in said.splitlines()[1:]]
    execute(database, f"grant {right} to {name}")
    check_schema(url)


def test_role_that_does_not_see_all_rows_is_refused(role: tuple[str, str, str]) -> None:
    """A policy that hides jobs would leave them undone without a word."""
    name, url, database = role
    execute(database, "alter table mainspring.jobs enable row level security")

    assert "hides rows of mainspring.jobs" in refusal(check_schema, url, ConfigError)
    execute(database, f"alter role {name} bypassrls")
    check_schema(url)


def test_role_without_triggers_is_refused(role: tuple[str, str, str]) -> None:
    """They count the jobs."""
    name, url, database = role
    execute(database, f"alter role {name} set session_replication_role = replica")

    assert "session_replication_role is 'replica'" in refusal(check_schema, url, ConfigError)


def test_standby_is_refused() -> None:
    """It takes no writes; that may pass."""
    with PostgresServer() as server:
        url = server.create_database("jobs")
        upgrade_schema(url)
        server.stop()
        server.become_standby()
        server.start()

        assert "takes no writes" in refusal(check_schema, url, StoreUnavailableError)
        assert "cannot be" in refusal(rebuild_schema, url, ConfigError)
        words = refusal(check_schema, f"{url}?target_session_attrs=read-write", StoreUnavailableError)
        assert "cannot be reached" in words


@pytest.mark.parametrize(("raised", "says"), [("disk_full", "keeps nothing"), ("io_error", "keeps nothing")])
def test_database_that_keeps_nothing_is_refused(database: str, raised: str, says: str) -> None:
    """The check writes a row, and undoes it."""
    upgrade_schema(database)
    execute(
        database,
        "create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no room' "
        f"using errcode = '{raised}'; end $$; "
        "create trigger refuse before insert on mainspring.notes for each row execute function public.refuse()",
    )

    words = refusal(check_schema, database, StoreUnavailableError)

    assert says in words
    assert "no room" in words


def test_check_leaves_nothing_behind(database: str) -> None:
    """Not even a number of a sequence is used."""
    upgrade_schema(database)
    with psycopg.connect(database, autocommit=True) as connection:
        before = connection.execute("select last_value, is_called from mainspring.fence").fetchone()
        check_schema(database)
        assert before == connection.execute("select last_value, is_called from mainspring.fence").fetchone()
        assert (0,) == connection.execute("select count(*) from mainspring.notes").fetchone()


# --- reaching the database


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("connect_timeout=3", "connect_timeout"),
        ("keepalives_idle=30&keepalives=1", "keepalives, keepalives_idle"),
        ("application_name=x&fallback_application_name=y", "fallback_application_name"),
        ("statement_timeout=5s", "statement_timeout"),
    ],
)
def test_parameters_that_a_driver_does_not_know_are_refused(query: str, named: str) -> None:
    """They are named before anything is reached: no start with them will ever go well."""
    said = refusal(check_schema, f"postgresql://u:secret@127.0.0.1:1/jobs?{query}", ConfigError)

    assert f"parameters that Mainspring cannot use: {named}. Leave them out" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "query", ["application_name=x", "options=-cwork_mem%3D8MB", "sslmode=prefer", "target_session_attrs=read-write"]
)
async def test_parameters_that_both_drivers_know_are_taken(database: str, query: str) -> None:
    """The check and the store read a URL alike."""
    url = f"{database}{'&' if '?' in database else '?'}{query}"
    upgrade_schema(url)
    store = PostgresStore(url)
    await store.open()

    assert await store.nodes() == []
    await store.close()


def test_pooler_is_refused(postgres: PostgresServer) -> None:
    """Sessions that go from hand to hand keep no locks and no prepared statements."""
    with pooler(postgres.url()) as url:
        assert "a connection pooler such as PgBouncer" in refusal(check_schema, url, ConfigError)


def test_database_that_takes_no_schema_is_refused(role: tuple[str, str, str]) -> None:
    """What the database has against the upgrade is told in a sentence."""
    name, url, database = role
    execute(database, "drop schema mainspring cascade")

    assert "permission denied for database" in refusal(upgrade_schema, url, SchemaError)
    execute(database, f"grant create on database {url.rpartition('/')[2]} to {name}")
    upgrade_schema(url)


def test_schema_of_somebody_else_is_refused(database: str) -> None:
    """What the database has against the look at its version is told in a sentence."""
    execute(database, "create schema mainspring")
    execute(database, "create table mainspring.alembic_version ()")

    assert 'cannot be used: column "version_num" does not exist' in refusal(check_schema, database, ConfigError)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port on which nobody answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener


@pytest.mark.parametrize("listening", [False, True])
def test_server_that_does_not_answer(listener: socket.socket, listening: bool) -> None:  # noqa: FBT001 - or refuses
    """A server that is away, or says nothing, costs seconds; the sentence says where it should be."""
    if listening:
        listener.listen()
    host, port = listener.getsockname()

    words = refusal(check_schema, f"postgresql://user:s3cret@{host}:{port}/jobs", StoreUnavailableError)

    assert f"{host}:{port}/jobs cannot be reached" in words
    assert "s3cret" not in words


def test_servers_that_do_not_answer_are_all_named() -> None:
    """An address may list several servers."""
    words = refusal(check_schema, "postgresql://user:s3cret@127.0.0.1:1,127.0.0.1:2/jobs", StoreUnavailableError)

    assert "127.0.0.1:1,127.0.0.1:2/jobs" in words


@pytest.mark.parametrize("password", ["qq%zz", "qq/q", "12/qq", "qq@%"])
def test_address_that_is_unclear_shows_nothing_of_its_password(password: str) -> None:
    """Where the password ends in the wrong place, no piece of it gets into the sentence."""
    words = refusal(check_schema, f"postgresql://user:{password}@127.0.0.1:1/jobs", ConfigError)

    assert "cannot be understood" in words
    assert "qq" not in words


# --- rights -----------------------------------------------------------------------------------------------------------

REPORTS = """
create role {0} login;
grant usage on schema mainspring to {0};
grant select on all tables in schema mainspring to {0}
"""


def test_nobody_else_may_execute_our_functions(database: str) -> None:
    """PostgreSQL gives everybody the use of each new function; a role for reports could wipe the history by one."""
    upgrade_schema(database)
    with psycopg.connect(database) as connection:
        open_ = connection.execute(
            "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
            "where n.nspname = 'mainspring' and has_function_privilege('public', p.oid, 'execute')"
        ).fetchall()
    assert [] == open_


@pytest.mark.parametrize(
    "call",
    [
        "turn_days(current_date, current_date)",
        "turn_counts(current_date)",
        "make_day(current_date + 30)",
        "moment(0)",
    ],
)
def test_role_for_reports_can_call_nothing(database: str, call: str) -> None:
    """It may read, and no more."""
    upgrade_schema(database)
    name = f"reports_{uuid4().hex}"
    execute(database, REPORTS.format(name))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(database.replace("postgres@", f"{name}@", 1), f"select mainspring.{call}")
    execute(database, f"drop owned by {name}; drop role {name}")


@pytest.mark.parametrize(
    "call",
    [
        "turn_days(null, current_date)",
        "turn_days(current_date, null)",
        "turn_days('infinity', current_date)",
        "turn_days(current_date, '-infinity')",
        "turn_days(current_date, current_date + 1)",
        "turn_days('9999-01-01', '9999-01-01')",
        "turn_counts(null)",
        "turn_counts('infinity')",
        "turn_counts('9999-01-01')",
    ],
)
def test_arguments_that_no_clock_would_give_are_refused(database: str, call: str) -> None:
    """A mistake in them would drop what should be kept."""
    upgrade_schema(database)
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        execute(database, f"select mainspring.{call}")
